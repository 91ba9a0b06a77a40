"""The wire's types are taken at their word, and a fault costs no more than it says."""

import sys
from collections import Counter, OrderedDict, abc, defaultdict, deque
from datetime import UTC, date, datetime, time
from enum import Enum, IntEnum, StrEnum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import pytest
from attrs import frozen
from cattrs.cols import namedtuple_structure_factory

from trio_wss.data.converter import converter, nothing_of
from trio_wss.data.json import decode, encode, structure
from trio_wss.effects import Effect, Increment
from trio_wss.errors import Invalid

T = TypeVar("T")
UserId = NewType("UserId", str)


class Colour(Enum):
    RED = "red"


class Suit(StrEnum):
    CLUBS = "clubs"


class Rank(IntEnum):
    ACE = 1


class Pair(NamedTuple):
    n: int
    text: str


class Options(TypedDict):
    n: int
    text: NotRequired[str]


@frozen
class Item:
    n: int
    tags: list[str] = attrs.field(factory=list)


@frozen
class Cat:
    kind: Literal["cat"]
    lives: int


@frozen
class Dog:
    kind: Literal["dog"]
    bones: int


@frozen
class Box(Generic[T]):
    value: T


@frozen
class Tree:
    n: int
    children: "list[Tree]" = attrs.field(factory=list)


@frozen
class Small:
    n: int = attrs.field(validator=attrs.validators.lt(5))


TAKEN: list[tuple[Any, Any, Any]] = [
    (int, 5, 5),
    (int, -(2**63), -(2**63)),
    (str, "5", "5"),
    (float, 3, 3.0),
    (float, 3.5, 3.5),
    (bool, True, True),
    (type(None), None, None),
    (Any, {"a": [1]}, {"a": [1]}),
    (int | None, None, None),
    (int | str, "a", "a"),
    (int | str | None, None, None),
    (float | str, 2, 2),
    (UserId, "ann", "ann"),
    (UserId | int, 1, 1),
    (Annotated[int, "x"], 1, 1),
    (Literal["a", 1], 1, 1),
    (Literal["a"] | None, None, None),
    (Literal["a"] | int, 5, 5),
    (Literal["a"] | int, "a", "a"),
    (Literal[Colour.RED], "red", Colour.RED),
    (Colour, "red", Colour.RED),
    (Suit, "clubs", Suit.CLUBS),
    (Rank, 1, Rank.ACE),
    (datetime, "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (date, "2024-01-02", date(2024, 1, 2)),
    (time, "03:04", time(3, 4)),
    (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
    (bytes, "AP8=", b"\0\xff"),
    (list, [1, "a"], [1, "a"]),
    (list[int], [1, 2], [1, 2]),
    (abc.MutableSequence[int], [1], [1]),
    (tuple[int, ...], [1, 2], (1, 2)),
    (abc.Sequence[int], [1], (1,)),
    (tuple, [1], (1,)),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[()], [], ()),
    (set[int], [1, 1], {1}),
    (abc.MutableSet[int], [1], {1}),
    (frozenset[int], [1], frozenset({1})),
    (abc.Set[str], ["a"], frozenset({"a"})),
    (deque[int], [1, 2], deque([1, 2])),
    (dict, {"a": 1}, {"a": 1}),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict[str, Any], {"a": [1]}, {"a": [1]}),
    (dict[Any, int], {"a": 1}, {"a": 1}),
    (dict[int, str], {"-3": "a"}, {-3: "a"}),
    (dict[float, int], {"1.5": 1}, {1.5: 1}),
    (dict[Rank, int], {"1": 5}, {Rank.ACE: 5}),
    (dict[Suit, int], {"clubs": 5}, {Suit.CLUBS: 5}),
    (abc.Mapping[str, Item], {"a": {"n": 1}}, {"a": Item(1)}),
    (OrderedDict[str, int], {"a": 1}, OrderedDict(a=1)),
    (Counter[str], {"a": 2}, Counter(a=2)),
    (Counter, {"a": 2}, Counter(a=2)),
    (defaultdict[str, list[int]], {"a": [1]}, defaultdict(list, a=[1])),
    (Pair, [1, "a"], Pair(1, "a")),
    (Options, {"n": 1}, {"n": 1}),
    (Item, {"n": 1, "unknown": 2}, Item(1)),
    (Item | None, None, None),
    (Cat | Dog, {"kind": "dog", "bones": 1}, Dog("dog", 1)),
    (Cat | Dog | None, None, None),
    (Cat | Dog | str, "a", "a"),
    (Cat | Dog | str, {"kind": "cat", "lives": 9}, Cat("cat", 9)),
    (int | list[int], [1], [1]),
    (Box[int], {"value": 1}, Box(1)),
    (Tree, {"n": 1, "children": [{"n": 2}]}, Tree(1, [Tree(2)])),
]


