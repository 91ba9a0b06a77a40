"""A compiled handler: an event and raw values in, effects out, and every mistake in words."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any

import attrs
import pytest
from attrs import frozen

from trio_wss.commit.plan import MAX_EFFECTS
from trio_wss.effects import EFFECTS, Effect, Effects, Increment, Reply
from trio_wss.errors import Invalid, PlanError, Refused, RegistrationError
from trio_wss.handling.handler import MOST_DRAINED, Handler
from trio_wss.reads import Client, Member, Members, Now, Read, ReadRequest, Rng

CLIENT = Client("s1", "ann", None, {"room": "tea"})


@frozen
class Move:
    game: str
    n: int = 0


@frozen
class Game:
    turn: str


def run(handler: Handler, data: Any = None, values: Any = (), **options: Any) -> list[Effect]:
    event = handler.bind(data)
    return handler.run(
        event, CLIENT, values, options.get("now", 1_700_000_000.5), options.get("seed", 1)
    )


def given(function: Any, values: Any = (), data: Any = None) -> Any:
    """What a handler that replies with its argument was given."""
    (reply,) = run(Handler(function, "e"), data, values)
    assert isinstance(reply, Reply)
    return reply.data


def test_bind() -> None:
    def handler(event: Move) -> Effects: ...

    bound = Handler(handler, "move").bind({"game": "g", "unknown": 1})
    assert bound == Move("g")


def test_bind_says_where_the_data_is_wrong() -> None:
    def handler(event: Move) -> Effects: ...

    with pytest.raises(Invalid, match=r"^data\.n: expected an integer") as caught:
        Handler(handler, "move").bind({"game": "g", "n": "1"})
    assert caught.value.path == "data.n"
    with pytest.raises(Invalid, match=r"^data: expected an object, not null$"):
        Handler(handler, "move").bind(None)


def test_a_handler_without_an_event_ignores_the_data() -> None:
    def handler(client: Client) -> Effects:
        return Reply("ok", client.session)

    compiled = Handler(handler, "ping")
    assert compiled.bind({"any": "thing"}) is None
    assert run(compiled, "whatever") == [Reply("ok", "s1")]


def test_arguments_arrive_in_the_order_of_the_parameters() -> None:
    def handler(
        rng: Annotated[Random, Rng],
        client: Client,
        b: Annotated[int, Read("b")],
        event: Move,
        a: Annotated[int, Read("a")],
        *,
        d: Annotated[int, Read("d")],
        now: Annotated[float, Now],
    ) -> Effects:
        return Reply("ok", [rng.random(), client, b, event, a, d, now])

    assert given(handler, [b"2", b"1", b"4"], {"game": "g"}) == [
        Random(1).random(),
        CLIENT,
        2,
        Move("g"),
        1,
        4,
        1_700_000_000.5,
    ]


def test_a_handler_of_nothing() -> None:
    def handler() -> Effects:
        return Reply("ok")

    assert run(Handler(handler, "e")) == [Reply("ok")]


def test_time_is_utc_and_randomness_is_repeatable() -> None:
    def handler(now: Annotated[datetime, Now], rng: Annotated[Random, Rng]) -> Effects:
        return Reply("ok", [now, rng.random()])

    compiled = Handler(handler, "e")
    first = run(compiled, seed=7)
    assert first == run(compiled, seed=7)
    assert first != run(compiled, seed=8)
    assert first == [
        Reply("ok", [datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC), Random(7).random()])
    ]


def test_requests() -> None:
    def handler(
        event: Move,
        fixed: Annotated[int, Read("fixed")],
        keyed: Annotated[int, Read("game:{event.game}")],
        field: Annotated[int, Read("scores:{event.game}", field="{client.user}")],
        there: Annotated[list[Member], Members("room:{client.query.room}")],
    ) -> Effects: ...

    compiled = Handler(handler, "move")
    assert compiled.reads
    assert compiled.requests(Move("g"), CLIENT) == (
        ReadRequest("value", "fixed"),
        ReadRequest("value", "game:g"),
        ReadRequest("field", "scores:g", "ann"),
        ReadRequest("members", "room:tea"),
    )


def test_a_handler_without_reads_says_so() -> None:
    def handler(event: Move, now: Annotated[float, Now]) -> Effects: ...

    compiled = Handler(handler, "move")
    assert not compiled.reads
    assert compiled.requests(Move("g"), CLIENT) == ()


def test_a_key_that_cannot_be_made_is_invalid() -> None:
    def handler(event: Move, x: Annotated[int, Read("{event.game}")]) -> Effects: ...

    with pytest.raises(Invalid) as caught:
        Handler(handler, "move").requests(Move("x" * 300), CLIENT)
    assert caught.value.path == "data.game"


READS: list[tuple[Any, bytes, Any]] = [
    (Game | None, b'{"turn":"ann"}', Game("ann")),
    (int, b"5", 5),
    (Any, b"null", None),
    (dict[str, Game], b'{"a":{"turn":"x"}}', {"a": Game("x")}),
    (frozenset[int], b"[1,2]", frozenset({1, 2})),
    (list[Game], b'[{"turn":"x"}]', [Game("x")]),
    (bytes, b'"AP8="', b"\0\xff"),
]


@pytest.mark.parametrize(("type_", "raw", "value"), READS)
def test_a_read_is_structured(type_: Any, raw: bytes, value: Any) -> None:
    def handler(x: Annotated[type_, Read("x")]) -> Effects:
        return Reply("ok", x)

    assert given(handler, [raw]) == value


ABSENT: list[tuple[Any, Any]] = [
    (Game | None, None),
    (Any, None),
    (dict[str, int], {}),
    (list[int], []),
    (frozenset[int], frozenset()),
]


@pytest.mark.parametrize(("type_", "value"), ABSENT)
def test_what_is_absent_is_none_or_an_empty_collection(type_: Any, value: Any) -> None:
    def handler(x: Annotated[type_, Read("x")]) -> Effects:
        return Reply("ok", x)

    assert given(handler, [None]) == value


def test_an_empty_collection_is_a_new_one_each_time() -> None:
    def handler(x: Annotated[list[int], Read("x")]) -> Effects:
        x.append(1)
        return Reply("ok", x)

    compiled = Handler(handler, "e")
    assert run(compiled, values=[None]) == run(compiled, values=[None]) == [Reply("ok", [1])]


def test_a_default_stands_for_what_is_absent() -> None:
    def handler(
        x: Annotated[int | None, Read("x")] = 5,
        y: Annotated[list[int], Read("y")] = [7],  # noqa: B006  # never changed
    ) -> Effects:
        return Reply("ok", [x, y])

    assert given(handler, [None, None]) == [5, [7]]
    assert given(handler, [b"null", b"[]"]) == [None, []]


def test_a_value_that_a_handler_needs_and_is_absent_refuses_the_event() -> None:
    calls = []

    def handler(event: Move, game: Annotated[Game, Read("game:{event.game}")]) -> Effects:
        calls.append(event)
        return None

    with pytest.raises(Refused) as caught:
        run(Handler(handler, "move"), {"game": "g"}, [None])
    assert str(caught.value) == "absent: There is nothing of that name."
    assert calls == []


def test_a_client_is_not_told_where_things_are_stored() -> None:
    """The key's template is the app's own business, and tells a user nothing."""

    def field(event: Move, n: Annotated[int, Read("top", field="f:{event.game}")]) -> Effects: ...

    with pytest.raises(Refused) as absent:
        run(Handler(field, "e"), {"game": "g"}, [None])
    assert str(absent.value) == "absent: There is nothing of that name."
    handler = Handler(field, "e")
    with pytest.raises(Invalid) as long:
        handler.requests(handler.bind({"game": "g" * 300}), CLIENT)
    assert str(long.value) == "data.game: must make a name of 1 to 256 bytes"
    assert long.value.path == "data.game"


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b'{"turn":5}', "turn: expected a string, not an integer$"),
        (b"[]", "expected an object, not an array$"),
        (b"null", "expected an object, not null$"),
        (b"not json", "not JSON: "),
        (b"", "not JSON: "),
    ],
)
def test_a_stored_value_of_another_shape_is_the_apps_fault(raw: bytes, fault: str) -> None:
    def handler(game: Annotated[Game, Read("game")]) -> Effects: ...

    with pytest.raises(PlanError, match=f"^what 'game' holds is no Game: {fault}"):
        run(Handler(handler, "e"), values=[raw])


def test_members() -> None:
    def handler(there: Annotated[list[Member], Members("room:a")]) -> Effects:
        return Reply("ok", there)

    raw = b'[{"session":"s1","user":null,"info":{"a":1}},{"session":"s2","user":"bo","info":null}]'
    assert given(handler, [raw]) == [Member("s1", None, {"a": 1}), Member("s2", "bo")]
    assert given(handler, [None]) == given(handler, [b"[]"]) == []


def test_members_as_another_type() -> None:
    @frozen
    class Player:
        user: str

    def handler(there: Annotated[tuple[Player, ...] | None, Members("room:a")]) -> Effects:
        return Reply("ok", there)

    assert given(handler, [b'[{"session":"s1","user":"bo","info":null}]']) == (Player("bo"),)
    assert given(handler, [None]) == ()


@pytest.mark.parametrize("topic", ["all", "session:{client.session}", "user:ann"])
def test_topics_that_all_are_in_have_no_members_to_read(topic: str) -> None:
    def handler(there: Annotated[list[Member], Members(topic)]) -> Effects: ...

    with pytest.raises(RegistrationError, match=r"are not kept, as all are in them$"):
        Handler(handler, "e")


@pytest.mark.parametrize("game", ["all", "user:ann"])
def test_a_client_cannot_name_such_a_topic(game: str) -> None:
    def handler(event: Move, there: Annotated[list[Member], Members("{event.game}")]) -> Effects:
        return None

    compiled = Handler(handler, "e")
    assert compiled.requests(Move("allotment"), CLIENT)
    with pytest.raises(Invalid, match="are not kept") as caught:
        compiled.requests(Move(game), CLIENT)
    assert caught.value.path == "data.game"


def test_a_topic_that_only_begins_like_one_is_no_such_topic() -> None:
    def handler(event: Move, there: Annotated[list[Member], Members("all{event.n}")]) -> Effects:
        return None

    assert Handler(handler, "e").requests(Move("g", 1), CLIENT)[0].key == "all1"


def generator() -> Iterator[Effect]:
    yield Increment("a")
    yield Reply("ok")


@pytest.mark.parametrize(
    ("returned", "effects"),
    [
        (None, []),
        (Reply("ok"), [Reply("ok")]),
        ([], []),
        ([Increment("a"), Reply("ok")], [Increment("a"), Reply("ok")]),
        ((Reply("ok"),), [Reply("ok")]),
        ({"a": Reply("ok")}.values(), [Reply("ok")]),
    ],
)
def test_what_a_handler_may_return(returned: Any, effects: list[Effect]) -> None:
    assert run(Handler(lambda: returned, "e")) == effects


def test_a_handler_may_be_a_generator() -> None:
    assert run(Handler(generator, "e")) == [Increment("a"), Reply("ok")]
    assert run(Handler(lambda: iter([Reply("ok")]), "e")) == [Reply("ok")]


class Subclassed(str):
    pass


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("returned", "named"),
    [
        (5, "returned a int: 5"),
        ("ok", "returned a str: 'ok'"),
        (b"ok", "returned a bytes"),
        ({"event": "ok"}, "returned a dict"),
        (Reply, "returned a type"),
        ([Reply("ok"), 5], "returned, among others, a int: 5"),
        ([[Reply("ok")]], "returned, among others, a list"),
        (Increment("a").result, "returned a Result"),
        ("x" * 10_000, "returned a str"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_an_error_that_lists_what_is_allowed(returned: Any, named: str) -> None:
    def handler() -> Effects:
        return returned  # type: ignore[no-any-return]  # the point of the test

    with pytest.raises(PlanError) as caught:
        run(Handler(handler, "e"))
    message = str(caught.value)
    assert named in message
    assert len(message) < 500
    assert "handler of 'e' returned" in message
    assert all(kind.__name__ in message for kind in EFFECTS)


def test_a_coroutine_in_disguise_is_closed_and_refused() -> None:
    def handler() -> Effects:
        return coroutine()  # type: ignore[return-value]  # the point of the test

    with pytest.raises(PlanError, match="returned a coroutine"):
        run(Handler(handler, "e"))


def test_a_handler_that_raises_gives_no_effects() -> None:
    def handler() -> Iterator[Effect]:
        yield Reply("ok")
        raise Refused("no")

    with pytest.raises(Refused):
        run(Handler(handler, "e"))


def test_an_error_of_the_handlers_own_goes_through() -> None:
    def handler() -> Effects:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(Handler(handler, "e"))


def test_an_endless_generator_is_not_drained_for_ever() -> None:
    def handler() -> Iterator[Effect]:
        while True:
            yield Increment("a")

    assert len(run(Handler(handler, "e"))) == MOST_DRAINED == MAX_EFFECTS + 1


class Unknown:
    pass


@frozen
class Holder:
    unknown: Unknown


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (Unknown, r"Unsupported type: .*Unknown.*register_structure_hook"),
        (Holder, r"Unsupported type: .*Unknown.*register_structure_hook"),
        (list[Unknown], r"Unsupported type: .*Unknown.*register_structure_hook"),
        (Annotated[Unknown, Read("x")], r"Unsupported type: .*Unknown"),
        (Annotated[int, Read("{event.x}")], r"should be \{client\.…\}"),
        (Annotated[int, Read("x", field="{client.x}")], "Client has info, query"),
        (Annotated[int, Members("{client.x}")], "Client has info, query"),
    ],
)
def test_registration_names_handler_and_parameter(annotation: Any, why: str) -> None:
    def handler(x: annotation) -> Effects: ...

    with pytest.raises(RegistrationError, match=why) as caught:
        Handler(handler, "move")
    assert re.match(r"handler test_\S+ of 'move', parameter 'x'", str(caught.value))


def test_a_handler_shows_what_it_is() -> None:
    assert repr(Handler(generator, "tick")) == "<handler generator of 'tick'>"
    assert attrs.asdict(Move("g")) == {"game": "g", "n": 0}
