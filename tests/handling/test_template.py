"""A template that cannot work stops the start, with the names there are."""

import dataclasses
from datetime import date
from enum import Enum
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from trio_wss.errors import Invalid, RegistrationError
from trio_wss.handling.template import compile_template, takes_none
from trio_wss.reads import Client

T = TypeVar("T")
GameId = NewType("GameId", str)


class Colour(Enum):
    RED = "red"


@frozen
class Place:
    x: int
    name: str | None = None

    @property
    def label(self) -> str:
        return f"x{self.x}"


@dataclasses.dataclass
class Point:
    n: int


class Pair(NamedTuple):
    n: int


class Options(TypedDict):
    n: int


@frozen
class Box(Generic[T]):
    value: T


@frozen
class Other:
    x: int
    z: int


@frozen
class Move:
    game: str
    seat: int
    place: Place
    maybe: Place | None
    colour: Colour
    when: date
    ident: UUID
    flag: bool
    tags: list[str]
    options: Options
    mapping: dict[str, int]
    anything: Any
    point: Point
    pair: Pair
    box: Box[str]
    both: Place | Other
    game_id: Annotated[GameId, "note"]
    later: "Place"


MOVE = Move(
    game="g",
    seat=3,
    place=Place(1, "home"),
    maybe=None,
    colour=Colour.RED,
    when=date(2024, 1, 2),
    ident=UUID(int=1),
    flag=True,
    tags=[],
    options={"n": 5},
    mapping={"a": 1},
    anything={"team": {"id": "red"}, "list": []},
    point=Point(6),
    pair=Pair(7),
    box=Box("in"),
    both=Other(8, 9),
    game_id=GameId("gid"),
    later=Place(10),
)
CLIENT = Client("s1", "ann", {"team": "blue"}, {"room": "tea"})
ROOTS = {"event": Move, "client": Client}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("plain", "plain"),
        ("100%", "100%"),
        ("{{braces}}", "{braces}"),
        ("%s:{event.game}%", "%s:g%"),
        ("game:{event.game}:{event.seat}", "game:g:3"),
        ("{client.session}/{client.user}", "s1/ann"),
        ("{client.query.room}", "tea"),
        ("{client.info.team}", "blue"),
        ("{event.place.x}{event.place.name}{event.place.label}", "1homex1"),
        ("{event.colour}", "red"),
        ("{event.when}", "2024-01-02"),
        ("{event.ident}", str(UUID(int=1))),
        ("{event.flag}", "true"),
        ("{event.options.n}", "5"),
        ("{event.mapping.a}", "1"),
        ("{event.anything.team.id}", "red"),
        ("{event.point.n}", "6"),
        ("{event.pair.n}", "7"),
        ("{event.box.value}", "in"),
        ("{event.both.x}", "8"),
        ("{event.game_id}", "gid"),
        ("{event.later.x}", "10"),
    ],
)
def test_fill(text: str, key: str) -> None:
    assert compile_template(text, ROOTS).fill(MOVE, CLIENT) == key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must not be empty"),
        ("{event.gmae}", r"Move has anything, both, .*; not 'gmae'"),
        ("{event.place.y}", "Place has label, name, x; not 'y'"),
        ("{event.seat.y}", "int has no fields; not 'y'"),
        ("{event.both.z}", "has x; not 'z'"),
        ("{event.later.y}", "Place has label, name, x; not 'y'"),
        ("{event.game_id.x}", "has no fields; not 'x'"),
        ("{event.point.m}", "Point has n; not 'm'"),
        ("{event.pair.m}", "Pair has n; not 'm'"),
        ("{event.game.}", "str has no fields; not ''"),
        ("{event}", "is a Move, which has no place in a key"),
        ("{event.place}", "is a Place, which has no place"),
        ("{event.tags}", "is a list, which has no place"),
        ("{event.mapping}", "is a dict, which has no place"),
        ("{event.maybe}", "which has no place in a key"),
        ("{event.point}", "is a Point, which has no place"),
        ("{client}", r"should be \{event.…\} or \{client.…\}"),
        ("{client.name}", "Client has info, query, session, user; not 'name'"),
        ("{client.query}", "is a Mapping, which has no place"),
        ("{game}", r"should be \{event.…\} or \{client.…\}"),
        ("{}", "should be"),
        ("{event.tags[0]}", r"not 'tags\[0\]'"),
        ("{event.game!r}", "takes no format"),
        ("{event.game:>5}", "takes no format"),
        ("{event.game", "expected '}'"),
        ("a}", "Single '}'"),
        ("k" * 257, "1 to 256 bytes"),
        ("é" * 129, "1 to 256 bytes"),
    ],
)
def test_what_can_never_work_stops_the_start(text: str, why: str) -> None:
    with pytest.raises(RegistrationError, match=why):
        compile_template(text, ROOTS)