@pytest.mark.parametrize(("type_", "raw", "value"), TAKEN)
def test_taken(type_: Any, raw: Any, value: Any) -> None:
    taken = structure(raw, type_)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(("type_", "raw", "value"), TAKEN)
def test_what_is_taken_comes_back_through_json(type_: Any, raw: Any, value: Any) -> None:
    assert structure(decode(encode(value)), type_) == value


NO_SET = [[1]]
with pytest.raises(TypeError) as no_set:
    set(NO_SET)
UNHASHABLE = str(no_set.value)
"""Python's own words, which are others since 3.14."""

REFUSED: list[tuple[Any, Any, str]] = [
    (int, "5", "expected an integer, not a string"),
    (int, True, "expected an integer, not a boolean"),
    (int, 5.0, "expected an integer, not a number"),
    (str, 5, "expected a string, not an integer"),
    (float, "5", "expected a number, not a string"),
    (float, True, "expected a number, not a boolean"),
    (bool, 1, "expected a boolean, not an integer"),
    (type(None), 0, "expected null, not an integer"),
    (int | None, "a", "expected an integer, not a string"),
    (int | str, True, "expected an integer or a string, not a boolean"),
    (int | str, None, "expected an integer or a string, not null"),
    (float | str, True, "expected a number or a string, not a boolean"),
    (UserId, 5, "expected a string, not an integer"),
    (Literal["a", 1], True, "expected one of 'a', 1, not another"),
    (Literal["a", 1], ["a"], "expected one of 'a', 1, not another"),
    (Literal["a"] | int, "b", "expected an integer or one of 'a', not a string"),
    (Colour, "blue", "'blue' is not a valid Colour"),
    (Suit, 1, "expected a string, not an integer"),
    (Rank, "1", "expected an integer, not a string"),
    (datetime, 5, "expected a time in ISO 8601, not an integer"),
    (datetime, "soon", "expected a time in ISO 8601, not a string"),
    (date, "soon", "expected a date in ISO 8601, not a string"),
    (time, "soon", "expected a time of day in ISO 8601, not a string"),
    (UUID, "x", "expected a UUID, not a string"),
    (bytes, "***", "expected a string in base64, not a string"),
    (list[int], "123", "expected an array, not a string"),
    (list[int], {"0": 1}, "expected an array, not an object"),
    (list, None, "expected an array, not null"),
    (set, NO_SET, UNHASHABLE),
    (tuple[int, str], [1], "expected an array of 2, not one of 1"),
    (tuple[int, str], "1a", "expected an array of 2, not a string"),
    (dict[str, int], [["a", 1]], "expected an object, not an array"),
    (Pair, "1a", "expected an array of 2, not a string"),
    (Options, [], "expected an object, not an array"),
    (Item, [], "expected an object, not an array"),
    (Item, "n", "expected an object, not a string"),
    (Item | None, [], "expected an object, not an array"),
    (Cat | Dog, {"kind": "cow"}, "cow is not known here"),
    (Cat | Dog, [], "Only input mappings are supported."),
    (Small, {"n": 9}, "'n' must be < 5: 9"),
]


