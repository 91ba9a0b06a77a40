"""Real `trio-wss` processes for tests: their lines are read until the wanted one, no sleeps."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import trio
from attrs import define, field

DEADLINE = 60.0
"""Seconds for a step of a process; far more than it takes, since the machine may be busy."""


@define(eq=False)
class Lines:
    """What a process writes, by lines; everything is kept in `text`."""

    stream: trio.abc.ReceiveStream
    text: str = ""
    _read: int = 0

    async def until(self, pattern: str) -> re.Match[str]:
        """The first line not yet looked at that matches."""
        with trio.move_on_after(DEADLINE):
            while True:
                end = self.text.find("\n", self._read)
                if end < 0:
                    await self._more(pattern)
                    continue
                line, self._read = self.text[self._read : end], end + 1
                if found := re.search(pattern, line):
                    return found
        raise AssertionError(f"no {pattern!r} within {DEADLINE:g} s:\n{self.text}")

    async def rest(self) -> str:
        """All that was ever written, once the process has closed it."""
        with trio.fail_after(DEADLINE):
            async for chunk in self.stream:
                self.text += bytes(chunk).decode()
        return self.text

    async def _more(self, pattern: str) -> None:
        chunk = await self.stream.receive_some()
        assert chunk, f"it ended without {pattern!r}:\n{self.text}"
        self.text += bytes(chunk).decode()


@define(eq=False)
class Running:
    """A process under test, in a process group of its own, as a shell would start it."""

    process: trio.Process
    out: Lines
    err: Lines
    url: str = field(default="")

    async def listening(self) -> Self:
        """Wait until it says where it listens."""
        self.url = (await self.out.until(r"\blistening on (ws://[^\s\"]+)"))[1]
        return self

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ctrl_c(self) -> None:
        """What a terminal does: SIGINT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        with trio.fail_after(DEADLINE):
            return await self.process.wait()


@asynccontextmanager
async def trio_wss(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str | None] | None = None,
    module: bool = False,
) -> AsyncIterator[Running]:
    """`trio-wss …` in a folder, with TMPDIR there too, so that what it leaves can be seen."""
    temporary = cwd / "tmp"
    temporary.mkdir(exist_ok=True)
    environment: dict[str, str | None] = {
        **os.environ,
        "REDIS_SERVER": None,
        "REDIS_SERVER_FILE": None,
        "SERVER_PORT": None,
        "PYTHONUNBUFFERED": None,  # it would hide a missing flush
        "PYTHONDONTWRITEBYTECODE": None,  # and this a stale .pyc
        "TMPDIR": str(temporary),
        **(env or {}),
    }
    script = Path(sys.executable).parent / "trio-wss"
    process = await trio.lowlevel.open_process(
        [*([sys.executable, "-m", "trio_wss"] if module else [str(script)]), *arguments],
        cwd=cwd,
        env={name: value for name, value in environment.items() if value is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    running = Running(process, Lines(process.stdout), Lines(process.stderr))
    try:
        yield running
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.stdout.aclose()
            await process.stderr.aclose()


async def call(
    *arguments: str, cwd: Path, env: Mapping[str, str | None] | None = None
) -> tuple[int, str, str]:
    """Run `trio-wss …` to its end: exit code, stdout, stderr."""
    async with trio_wss(*arguments, cwd=cwd, env=env) as running:
        out, err = await running.out.rest(), await running.err.rest()
        return await running.ended(), out, err


def commands_with(word: str) -> list[str]:
    """The command lines of all processes whose arguments or environment hold a word (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if word.encode() in command + (folder / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is not ours
    return found
