"""Progress: nobody with a clear path stays behind. What was acknowledged is heard in a few seconds
by every member whose connection nothing was done to, though nobody says another word; and who is
told that something is missing is sent the state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import define, field

from harness.faults.record import History, Record
from harness.faults.trouble import Series, Span, Stay, Troubles
from harness.faults.world import Timeline
from tests.support.histories import Violation

LATE: Final = 4.0  # seconds on a clear path until all that was said is heard


@define
class Spell:
    """A client's time in a topic, from a join to its end, with its place at each time."""

    since: float
    until: float = 1e9
    places: Series = field(factory=Series)


def check_progress(history: History, timelines: Sequence[Timeline]) -> str:
    """Who has a clear path is nowhere behind what was acknowledged, and has the state where it
    was told of a gap."""
    troubles, number = Troubles(history), 0
    acknowledged = [_acknowledged(history, line) for line in timelines]
    for client, records in history.views.items():
        spells = _spells(records)
        for stay in troubles.stays(client):
            for clear in troubles.clear(client, stay, LATE):
                for line, words in zip(timelines, acknowledged, strict=True):
                    span = max(clear[0], line.begins), min(clear[1], line.ends)
                    for topic, some in spells.items():
                        if topic in words:
                            for spell in some:
                                number += 1
                                _follow(client, topic, spell, span, words[topic])
                _check_state(client, records, clear)
    return f"{number} times in a topic, on a clear path"


def _acknowledged(history: History, timeline: Timeline) -> dict[str, Series]:
    """By topic: how far it was known to be at each time, by the answers."""
    found: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for name, place in timeline.places.items():
        op, line = history.ops.get(name), timeline.lines[place]
        if op is None or op.how != "ok" or op.done is None or line["do"] not in ("say", "enter"):
            continue
        if timeline.begins <= op.done <= timeline.ends:
            found[line["topic"]].append((op.done, timeline.answers[name]))
    series: dict[str, Series] = {}
    for topic, words in found.items():
        series[topic], most = Series(), 0
        for time, offset in sorted(words):
            most = max(most, offset)
            series[topic].add(time, most)
    return series


def _spells(records: Sequence[Record]) -> dict[str, list[Spell]]:
    found: defaultdict[str, list[Spell]] = defaultdict(list)
    there: dict[str, Spell] = {}
    for record in records:
        kind, time = record["k"], record["t"]
        if kind == "welcome" and not record["resumed"]:
            for spell in there.values():
                spell.until = time
            there.clear()
        elif kind == "joined" or (kind == "said" and record["topic"] in there):
            topic = record["topic"]
            if topic not in there:
                there[topic] = Spell(time)
                found[topic].append(there[topic])
            there[topic].places.add(time, record["at"][1])
        elif kind == "left" and record["topic"] in there:
            there.pop(record["topic"]).until = time
    return found


def _follow(client: str, topic: str, spell: Spell, clear: Span, words: Series) -> None:
    """Raise Violation where a member is behind for too long."""
    since, until = max(clear[0], spell.since), min(clear[1], spell.until)
    if until - since < LATE:
        return
    times: Iterator[float] = (time for time, _ in words.between(since, until - LATE))
    for time in (since, *times):
        wanted, place = words.at(time), spell.places.at(time + LATE)
        if wanted is not None and (place is None or place < wanted):
            raise Violation(
                f"{client} was at {place} of {topic} at {time + LATE:.2f}, and {wanted} was"
                f" acknowledged by {time:.2f}, with nothing in the way since {clear[0]:.2f}"
            )


def _check_state(client: str, records: Sequence[Record], clear: Span) -> None:
    """Each word of a gap is followed by what the app sends then: as many as words, in time."""
    told: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record["t"] < clear[0] or record["t"] > clear[1]:
            continue
        if record["k"] == "joined" and not record["whole"] and record["t"] <= clear[1] - LATE:
            told[record["topic"]].append(record)
        elif record["k"] == "missed" and told[record["topic"]]:
            gap = told[record["topic"]].pop(0)
            if record["n"] < gap["at"][1]:
                raise Violation(f"{client} was sent an older state than it was told: {gap}")
    for gaps in told.values():
        if gaps:
            raise Violation(f"{client} was told of a gap, and was not sent the state: {gaps[0]}")


__all__ = ["Stay", "check_progress"]
