"""A fault's text is made of types, so that nothing a client sent comes back in it."""

from datetime import date
from enum import IntEnum, StrEnum
from types import NoneType
from typing import Any, Literal

import pytest

from trio_wss.data.scalars import (
    Hook,
    Mismatch,
    boolean_hook,
    integer_hook,
    literal_hook,
    literals_by_value,
    null_hook,
    number_hook,
    one_of,
    string_hook,
    text_hook,
)


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


DATE = text_hook("a date", date.fromisoformat)
LITERAL = literal_hook(Literal[1, "a", Colour.RED])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, "an object"),
        ([], "an array"),
        ("secret", "a string"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a number"),
        (None, "null"),
        (b"", "bytes"),
    ],
)
def test_a_fault_names_kinds(value: object, kind: str) -> None:
    assert str(Mismatch("a hat", value)) == f"expected a hat, not {kind}"


def test_literals_are_told_apart_by_type() -> None:
    known = literals_by_value([1, True, "1"])
    assert [known[key] for key in ((int, 1), (bool, True), (str, "1"))] == [1, True, "1"]
    assert one_of(known) == "one of 1, True, '1'"


@pytest.mark.parametrize(
    ("hook", "type_", "value", "made"),
    [
        (string_hook, str, "red", "red"),
        (string_hook, Colour, "red", Colour.RED),
        (integer_hook, int, 1, 1),
        (integer_hook, Size, 1, Size.SMALL),
        (number_hook, float, 1, 1.0),
        (number_hook, float, 1.5, 1.5),
        (boolean_hook, bool, False, False),
        (null_hook, NoneType, None, None),
        (DATE, date, "2024-01-02", date(2024, 1, 2)),
        (LITERAL, None, 1, 1),
        (LITERAL, None, "a", "a"),
        (LITERAL, None, "red", Colour.RED),
    ],
)
def test_a_hook_takes_its_own_kind(hook: Hook, type_: Any, value: Any, made: Any) -> None:
    taken = hook(value, type_)
    assert (type(taken), taken) == (type(made), made)


@pytest.mark.parametrize(
    ("hook", "type_", "value", "fault"),
    [
        (string_hook, str, 1, "expected a string, not an integer"),
        (integer_hook, int, True, "expected an integer, not a boolean"),
        (integer_hook, int, 5.0, "expected an integer, not a number"),
        (number_hook, float, True, "expected a number, not a boolean"),
        (number_hook, float, "1", "expected a number, not a string"),
        (boolean_hook, bool, 1, "expected a boolean, not an integer"),
        (null_hook, NoneType, 0, "expected null, not an integer"),
        (DATE, date, "today", "expected a date, not a string"),
        (DATE, date, 5, "expected a date, not an integer"),
        (LITERAL, None, True, "expected one of 1, 'a', 'red', not another"),
        (LITERAL, None, "b", "expected one of 1, 'a', 'red', not another"),
        (LITERAL, None, [], "expected one of 1, 'a', 'red', not another"),
    ],
)
def test_a_hook_takes_no_other(hook: Hook, type_: Any, value: Any, fault: str) -> None:
    with pytest.raises(Mismatch) as caught:
        hook(value, type_)
    assert str(caught.value) == fault
