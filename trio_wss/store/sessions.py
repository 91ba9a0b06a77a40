"""Sessions in Redis: begun and ended by a commit, taken over by a resume, due when their connection
is gone. And the nodes that own them, each with a lease. Redis' clock alone decides what is due.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from trio_wss.commit import ops
from trio_wss.commit.ops import Op
from trio_wss.data.json import decode, encode
from trio_wss.errors import Unavailable, WssError
from trio_wss.reads import Client, implied_topics
from trio_wss.store.history import Cursor
from trio_wss.store.keys import Keys, topics_in
from trio_wss.store.link.awaited import Awaited
from trio_wss.store.link.backlog import LIGHT
from trio_wss.store.link.link import Link
from trio_wss.store.link.resp import pack
from trio_wss.store.scripts import ask, command

HEAVY: Final = 1 << 20
"""Bytes of an answer that may hold what an app knows of a client, or the names of many."""

AT_ONCE: Final = 500
"""Sessions of one call, where nobody waits for their number: about a millisecond of Redis' time."""

# Bytes of answers, for the link to know how many are on their way.
_CLIENT: Final = 32 << 10  # of what is stored of a client: its query is part of a head of 16 KiB
_NAME: Final = 320  # of a topic's name, and its cursor
_NAMES: Final = 100 * _NAME  # of the topics that a session may be in


@frozen
class Taken:
    """A session that was taken over. `cursors` are where its topics are now."""

    client: Client
    generation: str
    last: int  # the highest id it has used
    cursors: Mapping[str, Cursor]


@frozen
class StoredSession:
    """A session as it was found in Redis. A commit with its generation tells if it still is so."""

    client: Client
    generation: str
    topics: frozenset[str] = frozenset()


@frozen
class Due:
    """What a round of the janitor found: sessions to end, whether dead nodes have more of them that
    are not due yet, and the nodes that it buried.
    """

    sessions: Sequence[StoredSession]
    more: bool
    buried: Sequence[str]


class Overtaken(WssError):
    """A later attempt of the same client to resume its session came first."""


