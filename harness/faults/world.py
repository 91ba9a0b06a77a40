"""What the app's data must be, commit by commit: the ledger played over a model. It knows of no
fault, node or connection.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, final

from attrs import define, field

from harness.faults.app import ACCOUNTS, BALANCE, LAST_REGISTER, LAST_ROOM
from harness.faults.shelves import Shelves
from tests.support.histories import Violation

Line: TypeAlias = Mapping[str, Any]
"""One line of the ledger."""

Key: TypeAlias = tuple[str, str]
"""What an operation may read: ("register", key), ("members", topic), ("balances", ""), ("said",
topic), ("shelf", key), ("brief", key), ("fat", key)."""


@define
class World:
    """The state after some commits. Each kind of line has its method, which returns the answer
    that the client must have been given. `bare` are the sessions that ended in a full Redis, for
    which no line had room: whether they are members is not known."""

    counters: Counter[str] = field(factory=Counter)
    registers: dict[str, str] = field(factory=dict)
    accounts: dict[str, int] = field(factory=lambda: dict.fromkeys(ACCOUNTS, BALANCE))
    said: Counter[str] = field(factory=Counter)
    topics: defaultdict[str, set[str]] = field(factory=lambda: defaultdict(set))
    shelves: Shelves = field(factory=Shelves)
    bare: frozenset[str] = frozenset()
    live: set[str] = field(factory=set)
    ended: set[str] = field(factory=set)

    def play(self, line: Line) -> Any:
        """Make one commit. Raises Violation where it cannot have been made here."""
        by, do = line["by"], line["do"]
        if by in self.ended:
            raise Violation(f"session {by} was over, and did {dict(line)}")
        if do != "in" and by not in self.live:
            raise Violation(f"session {by} had not begun, and did {dict(line)}")
        if do in Shelves.DOES:
            return self.shelves.play(line)
        return getattr(self, f"_{do}")(by, line)

    def _in(self, by: str, line: Line) -> None:
        if by in self.live:
            raise Violation(f"session {by} began twice")
        self.live.add(by)
        for topic in line["topics"]:
            self.topics[topic].add(by)

    def _out(self, by: str, line: Line) -> None:
        there = [self.registers.get(LAST_REGISTER), sorted(self.topics[LAST_ROOM] - self.bare)]
        found = line.get("found", there)  # older records have none
        found = [found[0], [one for one in found[1] if one not in self.bare]]
        if found != there:
            raise Violation(f"{dict(line)} read {found}, but there was {there}")
        self.live.remove(by)
        self.ended.add(by)
        for members in self.topics.values():
            members.discard(by)

    def _add(self, _: str, line: Line) -> int:
        self.counters[line["key"]] += 1
        return self.counters[line["key"]]

    def _swap(self, _: str, line: Line) -> None:
        value = self.registers.get(line["key"])
        if value != line["old"]:
            raise Violation(f"{dict(line)} was made of {line['old']!r}, but it was {value!r}")
        self.registers[line["key"]] = line["new"]

    def _move(self, _: str, line: Line) -> list[int]:
        names = line["source"], line["target"]
        had = [self.accounts[name] for name in names]
        if had != line["had"]:
            raise Violation(f"{dict(line)} read {line['had']}, but there was {had}")
        after = [had[0] - line["amount"], had[1] + line["amount"]]
        self.accounts.update(zip(names, after, strict=True))
        return after

    def _say(self, _: str, line: Line) -> int:
        self.said[line["topic"]] += 1
        return self.said[line["topic"]]

    def _enter(self, by: str, line: Line) -> int:
        self.topics[line["topic"]].add(by)
        self.said[line["topic"]] += line["words"]
        return self.said[line["topic"]]

    def _census(self, _: str, line: Line) -> int:
        there = sorted(self.topics[line["topic"]] - self.bare)
        if there != [one for one in line["found"] if one not in self.bare]:
            raise Violation(f"{dict(line)} was made of {line['found']}, but there was {there}")
        return len(line["found"])

    def _hum(self, _: str, line: Line) -> None:
        pass

    def _bye(self, _: str, line: Line) -> None:
        pass

    def _join(self, by: str, line: Line) -> None:
        self.topics[line["topic"]].add(by)

    def _leave(self, by: str, line: Line) -> None:
        self.topics[line["topic"]].discard(by)

    def _refuse(self, _: str, line: Line) -> None:
        raise Violation(f"{dict(line)} was refused by its handler, and applied")

    def touched(self, line: Line) -> Iterator[tuple[Key, Hashable]]:
        """What a line may have changed of that which can be read, and the value since."""
        match line["do"]:
            case "swap":
                yield ("register", line["key"]), self.registers[line["key"]]
            case "move":
                yield ("balances", ""), tuple(self.accounts.values())
            case "say":
                yield ("said", line["topic"]), self.said[line["topic"]]
            case "brief" | "stash":
                kind = "brief" if line["do"] == "brief" else "fat"
                yield (kind, line["key"]), line["op"]
            case do if do in Shelves.DOES:
                yield ("shelf", line["key"]), self.shelves.seen(line["key"])
            case "in" | "out" | "join" | "leave" | "enter":
                if line["do"] == "enter":
                    yield ("said", line["topic"]), self.said[line["topic"]]
                topics = line.get("topics") or [line.get("topic")]
                for topic in list(self.topics) if line["do"] == "out" else topics:
                    if topic is not None:
                        yield ("members", topic), frozenset(self.topics[topic] - self.bare)


NOTHING: Final[Mapping[str, Hashable]] = {
    "register": None,
    "balances": (BALANCE,) * len(ACCOUNTS),
    "members": frozenset(),
    "said": 0,
    "shelf": ((), (), ()),
    "brief": None,
    "fat": None,
}
"""What is read of a key before the first line."""


@final
class Timeline:
    """One history of Redis: the ledger as it was when that history ended, played from the start.

    It was the present one from `begins` to `ends` (seconds of the run), and its first `kept` lines
    are those of the history before it.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        kept: int = 0,
        begins: float = 0.0,
        ends: float = 1e9,
        bare: frozenset[str] = frozenset(),
    ) -> None:
        self.lines = lines
        self.kept = kept
        self.begins = begins
        self.ends = ends
        self.places: dict[str, int] = {}
        self.answers: dict[str, Any] = {}
        self.begun: dict[str, int] = {}  # session: the place of its first line, and of its last
        self.ended: dict[str, int] = {}
        self.closed: set[str] = set()  # by the app
        self.spoken: defaultdict[str, dict[str, int]] = defaultdict(dict)  # topic: op: offset
        self.words: dict[tuple[str, int], str] = {}  # topic and offset: op
        self.heights: defaultdict[str, list[int]] = defaultdict(list)  # topic: places of its words
        self.world = World(bare=bare)
        self._series: defaultdict[Key, list[tuple[int, Hashable]]] = defaultdict(list)
        for place, line in enumerate(lines):
            self._take(place, line)

    def _take(self, place: int, line: Line) -> None:
        answer = self.world.play(line)
        for key, value in self.world.touched(line):
            series = self._series[key]
            if not series or series[-1][1] != value:
                series.append((place + 1, value))
        op = line.get("op")
        if line["do"] == "bye":
            self.closed.add(line["by"])
        if op is None:
            (self.begun if line["do"] == "in" else self.ended)[line["by"]] = place
            return
        if op in self.places:
            raise Violation(f"{op} was applied twice: lines {self.places[op]} and {place}")
        self.places[op] = place
        self.answers[op] = answer
        if line["do"] == "say":
            self._hear(place, line["topic"], op, answer)
        elif line["do"] == "enter":
            first = answer - line["words"] + 1
            for at in range(line["words"]):
                self._hear(place, line["topic"], f"{op}/{at}", first + at)

    def _hear(self, place: int, topic: str, word: str, offset: int) -> None:
        self.spoken[topic][word] = offset
        self.words[topic, offset] = word
        self.heights[topic].append(place)

    def rooms(self, session: str) -> Sequence[str]:
        """The topics that a session began in."""
        topics: Sequence[str] = self.lines[self.begun[session]]["topics"]
        return topics

    def height(self, topic: str, place: int) -> int:
        """How many words were said in a topic before the line at a place."""
        return bisect_left(self.heights[topic], place)

    def values(self, key: Key, first: int, last: int) -> set[Hashable]:
        """What can have been read when at least `first` and at most `last` lines were made."""
        series = self._series[key]
        start = bisect_right(series, first, key=lambda one: one[0]) - 1
        end = bisect_right(series, last, key=lambda one: one[0])
        found = {value for _, value in series[max(start, 0) : end]}
        if start < 0:
            found.add(NOTHING[key[0]])
        return found


