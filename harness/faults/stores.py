"""Redis as the run has it: a primary and its replica, both append-only, and what can befall them.

Each time commits are lost the ledger is taken off the old primary before it dies, so that what was
lost is known exactly. A history of Redis that so ends is a timeline.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, TypeVarTuple, Unpack, final

import orjson
import trio
from attrs import frozen

from harness.faults.bounds import measure
from harness.faults.ledger import LEDGER, MOST
from harness.faults.proxy import Proxy, proxied
from harness.faults.record import Recorder
from harness.faults.world import Line, Timeline
from tests.support.servers import RedisServer
from trio_wss.store.keys import Keys

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Era: TypeAlias = tuple[int, float, float, int]
"""A timeline: how many lines it has kept of the one before, when it began, when it ended, and how
many lines it had then."""

NAMESPACE: Final = "faults"
IN_STEP: Final = 30.0  # seconds for a replica to have all that its primary has


def free_port() -> int:
    """A TCP port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@frozen
class Server:
    """One Redis, with a TCP port for its replica."""

    redis: RedisServer
    port: int

    @staticmethod
    def start(binary: Path) -> Server:
        """What a commit's answer has told must survive SIGKILL: hence `always`; and a busy disk is
        not the fault that we look for: hence in memory, where that can be.
        """
        port = free_port()
        memory = Path("/dev/shm")
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "appendonly": "yes",
            "appendfsync": "always",
            "repl_diskless_sync_delay": "0",
            "repl_timeout": "5",
        }
        under = memory if os.access(memory, os.W_OK) else None
        return Server(RedisServer(binary, under=under, **options), port)

    def wipe(self) -> None:
        """Kill it, and start it with no data."""
        self.redis.kill()
        shutil.rmtree(self.redis.folder / "appendonlydir", ignore_errors=True)
        self.redis.start()

    def follow(self, port: int | None) -> None:
        """Be a replica of who is behind a port, or of nobody."""
        with self.redis.client() as client:
            if port is None:
                client.execute_command("REPLICAOF", "NO", "ONE")
            else:
                client.execute_command("REPLICAOF", "127.0.0.1", str(port))

    def standing(self) -> tuple[str, int]:
        """Which history it has, and how far; an offset of -1: it is not linked to its primary."""
        with self.redis.client() as client:
            info = client.info("replication")
        if info["role"] == "master":
            return info["master_replid"], info["master_repl_offset"]
        linked = info["master_link_status"] == "up"
        return info["master_replid"], info["slave_repl_offset"] if linked else -1

    def ledger(self, *, take: bool = False) -> list[Line]:
        """The lines of the app's ledger; `take`: and leave it empty."""
        key = Keys(NAMESPACE).state(LEDGER)
        with self.redis.client() as client, client.pipeline(transaction=True) as both:
            both.lrange(key, 0, -1)
            if take:
                both.delete(key)
            lines, *_ = both.execute()
        if len(lines) >= MOST:
            raise RuntimeError("the ledger is full: make rounds shorter")
        return [orjson.loads(text) for text in lines]


