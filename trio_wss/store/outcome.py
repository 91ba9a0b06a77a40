"""What came of a commit, as a closed set."""

from __future__ import annotations

import re
from typing import Final

from attrs import define, frozen

from trio_wss.effects import Close
from trio_wss.errors import WssError
from trio_wss.store.entries import Entry


@frozen
class Cursor:
    """A place in a topic's history: `[epoch, offset]`, as term and index are in Raft."""

    epoch: str
    offset: int


NOWHERE: Final = Cursor("", 0)
"""Where a topic is that has no history."""


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
    """Applied, now or by an earlier copy of the same commit: what is recorded holds for both.

    `seen`: it was an earlier copy, so the cursors are those of that time.
    """

    answer: bytes
    membership: tuple[Joined | Left, ...] = ()
    close: Close | None = None
    seen: bool = False


@frozen
class Failed:
    """A check refused it: nothing is applied, and that is recorded.

    `fault` is `wrong_type KEY`, `overflow KEY` or `topics`.
    """

    fault: str


@frozen
class Changed:
    """Something read has changed. `entries` are the fresh values; empty: read again."""

    entries: tuple[Entry, ...]


@frozen
class Stale:
    """The session has used a greater number in this place of the ring."""


@frozen
class Fenced:
    """The session belongs to another connection now."""


@frozen
class Gone:
    """The session, or the node's own record, is no longer there, or is as it was before ours: a
    failover has lost what came since.
    """


@frozen
class Unknown:
    """Redis did not say. It may have been applied; the same number will get the true answer.

    `full`: it said that it is out of memory, so nothing of this copy was applied.
    """

    reason: str
    full: bool = False


def text_head(epoch: str, offset: int) -> bytes:
    """How the text of a broadcast begins whose epoch is not new."""
    return b"%b %d\n" % (epoch.encode(), offset)


_META: Final = re.compile(rb"([!-~]+) [!-~]+ ([0-9]{1,16})")


def parse_meta(text: bytes | None) -> Cursor | None:
    """The cursor in a topic's meta, `epoch master offset`, which may be missing; None for what is
    no meta.
    """
    if text is None:
        return NOWHERE
    found = _META.fullmatch(text)
    return found and Cursor(found[1].decode(), int(found[2]))


class Foreign(WssError):
    """A text on one of our channels that the commit script cannot have made."""


_TEXT: Final = re.compile(  # visible ASCII, as the script makes epochs; an offset is below 2^53
    rb'(?:([!-~]{1,64}) ([0-9]{1,16})(?: ([!-~]{0,64}))?)?\n(\{"event":.*\})', re.DOTALL
)


def parse_text(text: bytes) -> tuple[Cursor | None, str, bytes]:
    """Take apart what the commit script publishes and keeps of a broadcast.

    Returns its cursor (None: volatile), the epoch of the entry before it, and the frame's JSON.
    Raises Foreign for what is none: anybody may publish, by hand, say.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise Foreign("this is no broadcast")
    epoch, offset, before, frame = found.groups()
    if not frame.isascii():
        try:
            frame.decode()
        except UnicodeDecodeError:
            raise Foreign("this is no UTF-8") from None
    if epoch is None:
        return None, "", frame
    return (
        Cursor(epoch.decode(), int(offset)),
        (epoch if before is None else before).decode(),
        frame,
    )


Outcome = Done | Failed | Changed | Stale | Fenced | Gone | Unknown
