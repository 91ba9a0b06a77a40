"""The place of an answer: on a clear path the broadcasts of earlier commits come before it and
those of later ones after it; and a join says where the topic was when it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from harness.faults.record import History, Op, Record
from harness.faults.trouble import Stay, Troubles
from harness.faults.world import Timeline
from tests.support.histories import Violation

HELD: Final = 1.8  # seconds: for two a node holds its commits back until it has what it missed
SETTLED: Final = 2.5  # seconds after the last trouble in which a node or a client may catch up


def check_places(history: History, timelines: Sequence[Timeline]) -> str:
    """Answers stand among the broadcasts where their commits do."""
    troubles, number = Troubles(history), 0
    for client, records in history.views.items():
        if not any(record["k"] == "welcome" and "ahead" in record for record in records):
            continue  # its answers are taken in another task than its broadcasts
        stays = list(troubles.stays(client))
        topics: dict[str, int] = {}
        joined: dict[str, float] = {}
        for record in records:
            if record["k"] == "welcome":
                topics.clear()  # until each is announced
            elif record["k"] in ("joined", "said"):
                topics[record["topic"]] = record["at"][1]
                if record["k"] == "joined":
                    joined[record["topic"]] = record["t"]
            elif record["k"] == "left":
                topics.pop(record["topic"], None)
            elif record["k"] == "done" and record["how"] == "ok":
                op = history.ops[record["op"]]
                clear = _settled(stays, troubles, op, record["t"])
                line = _only(timelines, op)
                if clear is not None and line is not None:
                    number += 1
                    told = topics if clear else _long_in(topics, joined, record["t"] - SETTLED)
                    _check_place(client, record, line, told, clear)
    return f"{number} answers among broadcasts"


def _long_in(
    topics: Mapping[str, int], joined: Mapping[str, float], since: float
) -> Mapping[str, int]:
    """The topics that were not joined since: a join whose answer was lost with the link is learnt
    from its record, and its client catches up."""
    return {topic: at for topic, at in topics.items() if joined.get(topic, since) <= since}


def _settled(stays: Sequence[Stay], troubles: Troubles, op: Op, time: float) -> bool | None:
    """Whether an event was sent and answered on one connection that had been clear for long; None:
    its node may have given up to fill the gaps of a lost link first."""
    if op.doubtful:
        return None
    for stay in stays:
        if stay.since <= time <= stay.until:
            first = op.called - SETTLED
            if stay.since > first or troubles.older(stay.node, first, time, HELD):
                return None
            return not troubles.at(stay.node, first, time)
    return None


def _only(timelines: Sequence[Timeline], op: Op) -> Timeline | None:
    """The timeline that was the present one from an event's sending to its answer."""
    for line in timelines:
        if line.begins <= op.called and op.done is not None and op.done <= line.ends:
            return line if op.name in line.places else None
    return None


def _check_place(
    client: str, done: Record, line: Timeline, topics: Mapping[str, int], clear: bool
) -> None:
    place = line.places[done["op"]]
    for topic, at in topics.items():
        least, most = line.height(topic, place), line.height(topic, place + 1)
        if at < least:
            raise Violation(
                f"{client} was answered {done['op']} at {done['t']}, and was at {at} of {topic},"
                f" where {least} had been said before"
            )
        if clear and at > most:  # else an earlier copy of it may have been the one
            raise Violation(
                f"{client} was answered {done['op']} at {done['t']} behind word {at} of {topic},"
                f" where {most} had been said by then"
            )


def check_joins(history: History, timelines: Sequence[Timeline]) -> str:
    """Who newly is in a topic was told where it was when the join was made."""
    places = [_join_places(line) for line in timelines]
    number = 0
    for client, records in history.views.items():
        session, there = "", set[str]()
        for record in records:
            if record["k"] == "welcome":
                session = record["session"]
                if not record["resumed"]:
                    there.clear()
            elif record["k"] == "left":
                there.discard(record["topic"])
            elif record["k"] == "joined":
                topic, at = record["topic"], record["at"][1]
                if record["whole"] and topic not in there:
                    number += 1
                    right = {
                        line.height(topic, place)
                        for line, some in zip(timelines, places, strict=True)
                        for place in (*some.get((session, topic), ()), *some.get((session, ""), ()))
                    }
                    if right and at not in right:
                        raise Violation(f"{client} was told {dict(record)}, but it was at {right}")
                there.add(topic)
    return f"{number} joins"


def _join_places(line: Timeline) -> dict[tuple[str, str], list[int]]:
    """Where sessions joined each topic; the topic is empty for those they are in by themselves."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, what in enumerate(line.lines):
        if what["do"] == "in":
            for topic in ("", *what["topics"]):
                found.setdefault((what["by"], topic), []).append(place)
        elif what["do"] in ("join", "enter"):
            found.setdefault((what["by"], what["topic"]), []).append(place)
    return found
