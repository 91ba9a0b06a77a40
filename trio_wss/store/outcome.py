"""The outcomes of a commit, as a closed set; and how a reply of the commit script is parsed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson
import structlog
from attrs import define, frozen
from redis.exceptions import OutOfMemoryError

from trio_wss.effects import Close
from trio_wss.errors import Unavailable
from trio_wss.reads import is_implied
from trio_wss.store.entries import Entry, WrongType, parse_entries
from trio_wss.store.history import Cursor
from trio_wss.store.keys import topics_in

log = structlog.get_logger(__name__)


@frozen
class Joined:
    """The session is in `topic` from `cursor` on."""

    topic: str
    cursor: Cursor


@frozen
class Left:
    """The session is no longer in `topic`."""

    topic: str


@define
class Done:
    """Applied, now or by an earlier copy of the same commit: the record holds for both.

    `seen`: an earlier copy was applied, so the cursors are those of that time.
    """

    answer: bytes
    membership: tuple[Joined | Left, ...] = ()
    close: Close | None = None
    seen: bool = False


@frozen
class Failed:
    """A check refused the commit: nothing is applied, and the refusal is recorded.

    `fault` is `wrong_type KEY`, `overflow KEY` or `topics`.
    """

    fault: str


@frozen
class Changed:
    """A read has changed. `entries` are the fresh values; if they are empty, read again."""

    entries: tuple[Entry, ...]


@frozen
class Stale:
    """The session has used a greater number in this slot of the ring."""


@frozen
class Fenced:
    """The session belongs to another connection now."""


@frozen
class Gone:
    """The session or the node's own record no longer exists, or is older than this commit expects:
    a failover has lost the later changes.
    """


@frozen
class Unknown:
    """Redis gave no answer. The commit may have been applied; the same number will get the true
    answer.

    `full`: Redis is out of memory, so nothing of this copy was applied.
    """

    reason: str
    full: bool = False


CommitOutcome = Done | Failed | Changed | Stale | Fenced | Gone | Unknown

_PLAIN: Final[dict[bytes, CommitOutcome]] = {
    b"stale": Stale(),
    b"fenced": Fenced(),
    b"gone": Gone(),
}


def parse_outcome(reply: Any) -> CommitOutcome:
    """Return the outcome in a reply of the commit script; an error or a lost link is Unknown."""
    if isinstance(reply, Exception):
        if not isinstance(reply, Unavailable):
            log.error("commit not applied", error=str(reply))
        return Unknown(str(reply), full=isinstance(reply, OutOfMemoryError))
    status = reply[0]
    if status == b"done":
        return _parse_record(reply[1])
    if status == b"seen":
        return _parse_record(reply[1], now=reply[2] if len(reply) > 2 else ())
    if status == b"changed":
        try:
            return Changed(parse_entries(reply[1]))
        except WrongType as error:
            return Failed(f"wrong_type {error}")
    return _PLAIN[status]


def _parse_record(record: bytes, now: Iterable[bytes] | None = None) -> CommitOutcome:
    """Parse a record. `now`: the fields of the session's hash, if an earlier copy of the commit
    left this record: later commits may have changed the same memberships, and theirs hold.
    """
    changes, newline, answer = record.partition(b"\n")
    if newline:
        return _parse_done(changes, answer, now) if changes else Done(answer)
    if record == b"~":
        return Changed(())
    return Failed(record[1:].decode(errors="replace"))


def _parse_done(changes: bytes, answer: bytes, now: Iterable[bytes] | None) -> Done:
    membership: list[Joined | Left] = []
    close = None
    for what, *place in orjson.loads(b"[%b]" % changes):
        if type(what) is int:
            close = Close(what, *place)
        elif place:
            membership.append(Joined(what, Cursor(*place)))
        else:
            membership.append(Left(what))
    if now is not None:
        there = topics_in(now)
        membership = [
            change
            for change in membership
            if isinstance(change, Joined) == (change.topic in there or is_implied(change.topic))
        ]
    return Done(answer, tuple(membership), close, seen=now is not None)
