"""The start that `trio-wss run` was asked for, and the same start as a child's command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import fields, frozen

from trio_wss.cli.apps import DEMO
from trio_wss.errors import SettingsError
from trio_wss.settings import Settings
from trio_wss.store.link.address import parse_address

MAX_PORT: Final = 65_535
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that stand for all of a machine's, each with the one for a client on the machine."""


@frozen
class Launch:
    """A start: the app, its settings, and how many processes run it."""

    target: str
    settings: Settings
    data: Path | None = None
    workers: int = 1
    reload: bool = False
    log_format: str = "text"
    channel: int | None = None

    def check(self) -> None:
        """Check the options against each other. Raises SettingsError."""
        if self.settings.redis is not None:
            parse_address(self.settings.redis)
            if self.data is not None:
                raise SettingsError(
                    "--data is the embedded server's folder: leave it out, or leave out --redis"
                    " and REDIS_SERVER."
                )
        if self.reload and self.workers > 1:
            raise SettingsError("--reload works on one process: leave out --workers.")
        ops = self.settings.ops_port
        if ops == 0 and (self.reload or self.workers > 1):
            raise SettingsError("--ops-port must be a port, not 0, with --workers or --reload.")
        if self.settings.port and self.settings.port in self.ops_ports and self._one_host():
            raise SettingsError(
                f"--port and --ops-port are the same, {self.settings.port}: each needs its own"
                f"{', and so does each of the --workers' if self.workers > 1 else ''}."
            )
        if ops is not None and ops + self.workers - 1 > MAX_PORT:
            raise SettingsError(
                f"--ops-port {ops} leaves no port for the last of {self.workers} --workers: choose"
                " a lower one."
            )

    def _one_host(self) -> bool:
        """Whether a port of one listener is taken for the other one too."""
        hosts = {self.settings.host, self.settings.ops_host}
        return len(hosts) == 1 or bool(hosts & EVERYWHERE.keys())

    @property
    def demo(self) -> bool:
        """Whether the app is the bundled demo."""
        return self.target == DEMO

    @property
    def ops_ports(self) -> list[int]:
        """The port of each process' operations listener."""
        ops = self.settings.ops_port
        return [] if ops is None else list(range(ops, ops + self.workers))

    def child(self, port: int, redis: str, number: int = 0) -> tuple[list[str], dict[str, str]]:
        """Arguments and environment of a node process that listens on this port too; `number`
        tells the processes apart.

        The URL of Redis goes by the environment, since everybody can see arguments.
        """
        settings = self.settings
        arguments = [
            *(sys.executable, "-m", "trio_wss", "run"),
            *("--host", settings.host, "--port", str(port)),
            *("--namespace", settings.namespace, "--drain", str(settings.drain)),
            *("--log-format", self.log_format),
            *self._ops(number),
            *(part for origin in settings.origins for part in ("--origin", origin)),
            *(part for pair in self._other_settings() for part in ("--set", pair)),
            self.target,
        ]
        environment = os.environ | {"REDIS_SERVER": redis}
        for parents in ("SERVER_PORT", "REDIS_SERVER_FILE"):
            environment.pop(parents, None)
        if self.reload:
            # A .pyc is matched by whole seconds and size: two quick edits may look the same.
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return arguments, environment

    def _ops(self, number: int) -> Iterator[str]:
        if ports := self.ops_ports:
            yield from ("--ops-host", self.settings.ops_host, "--ops-port", str(ports[number]))

    def _other_settings(self) -> Iterator[str]:
        """The settings that have no flag of their own and are not at their default."""
        for one in fields(Settings):
            value = getattr(self.settings, one.name)
            flag = one.name in ("port", "drain")
            if one.type in (int, float) and not flag and value != one.default:
                yield f"{one.name}={value}"