@pytest.mark.parametrize(("type_", "raw", "message"), REFUSED)
def test_refused(type_: Any, raw: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        structure(raw, type_)
    assert (caught.value.message, caught.value.path) == (message, "")


PLACED: list[tuple[Any, Any, str]] = [
    (Item, {"n": "1"}, "data.n: expected an integer, not a string"),
    (Item, {}, "data.n: is missing"),
    (Options, {}, "data.n: is missing"),
    (Item, {"n": 1, "tags": ["a", 1]}, "data.tags[1]: expected a string, not an integer"),
    (tuple[int, str], ["a", "b"], "data[0]: expected an integer, not a string"),
    (dict[str, Item], {"a": {"n": None}}, "data.a.n: expected an integer, not null"),
    (dict[int, str], {"x": "a"}, "data.x: expected an integer as the key, not a string"),
    (dict[Suit, int], {"x": 1}, "data.x: 'x' is not a valid Suit"),
    (Counter[str], {"a": "2"}, "data.a: expected an integer, not a string"),
    (Box[int], {"value": "1"}, "data.value: expected an integer, not a string"),
    (int | list[int], ["a"], "data[0]: expected an integer, not a string"),
    (
        Tree,
        {"n": 1, "children": [{"n": 2, "children": [{"n": "3"}]}]},
        "data.children[0].children[0].n: expected an integer, not a string",
    ),
]


@pytest.mark.parametrize(("type_", "raw", "message"), PLACED)
def test_a_fault_has_its_place(type_: Any, raw: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        structure(raw, type_, "data")
    assert caught.value.message == message
    assert caught.value.path == message.partition(":")[0]


def test_every_fault_is_told_up_to_five() -> None:
    with pytest.raises(Invalid) as caught:
        structure({"a": {"n": "1", "tags": 5}, "b": {}}, dict[str, Item], "data")
    assert caught.value.message == (
        "data.a.n: expected an integer, not a string; "
        "data.a.tags: expected an array, not an integer; data.b.n: is missing"
    )
    with pytest.raises(Invalid) as caught:
        structure([{}] * 9, list[Item])
    assert caught.value.message == "; ".join(f"[{i}].n: is missing" for i in range(5))
    assert caught.value.path == "[0].n"


def _wrong_tree(depth: int) -> dict[str, Any]:
    return {"n": "x", "children": [_wrong_tree(depth - 1) for _ in range(3)] if depth else []}


@pytest.mark.parametrize(
    ("type_", "raw"),
    [(list[Item], [{}] * 100_000), (Tree, _wrong_tree(9))],
    ids=["wide", "bushy"],
)
def test_the_search_for_faults_ends_after_five(type_: Any, raw: Any) -> None:
    """One message full of faults must not hold the loop: calls are counted, not time."""
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        with pytest.raises(Invalid):
            structure(raw, type_)
    finally:
        sys.setprofile(None)
    assert calls < 2_000


def test_the_sixth_fault_is_not_looked_for() -> None:
    class Never:
        """What no data becomes."""

    looked: list[Any] = []

    def hook(value: Any, _: Any) -> Never:
        looked.append(value)
        raise ValueError

    converter.register_structure_hook(Never, hook)
    with pytest.raises(Invalid):
        structure([*range(9)], list[Never])
    assert looked == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        (Colour, "x" * 1_000_000),
        (Small, {"n": 10**18}),
        (dict[str, int], {"k" * 1_000_000: "x"}),
        (Cat | Dog, {"kind": "x" * 1_000_000}),
        (Literal["a"], "x" * 1_000_000),
        (tuple[int, str], ["x"] * 1_000_000),
        (set[Colour], ["x" * 1_000_000] * 10),
    ],
)
def test_a_message_does_not_grow_with_what_the_client_sent(type_: Any, raw: Any) -> None:
    with pytest.raises(Invalid) as caught:
        structure(raw, type_)
    assert len(caught.value.message) < 1_500
    assert len(caught.value.path) < 100


class Money:
    def __init__(self, pence: int) -> None:
        self.pence = pence


def test_an_app_teaches_its_own_types() -> None:
    converter.register_structure_hook(Money, lambda value, _: Money(int(value)))
    converter.register_unstructure_hook(Money, lambda money: str(money.pence))
    assert structure({"value": "250"}, Box[Money]).value.pence == 250
    assert encode({"price": Money(250)}) == b'{"price":"250"}'
    with pytest.raises(Invalid, match=r"^data\.value: invalid literal"):
        structure({"value": "a lot"}, Box[Money], "data")


class Many(NamedTuple):
    numbers: list[int]


def test_a_placeholder_stands_in_any_field_of_a_named_tuple() -> None:
    results: list[Effect] = []
    assert encode(Many(Increment("n").result), results) == b"[\xff0\xff]"


class Chain(NamedTuple):
    links: list["Chain"]


def test_a_named_tuple_that_holds_itself_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def factory(type_: Any, converter: Any) -> Any:
        compiled.append(type_)
        return namedtuple_structure_factory(type_, converter)

    monkeypatch.setattr("trio_wss.data.converter.namedtuple_structure_factory", factory)
    assert structure([[[[]]]], Chain) == Chain([Chain([])])
    assert compiled == [Chain]


def test_what_is_nothing() -> None:
    assert nothing_of(dict[str, int]) == nothing_of(Counter[str]) == {}
    assert nothing_of(list[int]) == nothing_of(frozenset[int]) == nothing_of(tuple[int, ...]) == []
    for type_ in (int, str, Item, tuple[int, str], list[int] | None, Any):
        assert nothing_of(type_) is None
