"""Docker's command line, on one host or several; the first is a manager of the Swarm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import trio
from attrs import field, frozen

PATIENCE: Final = 120.0  # seconds for one command; an image may have to be carried


class DockerFailed(Exception):
    """A command of Docker's that did not end with 0."""


@frozen
class Host:
    """One engine: `socket` is what DOCKER_HOST is for it; `name` and `address` are the Swarm's."""

    socket: str
    name: str = ""
    address: str = ""

    async def docker(
        self,
        *arguments: str,
        stdin: bytes = b"",
        variables: Mapping[str, str] | None = None,
        merged: bool = False,
    ) -> str:
        """Run `docker …` here; returns what it says, on stderr too if that is `merged`.

        Raises DockerFailed, and TooSlowError.
        """
        streams: Any = {"stderr": subprocess.STDOUT} if merged else {"capture_stderr": True}
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                ["docker", *arguments],
                stdin=stdin,
                capture_stdout=True,
                **streams,
                check=False,
                env={**os.environ, **(variables or {}), "DOCKER_HOST": self.socket},
            )
        if done.returncode:
            said = (done.stdout if merged else done.stderr).decode(errors="replace").strip()
            raise DockerFailed(f"docker {' '.join(arguments)} at {self.socket}: {said}")
        return done.stdout.decode(errors="replace")

    async def introduce(self) -> Host:
        """The same, with the Swarm's name for it. Raises DockerFailed where there is no Swarm."""
        swarm = orjson.loads(await self.docker("info", "--format", "{{json .Swarm}}"))
        if swarm["LocalNodeState"] != "active":
            raise DockerFailed(f"{self.socket} is in no Swarm: docker swarm init, or join")
        return Host(self.socket, swarm["NodeID"], swarm["NodeAddr"])


@frozen
class Engines:
    """All hosts of the Swarm that we may speak to."""

    hosts: list[Host] = field(factory=list)

    @staticmethod
    async def find(sockets: Sequence[str]) -> Engines:
        """The engines behind these."""
        return Engines([await Host(socket).introduce() for socket in sockets])

    @property
    def manager(self) -> Host:
        return self.hosts[0]

    def named(self, name: str) -> Host | None:
        """The host that the Swarm knows by this name."""
        return next((host for host in self.hosts if host.name == name), None)

    async def build(self, tag: str, *arguments: str, stdin: bytes = b"") -> None:
        """Build an image on every host, so that no registry is needed."""
        for host in self.hosts:
            await host.docker("build", "--quiet", "--tag", tag, *arguments, stdin=stdin)

    async def carry(self, image: str) -> None:
        """Bring an image from the first host to those that lack it."""
        packed = None
        for host in self.hosts[1:]:
            if not (await host.docker("images", "--quiet", image)).strip():
                packed = packed or await _save(self.manager, image)
                await host.docker("load", "--quiet", stdin=packed)


async def _save(host: Host, image: str) -> bytes:
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            ["docker", "save", image],
            capture_stdout=True,
            env={**os.environ, "DOCKER_HOST": host.socket},
        )
    return done.stdout