def test_without_an_event_there_is_none_to_name() -> None:
    with pytest.raises(RegistrationError, match=r"should be \{client.…\}$"):
        compile_template("{event.game}", {"client": Client})


def test_the_event_itself_may_be_the_key() -> None:
    template = compile_template("game:{event}", {"event": str})
    assert template.fill("g", CLIENT) == "game:g"
    assert (template.prefix, template.fixed, template.path) == ("game:", False, "data")


def test_a_template_knows_its_first_value() -> None:
    template = compile_template("{event.seat}:{event.game}", ROOTS)
    assert (template.prefix, template.fixed, template.path) == ("", False, "data.seat")
    template = compile_template("{{a}}:b", ROOTS)
    assert (template.prefix, template.fixed, template.path) == ("{a}:b", True, "")


def test_a_text_of_ones_own_kind_is_a_text() -> None:
    class Name(str): ...

    assert compile_template("{event}", {"event": Name}).fill(Name("ann"), CLIENT) == "ann"


def test_an_event_that_may_be_none_has_no_fields_then() -> None:
    template = compile_template("{event.game}", {"event": Move | None})
    assert template.fill(MOVE, CLIENT) == "g"
    with pytest.raises(Invalid, match=r"^data\.game: is needed here$"):
        template.fill(None, CLIENT)


@pytest.mark.parametrize(("value", "key"), [(True, "true"), (False, "false")])
def test_a_truth_is_written_as_in_json(value: bool, key: str) -> None:
    assert compile_template("{event}", {"event": bool}).fill(value, CLIENT) == key


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{event.maybe.x}", "data.maybe.x"),
        ("{event.later.name}", "data.later.name"),
        ("{event.mapping.b}", "data.mapping.b"),
        ("{event.anything.team.id.more}", "data.anything.team.id.more"),
        ("{event.anything.list}", "data.anything.list"),
        ("{client.query.place}", "client.query.place"),
        ("{client.info.nothing}", "client.info.nothing"),
    ],
)
def test_what_is_not_there_is_invalid(text: str, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_template(text, ROOTS).fill(MOVE, CLIENT)
    assert caught.value.path == path
    assert caught.value.message.startswith(f"{path}: ")


def test_an_anonymous_client_has_no_user() -> None:
    with pytest.raises(Invalid, match=r"^client\.user: is needed here$"):
        compile_template("{client.user}", ROOTS).fill(MOVE, Client("s"))


@pytest.mark.parametrize("game", ["", "x" * 257, "é" * 129])
def test_a_key_has_1_to_256_bytes(game: str) -> None:
    with pytest.raises(Invalid, match="1 to 256 bytes") as caught:
        compile_template("{event}", {"event": str}).fill(game, CLIENT)
    assert caught.value.path == "data"
    assert len(caught.value.message) < 100


@pytest.mark.parametrize("game", ["x", "x" * 256, "é" * 128, "\ud800"])
def test_the_shortest_and_the_longest_key(game: str) -> None:
    assert compile_template("{event}", {"event": str}).fill(game, CLIENT) == game


@given(st.text(min_size=1, max_size=60), st.integers())
def test_any_text_fills_in_as_it_is(game: str, seat: int) -> None:
    template = compile_template("g:{event.n}:%d{{}}", {"event": Pair})
    assert template.fill(Pair(seat), CLIENT) == f"g:{seat}:%d{{}}"
    assert compile_template("{event}", {"event": str}).fill(game, CLIENT) == game


def test_a_class_that_cannot_be_resolved_is_checked_by_name() -> None:
    @frozen
    class Local:
        game: "Nowhere"  # type: ignore[name-defined]  # noqa: F821  # the point of the test

    template = compile_template("{event.game}", {"event": Local})
    assert template.fill(Local("g"), CLIENT) == "g"
    with pytest.raises(RegistrationError, match="Local has game; not 'gmae'"):
        compile_template("{event.gmae}", {"event": Local})


def test_a_named_type_is_seen_through() -> None:
    Moves = TypeAliasType("Moves", Move)  # Python 3.11
    assert compile_template("{event.game}", {"event": Moves}).fill(MOVE, CLIENT) == "g"
    with pytest.raises(RegistrationError, match=r"not 'gmae'$"):
        compile_template("{event.gmae}", {"event": Moves})


def test_takes_none() -> None:
    assert all(map(takes_none, (None, Any, object, int | None, Annotated[int | None, 1])))
    assert not any(map(takes_none, (int, int | str, list[None], Place)))
