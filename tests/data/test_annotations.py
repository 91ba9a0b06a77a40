"""Classes that name themselves, or each other, by strings: they register, and hold their kind."""

# Not `from __future__ import annotations`: strings within real annotations are what is tried here.

import dataclasses
import typing
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
)

import pytest
from attrs import field, frozen

from trio_wss import App, Effects, Read
from trio_wss.data.annotations import fields_of, resolve
from trio_wss.data.json import decode, encode
from trio_wss.errors import Invalid, RegistrationError

T = TypeVar("T")


@frozen
class Node:
    kids: list["Node"] = field(factory=list)


@frozen
class Listed:
    kids: typing.List["Listed"] = field(factory=list)  # noqa: UP006  # as people write it


@frozen
class Chain:
    next: Optional["Chain"] = None


@frozen
class Named:
    by: dict[str, "Named"] = field(factory=dict)


@frozen
class Quoted:
    kids: "list[Quoted]" = field(factory=list)
    next: "Quoted | None" = None


@frozen
class Left:
    right: "Right | None" = None


@frozen
class Right:
    lefts: list["Left"] = field(factory=list)


@frozen
class Pair:
    both: tuple[int, Optional["Pair"]] = (1, None)


@frozen
class Box(Generic[T]):
    value: T
    kids: list["Box[T]"] = field(factory=list)


@frozen
class Noted:
    kids: Annotated[list["Noted"], "a note"] = field(factory=list)
    kind: Literal["Nobody"] = "Nobody"


@frozen
class Outer:
    @frozen
    class Inner:
        inners: list["Outer.Inner"] = field(factory=list)
        outer: Optional["Outer"] = None

    inners: list["Inner"] = field(factory=list)


@frozen
class Heir(Node):
    heirs: list["Heir"] = field(factory=list)


@dataclasses.dataclass
class Data:
    kids: list["Data"] = dataclasses.field(default_factory=list)
    next: "Data | None" = None


class Typed(TypedDict, total=False):
    kids: list["Typed"]
    must: Required[int]


class Quotes(TypedDict):
    must: "int"
    may: "NotRequired[Quotes]"


class Tuple(NamedTuple):
    n: "int"
    kids: list["Tuple"]


def bound(type_: Any, data: Any) -> Any:
    """An event of this type, as a handler that takes one gets it."""

    def handler(event: type_) -> Effects: ...

    app = App()
    app.on("x")(handler)
    return app.handlers["x"].bind(data)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (Node, {"kids": [{"kids": [{"kids": []}]}]}),
        (Listed, {"kids": [{"kids": []}]}),
        (Chain, {"next": {"next": {"next": None}}}),
        (Named, {"by": {"a": {"by": {"b": {"by": {}}}}}}),
        (Quoted, {"kids": [], "next": {"kids": [{"kids": [], "next": None}], "next": None}}),
        (Left, {"right": {"lefts": [{"right": None}]}}),
        (Right, {"lefts": [{"right": {"lefts": []}}]}),
        (Pair, {"both": [1, {"both": [2, None]}]}),
        (Box[int], {"value": 1, "kids": [{"value": 2, "kids": []}]}),
        (Noted, {"kids": [{"kids": [], "kind": "Nobody"}], "kind": "Nobody"}),
        (Outer, {"inners": [{"inners": [{"inners": [], "outer": {"inners": []}}], "outer": None}]}),
        (Heir, {"kids": [{"kids": []}], "heirs": [{"kids": [], "heirs": []}]}),
        (Data, {"kids": [{"kids": [], "next": None}], "next": {"kids": [], "next": None}}),
        (Typed, {"must": 1, "kids": [{"must": 2}]}),
        (Quotes, {"must": 1, "may": {"must": 2}}),
        (Tuple, [1, [[2, []], [3, []]]]),
        (list[Node], [{"kids": []}]),
    ],
)
def test_a_class_that_names_itself_is_the_type_of_an_event(type_: Any, data: Any) -> None:
    made = bound(type_, data)
    assert decode(encode(made)) == data
    assert bound(type_, data) == made  # from the hooks that are there now


