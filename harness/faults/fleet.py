"""The nodes of a run: processes that can be killed, paused, stopped in order, and started again.

Clients reach a node through its `front`, a node reaches Redis through its `link`; both are proxies.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, final

import orjson
import trio

from harness.faults.proxy import Proxy, proxied
from harness.faults.record import Recorder
from harness.faults.stores import NAMESPACE

START: Final = 30.0  # seconds until a node must listen; it waits 5 s for Redis
STOP: Final = 30.0  # seconds from SIGTERM to the end: ten times its drain, on a busy machine
NOWHERE: Final = ("127.0.0.1", 1)  # a port at which nobody listens
REFUSALS: Final = ("LOADING", "READONLY", "NOSCRIPT", "Redis is loading", "You can't write", "OOM")
AWAY: Final = "Redis is away"
BURIED: Final = "a node gave no sign of life for its lease; its sessions are due"
UNKNOWN: Final = "the node's record is gone from Redis"
DROPPED: Final = "on_disconnect is dropped: Redis is full, and its effects do not fit"
ROOT: Final = Path(__file__).parents[2]


@final
class NodeProcess:
    """One node, through all its lives."""

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        folder: Path,
        settings: Mapping[str, Any],
        front: Proxy,
        link: Proxy,
    ) -> None:
        self.name = name
        self.front = front
        self.link = link
        self.log = folder / f"{name}.log"
        self.busy = trio.Lock()  # one fault at a time
        self._recorder = recorder
        self._settings = {
            "redis": f"redis://127.0.0.1:{link.port}/0",
            "namespace": NAMESPACE,
            **settings,
        }
        self.id = ""  # of this life
        self._process: trio.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.front.port}"

    async def start(self) -> None:
        """Start it, and lead clients to it once it listens."""
        with self.log.open("ab") as log:
            process = await trio.lowlevel.open_process(
                [
                    sys.executable,
                    "-m",
                    "harness.faults.node",
                    orjson.dumps(self._settings).decode(),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        self._process = process
        assert process.stdout is not None
        with trio.fail_after(START):
            said = bytes(await process.stdout.receive_some())
        if not said.startswith(b"listening on "):
            raise RuntimeError(f"{self.name} did not start: {self.log.read_text()[-2000:]}")
        *_, port, _, self.id = said.decode().split()
        self._recorder.note("started", node=self.name, id=self.id)
        self.front.target = ("127.0.0.1", int(port))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(signal.SIGKILL, -signal.SIGKILL)

    async def stop(self) -> float:
        """SIGTERM. Returns how many seconds it took to end in order."""
        begun = trio.current_time()
        await self._end(signal.SIGTERM, 0)
        return trio.current_time() - begun

    async def _end(self, number: signal.Signals, wanted: int) -> None:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        code: int | None = None
        with trio.move_on_after(STOP):
            code = await process.wait()
        self.front.target = NOWHERE  # its port may be anybody's now
        await _reap(process)
        self._recorder.note("exit", node=self.name, code=code, wanted=wanted)

    async def watch(self) -> None:
        """Note each end that nobody asked for. It is started again."""
        while True:
            await trio.sleep(0.25)
            process = self._process
            if process is not None and process.returncode is not None:
                wanted = "no end"
                code = process.returncode
                self._recorder.note("exit", node=self.name, code=code, wanted=wanted)
                self.front.target = NOWHERE
                await self.close()
                await self.start()

    async def close(self) -> None:
        """The run is over."""
        process, self._process = self._process, None
        if process is not None:
            await _reap(process)

    def bare(self) -> Iterator[str]:
        """The sessions that it ended without their hook, by its log: Redis was full."""
        for entry in entries_in(self.log.read_text(errors="replace")):
            if entry.get("event") == DROPPED:
                yield entry["session"]

    def note_log(self) -> None:
        """Write down what its log says of Redis, and of what is wrong with it."""
        for entry in entries_in(self.log.read_text(errors="replace")):
            event, error = entry.get("event"), str(entry.get("error", ""))
            told = event in (AWAY, DROPPED, BURIED, UNKNOWN)
            if not told and not error.startswith(REFUSALS):
                continue
            logged = datetime.fromisoformat(str(entry["timestamp"])).timestamp()
            at = round(logged - self._recorder.began, 4)
            if event == AWAY:
                self._recorder.note("unlinked", node=self.name, at=at, why=str(entry["reason"]))
            elif event == DROPPED:
                self._recorder.note("bare", node=self.name, at=at, session=entry["session"])
            elif event in (BURIED, UNKNOWN):
                self._recorder.note("buried", node=entry.get("node", self.name), at=at)
            else:
                self._recorder.note("refused", node=self.name, at=at, why=error[:200])
        for text in self.errors():
            self._recorder.note("error", node=self.name, text=text[:4000])

    def errors(self) -> Iterator[str]:
        """What it logged as an error, and what is no log at all: a traceback."""
        return errors_in(self.log.read_text(errors="replace"))


def errors_in(log: str) -> Iterator[str]:
    """The lines of a node's log that say that something is wrong with the node."""
    for text in log.splitlines():
        try:
            entry = orjson.loads(text)
        except orjson.JSONDecodeError:
            yield text
            continue
        if entry.get("level") == "error" and not _is_expected(entry):
            yield text


def entries_in(log: str) -> Iterator[Mapping[str, Any]]:
    """What is a record in a node's log."""
    for text in log.splitlines():
        with suppress(orjson.JSONDecodeError):
            yield orjson.loads(text)


def _is_expected(entry: Mapping[str, Any]) -> bool:
    """The app fails on purpose; and a Redis that comes, goes or is demoted, or that loses its
    scripts twice within a command's life, refuses it."""
    if "on purpose" in entry.get("exception", "") or entry.get("event") == DROPPED:
        return True
    return str(entry.get("error", "")).startswith(REFUSALS)


async def _reap(process: trio.Process) -> None:
    """Leave nothing of it."""
    with trio.CancelScope(shield=True):
        process.kill()
        await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await pipe.aclose()


@asynccontextmanager
async def fleet(
    number: int, recorder: Recorder, folder: Path, settings: Mapping[str, Any]
) -> AsyncIterator[list[NodeProcess]]:
    """So many nodes, not yet started, each with its proxies, for the length of the block."""
    async with AsyncExitStack() as stack:
        nodes: list[NodeProcess] = []
        for n in range(1, number + 1):
            front = await stack.enter_async_context(proxied(NOWHERE))
            link = await stack.enter_async_context(proxied(NOWHERE))
            node = NodeProcess(f"node-{n}", recorder, folder, settings, front, link)
            stack.push_async_callback(node.close)
            nodes.append(node)
        yield nodes