class Sessions:
    """The sessions of a namespace, as one node may change them."""

    def __init__(self, link: Link, keys: Keys, node: str) -> None:
        self._link = link
        self._keys = keys
        self._node = node

    async def beat(self, lease: float, *, new: bool = False) -> bool:
        """Register this node, or extend its lease (seconds). False: its record is gone.

        Raises Unavailable, as all that asks Redis here does.
        """
        name = self._node
        keys = [self._keys.node(name), self._keys.nodes, self._keys.pulse, self._keys.ring(name)]
        arguments = [name, _milliseconds(lease), "new" if new else ""]
        return bool(await ask(self._link, command("beat", keys, arguments)))

    async def sign_off(self, grace: float) -> None:
        """Take this node's record away; sessions that are still its own are due after `grace`
        seconds. None may be about to begin.
        """
        name, grace_ms = self._node, _milliseconds(grace)
        keys = [
            self._keys.node(name), self._keys.ring(name), self._keys.sessions_of(name),
            self._keys.nodes, self._keys.due,
        ]  # fmt: skip
        while not await ask(self._link, command("leave", keys, [name, grace_ms, str(AT_ONCE)])):
            pass

    def begin(self, client: Client, token: str) -> tuple[Op, ...]:
        """The operations that begin a session, and give the cursors of its implied topics."""
        return (
            ops.begin_session(self._node, client.session, _stored(client), hash_token(token)),
            *(ops.tell_cursor(topic, encode(topic)) for topic in implied_topics(client)),
        )

    def end(self, session: str) -> tuple[Op, ...]:
        """The operations that end a session and all its memberships."""
        prefix = self._keys.prefix
        return (ops.end_session(session, f"{prefix}m:", f"{prefix}o:"),)

    async def find(self, token: str) -> StoredSession | None:
        """The session of a token; None for a token of none."""
        session, _, _ = token.partition(".")
        stored = pack("HGETALL", self._keys.session(session))
        found = _fields(await ask(self._link, stored, weight=_CLIENT + _NAMES))
        if not found or not hmac.compare_digest(found[b"token"], hash_token(token).encode()):
            return None
        client = _client(session, found[b"client"])
        return StoredSession(client, found[b"gen"].decode(), topics_in(found))

    async def take(
        self, seen: StoredSession, generation: str, attempt: int | None = None
    ) -> Taken | None:
        """Take a session over from the generation that was seen; `generation` is the new one,
        `attempt` the client's count of its attempts, if it keeps one.

        None: it has changed or gone. Raises Overtaken, and Unavailable where this node's own
        record is gone.
        """
        client = seen.client
        keys = [
            self._keys.session(client.session),
            self._keys.ring(client.session),
            self._keys.sessions_of(self._node),
            self._keys.node(self._node),
            self._keys.due,
        ]
        prefix = self._keys.prefix
        arguments = [
            seen.generation, generation, self._node, client.session,
            f"{prefix}o:", f"{prefix}t:", "" if attempt is None else str(attempt),
            *implied_topics(client),
        ]  # fmt: skip
        weight = LIGHT + _NAME * (len(seen.topics) + 3)
        status, *rest = await ask(self._link, command("take", keys, arguments), weight=weight)
        if status == b"overtaken":
            raise Overtaken("a later attempt came first")
        if status == b"buried":
            raise Unavailable("this node's record is gone from Redis")
        if status != b"taken":
            return None
        flat = [item.decode() for item in rest[1]]
        cursors = {
            topic: Cursor(epoch, int(offset))
            for topic, epoch, offset in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        }
        return Taken(client, generation, int(rest[0]), cursors)

    async def away(self, session: str, generation: str, grace: float) -> None:
        """Let a session be due after `grace` seconds, unless it has another generation."""
        await ask(self._link, self._away(session, generation, grace))

    async def orphaned(self, sessions: Collection[str], grace: float) -> list[str]:
        """Let those of these sessions be due that are this node's, and are not due yet.

        All are told to Redis before anything else is, so that no resume comes in between.
        """
        answers = [(session, Awaited[Any]()) for session in sessions]
        for session, answer in answers:
            self._link.submit(self._away(session, "", grace), answer.come)
        return [session for session, answer in answers if await answer.wait() == 1]

    def _away(self, session: str, generation: str, grace: float) -> bytes:
        keys = [self._keys.session(session), self._keys.due]
        sets = f"{self._keys.prefix}o:"
        arguments = [session, generation, _milliseconds(grace), self._node, sets]
        return command("away", keys, arguments)

    async def owned(self) -> frozenset[str]:
        """The sessions that are this node's, by Redis' account."""
        names = pack("SMEMBERS", self._keys.sessions_of(self._node))
        found = await ask(self._link, names, weight=HEAVY)
        return frozenset(session.decode() for session in found)

    async def due(self, grace: float, most: int, again: float, lease: float) -> Due:
        """Sessions to end now, `most` of them; those of a node whose lease is over get `grace`
        seconds first, counted from its end.

        They are due again after `again` seconds, if who asks does not end them. None are for
        `lease` seconds after Redis was away from all nodes.
        """
        prefix = self._keys.prefix
        arguments = [
            str(most), _milliseconds(grace), _milliseconds(again),
            f"{prefix}s:", f"{prefix}o:", f"{prefix}n:", _milliseconds(lease), f"{prefix}r:",
            str(AT_ONCE),
        ]  # fmt: skip
        keys = [self._keys.due, self._keys.nodes, self._keys.pulse]
        due = command("due", keys, arguments)
        more, buried, flat = await ask(self._link, due, weight=HEAVY)
        sessions = [
            StoredSession(_client(session.decode(), client), generation.decode())
            for session, generation, client in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]
        return Due(sessions, bool(more), [node.decode() for node in buried])

    async def audit(self, place: str, grace: float) -> tuple[str, list[str]]:
        """Look through some of all sessions, from `place` on ("0": the beginning), for those that
        are no living node's and not due: they are due after `grace` seconds from now on.

        Returns where to go on, and which were lost so.
        """
        prefix = self._keys.prefix
        keys = [self._keys.sessions, self._keys.due, self._keys.nodes]
        arguments = [place, str(AT_ONCE), _milliseconds(grace), f"{prefix}s:", f"{prefix}o:"]
        next_place, lost = await ask(self._link, command("audit", keys, arguments))
        return next_place.decode(), [session.decode() for session in lost]


def next_generation(generation: str) -> str:
    """The number after a generation's, with a mark of its own: a failover can bring an old one
    back, and then two connections come after it.
    """
    number, _, _ = generation.partition(".")
    return f"{int(number) + 1}.{secrets.token_hex(4)}"


def new_token(session: str) -> str:
    """What a client shows to resume: which session, and 128 random bits."""
    return f"{session}.{secrets.token_urlsafe(16)}"


def hash_token(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _stored(client: Client) -> bytes:
    return encode({"user": client.user, "info": client.info, "query": dict(client.query)})


def _client(session: str, stored: bytes) -> Client:
    return Client(session, **decode(stored))


def _fields(flat: Any) -> dict[bytes, bytes]:
    """A hash, however the protocol shows it: scripts give pairs, commands a map."""
    if isinstance(flat, dict):
        return flat
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
