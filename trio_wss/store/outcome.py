"""What came of a commit, as a closed set."""

from __future__ import annotations

from attrs import define, frozen

from trio_wss.store.entries import Entry


@frozen
class Cursor:
    """A place in a topic's history: `[epoch, offset]`, as term and index are in Raft."""

    epoch: str
    offset: int


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
    """Applied, now or by an earlier copy of the same commit: what is recorded holds for both."""

    answer: bytes
    membership: tuple[Joined | Left, ...] = ()


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
    """Redis did not say. It may have been applied; the same number will get the true answer."""

    reason: str


def text_head(epoch: str, offset: int) -> bytes:
    """How the text of a broadcast begins whose epoch is not new."""
    return b"%b %d\n" % (epoch.encode(), offset)


def parse_text(text: bytes) -> tuple[Cursor | None, str, bytes]:
    """Take apart what the commit script publishes and keeps of a broadcast.

    Returns its cursor (None: volatile), the epoch of the entry before it, and the frame's JSON.
    """
    head, _, frame = text.partition(b"\n")
    if not head:
        return None, "", frame
    epoch, offset, *before = head.decode().split(" ")
    return Cursor(epoch, int(offset)), before[0] if before else epoch, frame


Outcome = Done | Failed | Changed | Stale | Fenced | Gone | Unknown
