"""Sessions in Redis, and the nodes that own them, each with a lease. A commit begins and ends a
session, a resume takes it over, and it becomes due when its connection is gone. Only Redis' clock
decides when a session is due.
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
"""Bytes of an answer that may hold an app's info about clients, or the names of many sessions."""

AT_ONCE: Final = 500
"""Sessions handled in one call of the background jobs: about a millisecond of Redis' time."""

# Bytes of answers, so that the link knows how many are on their way.
_CLIENT: Final = 32 << 10  # of a stored client: its query is part of a head of 16 KiB
_NAME: Final = 320  # of a topic's name, and its cursor
_NAMES: Final = 100 * _NAME  # of the topics that a session may be in


@frozen
class Taken:
    """A session that was taken over. `cursors` are the present cursors of its topics."""

    client: Client
    generation: str
    last: int  # the highest id it has used
    cursors: Mapping[str, Cursor]


@frozen
class StoredSession:
    """A session as it was found in Redis. A commit with its generation fails if it has changed."""

    client: Client
    generation: str
    topics: frozenset[str] = frozenset()


@frozen
class Due:
    """The result of a round of the janitor: sessions to end, whether dead nodes have more sessions
    that are not due yet, and the dead nodes that it removed.
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
        """Register this node, or extend its lease (seconds). Return False if its record is gone.

        Raises Unavailable, as every method here that asks Redis does.
        """
        name = self._node
        keys = [self._keys.node(name), self._keys.nodes, self._keys.pulse, self._keys.ring(name)]
        arguments = [name, _milliseconds(lease), "new" if new else ""]
        return bool(await ask(self._link, command("beat", keys, arguments)))

    async def sign_off(self, grace: float) -> None:
        """Remove this node's record; sessions that it still owns become due after `grace` seconds.
        No session may be about to begin.
        """
        name, grace_ms = self._node, _milliseconds(grace)
        keys = [
            self._keys.node(name), self._keys.ring(name), self._keys.sessions_of(name),
            self._keys.nodes, self._keys.due,
        ]  # fmt: skip
        while not await ask(self._link, command("leave", keys, [name, grace_ms, str(AT_ONCE)])):
            pass

    def begin(self, client: Client, token: str) -> tuple[Op, ...]:
        """Return the operations that begin a session and tell the cursors of its implied topics."""
        return (
            ops.begin_session(self._node, client.session, _stored(client), hash_token(token)),
            *(ops.tell_cursor(topic, encode(topic)) for topic in implied_topics(client)),
        )

    def end(self, session: str) -> tuple[Op, ...]:
        """Return the operations that end a session and all its memberships."""
        prefix = self._keys.prefix
        return (ops.end_session(session, f"{prefix}m:", f"{prefix}o:"),)

    async def find(self, token: str) -> StoredSession | None:
        """Return the session of a token, or None if the token belongs to no session."""
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

        Return None if the session has changed or is gone. Raises Overtaken, and Unavailable if
        this node's own record is gone.
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
        """Make a session due after `grace` seconds, unless it has another generation."""
        await ask(self._link, self._away(session, generation, grace))

    async def orphaned(self, sessions: Collection[str], grace: float) -> list[str]:
        """Make those of `sessions` due that this node owns and that are not due yet; return them.

        All commands are queued in one step, so that no resume comes in between.
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
        """Return the sessions that this node owns according to Redis."""
        names = pack("SMEMBERS", self._keys.sessions_of(self._node))
        found = await ask(self._link, names, weight=HEAVY)
        return frozenset(session.decode() for session in found)

    async def due(self, grace: float, most: int, again: float, lease: float) -> Due:
        """Return at most `most` sessions to end now. Sessions of a node whose lease is over become
        due `grace` seconds after the lease's end.

        The returned sessions are due again after `again` seconds, unless the caller ends them.
        After Redis was away from all nodes, no session is due for `lease` seconds.
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
        """Check some of all sessions, from `place` on ("0": the beginning). A session that no
        living node owns and that is not due becomes due in `grace` seconds.

        Return the place to go on from, and the sessions that were lost in this way.
        """
        prefix = self._keys.prefix
        keys = [self._keys.sessions, self._keys.due, self._keys.nodes]
        arguments = [place, str(AT_ONCE), _milliseconds(grace), f"{prefix}s:", f"{prefix}o:"]
        next_place, lost = await ask(self._link, command("audit", keys, arguments))
        return next_place.decode(), [session.decode() for session in lost]


def next_generation(generation: str) -> str:
    """Return the next generation: the next number with a random mark. A failover can bring an old
    generation back, and then two connections may follow it.
    """
    number, _, _ = generation.partition(".")
    return f"{int(number) + 1}.{secrets.token_hex(4)}"


def new_token(session: str) -> str:
    """Make the token that a client resumes with: the session's name and 128 random bits."""
    return f"{session}.{secrets.token_urlsafe(16)}"


def hash_token(token: str) -> str:
    """Return the hash of a token; only the hash is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def _stored(client: Client) -> bytes:
    return encode({"user": client.user, "info": client.info, "query": dict(client.query)})


def _client(session: str, stored: bytes) -> Client:
    return Client(session, **decode(stored))


def _fields(flat: Any) -> dict[bytes, bytes]:
    """Return a Redis hash as a dict: scripts return it as pairs, commands as a map."""
    if isinstance(flat, dict):
        return flat
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
