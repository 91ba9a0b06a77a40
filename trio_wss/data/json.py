"""Python values to JSON bytes and back: the one place where data becomes bytes. Data that JSON
cannot hold is an error here, never a silent null. A placeholder becomes 0xFF, a number, 0xFF, which
valid UTF-8 cannot contain."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import orjson
from cattrs import BaseValidationError, StructureHandlerNotFoundError
from cattrs.errors import AttributeValidationNote, IterableValidationNote

from trio_wss.data.annotations import AT_RUN_TIME
from trio_wss.data.converter import FAULTS_TOLD, WRONG_DATA, converter
from trio_wss.data.scalars import Hook, Mismatch
from trio_wss.effects import Effect, Result, position
from trio_wss.errors import Invalid, PlanError, RegistrationError

StructuredT = TypeVar("StructuredT")

MAX_DEPTH: Final = 64
"""How deep the arrays and objects of a message or of a stored value may be nested."""

TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH}"

_WRITTEN: Final = MAX_DEPTH - 1  # what is written may be read as part of a list or a map
_FLAT: Final = bytes.maketrans(b"{}", b"[]")
_PLAIN: Final = bytes(set(range(256)) - set(b'[]{}"'))
_TEXT: Final = re.compile(rb'"[^"]*"')

_REASONS: Final = {  # orjson's words and ours
    "Integer exceeds 64-bit range": "an integer is beyond 64 bits",
    "str is not valid UTF-8: surrogates not allowed": "a text holds a lone surrogate",
    "Dict key must a type serializable with OPT_NON_STR_KEYS": "a key is no string or number",
    "Recursion limit reached": "it is nested too deep",
}


def encode(value: Any, results: list[Effect] | None = None) -> bytes:
    """`value` as JSON. Beyond plain data it takes attrs classes, sets and every type for which
    `converter` has a hook; it writes dataclasses, enums, times and UUIDs as orjson does.

    A placeholder is written as its effect's index in `results`, which grows by each new one. It
    may not stand where `results` is None. Raises `PlanError` for data that JSON cannot hold (NaN,
    integers beyond 64 bits, lone surrogates, unknown types), and for data nested so deep that no
    handler could read it again.
    """
    try:
        raw = orjson.dumps(value, lambda other: _plain(other, results))
    except TypeError:
        raw = _encode_with_any_keys(value, results)
    if raw.find(b"null") >= 0:  # orjson writes NaN so; `in` would take twice as long
        _refuse_not_finite(value)
    if len(raw) > 2 * _WRITTEN and is_deeper(raw, _WRITTEN):
        raise PlanError(f"this data is nested deeper than {_WRITTEN}")
    return raw


def _encode_with_any_keys(value: Any, results: list[Effect] | None) -> bytes:
    """Encode again, with keys that are not strings: they would cost the usual case too much."""
    try:
        return orjson.dumps(value, lambda other: _plain(other, results), orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        cause = error.__cause__
        if isinstance(cause, PlanError):
            raise cause from None
        reason = str(cause or error)
        reason = _REASONS.get(reason, reason)
        raise PlanError(f"this data cannot be written as JSON: {reason}") from error


def _plain(value: Any, results: list[Effect] | None) -> Any:
    if type(value) is Result:
        if results is None:
            raise PlanError(f"{value!r} stands only in the data of a Reply or Broadcast")
        index = position(value.effect, results)
        if index < 0:
            index = len(results)
            results.append(value.effect)
        return orjson.Fragment(b"\xff%d\xff" % index)
    plain = converter.unstructure(value)
    if plain is value:
        raise TypeError(f"no hook in trio_wss.converter for a {type(value).__qualname__}")
    return plain


_NO_FLOATS: Final = frozenset((str, int, bool, type(None), Result))


def _refuse_not_finite(value: Any) -> None:
    rest = [value]
    while rest:
        item = rest.pop()
        if type(item) in _NO_FLOATS:  # nearly all of them
            continue
        if isinstance(item, float):
            if not math.isfinite(item):
                raise PlanError(f"{item} is no JSON number")
        elif isinstance(item, dict):
            rest.extend(item)
            rest.extend(item.values())
        elif isinstance(item, list | tuple):
            rest.extend(item)
        elif not isinstance(item, str | int):
            plain = converter.unstructure(item)
            if plain is not item:
                rest.append(plain)


def canonical(raw: bytes) -> bytes:
    """The same JSON with its objects' keys sorted, so that equal data has equal bytes."""
    if b"{" not in raw:
        return raw
    return orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)


