"""The cattrs converter, made strict for a wire: an int is an int, never "5", true or 5.0; unknown
keys are ignored. The type bounds the work that a fault makes, whatever a client sends: a collection
stops at its fifth fault, and no fault's text holds the client's data."""

from __future__ import annotations

import dataclasses
from base64 import b64decode, b64encode
from collections import Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from functools import partial
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, is_typeddict
from uuid import UUID

import attrs
from cattrs import BaseValidationError, IterableValidationError
from cattrs.cols import is_namedtuple, namedtuple_structure_factory
from cattrs.errors import CattrsError, IterableValidationNote
from cattrs.preconf.orjson import make_converter

from trio_wss.data.annotations import resolve
from trio_wss.data.scalars import (
    KINDS,
    PRIMITIVES,
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

FAULTS_TOLD: Final = 5
"""The most faults of one value that an error names; a client could make a search for more long."""

WRONG_DATA: Final = (
    CattrsError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
)
"""The exceptions of hooks, validators and classes for wrong data. Any other is a bug."""

converter: Final = make_converter(detailed_validation=True)
"""The cattrs converter of every app. Register hooks for your own types here, before the handlers
that use them are registered."""


def _object(compiled: Hook, cls: Any) -> Hook:
    """A check before cattrs' hook of a class, which takes a list as an object without keys."""

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise Mismatch("an object", value)
        return compiled(value, cls)

    return hook


def _late(type_: Any) -> Hook:
    """The hook of an element's type. That of a class that holds itself is looked up when called."""
    try:
        return converter.get_structure_hook(type_)
    except RecursionError:  # cattrs' sign that this class's hook is being made
        return converter.structure


def _leaves(error: BaseException) -> int:
    if isinstance(error, BaseValidationError):
        return sum(map(_leaves, error.exceptions))
    return 1


def _collect(items: Iterable[tuple[int | str, Any]], hook: Hook, type_: Any) -> list[Any]:
    """Put every item through its hook, and gather faults with their places until there are
    enough."""
    done: list[Any] = []
    errors: list[Exception] = []
    found = 0
    for place, item in items:
        try:
            done.append(hook(item, type_))
        except WRONG_DATA as error:
            error.add_note(IterableValidationNote("", place, type_))
            errors.append(error)
            found += _leaves(error)
            if found >= FAULTS_TOLD:
                break
    if errors:
        raise IterableValidationError("wrong elements", errors, type_)
    return done


_ARRAYS: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list,
    abc.MutableSequence: list,
    tuple: tuple,
    abc.Sequence: tuple,
    set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
    abc.Set: frozenset,
    deque: deque,
}
_OBJECTS: Final[dict[Any, Callable[..., Any]]] = {
    dict: dict,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
    OrderedDict: OrderedDict,
    defaultdict: defaultdict,
    Counter: Counter,
}


def _origin(type_: Any) -> Any:
    return get_origin(type_) or type_


def nothing_of(type_: Any) -> list[Any] | dict[str, Any] | None:
    """The JSON of an empty collection of this type; None for a type that is no collection."""
    if _origin(type_) in _OBJECTS:
        return {}
    return [] if _origin(type_) in _ARRAYS and not _is_fixed_tuple(type_) else None


def _is_fixed_tuple(type_: Any) -> bool:
    return get_origin(type_) is tuple and type_ is not tuple and get_args(type_)[1:] != (...,)