@final
class Stores:
    """The primary, its replica, the proxy between them, and the proxies that nodes come through."""

    def __init__(self, recorder: Recorder, folder: Path, binary: Path, between: Proxy) -> None:
        self.links: Final[list[Proxy]] = []  # one for each node
        self.primary = Server.start(binary)
        self.replica = Server.start(binary)
        self.busy: Final = trio.Lock()  # whoever does harm here
        self._between = between
        self._recorder = recorder
        self._folder = folder
        self._ended: list[Era] = []
        self._taken: list[Line] = []  # what was in the ledger before
        self._kept = 0
        self._begins = 0.0

    async def _attach(self) -> None:
        """Have the replica follow the primary, and the nodes' proxies lead to it."""
        self._between.target = ("127.0.0.1", self.primary.port)
        for link in self.links:
            link.target = self.primary.redis.socket
        await _thread(self.replica.follow, self._between.port)
        await self.in_step()

    def add_link(self, link: Proxy) -> None:
        """One more node's way to the primary."""
        link.target = self.primary.redis.socket
        self.links.append(link)

    async def in_step(self) -> None:
        """Wait until the replica has all that the primary has."""
        with trio.fail_after(IN_STEP):
            while True:
                wanted, end = await _thread(self.primary.standing)  # first: it goes on
                history, far = await _thread(self.replica.standing)
                if history == wanted and far >= end:
                    return
                await trio.sleep(0.02)

    async def restart(self) -> None:
        """The primary dies and comes back with its data."""
        await _thread(self.primary.redis.restart)

    async def kill_connections(self) -> int:
        """CLIENT KILL of the nodes' connections."""
        return await _thread(self.primary.redis.kill_connections)

    async def forget_scripts(self) -> None:
        """SCRIPT FLUSH."""
        with self.primary.redis.client() as client:
            await _thread(client.script_flush)

    async def limit_memory(self, most: int) -> None:
        """So many bytes and no more; 0: as many as there are."""
        with self.primary.redis.client() as client:
            await _thread(client.config_set, "maxmemory", most)

    async def measure(self) -> Mapping[str, Any]:
        """What is in Redis, in a few numbers."""
        with self.primary.redis.client() as client:
            return await _thread(measure, client, Keys(NAMESPACE).prefix)

    async def held_by(self, node: str) -> tuple[float, list[str]]:
        """The sessions of a node, and for how long its lease still goes on, in seconds; below 0: it
        is over.
        """
        keys = Keys(NAMESPACE)
        with self.primary.redis.client() as client:
            sessions = await _thread(client.smembers, keys.sessions_of(node))
            until = await _thread(client.zscore, keys.nodes, node)
            seconds, micros = await _thread(client.time)
        left = -1.0 if until is None else until / 1000 - seconds - micros / 1e6
        return left, sorted(session.decode() for session in sessions)

    async def lose_data(self) -> None:
        """The primary dies and comes back empty."""
        await self._shut_out()
        await self._end_timeline(await self._whole_ledger())
        await _thread(self.primary.wipe)
        self._taken.clear()
        self._begin_timeline(0)
        self._let_in()

    async def fail_over(
        self,
        lag: float,
        behind: Proxy | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> int:
        """The replica takes the primary's place, `lag` seconds behind. Returns the lines lost. The
        node whose link is `behind` is not let in yet. `meanwhile` is called when none is."""
        await self.in_step()  # it may still have a history that has ended
        if lag:
            self._between.gate.shut()
            await trio.sleep(lag)
        await self._shut_out()
        meanwhile()
        if not lag:
            await self.in_step()
        lines = await self._whole_ledger()
        await _thread(self.primary.redis.kill)
        self._between.cut()
        self._between.gate.open()
        self.primary, self.replica = self.replica, self.primary
        await _thread(self.primary.follow, None)
        kept = len(await self._whole_ledger())
        if kept < len(lines):
            await self._end_timeline(lines)
            self._begin_timeline(kept)
        self._let_in(behind)
        await _thread(self._restart_as_replica)
        return len(lines) - kept

    def _restart_as_replica(self) -> None:
        shutil.rmtree(self.replica.redis.folder / "appendonlydir", ignore_errors=True)
        self.replica.redis.start()
        self._between.target = ("127.0.0.1", self.primary.port)
        self.replica.follow(self._between.port)

    async def _shut_out(self) -> None:
        """No node reaches Redis, and nothing more of what they sent is carried out."""
        for link in self.links:
            link.refuses = True
            link.cut()
        await self.kill_connections()

    def _let_in(self, behind: Proxy | None = None) -> None:
        for link in self.links:
            link.target = self.primary.redis.socket
            link.refuses = link is behind

    async def _whole_ledger(self) -> list[Line]:
        return [*self._taken, *await _thread(self.primary.ledger)]

    async def empty_ledger(self) -> None:
        """Take the lines away, for there is room for so many only. Nothing may be lost just now."""
        async with self.busy:
            self._taken += await _thread(partial(self.primary.ledger, take=True))
            await self.in_step()

    async def look_into_ledger(self) -> list[Line]:
        """All lines of the present timeline, while nothing is done to Redis."""
        async with self.busy:
            return await self._whole_ledger()

    async def _end_timeline(self, lines: Sequence[Line]) -> None:
        self._ended.append(await self._present(lines))

    async def _present(self, lines: Sequence[Line]) -> Era:
        """Write the present timeline's ledger; it may go on."""
        await _thread(self._write, len(self._ended), lines)
        return self._kept, self._begins, self._recorder.now(), len(lines)

    def _begin_timeline(self, kept: int) -> None:
        self._kept, self._begins = kept, self._recorder.now()
        self._recorder.note("timeline", kept=kept)

    def _write(self, number: int, lines: Sequence[Line]) -> None:
        with (self._folder / f"ledger-{number}.jsonl").open("wb") as file:
            file.writelines(orjson.dumps(line) + b"\n" for line in lines)

    async def keep_books(self) -> None:
        """Write down what the timelines are, as if the run were over: it may be killed."""
        eras = [*self._ended, await self._present(await self._whole_ledger())]
        new = self._folder / "timelines.new"
        new.write_bytes(orjson.dumps(eras))
        new.replace(self._folder / "timelines.json")

    def close(self) -> None:
        self.primary.redis.close()
        self.replica.redis.close()


@asynccontextmanager
async def stores(recorder: Recorder, folder: Path, binary: Path) -> AsyncIterator[Stores]:
    """A primary and a replica that follows it, for the length of the block."""
    async with proxied(("127.0.0.1", 1)) as between:
        both = Stores(recorder, folder, binary, between)
        try:
            await both._attach()
            yield both
        finally:
            with trio.CancelScope(shield=True):
                await _thread(both.close)


def read_timelines(folder: Path, bare: frozenset[str]) -> list[Timeline]:
    """The timelines of a run; `bare` sessions may have ended without a line. Raises Violation where
    a ledger cannot be.
    """
    found = []
    eras: list[Era] = orjson.loads((folder / "timelines.json").read_bytes())
    for number, (kept, begins, ends, length) in enumerate(eras):
        with (folder / f"ledger-{number}.jsonl").open("rb") as file:
            lines = [orjson.loads(line) for line in islice(file, length)]
        found.append(Timeline(lines, kept=kept, begins=begins, ends=ends, bare=bare))
    return found


async def _thread(work: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
    return await trio.to_thread.run_sync(work, *arguments)
