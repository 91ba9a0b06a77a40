"""Every handler that cannot work is refused at registration, by name and with the cure."""

# Not `from __future__ import annotations`: strings and real annotations are both tried here.

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import wraps
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pytest
from attrs import frozen

from trio_wss import App, Client, Effects, Member, Members, Now, Read, Reply, Rng
from trio_wss.errors import RegistrationError
from trio_wss.handling.signature import parameters_of

if TYPE_CHECKING:
    from decimal import Decimal


@frozen
class Say:
    text: str


def roles(function: Callable[..., Any], *, takes_event: bool = True) -> list[tuple[str, str]]:
    found = parameters_of(function, "say", takes_event, None)
    return [(parameter.name, parameter.role) for parameter in found]


def test_each_parameter_has_its_role() -> None:
    def handler(
        client: Client,
        event: Say,
        score: Annotated[int | None, Read("score")],
        now: Annotated[datetime, Now],
        since: Annotated[float, Now],
        rng: Annotated[Random, Rng],
        *,
        there: Annotated[list[Member], Members("room")],
    ) -> Effects: ...

    assert roles(handler) == [
        ("client", "client"),
        ("event", "event"),
        ("score", "read"),
        ("now", "now"),
        ("since", "now"),
        ("rng", "rng"),
        ("there", "members"),
    ]
    assert [p.keyword_only for p in parameters_of(handler, "say", True, None)][-2:] == [False, True]


@pytest.mark.parametrize(
    "type_",
    [
        str, dict[str, Any], list[int], Any, Annotated[str, "note"],
        Optional[Annotated[str, "note"]],  # noqa: UP045  # `|` makes another type
    ],
)  # fmt: skip
def test_the_event_may_be_of_any_type(type_: Any) -> None:
    def handler(event: type_) -> Effects: ...

    assert roles(handler) == [("event", "event")]


def test_a_handler_may_take_nothing() -> None:
    def handler() -> Effects: ...

    assert roles(handler) == roles(handler, takes_event=False) == []


def test_strings_are_resolved_in_the_module() -> None:
    def handler(event: "Say", score: 'Annotated["int", Read("score")]') -> "Decimal":
        raise NotImplementedError

    assert roles(handler) == [("event", "event"), ("score", "read")]


def test_a_class_local_to_a_function_is_found_where_the_handler_stands() -> None:
    @frozen
    class Inner:
        n: int

    @frozen
    class Local:
        game: "str"
        inner: "Inner"
        more: "list[Inner]"

    app = App()

    @app.on("local")
    def handler(
        event: "Local", inner: 'Annotated["Inner | None", Read("{event.inner.n}")]'
    ) -> Effects:
        return Reply("ok", event.inner.n)

    event = app.handlers["local"].bind({"game": "g", "inner": {"n": 1}, "more": [{"n": 2}]})
    assert event == Local("g", Inner(1), [Inner(2)])

    @app.on_connect
    def enter(client: "Client", inner: 'Annotated["Inner | None", Read("k")]') -> Effects: ...

    @app.on_disconnect
    def leave(client: "Client", inner: 'Annotated["Inner | None", Read("k")]') -> Effects: ...


def test_the_callers_names_do_not_hide_a_modules() -> None:
    Say = int  # noqa: F841  # a caller's name like that of the handler's module
    app = App()
    app.on("say")(module_handler)
    assert app.handlers["say"].bind({"text": "hi"}).text == "hi"


def module_handler(event: "Say") -> Effects: ...


def test_a_decorated_handler_is_seen_through() -> None:
    def decorated(function: Callable[..., Effects]) -> Callable[..., Effects]:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Effects:
            return function(*args, **kwargs)

        return wrapper

    assert roles(decorated(module_handler)) == [("event", "event")]


def test_methods_and_callable_objects_are_handlers() -> None:
    class Game:
        def on_say(self, event: "Say") -> Effects: ...

        def __call__(self, event: Say) -> Effects: ...

    assert roles(Game().on_say) == roles(Game()) == [("event", "event")]


async def asynchronous(event: Say) -> Effects: ...
async def asynchronous_generator(event: Say) -> AsyncIterator[Reply]:
    yield Reply("ok")


class AsynchronousObject:
    async def __call__(self, event: Say) -> Effects: ...


def unannotated(event) -> Effects: ...  # type: ignore[no-untyped-def]  # the point of the test
def star(*events: Say) -> Effects: ...
def stars(**events: Say) -> Effects: ...
def two_events(event: Say, other: int) -> Effects: ...
def with_default(event: Say = Say("hi")) -> Effects: ...
def outside(event: Optional[Annotated[int, Read("k")]]) -> Effects: ...  # noqa: UP045  # as above
def outside_noted(event: Optional[Annotated[int, "note", Read("k")]]) -> Effects: ...  # noqa: UP045  # as above
def bare_read(event: Annotated[int, Read]) -> Effects: ...
def bare_members(event: Annotated[int, Members]) -> Effects: ...
def naked_now(event: Now) -> Effects: ...  # type: ignore[valid-type]  # as above
def naked_read(event: Read) -> Effects: ...
def twice(event: Annotated[int, Read("a"), Read("b")]) -> Effects: ...
def now_as_text(event: Annotated[str, Now]) -> Effects: ...
def rng_as_int(event: Annotated[int, Rng]) -> Effects: ...
def no_client(client: Client | None) -> Effects: ...
def unresolved(event: "Decimal") -> Effects: ...
def broken(event: "Say[") -> Effects: ...  # type: ignore[valid-type]  # noqa: F722  # as above


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (asynchronous, "is async, but a handler is pure"),
        (asynchronous_generator, "is async, but a handler is pure"),
        (AsynchronousObject(), "is async, but a handler is pure"),
        (unannotated, "parameter 'event' needs an annotation"),
        (star, "parameter 'events': name each parameter"),
        (stars, "parameter 'events': name each parameter"),
        (two_events, r"'event' is the event already. .* Annotated\[int, Read\(\"key\"\)\]"),
        (with_default, "the event has no default"),
        (outside, r"belongs inside: Annotated\[int \| None, Read\(key='k', field=None\)\]"),
        (outside_noted, r"belongs inside: Annotated\[int \| None, Read\(key='k', field=None\)\]"),
        (bare_read, r"write Read\(\"key\"\)"),
        (bare_members, r"write Read\(\"key\"\) or Members\(\"topic\"\)"),
        (naked_now, r"write Annotated\[T, Now\]"),
        (naked_read, r"write Annotated\[T, .*Read"),
        (twice, r"Read\(key='a', field=None\) and Read\(key='b', field=None\) cannot both"),
        (now_as_text, "Now is a datetime or a float"),
        (rng_as_int, "Rng is a random.Random"),
        (no_client, "write Client alone"),
        (unresolved, r"annotation 'Decimal' cannot be resolved .* outside `if TYPE_CHECKING`"),
        (broken, r"annotation 'Say\[' cannot be resolved"),
        (5, "is not a function"),
    ],
)
def test_refused(function: Any, why: str) -> None:
    with pytest.raises(RegistrationError, match=why) as caught:
        parameters_of(function, "say", True, None)
    assert getattr(function, "__qualname__", "") in str(caught.value)
    assert "of 'say'" in str(caught.value)


def test_there_is_no_event_in_on_connect() -> None:
    with pytest.raises(RegistrationError, match="there is no event here"):
        parameters_of(module_handler, "on_connect", False, None)