@final
class Windows:
    """Real time against a timeline: what must be, and what may be, applied at an instant."""

    def __init__(self, done: Sequence[tuple[float, int]], called: Sequence[tuple[float, int]]):
        """(time of the answer, place) of each operation, and (time of its sending, place)."""
        self._done = sorted(done)
        self._called = sorted(called)
        self._least: list[int] = []
        for _, place in self._done:
            self._least.append(max(place, self._least[-1] if self._least else -1))
        self._most: list[int] = [0] * len(self._called)
        soonest = 1 << 60
        for at in range(len(self._called) - 1, -1, -1):
            soonest = min(soonest, self._called[at][1])
            self._most[at] = soonest

    def least(self, time: float) -> int:
        """So many lines had been made by then: all that were answered before."""
        at = bisect_left(self._done, (time, -1)) - 1
        return self._least[at] + 1 if at >= 0 else 0

    def made(self, place: int) -> float:
        """When the line at a place had been made: it, or one behind it, was answered."""
        at = bisect_left(self._least, place)
        return self._done[at][0] if at < len(self._done) else math.inf

    def most(self, time: float, length: int) -> int:
        """More lines than this had not been made: what was not yet sent comes after."""
        at = bisect_right(self._called, (time, 1 << 60))
        return min(length, self._most[at]) if at < len(self._most) else length
