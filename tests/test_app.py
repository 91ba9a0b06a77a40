"""The app is a table: what is registered is there, and what is registered wrongly is not."""

from pathlib import PurePath
from typing import Any

import pytest

from trio_wss import App, Client, Effects, Gap, Identity, Refused, RegistrationError, Reply, Request


def enter(client: Client) -> Effects:
    return Reply("hello")


def test_decorators_return_the_function() -> None:
    app = App()

    def who(request: Request) -> Identity | None:
        return None

    async def who_later(request: Request) -> Identity | None:
        return None

    assert app.on("enter")(enter) is enter
    assert app.on_connect(enter) is enter
    assert app.on_disconnect(enter) is enter
    assert app.authenticate(who) is who
    assert App().authenticate(who_later) is who_later
    assert app.handlers["enter"].function is enter
    assert app.connect is not None
    assert (app.connect.name, app.connect.function) == ("on_connect", enter)
    assert app.disconnect is not None
    assert app.disconnect.name == "on_disconnect"
    assert app.authenticator is who


def test_on_gap_is_told_the_topic() -> None:
    app = App()

    @app.on_gap
    def tell(event: Gap, client: Client) -> Effects:
        return Reply("anew", event.topic)

    assert app.gap is not None
    assert app.gap.event_type is Gap
    with pytest.raises(RegistrationError, match="on_gap has a handler"):
        app.on_gap(tell)
    App().on_gap(enter)


def test_on_gap_takes_no_other_event() -> None:
    def wrong(event: dict[str, str]) -> Effects: ...

    app = App()
    with pytest.raises(RegistrationError, match="its event is a Gap, not dict"):
        app.on_gap(wrong)
    assert app.gap is None


def test_an_empty_app() -> None:
    app = App()
    assert dict(app.handlers) == {}
    assert app.connect is None
    assert app.disconnect is None
    assert app.gap is None
    assert app.authenticator is None


def test_the_table_is_not_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        App().handlers["say"] = None  # type: ignore[index]  # the point of the test


@pytest.mark.parametrize("name", ["", "x" * 65, "wss.say", 5, None, enter])
def test_names_of_events(name: Any) -> None:
    with pytest.raises(RegistrationError, match="event"):
        App().on(name)


@pytest.mark.parametrize("name", ["on_connect", "on_disconnect", "on_gap", "authenticate"])
def test_a_decorator_with_brackets_is_told_to_have_none(name: str) -> None:
    with pytest.raises(RegistrationError, match=rf"^write @app\.{name} without \(\)$"):
        getattr(App(), name)()


def test_on_without_a_name_is_told_to_have_one() -> None:
    with pytest.raises(RegistrationError, match=r'^enter .*: write @app\.on\("name"\)'):
        App().on(enter)  # type: ignore[arg-type]  # the point of the test


def test_authenticate_takes_the_request_and_nothing_else() -> None:
    """Found at the start: a handshake would be answered with 500 each time."""

    def nothing() -> None: ...

    def two(request: Request, more: int) -> None: ...

    def named(*, request: Request) -> None: ...

    app = App()
    for wrong in (nothing, two, named, None, 5):
        with pytest.raises(RegistrationError, match="authenticate"):
            app.authenticate(wrong)  # type: ignore[type-var]  # the point of the test
    with pytest.raises(RegistrationError, match="one parameter, the Request: two does not"):
        app.authenticate(two)  # type: ignore[type-var]  # the point of the test
    assert app.authenticator is None

    def default(request: Request, more: int = 1) -> None: ...

    app.authenticate(default)


def test_the_shortest_and_the_longest_name() -> None:
    app = App()
    app.on("x")(enter)
    app.on("x" * 64)(enter)
    assert list(app.handlers) == ["x", "x" * 64]


def test_only_a_session_that_begins_or_ends_has_no_event() -> None:
    def handler(event: dict[str, int]) -> Effects: ...

    for register in (App().on_connect, App().on_disconnect):
        with pytest.raises(RegistrationError, match="there is no event here"):
            register(handler)


