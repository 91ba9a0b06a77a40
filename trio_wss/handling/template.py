"""Key templates: `"game:{event.game}"` checked against the types when a handler is registered, and
compiled to a function. A template has names and dots only, no indices, conversions or formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import date
from enum import Enum
from functools import partial
from inspect import getattr_static
from operator import attrgetter
from string import Formatter
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)
from uuid import UUID

import attrs
from attrs import frozen

from trio_wss.data.annotations import fields_of, resolve
from trio_wss.errors import Invalid, RegistrationError

Roots = Mapping[str, Any]
"""The types of the names that a template may begin with: `event` and `client`."""
Getter = Callable[[Any, Any], Any]

MAX_FILLED: Final = 256
"""The most bytes of a key, a field or a topic."""


@frozen
class Template:
    """A compiled template. `prefix` is the fixed text at its beginning: all of it, if `fixed`."""

    text: str
    prefix: str
    fields: tuple[tuple[Getter, str], ...]
    pattern: str

    @property
    def fixed(self) -> bool:
        return not self.fields

    @property
    def path(self) -> str:
        """The path of the first of the client's data in it."""
        return self.fields[0][1] if self.fields else ""

    def fill(self, event: Any, client: Any) -> str:
        """The key for this event. Raises `Invalid` if a value is None or the key is too long."""
        texts = []
        for get, path in self.fields:
            value = get(event, client)
            texts.append(value if type(value) is str else _text(value, path))
        key = self.pattern % tuple(texts)
        if not 0 < len(key) <= MAX_FILLED or not (
            key.isascii() or len(key.encode(errors="replace")) <= MAX_FILLED
        ):
            at = self.path  # and not the template: how keys are made is no client's business
            raise Invalid(f"{at}: must make a name of 1 to {MAX_FILLED} bytes", at)
        return key


def compile_template(text: str, roots: Roots) -> Template:
    """Check `text` against the types and compile it. Raises `RegistrationError`, whose message
    names the template and the names that it may use."""
    if not text:
        raise RegistrationError("a template must not be empty")
    pattern, prefix = "", ""
    fields: list[tuple[Getter, str]] = []
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise RegistrationError(f"template {text!r}: {error}") from error
    for literal, name, spec, conversion in parsed:
        pattern += literal.replace("%", "%%")
        if not fields:
            prefix += literal
        if name is not None:
            if spec or conversion:
                raise RegistrationError(f"template {text!r}: {{{name}}} takes no format")
            fields.append(_field(name, roots, text))
            pattern += "%s"
    template = Template(text, prefix, tuple(fields), pattern)
    if template.fixed:
        try:
            template.fill(None, None)
        except Invalid as error:
            raise RegistrationError(
                f"template {text!r} must come to 1 to {MAX_FILLED} bytes"
            ) from error
    return template


def _field(dotted: str, roots: Roots, text: str) -> tuple[Getter, str]:
    """The getter of one `{…}`, and the path of its value in the client's data."""
    root, *names = dotted.split(".")
    where = f"template {text!r}: {{{dotted}}}"
    if root not in roots or (root == "client" and not names):
        known = " or ".join(f"{{{name}.…}}" for name in roots)
        raise RegistrationError(f"{where} should be {known}")
    type_, plain = roots[root], True
    for name in names:
        members = _members(type_)
        if members is None:  # known only when it is there: Any, or a mapping's keys
            type_, plain = Any, False
        elif name in members:
            plain = plain and not takes_none(type_)
            type_ = members[name]
        else:
            there = ", ".join(sorted(members)) or "no fields"
            raise RegistrationError(f"{where}: {name_of(type_)} has {there}; not {name!r}")
    if _is_compound(type_):
        raise RegistrationError(f"{where} is a {name_of(type_)}, which has no place in a key")
    path = ".".join(["data" if root == "event" else root, *names])
    return _getter(root == "client", names, plain), path


def _getter(of_client: bool, names: list[str], plain: bool) -> Getter:
    if not names:
        return lambda event, client: event
    follow = attrgetter(".".join(names)) if plain else partial(_follow, names)
    if of_client:
        return lambda event, client: follow(client)
    return lambda event, client: follow(event)


def _follow(names: list[str], value: Any) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def _text(value: Any, path: str) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise Invalid(f"{path}: is needed here", path)
    if isinstance(value, str | int | float | UUID | date):
        return str(value)
    raise Invalid(f"{path}: has no place in a key", path)


def _members(type_: Any) -> dict[str, Any] | None:
    """The names under a type with their types; None if any name may be there."""
    found = [_members_of(kind) for kind in kinds_of(type_) if kind is not NoneType]
    known = [members for members in found if members is not None]
    if len(known) < len(found):
        return None
    if len(known) == 1:
        return known[0]
    return dict.fromkeys(set(known[0]).intersection(*known), Any) if known else {}


def _members_of(kind: Any) -> dict[str, Any] | None:
    origin = get_origin(kind) or kind
    if origin is Any or origin is object or isinstance(origin, TypeVar):
        return None
    if not isinstance(origin, type) or is_typeddict(origin) or issubclass(origin, Mapping):
        return None
    if not (attrs.has(origin) or dataclasses.is_dataclass(origin) or hasattr(origin, "_fields")):
        return {}
    with suppress(NameError):  # a class local to a function: checked by name alone
        resolve(origin)
        return {**_properties(origin), **fields_of(origin)}
    return dict.fromkeys([*_properties(origin), *origin.__annotations__], Any)


def _properties(cls: type) -> dict[str, Any]:
    return {name: Any for name in dir(cls) if isinstance(getattr_static(cls, name), property)}


def kinds_of(type_: Any) -> list[Any]:
    """The types that a type stands for: a union's members, the type behind a name or an
    annotation."""
    while True:
        if get_origin(type_) is Annotated:
            type_ = get_args(type_)[0]
        elif hasattr(type_, "__supertype__"):  # NewType
            type_ = type_.__supertype__
        elif hasattr(type_, "__value__"):  # type X = …
            type_ = type_.__value__
        else:
            break
    if get_origin(type_) not in (Union, UnionType):
        return [type_]
    return [kind for member in get_args(type_) for kind in kinds_of(member)]


def takes_none(type_: Any) -> bool:
    """Whether None is a value of this type."""
    return any(kind in (None, NoneType, Any, object) for kind in kinds_of(type_))


def _is_compound(type_: Any) -> bool:
    for kind in kinds_of(type_):
        origin = get_origin(kind) or kind
        if attrs.has(origin) or dataclasses.is_dataclass(origin):
            return True
        if (
            isinstance(origin, type)
            and issubclass(origin, Collection)
            and not issubclass(origin, str)
        ):
            return True
    return False


def name_of(type_: Any) -> str:
    return getattr(type_, "__name__", None) or str(type_)
