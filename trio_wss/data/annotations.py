"""Annotations that are strings, or hold some, such as `list["Node"]`: the fields of a class get the
types that these name, looked up where the class stands. Raises NameError for an unknown name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    NotRequired,
    Required,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs

AT_RUN_TIME: Final = (
    "Its names must be there at run time: import them outside `if TYPE_CHECKING`, and define "
    "classes before the handler, in its module or the same function"
)
"""The cure for a name that is not found."""


def resolve(cls: Any, localns: Mapping[str, Any] | None = None) -> None:
    """Resolve the fields of an attrs class, a dataclass, a TypedDict or a NamedTuple, and of no
    other type. `localns` has the names of the function in which the class was written.
    """
    if not any(map(_is_open, fields_of(cls).values())):
        return
    names = {**(localns or {}), **_names_around(cls)}
    try:
        hints = get_type_hints(cls, localns=names, include_extras=True)
    except NameError as error:
        raise NameError(f"{error}, for {cls.__qualname__}", name=error.name) from None
    if attrs.has(cls):
        attrs.resolve_types(cls, localns=names)
        return
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            field.type = hints[field.name]
        return
    cls.__annotations__ = hints
    if is_typeddict(cls):
        optional = {name for name in hints if _is_optional(cls, name, hints[name])}
        cls.__required_keys__ = frozenset(hints.keys() - optional)
        cls.__optional_keys__ = frozenset(optional)


def resolve_local(type_: Any, localns: Mapping[str, Any] | None) -> None:
    """Resolve every class in a type that was written inside a function, and those in its fields."""
    seen: set[int] = set()
    left = [type_]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        left += get_args(found)
        if isinstance(found, type) and "<locals>" in found.__qualname__:
            resolve(found, localns)
            left += fields_of(found).values()


def fields_of(cls: Any) -> dict[str, Any]:
    """The fields of such a class with their types as they are known now. Another type has none."""
    if not isinstance(cls, type):
        return {}
    if attrs.has(cls):
        return {field.name: field.type for field in attrs.fields(cls)}
    if dataclasses.is_dataclass(cls):
        return {field.name: field.type for field in dataclasses.fields(cls)}
    if is_typeddict(cls) or hasattr(cls, "_fields"):
        return dict(cls.__annotations__)
    return {}


def _is_optional(cls: Any, name: str, hint: Any) -> bool:
    """Whether a key of a TypedDict may be missing, which Python does not see in a string."""
    if get_origin(hint) in (Required, NotRequired):
        return get_origin(hint) is NotRequired
    return name in cls.__optional_keys__


def _is_open(type_: Any) -> bool:
    """Whether an annotation holds a string that stands for a type."""
    if isinstance(type_, str | ForwardRef):
        return True
    origin, inner = get_origin(type_), get_args(type_)
    if origin is Literal:
        return False
    return any(map(_is_open, inner[:1] if origin is Annotated else inner))


def _names_around(cls: type) -> dict[str, Any]:
    """The classes that annotations of this class can name, beside those of its module: the classes
    inside it, and itself if it was written in a function.
    """
    found = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    return found | {cls.__name__: cls} if "<locals>" in cls.__qualname__ else found
