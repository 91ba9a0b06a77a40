"""A topic's history in Redis: where one is in it, and the texts in which the commit script says and
keeps that.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from trio_wss.store.link.resp import Foreign


@frozen
class Cursor:
    """A place in a topic's history: `[epoch, offset]`, as term and index are in Raft."""

    epoch: str
    offset: int


NOWHERE: Final = Cursor("", 0)
"""Where a topic is that has no history."""


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