def _array_hook(type_: Any) -> Hook:
    make = _ARRAYS[_origin(type_)]
    element = (get_args(type_) or (Any,))[0]
    hook = None if element is Any else _late(element)

    def array(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise Mismatch("an array", value)
        return make(value if hook is None else _collect(enumerate(value), hook, element))

    return array


def _fixed_tuple_hook(type_: Any) -> Hook:
    size = len(get_args(type_))
    compiled = converter.gen_structure_hetero_tuple(type_)

    def fixed_tuple(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise Mismatch(f"an array of {size}", value)
        if len(value) != size:
            raise Mismatch(f"an array of {size}", value, f"one of {len(value)}")
        return compiled(value, type_)

    return fixed_tuple


def _mapping_hook(type_: Any) -> Hook:
    origin, arguments = _origin(type_), get_args(type_) or (Any, Any)
    key, element = arguments[0], int if origin is Counter else arguments[-1]
    key_hook = None if key in (Any, str) else _key_hook(key)
    hook = None if element is Any else _late(element)
    make = _OBJECTS[origin]
    if origin is defaultdict:
        make = partial(defaultdict, _origin(element))

    def mapping(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise Mismatch("an object", value)
        keys = value if key_hook is None else _collect(((k, k) for k in value), key_hook, key)
        values = value.values() if hook is None else _collect(value.items(), hook, element)
        return make(dict(zip(keys, values, strict=True)))

    return mapping


def _key_hook(type_: Any) -> Hook:
    """The hook of a key's type. JSON has only strings for keys, so a number is read from one."""
    hook = _late(type_)
    for kind in (int, float):
        if isinstance(type_, type) and issubclass(type_, kind):
            parse = text_hook(f"{KINDS[kind]} as the key", kind)
            return lambda value, type_: hook(parse(value, kind), type_)
    return hook


def _has_primitives(type_: Any) -> bool:
    """Whether a type is a union with primitives in it, other than `T | None`."""
    if get_origin(type_) not in (Union, UnionType):
        return False
    return not _is_optional(type_) and any(
        member in PRIMITIVES or get_origin(member) is Literal for member in get_args(type_)
    )


def _union_hook(type_: Any) -> Hook:
    members = get_args(type_)
    literals = [member for member in members if get_origin(member) is Literal]
    known = literals_by_value(literal for member in literals for literal in get_args(member))
    kinds = [member for member in members if member in PRIMITIVES]
    taken = {*kinds, int} if float in kinds else set(kinds)
    expected = " or ".join([KINDS[kind] for kind in kinds] + [one_of(known)] * bool(known))
    others = tuple(member for member in members if member not in (*kinds, *literals))
    rest = Union[others] if others else None  # noqa: UP007  # made at run time
    hook = _late(rest) if others else None

    def union(value: Any, _: Any) -> Any:
        if type(value) in taken:
            return value
        if type(value) in PRIMITIVES and (type(value), value) in known:
            return known[type(value), value]
        if hook is None:
            raise Mismatch(expected, value)
        return hook(value, rest)

    return union


def _is_class(type_: Any) -> bool:
    return attrs.has(_origin(type_)) or dataclasses.is_dataclass(_origin(type_))


def _is_optional(type_: Any) -> bool:
    if get_origin(type_) not in (Union, UnionType):
        return False
    return len(get_args(type_)) == 2 and NoneType in get_args(type_)


def _optional_hook(type_: Any) -> Hook:
    """The hook of `T | None`. cattrs' own would look T up at each value, and fail only there."""
    inner = next(member for member in get_args(type_) if member is not NoneType)
    hook = _late(inner)
    return lambda value, _: None if value is None else hook(value, inner)


_making: Final[set[Any]] = set()  # the named tuples whose hooks are being made


def _namedtuple_hook(type_: Any) -> Hook:
    if type_ in _making:
        raise RecursionError  # as cattrs says it of classes, see _late
    resolve(type_)
    _making.add(type_)
    try:
        return namedtuple_structure_factory(type_, converter)
    finally:
        _making.discard(type_)


def _class_hook(compile_: Callable[[Any], Hook], type_: Any) -> Hook:
    resolve(_origin(type_))
    return _object(compile_(type_), type_)


def _register() -> None:
    kinds: list[tuple[Any, Hook]] = [
        (str, string_hook),
        (int, integer_hook),
        (float, number_hook),
        (bool, boolean_hook),
        (NoneType, null_hook),
        (bytes, text_hook("a string in base64", partial(b64decode, validate=True))),
        (datetime, text_hook("a time in ISO 8601", datetime.fromisoformat)),
        (date, text_hook("a date in ISO 8601", date.fromisoformat)),
        (time, text_hook("a time of day in ISO 8601", time.fromisoformat)),
        (UUID, text_hook("a UUID", UUID)),
    ]
    for kind, hook in kinds:
        converter.register_structure_hook(kind, hook)
    factories: list[tuple[Callable[[Any], bool], Callable[[Any], Hook]]] = [
        (_has_primitives, _union_hook),
        (_is_optional, _optional_hook),
        (is_namedtuple, _namedtuple_hook),
        (lambda type_: get_origin(type_) is Literal, literal_hook),
        (lambda type_: _origin(type_) in _ARRAYS, _array_hook),
        (lambda type_: _origin(type_) in _OBJECTS, _mapping_hook),
        (_is_fixed_tuple, _fixed_tuple_hook),
        (_is_class, partial(_class_hook, converter.gen_structure_attrs_fromdict)),
        (
            lambda type_: is_typeddict(_origin(type_)),
            partial(_class_hook, converter.gen_structure_typeddict),
        ),
    ]
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    converter.register_unstructure_hook_func(is_namedtuple, list)  # what is within is orjson's
    converter.register_unstructure_hook(bytes, lambda value: b64encode(value).decode())


_register()