@pytest.mark.parametrize(
    ("type_", "data", "path"),
    [
        (Node, {"kids": [{"kids": [5]}]}, "data.kids[0].kids[0]"),
        (Chain, {"next": {"next": 5}}, "data.next.next"),
        (Left, {"right": {"lefts": [{"right": 5}]}}, "data.right.lefts[0].right"),
        (Box[int], {"value": 1, "kids": [{"value": "2"}]}, "data.kids[0].value"),
        (Data, {"next": {"kids": [5]}}, "data.next.kids[0]"),
        (Typed, {"must": 1, "kids": [{}]}, "data.kids[0].must"),
        (Tuple, ["1"], "data"),
    ],
)
def test_what_is_within_is_checked(type_: Any, data: Any, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        bound(type_, data)
    assert caught.value.path == path


def test_classes_of_a_function_that_name_each_other() -> None:
    @frozen
    class First:
        firsts: list["First"] = field(factory=list)
        second: Optional["Second"] = None
        # The class has an attribute of that name, the function a type.
        date: "date | None" = None  # type: ignore[valid-type]  # mypy sees the attribute

    @dataclasses.dataclass
    class Second:
        first: Optional["First"] = None
        # mypy knows no recursive types within a function
        thirds: "list[Third]" = dataclasses.field(default_factory=list)  # type: ignore[misc]  # as said above
        kind: Literal["first"] = "first"

    class Third(TypedDict, total=False):
        third: "Third"  # type: ignore[misc]  # as said above
        fourth: "Fourth"  # type: ignore[misc]  # as said above

    class Fourth(NamedTuple):
        fourths: list["Fourth"]  # type: ignore[misc]  # as said above

    date = int
    app = App()

    @app.on("first")
    def first(event: "First") -> Effects: ...

    @app.on("third")
    def third(event: list[Third]) -> Effects: ...

    data = {"firsts": [{}], "second": {"first": {}, "thirds": [{"third": {"fourth": [[]]}}]}}
    made = app.handlers["first"].bind({**data, "date": 5})
    assert made == First([First()], Second(First(), [{"third": {"fourth": Fourth([])}}]), 5)
    [same] = app.handlers["third"].bind([{"fourth": [[[[]]]]}])
    assert same == {"fourth": Fourth([Fourth([])])}
    assert date is int


def test_a_class_of_a_function_that_has_returned() -> None:
    def make() -> Any:
        @frozen
        class Local:
            kids: list["Local"] = field(factory=list)
            other: "list[Node]" = field(factory=list)

        return Local

    made = bound(make(), {"kids": [{"kids": []}], "other": [{}]})
    assert made.kids[0].kids == []
    assert made.other == [Node()]


def test_a_field_that_is_called_as_its_type() -> None:
    made = bound(Dated, {"Node": {"kids": [{}]}})
    assert made.Node == Node([Node()])


@frozen
class Dated:
    Node: "Node" = field()


def test_a_template_goes_through_such_a_class() -> None:
    app = App()

    @app.on("x")
    def handler(event: Titled, there: Annotated[int | None, Read("a:{event.inner.title}")]) -> None:
        """Its read is what is tried."""

    made = app.handlers["x"].bind({"inner": {"title": "t"}})
    [request] = app.handlers["x"].requests(made, None)  # type: ignore[arg-type]  # none is needed
    assert request.key == "a:t"


@frozen
class Titled:
    inner: "Titled.Inner"

    @frozen
    class Inner:
        title: str


@frozen
class Lost:
    kids: list["Nobody"] = field(factory=list)  # type: ignore[name-defined]  # noqa: F821  # that is the point


@frozen
class LostLater:
    kids: Optional["Nobody"] = None  # type: ignore[name-defined]  # noqa: F821  # as above


class Plain:
    """Nothing that data could become."""


@frozen
class Unknown:
    plain: Plain | None = None


@pytest.mark.parametrize("type_", [Lost, LostLater])
def test_a_name_that_is_nowhere_stops_the_start_with_its_cure(type_: Any) -> None:
    why = rf"'Nobody' is not .* {type_.__name__}.*TYPE_CHECKING.* or the same function$"
    with pytest.raises(RegistrationError, match=why):
        bound(type_, {})


def test_a_type_that_nothing_can_become_stops_the_start_even_where_it_is_optional() -> None:
    with pytest.raises(RegistrationError, match=r"Plain.*register_structure_hook"):
        bound(Unknown, {})


def test_what_is_no_such_class_is_left_alone() -> None:
    resolve(Plain)
    resolve(int | None)
    assert fields_of(Plain) == fields_of("Node") == {}
    assert fields_of(Chain)["next"] == Optional[Chain]  # noqa: UP045  # `|` makes another type
