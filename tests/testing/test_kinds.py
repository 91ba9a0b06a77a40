"""A test writes state down as plain data, and gets it back as it was."""

from typing import Any

import pytest

from trio_wss import PlanError
from trio_wss.testing import List, Map, Set
from trio_wss.testing.kinds import cells_of, state_of
from trio_wss.testing.memory import Cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (5, Cell("value", b"5")),
        ([1, 2], Cell("value", b"[1,2]")),
        ({"a": 1}, Cell("value", b'{"a":1}')),
        (List([1, "a"]), Cell("list", [b"1", b'"a"'])),
        (Map(a=1), Cell("map", {b"a": b"1"})),
        (Map({"é": [1]}), Cell("map", {"é".encode(): b"[1]"})),
        (Set([1, {"a": 2}]), Cell("set", {b"1": b"", b'{"a":2}': b""})),
    ],
)
def test_there_and_back(value: Any, cell: Cell) -> None:
    assert cells_of({"k": value}) == {"k": cell}
    (again,) = state_of({"k": cell}).values()
    assert again == value
    assert type(again) is type(value)


def test_a_python_set_is_a_set() -> None:
    assert cells_of({"k": {1}}) == cells_of({"k": frozenset({1})}) == cells_of({"k": Set([1])})


def test_an_empty_collection_is_not_there() -> None:
    assert cells_of({"a": List(), "b": Map(), "c": Set(), "d": set(), "e": []}) == {
        "e": Cell("value", b"[]")
    }


@pytest.mark.parametrize("state", [{"": 1}, {"k" * 257: 1}, {"k": Map({"": 1})}, {5: 1}])
def test_names_are_checked(state: Any) -> None:
    with pytest.raises(PlanError, match="must be text of 1 to 256 bytes"):
        cells_of(state)


def test_a_set_is_equal_whatever_its_order() -> None:
    assert Set([1, {"a": 1}]) == Set([{"a": 1}, 1, 1])
    assert Set([1, 2]) == {2, 1}
    assert Set([1]) != Set([1.0])
    assert Set([1]) != [1]
    assert len(Set([1, 1])) == 1
    assert {"a": 1} in Set([{"a": 1}])
    assert 2 not in Set([1])
    assert list(Set([1, "a"])) == [1, "a"]
    assert repr(Set([1])) == "Set([1])"
    with pytest.raises(TypeError):
        hash(Set())
