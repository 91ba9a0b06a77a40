"""The reads that a handler declares: markers for its annotations, and the plain values that they
bring. Nothing here performs a read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, final

from attrs import field as attr
from attrs import frozen


@final
@frozen
class Read:
    """`Annotated[T, Read("game:{event.game}")]`: the value of the key, structured into T.

    A map comes as an object, a set or a list as an array, a counter as a number; `field` reads one
    field of a map. Both may hold `{event.…}` and `{client.…}`. If nothing is stored, the parameter
    is its default; without one None, if T admits it; else an empty T, if T is a collection; else
    the event is refused with the code `absent`, and the handler does not run.
    """

    key: str
    field: str | None = attr(default=None, kw_only=True)


@final
@frozen
class Members:
    """`Annotated[list[Member], Members("room:{event.room}")]`: the sessions in a topic."""

    topic: str


@final
class _Given:
    """A marker with no parameters."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


Now: Final = _Given("Now")
"""`Annotated[datetime, Now]`, aware and in UTC, or `Annotated[float, Now]`, seconds since 1970."""

Rng: Final = _Given("Rng")
"""`Annotated[random.Random, Rng]`: the only randomness that a handler may use."""


@final
@frozen
class Client:
    """The sender of the event. It is the same in every handler, on every node.

    `user` is None for an anonymous client. `info` is that of its `Identity`, as JSON has it.
    `query` is the URL's query without the parameters that `authenticate` took out.
    """

    session: str
    user: str | None = None
    info: Any = None
    query: Mapping[str, str] = attr(factory=dict)


@final
@frozen
class Member:
    """A session in a topic, with the `info` of its `Join`."""

    session: str
    user: str | None = None
    info: Any = None


@final
@frozen
class Gap:
    """The event of `on_gap`: broadcasts of `topic` are lost for this client."""

    topic: str


@final
@frozen
class ReadRequest:
    """One read of a key in Redis, in the terms of the language."""

    kind: Literal["value", "field", "members"]
    key: str
    field: str | None = None


def is_implied(topic: str) -> bool:
    """Whether every connection of its kind is in this topic; handlers cannot read or join it."""
    return topic == "all" or topic.startswith(("session:", "user:"))


def implied_topics(client: Client) -> list[str]:
    """The topics that a connection is in by itself."""
    topics = ["all", f"session:{client.session}"]
    if client.user is not None:
        topics.append(f"user:{client.user}")
    return topics
