"""What maps, sets and lists must be, commit by commit: the model of shelf.py."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

from attrs import define, field

from harness.faults.shelf import LENGTH
from tests.support.histories import Violation


@define
class Shelves:
    """A map, a set and a list for each key."""

    DOES: ClassVar = frozenset(
        (
            "put",
            "drop",
            "turn",
            "mark",
            "wipe",
            "push",
            "tag",
            "erase",
            "brief",
            "stash",
            "gulp",
            "flip",
        )
    )
    maps: defaultdict[str, dict[str, str]] = field(factory=lambda: defaultdict(dict))
    sets: defaultdict[str, set[str]] = field(factory=lambda: defaultdict(set))
    lists: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))
    gulps: Counter[str] = field(factory=Counter)
    flags: defaultdict[str, bool] = field(factory=lambda: defaultdict(bool))

    def play(self, line: Mapping[str, Any]) -> Any:
        """Make one commit and return its answer. Raises Violation where it read something else."""
        key, name, do = line["key"], line.get("part", ""), line["do"]
        one, two, three = self.maps[key], self.sets[key], self.lists[key]
        was_there = int(name in one), int(name in two)
        there: Any
        match do:
            case "put" | "drop":
                there = one
            case "turn":
                there = one.get(name)
            case "mark" | "wipe":
                there = sorted(two)
            case "push":
                there = three
            case "flip":
                there = self.flags[key]
            case _:
                there = None
        if line.get("had") != there:
            raise Violation(f"{dict(line)} read {line.get('had')}, but there was {there}")
        match do:
            case "put" | "turn":
                one[name] = line["op"]
                return 1 - was_there[0]
            case "drop":
                one.pop(name, None)
                return was_there[0]
            case "mark":
                two.add(name)
                return 1 - was_there[1]
            case "wipe":
                two.discard(name)
                return was_there[1]
            case "push":
                return self._push(three, line["op"])
            case "tag":
                one[name] = line["op"]
                two.add(name)
                return [1 - was_there[0], 1 - was_there[1], self._push(three, line["op"])]
            case "erase":
                for what in (one, two, three):
                    what.clear()
            case "flip":
                self.flags[key] = not there
                return not there
            case "gulp":
                self.gulps[key] += 1
                return self.gulps[key]
        return None

    def _push(self, items: list[str], item: str) -> int:
        items.append(item)
        del items[:-LENGTH]
        return len(items)

    def seen(self, key: str) -> Hashable:
        """All of a key, as a reader sees it."""
        return (
            tuple(sorted(self.maps[key].items())),
            tuple(sorted(self.sets[key])),
            tuple(self.lists[key]),
        )
