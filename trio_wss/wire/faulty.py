"""Read a refused frame again, less strictly, to find its id and its fault. The id is found in
whatever `JSON.stringify` or `json.dumps` can write, so that a sender that waits for an answer gets
one. This is slow, and only for refusals.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from attrs import frozen

from trio_wss.data.json import MAX_DEPTH, TOO_DEEP, path_to

LARGEST_ID: Final = 2**53  # exact in every client

BEYOND: Final = "an integer is beyond 64 bits: send it as text, or as a float (1e20)"
HALF: Final = "a text holds a lone surrogate: half of a character, such as an emoji cut in two"
NOT_FINITE: Final = "NaN and Infinity are no JSON"

_TOKENS: Final = 100_000
"""The most brackets and texts to look at in a frame that is too deep for a parser."""

_VALUES: Final = 50_000
"""The most values to look at for a fault: it only serves the text of the answer."""


@frozen
class Refusal:
    """A refused frame's id, if it has a good one, and its fault, if one was found."""

    number: int | None = None
    message: str = ""
    path: str = ""


def look_again(frame: str | bytes) -> Refusal:
    """Return the id and the fault of a refused frame; neither if it is not even lenient JSON."""
    with suppress(ValueError, MemoryError):
        text = frame.decode() if isinstance(frame, bytes) else frame
        try:
            found = _loads(text)
        except RecursionError:
            number = _id_of_deep(text)
            return Refusal(number, "" if number is None else TOO_DEEP)
        if type(found) is dict:
            path, message = _fault(found) or ("", "")
            return Refusal(good_id(found.get("id")), message, path)
    return Refusal()


def good_id(number: object) -> int | None:
    """Return the number if it may be an id: an integer from 1 to 2^53 - 1."""
    return number if type(number) is int and 0 < number < LARGEST_ID else None


# orjson silently turns an integer beyond 64 bits into a float. Such an integer has 19 digits or
# more in a row, so every sixth character of the text shows three of them in a row: a look at a
# sixth of the text clears nearly all messages.
_THREE: Final = re.compile("[0-9]{3}").search
_LONG: Final = b"0" * 19
_AS_ZERO: Final = bytes.maketrans(b"123456789", b"0" * 9)
_TEXT: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_INTEGER: Final = re.compile(r"(?<![0-9.eE+-])-?[0-9]{19,}+(?![.eE])")


def find_beyond(text: str) -> str | None:
    """Return the path of an integer beyond 64 bits in the data of a good message, or None."""
    if _THREE(text[5::6]) is None or _LONG not in text.encode().translate(_AS_ZERO):
        return None
    if not any(map(_is_beyond, map(_integer, _INTEGER.findall(_TEXT.sub('""', text))))):
        return None
    found = _fault({"data": _loads(text).get("data")})
    return None if found is None else found[0] or "data"


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer too long for int()
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    """Return the integer; if it is so long that int() is slow, some other one beyond 64 bits."""
    return int(digits[:21])


def _is_beyond(number: int) -> bool:
    return not -(2**63) <= number < 2**64


def _fault(message: dict[str, Any]) -> tuple[str, str] | None:
    """Return path and text of a fault in a message; both empty if it has too many values to look
    at them all.
    """
    left: list[Any] = [(message, "", None, 1)]  # a value, its step, what holds it, and its depth
    values = _VALUES
    while left:
        entry = held, _, _, depth = left.pop()
        if depth > MAX_DEPTH:
            return "", TOO_DEEP
        values -= len(held)
        if values < 0:
            return "", ""
        items = held.items() if type(held) is dict else enumerate(held)
        if type(held) is dict and any(map(_is_torn, held)):
            return _path(entry), HALF
        nested = []
        for step, value in items:
            if isinstance(value, dict | list):
                nested.append((value, step, entry, depth + 1))
            elif reason := _reason(value):
                return _path((value, step, entry, depth + 1)), reason
        left += reversed(nested)
    return None


def _reason(value: object) -> str:
    """Return the reason to refuse a scalar; empty if there is none."""
    if type(value) is int and _is_beyond(value):
        return BEYOND
    if type(value) is float and not math.isfinite(value):
        return NOT_FINITE
    return HALF if type(value) is str and _is_torn(value) else ""


_SURROGATE: Final = re.compile("[\ud800-\udfff]").search


def _is_torn(text: str) -> bool:
    return not text.isascii() and _SURROGATE(text) is not None


def _path(entry: Any) -> str:
    steps = []
    while entry[2] is not None:
        _, step, entry, _ = entry
        steps.append(step)
    path = ""
    for step in islice(reversed(steps), 64):
        path = path_to(path, step)
    return path[:256]


_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[]["{}]', re.DOTALL)
_ID: Final = re.compile(r"[ \t\r\n]*:[ \t\r\n]*([0-9]{1,16})(?![0-9.eE])")


def _id_of_deep(text: str) -> int | None:
    """Return the id at the top of an object whose brackets, as far as they are looked at, are all
    closed. Nothing else is checked.
    """
    depth, number = 0, None
    tokens = _TOKEN.finditer(text)
    for token in islice(tokens, _TOKENS):
        match token[0]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
                if depth <= 0:
                    closed = token[0] == "}" and not text[token.end() :].strip()
                    return good_id(number) if closed else None
            case '"':  # a text without an end
                return None
            case '"id"' if depth == 1 and (found := _ID.match(text, token.end())):
                number = int(found[1])
    return good_id(number) if next(tokens, None) else None
