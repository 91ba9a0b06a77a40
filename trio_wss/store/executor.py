"""The executor applies effects, and nothing else does. It sends each plan as one EVALSHA.

It does not wait for one commit before it sends the next; answers come in the order of the commits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

import structlog
from attrs import define

from trio_wss.commit import ops
from trio_wss.commit.ops import Op
from trio_wss.commit.plan import Plan
from trio_wss.data.json import encode
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import Entry, TooLarge, key_of, parse_entries
from trio_wss.store.history import Cursor, parse_meta
from trio_wss.store.keys import RING, Keys, topics_in
from trio_wss.store.link.awaited import Awaited
from trio_wss.store.link.backlog import LIGHT, Answered
from trio_wss.store.link.link import Link
from trio_wss.store.link.resp import pack
from trio_wss.store.outcome import CommitOutcome, Gone, Unknown, parse_outcome
from trio_wss.store.scripts import ask, command

log = structlog.get_logger(__name__)

NEW: Final = "+"  # the generation of a session that has not begun yet

_MOVES: Final = frozenset({ops.JOIN_TOPIC, ops.LEAVE_TOPIC})  # they change a session's topics

# Bytes of answers, so that the link knows how many are on their way.
ALLOWANCE: Final = 64 << 10  # of entries of unknown size; the same number stands in reads.lua
MAX_READ: Final = 16 << 20  # of the entries of one event
_RECORDED: Final = 1 << 20  # of the answer that an earlier copy of a commit may have left
_CHANGE: Final = 512  # of what an operation may report: a topic and its cursor
_META: Final = 128  # of a topic's cursor
_NAME: Final = 272  # of a topic's name
_PAGE: Final = 2 << 20  # page.lua stops at the first broadcast that makes it 1 MiB


def _ignore(*_: object) -> None:
    pass


@define(eq=False)
class Commit:
    """One commit. `number` is the event's id; with None the node numbers the commit."""

    plan: Plan
    session: str = ""
    generation: str = ""
    number: int | None = None
    answer: bytes = b""
    requests: Sequence[ReadRequest] = ()
    entries: Sequence[Entry] = ()
    lead: tuple[Op, ...] = ()  # operations before the plan's: a session's begin or end
    again: bool = False  # an earlier copy, with another answer, may have been applied
    expires: float | None = None  # on Trio's clock; after that its outcome is Unknown
    apply: Callable[[CommitOutcome], None] = _ignore  # applies the outcome, in the link's reader

    @property
    def weight(self) -> int:
        """The most bytes that Redis may answer with."""
        changes = _CHANGE * (len(self.plan.ops) + len(self.lead))
        answer = _RECORDED if self.again else len(self.answer)
        return LIGHT + changes + max(answer, ALLOWANCE if self.requests else 0)


@define(eq=False)
class Page:
    """A page of a topic's history: whether it has no gap, the topic's own cursor, the texts."""

    whole: bool
    cursor: Cursor
    texts: list[bytes]


