"""A topic's history in Redis: cursors into it, and the texts that the commit script publishes and
keeps.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from trio_wss.store.link.resp import Foreign


@frozen
class Cursor:
    """A place in a topic's history: `[epoch, offset]`, like term and index in Raft."""

    epoch: str
    offset: int


NOWHERE: Final = Cursor("", 0)
"""The cursor of a topic that has no history."""


def text_head(epoch: str, offset: int) -> bytes:
    """Return the beginning of a broadcast's text if its epoch is not new."""
    return b"%b %d\n" % (epoch.encode(), offset)


_META: Final = re.compile(rb"([!-~]+) [!-~]+ ([0-9]{1,16})")


def parse_meta(text: bytes | None) -> Cursor | None:
    """Return the cursor in a topic's meta, `epoch master offset`: NOWHERE without a meta, None if
    the text is not a meta.
    """
    if text is None:
        return NOWHERE
    found = _META.fullmatch(text)
    return found and Cursor(found[1].decode(), int(found[2]))


_TEXT: Final = re.compile(  # visible ASCII, as the script makes epochs; an offset is below 2^53
    rb'(?:([!-~]{1,64}) ([0-9]{1,16})(?: ([!-~]{0,64}))?)?\n(\{"event":.*\})', re.DOTALL
)


def parse_text(text: bytes) -> tuple[Cursor | None, str, bytes]:
    """Parse the text that the commit script publishes and keeps of a broadcast.

    Return its cursor (None: volatile), the epoch of the entry before it, and the frame's JSON.
    Raises Foreign for any other text: anybody may publish on the channel.
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