def decode(raw: bytes | str) -> Any:
    """JSON as plain data. Raises `Invalid` for bytes that are no JSON, and for JSON nested deeper
    than 64."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"not JSON: {error}") from error
    if len(raw) > 2 * MAX_DEPTH and is_deeper(raw, MAX_DEPTH):
        raise Invalid(TOO_DEEP)
    return value


def is_deeper(text: bytes | str, depth: int) -> bool:
    """Whether JSON is nested deeper. It counts brackets, without those in texts: each pass takes
    the innermost ones away.
    """
    raw = text.encode() if isinstance(text, str) else text
    if raw.count(b"[") + raw.count(b"{") <= depth:
        return False
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in raw else raw
    brackets = unescaped.translate(_FLAT, _PLAIN).replace(b'""', b"")
    if b'"' in brackets:
        brackets = _TEXT.sub(b"", brackets)
    for _ in range(depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def structure(value: Any, type_: type[StructuredT], path: str = "") -> StructuredT:
    """`value`, as it came from JSON, as a `type_`. Raises `Invalid` with the path of the first
    fault, which begins with `path`, and a message of the first five faults."""
    hook = structurer(type_)
    try:
        return hook(value, type_)  # type: ignore[no-any-return]  # cattrs' hooks are untyped
    except WRONG_DATA as error:
        raise explained(error, path) from error


def structurer(type_: Any) -> Hook:
    """The compiled hook of `type_`, for callers that keep it. Call it with value and type, and give
    its exceptions of `WRONG_DATA` to `explained`. Raises `RegistrationError` if there is none."""
    try:
        return converter.get_structure_hook(type_)
    except NameError as error:  # of a string among the annotations of a class
        raise RegistrationError(
            f"an annotation cannot be resolved ({error}). {AT_RUN_TIME}"
        ) from error
    except (StructureHandlerNotFoundError, TypeError, ValueError) as error:
        raise RegistrationError(
            f"{error} (trio_wss.converter.register_structure_hook teaches it)"
        ) from error


def explained(error: Exception, path: str) -> Invalid:
    """The exception of a structuring hook as `Invalid`, with the path of every fault named."""
    faults: list[tuple[str, str]] = []
    for fault in _faults(error, path):
        faults.append(fault)
        if len(faults) == FAULTS_TOLD:
            break
    message = "; ".join(f"{where}: {what}" if where else what for where, what in faults)
    return Invalid(message, faults[0][0])


def _faults(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            step = _step(inner)
            where = path_to(path, step)
            if isinstance(inner, KeyError) and inner.args == (step,):
                yield where, "is missing"
            else:
                yield from _faults(inner, where)
    elif isinstance(error, Mismatch):
        yield path, str(error)
    else:  # of a validator or a user's hook; attrs' validators put the data among the args
        text = error.args[0] if error.args and isinstance(error.args[0], str) else ""
        if isinstance(error, LookupError):
            text = f"{text:.80} is not known here"
        yield path, text[:200] or type(error).__name__


def _step(error: BaseException) -> str | int | None:
    """The field or index that cattrs noted on a fault."""
    for note in reversed(getattr(error, "__notes__", ())):
        if isinstance(note, AttributeValidationNote):
            return note.name
        if isinstance(note, IterableValidationNote):
            return note.index
    return None


def path_to(path: str, step: str | int | None) -> str:
    """The path of the field or index `step` in the value at `path`."""
    if step is None:
        return path
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step:.64}" if path else step[:64]