class Executor:
    """Apply commits and take reads, over one link."""

    def __init__(self, link: Link, keys: Keys, node: str, *, max_topics: int = 100) -> None:
        self._link = link
        self._keys = keys
        self._node = node
        self._owner = keys.node(node)
        self._ring = keys.ring(node)
        self._most_topics = str(max_topics)
        self._names = max_topics * _NAME
        self._numbers = count(1)
        self._waiting: dict[int, None] = {}  # the numbers without an answer yet, in order

    def commit(self, commit: Commit, answered: Callable[[CommitOutcome], None] = _ignore) -> None:
        """Send one commit; there must be `room`. Its outcome is applied once, in the order of the
        commits; then `answered` is called with it.
        """
        number = commit.number
        own = 0
        if number is not None:
            keys = [self._keys.ring(commit.session), self._keys.session(commit.session)]
            head: list[str | bytes] = [f"r{number % RING}", str(number), ""]
        else:
            own = next(self._numbers)
            over = next(iter(self._waiting), own) - 1
            self._waiting[own] = None
            keys = [self._ring, self._owner]
            head = [str(own), str(own), str(over)]

        def arrived(reply: Any) -> None:
            if own:
                del self._waiting[own]
            outcome = parse_outcome(reply)
            commit.apply(outcome)
            answered(outcome)

        self._submit(commit, keys, head, arrived)

    def _submit(
        self, commit: Commit, owner: list[str], head: list[str | bytes], answered: Answered
    ) -> None:
        packed = self._pack(commit, owner, head)
        weight = commit.weight
        if any(letter in _MOVES for letter, _, _ in commit.plan.ops):
            weight += self._names  # with an earlier copy's record come the session's topics
        self._link.submit(packed, answered, expires=commit.expires, weight=weight)

    async def room(self) -> None:
        """Wait until fewer commits are unanswered than a ring can hold."""
        while self._link.full:
            await self._link.room()

    async def committed(self, commit: Commit) -> CommitOutcome:
        """Send one commit, wait until its outcome is applied, and return the outcome."""
        outcome = Awaited[CommitOutcome]()
        await self.room()
        self.commit(commit, outcome.come)
        return await outcome.wait()

    async def read(
        self, requests: Sequence[ReadRequest], *, expires: float | None = None
    ) -> tuple[Entry, ...]:
        """Take all reads at one instant. Raises Unavailable, at the latest when it `expires` (on
        Trio's clock), and Unreadable for a read that can never be answered.
        """
        keys: list[str] = []
        arguments = self._requests(requests, (), keys)
        allowance = ALLOWANCE
        while True:
            read = command("read", keys, [str(allowance), *arguments])
            reply = await ask(self._link, read, expires=expires, weight=allowance)
            if reply[0] != b"large":
                return parse_entries(reply)
            size: int = reply[1]
            if size > MAX_READ:
                names = ", ".join(dict.fromkeys(request.key for request in requests))
                raise TooLarge(f"{names}: {size} bytes, and {MAX_READ} can be read at once")
            allowance = min(size + size // 4, MAX_READ)  # it may have grown by the next try

    def page(
        self, topic: str, after: Cursor, most: int, answered: Callable[[Page | None], None]
    ) -> None:
        """Ask for up to `most` broadcasts of a topic that follow a cursor.

        `answered` is called once, in order with commits and pushes; with None if Redis gave no
        answer.
        """
        keys = [self._keys.meta(topic), self._keys.stream(topic)]
        arguments = [after.epoch, str(after.offset), str(most)]
        page = command("page", keys, arguments)
        self._link.submit(
            page, lambda reply: answered(_parse_page(reply)), urgent=True, weight=_PAGE
        )

    def topics(
        self, session: str, answered: Callable[[frozenset[str] | Gone | Unknown], None]
    ) -> None:
        """Ask which topics a session is in. `answered` is called once, in order with commits."""
        self._link.submit(
            pack("HKEYS", self._keys.session(session)),
            lambda reply: answered(_parse_topics(reply)),
            weight=LIGHT + self._names,
        )

    def cursors(
        self, topics: Sequence[str], answered: Callable[[list[Cursor | None] | None], None]
    ) -> None:
        """Ask Redis for the cursors of topics; a cursor that cannot be read is None.

        `answered` is called as in `page`.
        """
        metas = pack("MGET", *map(self._keys.meta, topics))
        self._link.submit(
            metas,
            lambda reply: answered(_parse_metas(reply)),
            urgent=True,
            weight=_META * len(topics),
        )

    def publish(self, topic: str, text: bytes) -> bool:
        """Send a text to a topic's members on all nodes if the link is up; nothing is kept.
        Return False if Redis is away.
        """
        if self._link.up:
            self._link.submit(pack("PUBLISH", self._keys.channel + topic, b"\n" + text), _ignore)
        return self._link.up

    def _requests(
        self, requests: Sequence[ReadRequest], entries: Sequence[Entry], keys: list[str]
    ) -> list[str | bytes]:
        """Return the requests as arguments, with the versions that were seen, if any; add their
        keys to `keys`."""
        arguments: list[str | bytes] = []
        for number, request in enumerate(requests):
            place, name = key_of(request)
            keys.append(f"{self._keys.prefix}{place}:{name}")
            version = entries[number].version if entries else b""
            arguments += (request.kind, request.field or "", version)
        return arguments

    def _pack(self, commit: Commit, owner: list[str], head: list[str | bytes]) -> bytes:
        """Pack one commit as one command, laid out as commit.lua describes. `owner`: the keys of
        its ring and its hash; `head`: slot, number, and the number up to which a node's own commits
        are answered.
        """
        plan, prefix = commit.plan, self._keys.prefix
        session = self._keys.session(commit.session) if commit.session else self._owner
        slot, number, over = head
        keys = [*owner, session, self._keys.master]
        requests = self._requests(commit.requests, commit.entries, keys)
        arguments: list[str | bytes] = [
            slot, number, commit.generation, commit.answer,
            self._most_topics, self._keys.channel, over,
            str(len(commit.requests)), *requests,
        ]  # fmt: skip
        operations = [*commit.lead, *plan.ops]
        if plan.close is not None:
            operations.append(ops.tell_close(encode((plan.close.code, plan.close.reason))))
        for letter, places, rest in operations:
            arguments.append(letter)
            for place, name in places:
                keys.append(f"{prefix}{place}:{name}")
            arguments += rest
        script = "free" if plan.frees and commit.generation != NEW else "commit"
        return command(script, keys, arguments)


def _parse_page(reply: Any) -> Page | None:
    if isinstance(reply, Exception):
        return None
    whole, epoch, offset, *texts = reply
    return Page(whole == b"whole", Cursor(epoch.decode(), int(offset)), texts)


def _parse_metas(reply: Any) -> list[Cursor | None] | None:
    return None if isinstance(reply, Exception) else [parse_meta(text) for text in reply]


def _parse_topics(reply: Any) -> frozenset[str] | Gone | Unknown:
    if isinstance(reply, Exception):
        return Unknown(str(reply))
    return topics_in(reply) if reply else Gone()
