"""The app: the table of a program's handlers and topics. It is filled at import and only read from
then on. It holds no data and runs no handler."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import translate
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from attrs import define, field, frozen

from trio_wss.commit.plan import MAX_TTL, RESERVED
from trio_wss.effects import Effects
from trio_wss.errors import RegistrationError
from trio_wss.handling.handler import Handler
from trio_wss.handling.template import name_of
from trio_wss.reads import Gap

MOST_EVENT_NAME: Final = 64
"""The most characters of an event's name."""

MOST_HISTORY: Final = 100_000
"""The most broadcasts that a topic may keep."""

LEAST_TTL: Final = 0.001
"""The shortest time to live, in seconds: Redis counts in milliseconds."""

_MISSING: Final[Any] = None  # what a decorator with () behind it is given for its function

HandlerT = TypeVar("HandlerT", bound=Callable[..., Effects])


@frozen
class Identity:
    """A client's identity, from `authenticate`. `info` goes with the session to every handler."""

    user: str
    info: Any = None


@define
class Request:
    """The handshake's request. `headers` has lower-case names; parts of a list are joined by ", ",
    cookies by "; ". Parameters that `authenticate` takes out of `query`, such as a token, do not
    reach `Client.query`. `remote` is the peer's address."""

    path: str
    headers: Mapping[str, str] = field(factory=dict)
    query: dict[str, str] = field(factory=dict)
    remote: str | None = None


Authenticated: TypeAlias = Identity | Awaitable[Identity | None] | None
AuthenticatorT = TypeVar("AuthenticatorT", bound=Callable[[Request], Authenticated])


class App:
    """A program's handlers and topics.

    A topic keeps its last `history` broadcasts for `history_ttl` seconds, for clients that come
    back; `topic` sets other bounds for some topics. A decorator returns its function unchanged, so
    that a test can call it. Every decorator raises `RegistrationError` for a function that can
    never work.

    `static` is a folder of files that every node serves over HTTP; a relative one lies beside the
    module that makes the app.
    """

    def __init__(
        self,
        *,
        history: int = 128,
        history_ttl: float = 300.0,
        static: str | PurePath | None = None,
    ) -> None:
        self._history = _checked("App(history, history_ttl)", history, history_ttl)
        self.static: Final = None if static is None else _beside_caller(static)
        self._topics: list[tuple[re.Pattern[str], tuple[int, float]]] = []
        self._handlers: dict[str, Handler] = {}
        self.handlers: Mapping[str, Handler] = MappingProxyType(self._handlers)
        self.connect: Handler | None = None
        self.disconnect: Handler | None = None
        self.gap: Handler | None = None
        self.authenticator: Callable[[Request], Authenticated] | None = None

    def on(self, event: str) -> Callable[[HandlerT], HandlerT]:
        """Register the handler of the event with this name: 1 to 64 characters, not `wss.…`."""
        _check_event(event)

        def register(function: HandlerT) -> HandlerT:
            if event in self._handlers:
                raise RegistrationError(f"event {event!r} has a handler: {self._handlers[event]}")
            self._handlers[event] = Handler(function, event, localns=_locals_of_caller())
            return function

        return register

    def on_connect(self, function: HandlerT = _MISSING) -> HandlerT:
        """Register the handler that runs when a session begins. It takes no event."""
        _check_slot("on_connect", function, self.connect)
        self.connect = Handler(
            function, "on_connect", takes_event=False, localns=_locals_of_caller()
        )
        return function

    def on_disconnect(self, function: HandlerT = _MISSING) -> HandlerT:
        """Register the handler that runs once when a session is over. It takes no event and cannot
        reply."""
        _check_slot("on_disconnect", function, self.disconnect)
        self.disconnect = Handler(
            function, "on_disconnect", takes_event=False, localns=_locals_of_caller()
        )
        return function

    def on_gap(self, function: HandlerT = _MISSING) -> HandlerT:
        """Register the handler that runs when a client has missed broadcasts that are no longer
        kept. Its event is a `Gap`. Its reply goes to the client: for example, the topic's state."""
        _check_slot("on_gap", function, self.gap)
        handler = Handler(function, "on_gap", localns=_locals_of_caller())
        if handler.event_type not in (None, Gap):
            raise RegistrationError(f"{handler}: its event is a Gap, not {handler.event_type!r}")
        self.gap = handler
        return function

    def authenticate(self, function: AuthenticatorT = _MISSING) -> AuthenticatorT:
        """Register the function that identifies a client, before there is a session. It may be
        async. It returns an Identity, or None for an anonymous client, or raises Refused (HTTP
        401)."""
        _check_given("authenticate", function)
        if self.authenticator is not None:
            raise RegistrationError(f"authenticate is registered: {name_of(self.authenticator)}")
        _check_authenticator(function)
        self.authenticator = function
        return function

    def topic(self, pattern: str, *, history: int, ttl: float) -> None:
        """Let topics that match `pattern` (`*`, `?`, `[…]`) keep their last `history` broadcasts
        for `ttl` seconds. The first match wins. A `history` of 0 makes every broadcast there
        volatile. Raises `RegistrationError` for a bound out of range or a known pattern."""
        rule = _checked(f"topic {pattern!r}", history, ttl)
        compiled = re.compile(translate(pattern))
        if any(known == compiled for known, _ in self._topics):
            raise RegistrationError(f"topic {pattern!r} is there already, and the first match wins")
        self._topics.append((compiled, rule))

    def history(self, topic: str) -> tuple[int, float]:
        """The number of broadcasts that a topic keeps, and the seconds for which it keeps them."""
        for pattern, rule in self._topics:
            if pattern.match(topic):
                return rule
        return self._history


def _check_given(decorator: str, function: object) -> None:
    if function is _MISSING:
        raise RegistrationError(f"write @app.{decorator} without ()")


def _check_slot(decorator: str, function: object, before: Handler | None) -> None:
    _check_given(decorator, function)
    if before is not None:
        raise RegistrationError(f"{decorator} has a handler: {before}")


def _check_authenticator(function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError) as error:
        raise RegistrationError(
            f"authenticate takes one parameter, the Request: {name_of(function)} does not ({error})"
        ) from error


def _check_event(name: object) -> None:
    if callable(name):
        raise RegistrationError(
            f'{name_of(name)} is registered for no event: write @app.on("name"), with its name'
        )
    if not isinstance(name, str) or not 0 < len(name) <= MOST_EVENT_NAME:
        raise RegistrationError(
            f'an event has a name of 1 to {MOST_EVENT_NAME} characters, as in @app.on("say"), '
            f"not {name!r:.100}"
        )
    if name.startswith(RESERVED):
        raise RegistrationError(
            f"event {name!r}: names that begin with {RESERVED} are the server's own"
        )


def _checked(what: str, history: int, ttl: float) -> tuple[int, float]:
    if type(history) is not int or not 0 <= history <= MOST_HISTORY:
        raise RegistrationError(f"{what}: history is a number of broadcasts, 0 to {MOST_HISTORY}")
    if type(ttl) not in (int, float) or not LEAST_TTL <= ttl <= MAX_TTL:
        raise RegistrationError(f"{what}: ttl is a number of seconds, from 0.001 to ten years")
    return history, float(ttl)


def _beside_caller(folder: str | PurePath) -> PurePath:
    """The folder, relative to the module that makes the app, or to here if that is no file."""
    return PurePath(sys._getframe(2).f_globals.get("__file__", "")).parent / folder


def _locals_of_caller() -> Mapping[str, Any]:
    """The local names at the decorator: a handler inside a function finds its classes there."""
    return sys._getframe(2).f_locals
