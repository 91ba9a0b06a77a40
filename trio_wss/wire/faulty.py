"""A frame that is no event, read again and less strictly: whose it is and what is wrong with it.
Whatever `JSON.stringify` or `json.dumps` can write shows its id here, so that its sender, who waits
for an answer, gets one. This is slow, and for refusals alone.
"""

import json
import math
import re
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from attrs import frozen

from trio_wss.encoding import TOO_DEEP, joined

LARGEST_ID: Final = 2**53  # exact in every client

BEYOND: Final = "an integer is beyond 64 bits: send it as text, or as a float (1e20)"
HALF: Final = "a text holds a lone surrogate: half of a character, such as an emoji cut in two"
NOT_FINITE: Final = "NaN and Infinity are no JSON"

_TOKENS: Final = 100_000
"""So many brackets and texts of a frame are looked at where it is too deep for a parser."""


@frozen
class Fault:
    """What a frame shows: its id if it has a good one, and a fault if one is known here."""

    number: int | None = None
    message: str = ""
    path: str = ""


def look(frame: str | bytes) -> Fault:
    """What a frame that was refused shows: nothing, if it is no JSON even so."""
    with suppress(ValueError, MemoryError):
        text = frame.decode() if isinstance(frame, bytes) else frame
        try:
            found = json.loads(text, parse_int=_integer)
        except RecursionError:
            number = _id_of_deep(text)
            return Fault(number, "" if number is None else TOO_DEEP)
        if type(found) is dict:
            path, message = _fault(found) or ("", "")
            return Fault(good_id(found.get("id")), message, path)
    return Fault()


def good_id(number: object) -> int | None:
    """The number if it may be an id: a whole one from 1 to 2^53 - 1."""
    return number if type(number) is int and 0 < number < LARGEST_ID else None


# orjson takes an integer beyond 64 bits for a float, without a word. Its digits give it away: of 19
# or more in a row every sixth shows three, so a look at a sixth of the text clears nearly all.
_THREE: Final = re.compile("[0-9]{3}").search
_LONG: Final = b"0" * 19
_AS_ZERO: Final = bytes.maketrans(b"123456789", b"0" * 9)


def find_beyond(text: str) -> str | None:
    """Where in the data of a good message an integer beyond 64 bits is; None: nowhere."""
    if _THREE(text[5::6]) is None or _LONG not in text.encode().translate(_AS_ZERO):
        return None
    found = _fault({"data": json.loads(text, parse_int=_integer).get("data")})
    return None if found is None else found[0]


class _Beyond:
    """Stands for an integer beyond 64 bits."""


def _integer(digits: str) -> object:
    if len(digits) > 20:  # and int() may take very long for it
        return _Beyond
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else _Beyond


def _fault(message: dict[str, Any]) -> tuple[str, str] | None:
    """Path and text of the first thing in a message that cannot be taken."""
    left: list[Any] = [(message, "", None)]  # a value, its step, and the entry that holds it
    while left:
        entry = value, _, _ = left.pop()
        if isinstance(value, dict):
            if any(map(_is_torn, value)):
                return _path(entry), HALF
            left += [(inner, key, entry) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            left += [(inner, at, entry) for at, inner in reversed(list(enumerate(value)))]
        elif value is _Beyond:
            return _path(entry), BEYOND
        elif isinstance(value, float) and not math.isfinite(value):
            return _path(entry), NOT_FINITE
        elif isinstance(value, str) and _is_torn(value):
            return _path(entry), HALF
    return None


_SURROGATE: Final = re.compile("[\ud800-\udfff]").search


def _is_torn(text: str) -> bool:
    return not text.isascii() and _SURROGATE(text) is not None


def _path(entry: Any) -> str:
    steps = []
    while entry[2] is not None:
        _, step, entry = entry
        steps.append(step)
    path = ""
    for step in islice(reversed(steps), 64):
        path = joined(path, step)
    return path[:256]


_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[]["{}]', re.DOTALL)
_ID: Final = re.compile(r"[ \t\r\n]*:[ \t\r\n]*([0-9]{1,16})(?![0-9.eE])")


def _id_of_deep(text: str) -> int | None:
    """The id at the top of an object whose brackets are all closed: nothing else is checked."""
    depth, number = 0, None
    for token in islice(_TOKEN.finditer(text), _TOKENS):
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
    return None
