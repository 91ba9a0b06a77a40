"""JSON's scalars, taken strictly: an int is an int, never "5", true or 5.0. Each hook takes a value
and the type that it should have, and raises a Mismatch, whose text is made of types alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from types import NoneType
from typing import Any, Final, get_args

Hook = Callable[[Any, Any], Any]

KINDS: Final = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    NoneType: "null",
}
PRIMITIVES: Final = (str, bool, int, float, NoneType)


class Mismatch(ValueError):
    """A value of another type. Its text is made of types alone."""

    def __init__(self, expected: str, value: Any, but: str = "") -> None:
        kind = but or KINDS.get(type(value)) or type(value).__name__
        super().__init__(f"expected {expected}, not {kind}")


def string_hook(value: Any, type_: Any) -> Any:
    if type(value) is not str:
        raise Mismatch("a string", value)
    return value if type_ is str else type_(value)  # a subclass, such as a StrEnum


def integer_hook(value: Any, type_: Any) -> Any:
    if type(value) is not int:
        raise Mismatch("an integer", value)
    return value if type_ is int else type_(value)  # a subclass, such as an IntEnum


def number_hook(value: Any, type_: Any) -> Any:
    if type(value) is not float and type(value) is not int:
        raise Mismatch("a number", value)
    return type_(value)


def boolean_hook(value: Any, _: Any) -> bool:
    if type(value) is not bool:
        raise Mismatch("a boolean", value)
    return value


def null_hook(value: Any, _: Any) -> None:
    if value is not None:
        raise Mismatch("null", value)


def text_hook(expected: str, parse: Callable[[str], Any]) -> Hook:
    """The hook of a type that travels as a string in a format of its own."""

    def hook(value: Any, _: Any) -> Any:
        if type(value) is str:
            with suppress(ValueError):
                return parse(value)
        raise Mismatch(expected, value)

    return hook


def literals_by_value(literals: Iterable[Any]) -> dict[tuple[type, Any], Any]:
    """Literals by type and value, since True == 1."""
    known = {}
    for literal in literals:
        plain = literal.value if isinstance(literal, Enum) else literal
        known[type(plain), plain] = literal
    return known


def one_of(known: dict[tuple[type, Any], Any]) -> str:
    """A table of literals, in the words of a fault."""
    return "one of " + ", ".join(repr(plain) for _, plain in known)


def literal_hook(type_: Any) -> Hook:
    """The hook of a Literal, which may hold enum members."""
    known = literals_by_value(get_args(type_))
    expected = one_of(known)

    def literal(value: Any, _: Any) -> Any:
        if type(value) in PRIMITIVES and (type(value), value) in known:
            return known[type(value), value]
        raise Mismatch(expected, value, "another")

    return literal
