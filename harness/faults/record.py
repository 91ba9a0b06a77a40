"""The history of a run: what clients sent and saw, what was done to the cluster, one JSON object a
line, in the order in which it happened. `t` is the time in seconds of the run.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import orjson
import trio
from attrs import define, field

Record: TypeAlias = Mapping[str, Any]

BUFFERED: Final = 1 << 20


@final
class Recorder:
    """Writes the history."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", BUFFERED)
        self._start = trio.current_time()
        self.began = time.time()  # to place what others log

    def now(self) -> float:
        """Seconds of the run."""
        return round(trio.current_time() - self._start, 4)

    def note(self, kind: str, **what: Any) -> None:
        """Write one record."""
        self._file.write(orjson.dumps({"t": self.now(), "k": kind, **what}) + b"\n")

    def flush(self) -> None:
        """Give all to the system, so that it stays there however this process ends."""
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> Iterator[Record]:
    """The records of a file. Whoever wrote it may have died in the middle of the last line."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield orjson.loads(line)


@define
class Op:
    """One operation of a client: what it sent, and what came of it.

    `how` is "ok", an error's code, or "lost": the session ended before an answer came. None: it
    was never settled. `doubtful`: it was sent more than once by the client's own decision, so that
    its answer's time says nothing.
    """

    name: str
    client: str
    event: str
    data: Any
    called: float
    done: float | None = None
    how: str | None = None
    answer: Any = None
    doubtful: bool = False
    session: str | None = None  # the one it was sent for, if its client never sends it for another

    @property
    def number(self) -> int:
        """Its place among its client's operations."""
        return int(self.name.rpartition(".")[2])


@define
class History:
    """A run's records, sorted: the operations by name, what each client saw, and the rest."""

    ops: dict[str, Op] = field(factory=dict)
    views: defaultdict[str, list[Record]] = field(factory=lambda: defaultdict(list))
    stage: list[Record] = field(factory=list)  # faults, phases, exits, checks made on the way

    def of(self, kind: str) -> Iterator[Record]:
        """What happened on the stage, of one kind."""
        return (record for record in self.stage if record["k"] == kind)


def until_rest(records: Iterable[Record]) -> list[Record]:
    """The records up to the last time that all was at rest, which is as far as a run can be judged
    that was killed. Raises ValueError if there was none.
    """
    kept = list(records)
    ends = [record["t"] for record in kept if record["k"] == "end"]
    if not ends:
        raise ValueError("it was not at rest once: there is nothing to judge")
    return [record for record in kept if record["t"] <= ends[-1]]


def sort(records: Iterable[Record]) -> History:
    """Sort a run's records."""
    history = History()
    for record in records:
        match record["k"]:
            case "call":
                op = Op(record["op"], record["c"], record["event"], record["data"], record["t"])
                op.session = record.get("session")
                history.ops[op.name] = op
            case "done":
                op = history.ops[record["op"]]
                op.done, op.how, op.answer = record["t"], record["how"], record.get("data")
                history.views[record["c"]].append(record)
            case "again":
                history.ops[record["op"]].doubtful = True
            case _ if "c" in record:
                history.views[record["c"]].append(record)
            case _:
                history.stage.append(record)
    return history