def test_handlers_are_called_by_what_they_are_for() -> None:
    app = App()
    app.on_connect(enter)
    app.on_disconnect(enter)
    app.on_gap(enter)
    handlers = [app.connect, app.disconnect, app.gap]
    assert [handler and handler.name for handler in handlers] == [
        "on_connect", "on_disconnect", "on_gap",
    ]  # fmt: skip


def test_pages_lie_beside_the_module_that_makes_the_app() -> None:
    assert App().static is None
    assert App(static="pages").static == PurePath(__file__).parent / "pages"
    assert App(static="/pages").static == PurePath("/pages")
    nowhere: dict[str, Any] = {"App": App}
    exec("made = App(static='pages')", nowhere)
    assert nowhere["made"].static == PurePath("pages")


def test_nothing_is_registered_twice() -> None:
    app = App()
    app.on("say")(enter)
    app.on_connect(enter)
    app.on_disconnect(enter)
    app.authenticate(lambda request: None)
    with pytest.raises(
        RegistrationError, match=r"event 'say' has a handler: handler enter of 'say'$"
    ):
        app.on("say")(enter)
    with pytest.raises(RegistrationError, match="on_connect has a handler: handler enter of"):
        app.on_connect(enter)
    with pytest.raises(RegistrationError, match="on_disconnect has a handler"):
        app.on_disconnect(enter)
    with pytest.raises(RegistrationError, match=r"authenticate is registered: <lambda>$"):
        app.authenticate(lambda request: None)


def test_a_wrong_handler_is_not_registered() -> None:
    app = App()

    def wrong(event: Any, more: int) -> Effects: ...

    with pytest.raises(RegistrationError):
        app.on("say")(wrong)
    with pytest.raises(RegistrationError):
        app.on_connect(wrong)
    assert dict(app.handlers) == {}
    assert app.connect is None


def test_history_is_the_first_match() -> None:
    app = App(history=10, history_ttl=60)
    app.topic("room:vip:*", history=1000, ttl=3600)
    app.topic("room:*", history=50, ttl=30.5)
    app.topic("cursor:?", history=0, ttl=1)
    assert app.history("room:vip:a") == (1000, 3600.0)
    assert app.history("room:a") == (50, 30.5)
    assert app.history("room:a\nb") == (50, 30.5)
    assert app.history("ROOM:a") == (10, 60.0)
    assert app.history("my room:a") == (10, 60.0)
    assert app.history("cursor:1") == (0, 1.0)
    assert app.history("cursor:12") == (10, 60.0)
    assert App().history("any") == (128, 300.0)


@pytest.mark.parametrize(
    ("history", "ttl"),
    [
        (-1, 1),
        (100_001, 1),
        (True, 1),
        (1.5, 1),
        ("1", 1),
        (1, 0),
        (1, -1),
        (1, "1"),
        (1, float("nan")),
        (1, 1e-4),
        (1, 0.00099),
        (1, 315_360_000.1),
        (1, True),
    ],
)
def test_history_is_checked(history: Any, ttl: Any) -> None:
    with pytest.raises(
        RegistrationError, match=r"^App\(history, history_ttl\): (history|ttl) is a"
    ):
        App(history=history, history_ttl=ttl)
    with pytest.raises(RegistrationError, match=r"topic 'a\*'"):
        App().topic("a*", history=history, ttl=ttl)


@pytest.mark.parametrize(("history", "ttl"), [(0, 0.001), (100_000, 315_360_000)])
def test_the_most_and_the_least_history(history: int, ttl: float) -> None:
    assert App(history=history, history_ttl=ttl).history("any") == (history, ttl)


def test_a_pattern_that_never_gets_its_turn_is_refused() -> None:
    app = App()
    app.topic("a*", history=1, ttl=1)
    with pytest.raises(RegistrationError, match="first match wins"):
        app.topic("a*", history=2, ttl=1)


def test_authenticate_uses_up_what_it_takes_from_the_query() -> None:
    app = App()

    @app.authenticate
    def who(request: Request) -> Identity | None:
        if request.query.pop("token", "") != "secret":
            raise Refused("unauthorised")
        return Identity("ann", {"admin": True})

    request = Request("/", query={"token": "secret", "room": "tea"})
    assert who(request) == Identity("ann", {"admin": True})
    assert request == Request("/", {}, {"room": "tea"}, None)
    with pytest.raises(Refused):
        who(request)
