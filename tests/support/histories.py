"""What must hold of what was recorded: pure checks over histories, each of which fails with the
first thing that is wrong. A history is what one member saw, or what one client was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

Frame = Mapping[str, Any]
Commit = tuple[Hashable, Hashable]
"""A read-modify-write: the value that was read, the value that was written."""


class Violation(AssertionError):
    """A history that no correct cluster could have produced."""


def check_gap_free(broadcasts: Sequence[Frame], first: int | None = None) -> None:
    """Offsets of one topic, as one member saw it, go up by one under one epoch, from `first` on."""
    if first is not None and broadcasts and broadcasts[0]["offset"] != first:
        raise Violation(f"begins with offset {broadcasts[0]['offset']}, not {first}")
    for before, after in pairwise(broadcasts):
        if after["offset"] != before["offset"] + 1:
            raise Violation(f"offset {after['offset']} follows {before['offset']}")
        if after["epoch"] != before["epoch"]:
            raise Violation(f"epoch {after['epoch']} follows {before['epoch']}")


def check_one_order(histories: Mapping[str, Sequence[Frame]]) -> None:
    """All members saw the same broadcast at the same place; each may have come and gone."""
    places: dict[tuple[str, int], tuple[str, Any]] = {}
    for member, broadcasts in histories.items():
        check_gap_free(broadcasts)
        for one in broadcasts:
            place = (one["epoch"], one["offset"])
            other, seen = places.setdefault(place, (member, one))
            if seen != one:
                raise Violation(f"at {place} {other} saw {seen}, and {member} saw {one}")


def check_exactly_once(
    wanted: Iterable[Hashable], seen: Iterable[Hashable], perhaps: Collection[Hashable] = ()
) -> None:
    """Each wanted thing was seen once; of those whose outcome is not known, each at most once."""
    times = Counter(seen)
    for thing in wanted:
        if times[thing] != 1:
            raise Violation(f"{thing!r} was seen {times[thing]} times")
        del times[thing]
    for thing, number in times.items():
        if thing not in perhaps:
            raise Violation(f"{thing!r} was seen, and nobody sent it")
        if number != 1:
            raise Violation(f"{thing!r} was seen {number} times")


def check_sent_order(seen: Iterable[tuple[Hashable, int]]) -> None:
    """Of each sender, what was sent first was seen first; some may be missing."""
    last: dict[Hashable, int] = {}
    for sender, number in seen:
        if sender in last and number <= last[sender]:
            raise Violation(f"{number} of {sender!r} was seen after {last[sender]}")
        last[sender] = number


def check_one_chain(commits: Iterable[Commit], first: Hashable) -> Hashable:
    """Every write rests on the one before it: none was lost, none read what never was. Returns
    the value at the chain's end; values must all differ."""
    after: dict[Hashable, Hashable] = {}
    for read, written in commits:
        if read in after:
            raise Violation(f"{after[read]!r} and {written!r} were both made of {read!r}")
        after[read] = written
    value, length = first, 0
    while value in after:
        value = after[value]
        length += 1
        if length > len(after):
            raise Violation(f"{value!r} was written twice")
    if length != len(after):
        raise Violation(f"only {length} of {len(after)} commits follow from {first!r}")
    return value


def check_whole(reads: Iterable[Sequence[int]], total: int) -> None:
    """What is only moved about among some keys has the same sum in every read of them all."""
    for values in reads:
        if sum(values) != total:
            raise Violation(f"{list(values)} do not sum up to {total}")


def check_replies_in_place(
    frames: Sequence[Frame],
    reply_number: Callable[[Frame], int | None],
    broadcast_number: Callable[[Frame], int | None],
    *,
    may_be_late: bool = False,
) -> None:
    """Commits are numbered from 1 in the order of the topic, and a member saw them all: when the
    reply of commit n comes, the broadcasts of 1 to n-1 have come, and none after n's own, unless
    it `may_be_late`, since its first copy was lost."""
    seen = 0
    for one in frames:
        if (number := broadcast_number(one)) is not None:
            if number != seen + 1:
                raise Violation(f"broadcast {number} follows {seen}")
            seen = number
            continue
        number = reply_number(one)
        if number is None or seen in (number - 1, number) or (may_be_late and seen > number):
            continue
        raise Violation(f"the reply of commit {number} came after broadcast {seen}")
