"""Data becomes bytes and comes back as itself, or is refused in words."""

import dataclasses
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
import orjson
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from trio_wss.data.converter import converter
from trio_wss.data.json import (
    canonical,
    decode,
    encode,
    explained,
    is_deeper,
    path_to,
    structure,
    structurer,
)
from trio_wss.effects import Add, Append, Effect, Increment
from trio_wss.errors import Invalid, PlanError, RegistrationError

N = Increment("n")


@frozen
class Said:
    n: int
    text: str = "hi"
    extra: Any = None


@frozen
class Talk:
    first: Said
    rest: list[Said]
    by_name: dict[str, int]
    when: datetime | None = None


@dataclasses.dataclass
class Point:
    x: int


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ({"n": 1, "by": "ann"}, b'{"n":1,"by":"ann"}'),
        (None, b"null"),
        ({"text": "null"}, b'{"text":"null"}'),
        ([1, None, 2.5], b"[1,null,2.5]"),
        ((1, 2), b"[1,2]"),
        ({1}, b"[1]"),
        (frozenset({"a"}), b'["a"]'),
        (Said(1), b'{"n":1,"text":"hi","extra":null}'),
        ([Said(1, extra=Said(2, extra={3}))], None),
        (Point(1), b'{"x":1}'),
        (Colour.RED, b'"red"'),
        (datetime(2024, 1, 2, tzinfo=UTC), b'"2024-01-02T00:00:00+00:00"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (b"\0\xff", b'"AP8="'),
        ({1: "a", Colour.RED: None, 2.5: "b"}, b'{"1":"a","red":null,"2.5":"b"}'),
        (2**64 - 1, b"18446744073709551615"),
        (-(2**63), b"-9223372036854775808"),
        (orjson.Fragment(b'{"n":null}'), b'{"n":null}'),
    ],
)
def test_encode(value: Any, raw: bytes | None) -> None:
    expected = raw or b'[{"n":1,"text":"hi","extra":{"n":2,"text":"hi","extra":[3]}}]'
    assert encode(value) == expected


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "nan is no JSON number"),
        ({"a": [1, {"b": math.inf}]}, "inf is no JSON number"),
        (Said(1, extra=-math.inf), "-inf is no JSON number"),
        ({math.nan: 1}, "nan is no JSON number"),
        ((None, {math.nan}), "nan is no JSON number"),
        (Point(math.nan), "nan is no JSON number"),  # type: ignore[arg-type]  # what orjson hides
        (2**64, "beyond 64 bits"),
        (-(2**63) - 1, "beyond 64 bits"),
        ("\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        (object(), "no hook in trio_wss.converter for a object"),
        ({"a": lambda: 1}, "no hook in trio_wss.converter for a function"),
        ({(1, 2): 1}, "a key is no string or number"),
        ({N: 1}, "a key is no string or number"),
        (CYCLE, "nested too deep"),
        (2j, "no hook in trio_wss.converter for a complex"),
    ],
)
def test_what_json_cannot_hold_is_refused(value: Any, why: str) -> None:
    with pytest.raises(PlanError, match=f"{why}$"):
        encode(value)


def test_a_placeholder_becomes_its_number() -> None:
    results: list[Effect] = []
    other = Append("log", 1)
    raw = encode({"n": N.result, "deep": [{"m": other.result}, N.result]}, results)
    assert raw == b'{"n":\xff0\xff,"deep":[{"m":\xff1\xff},\xff0\xff]}'
    assert results == [N, other]
    assert encode([Increment("n").result, Add("s", 1).result], results) == b"[\xff0\xff,\xff2\xff]"
    assert results == [N, other, Add("s", 1)]


def test_a_placeholder_stands_in_any_field_of_a_class() -> None:
    talk = Talk(Said(N.result), [Said(1, extra=[N.result])], {"a": N.result}, N.result)
    results: list[Effect] = []
    raw = encode({"talk": talk, "point": Point(N.result)}, results)
    assert raw.count(b"\xff0\xff") == 5
    assert results == [N]


def test_a_placeholder_stands_beside_keys_that_are_no_strings() -> None:
    results: list[Effect] = []
    assert encode({1: N.result}, results) == b'{"1":\xff0\xff}'
    assert results == [N]


def test_a_placeholder_does_not_stand_in_state() -> None:
    with pytest.raises(PlanError, match=r"^Increment\(key='n'.* only in the data of a Reply"):
        encode({"n": N.result})


def test_a_placeholder_in_a_placeholder_is_found_again() -> None:
    """Comparing the effects must not stumble over the placeholder in one of them."""
    results: list[Effect] = [Append("log", 1)]
    assert encode(Append("log", N.result).result, results) == b"\xff1\xff"


def test_a_placeholder_cannot_be_taken_apart() -> None:
    with pytest.raises(PlanError, match="known only after the commit"):
        encode(Talk(Said(1), N.result, {}), [])


def called(function: Callable[[Any], Any], argument: Any) -> list[str]:
    """The Python functions that run."""
    names = []

    def note(frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)

    sys.setprofile(note)
    function(argument)
    sys.setprofile(None)
    return names


def test_the_usual_case_is_not_walked_in_python() -> None:
    value = [{"n": n, "text": "hi"} for n in range(1_000)]
    assert called(encode, value) == ["encode", "is_deeper"]


def test_what_is_too_short_to_be_deep_is_not_looked_through() -> None:
    assert called(encode, "x" * 124) == ["encode"]
    assert called(encode, "x" * 125) == ["encode", "is_deeper"]
    assert called(decode, '"%s"' % ("x" * 126)) == ["decode"]
    assert called(decode, '"%s"' % ("x" * 127)) == ["decode", "is_deeper"]


def test_nothing_but_arrays_is_deep_in_the_fewest_bytes() -> None:
    arrays: list[Any] = []
    for _ in range(62):
        arrays = [arrays]
    assert encode(arrays) == b"[" * 63 + b"]" * 63
    with pytest.raises(PlanError, match="nested deeper than 63"):
        encode([arrays])
    assert decode(b"[" * 64 + b"]" * 64)
    with pytest.raises(Invalid, match="nested deeper than 64"):
        decode(b"[" * 65 + b"]" * 65)


@pytest.mark.parametrize("raw", [b'{"a":[1,2.5,null,true]}', '{"a":[1,2.5,null,true]}'])
def test_decode(raw: bytes | str) -> None:
    assert decode(raw) == {"a": [1, 2.5, None, True]}


def test_decode_does_as_orjson_does() -> None:
    assert decode('{"a":1,"a":2}') == {"a": 2}
    assert decode(str(2**64 - 1)) == 2**64 - 1
    assert decode(str(2**70)) == float(2**70)


@pytest.mark.parametrize(
    "raw",
    ["", "{", "[1,]", "NaN", "1 2", '"\ud800"', '"\\ud800"', b"\xff", b'"\xff"', b"\xef\xbb\xbf1"],
)
def test_what_is_no_json_is_invalid(raw: bytes | str) -> None:
    with pytest.raises(Invalid, match=r"^not JSON: "):
        decode(raw)


@pytest.mark.parametrize(("open_", "close"), ["[]", ('{"a":', "}")])
@pytest.mark.parametrize("as_text", [True, False])
def test_depth(open_: str, close: str, as_text: bool) -> None:
    def nested(depth: int) -> bytes | str:
        raw = open_ * depth + "1" + close * depth
        return raw if as_text else raw.encode()

    assert decode(nested(64))
    for depth in (65, 500, 100_000):
        with pytest.raises(Invalid, match=r"^(nested deeper than 64|not JSON: )"):
            decode(nested(depth))


def test_brackets_alone_are_not_depth() -> None:
    assert decode(b"[%s1]" % (b"[],{}," * 100)) == [[], {}] * 100 + [1]
    assert decode('"' + "[" * 1000 + '"') == "[" * 1000


def deep(depth: int, inner: Any = 1) -> Any:
    for level in range(depth):
        inner = [inner] if level % 2 else {"[{": inner}
    return inner


@frozen
class Box:
    inside: Any


@pytest.mark.parametrize("inner", [1, 'a \\" [[ "', "\\", "[" * 200, {}, [[], {}] * 100, Box({})])
def test_what_is_written_can_be_read_again_even_as_part_of_a_list(inner: Any) -> None:
    more = 0 if isinstance(inner, int | str) else 1 if inner == {} else 2
    raw = encode(deep(63 - more, inner))
    assert len(decode(b"[%b,%b]" % (raw, raw))) == 2
    with pytest.raises(PlanError, match="nested deeper than 63"):
        encode(deep(64 - more, inner))


def test_depth_is_a_yes_or_no() -> None:
    assert is_deeper("[" * 65 + "]" * 65, 64) is True
    assert is_deeper("[" * 64 + "]" * 64, 64) is False
    assert is_deeper("[]," * 65, 64) is False


def test_depth_counts_with_placeholders_too() -> None:
    assert encode(deep(63, N.result), [])
    with pytest.raises(PlanError, match="nested deeper than 63"):
        encode(deep(64, N.result), [])


def test_equal_data_has_equal_bytes() -> None:
    assert canonical(b'[{"b":1,"a":{"d":2,"c":3}}]') == b'[{"a":{"c":3,"d":2},"b":1}]'
    assert canonical(b"[2,1]") == b"[2,1]"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_comes_back_as_itself(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.recursive(st.floats() | st.none(), lambda inner: st.lists(inner) | st.tuples(inner)))
def test_no_float_ever_becomes_null(value: Any) -> None:
    text = repr(value)
    try:
        raw = encode(value)
    except PlanError:
        assert "nan" in text or "inf" in text
    else:
        assert raw.count(b"null") == text.count("None")


class Unknown:
    pass


def test_structure_and_structurer() -> None:
    hook = structurer(Said)
    assert hook({"n": 1}, Said) == structure({"n": 1}, Said) == Said(1)
    with pytest.raises(RegistrationError, match=r"Unknown.*register_structure_hook"):
        structurer(Unknown)


def test_a_fault_of_a_hook_without_words_has_its_name() -> None:
    assert str(explained(ValueError(), "data")) == "data: ValueError"
    assert str(explained(TypeError(5), "")) == "TypeError"
    assert str(explained(KeyError("x" * 500), "")) == "x" * 80 + " is not known here"


def test_the_first_five_faults_are_told_and_where_they_are() -> None:
    with pytest.raises(Invalid) as caught:
        structure([{"n": "1"}, {"n": 1}, *[{}] * 9], list[Said])
    assert str(caught.value) == (
        "[0].n: expected an integer, not a string; [2].n: is missing; [3].n: is missing; "
        "[4].n: is missing; [5].n: is missing"
    )
    assert caught.value.path == "[0].n"


def test_five_fields_at_most_are_said_to_be_missing() -> None:
    with pytest.raises(Invalid) as caught:
        structure({}, attrs.make_class("Six", list("abcdef")))
    assert str(caught.value) == "; ".join(f"{name}: is missing" for name in "abcde")


def test_a_name_that_is_nowhere_is_told() -> None:
    @frozen
    class Lost:
        nobody: "Nobody"  # type: ignore[name-defined]  # noqa: F821  # the point of the test

    with pytest.raises(RegistrationError, match=r"cannot be resolved .*'Nobody'"):
        structurer(Lost)


def test_the_words_of_a_hook_are_cut() -> None:
    assert str(explained(ValueError("x" * 201), "data")) == "data: " + "x" * 200
    assert str(explained(ValueError("words", 5), "data")) == "data: words"


def test_a_path_is_cut() -> None:
    assert path_to("", "x" * 65) == "x" * 64
    assert path_to("data", "x" * 65) == "data." + "x" * 64
    assert path_to("data", 0) == "data[0]"
    assert path_to("data", None) == "data"


class Kind:
    """A type of a user's, whose hook raises what the data says."""


@frozen
class Kinds:
    kind: Kind


@pytest.mark.parametrize(
    ("error", "fault"),
    [(ValueError("kind"), "kind: kind"), (KeyError("blue"), "kind: blue is not known here")],
)
def test_only_what_is_missing_is_called_missing(error: Exception, fault: str) -> None:
    def hook(value: Any, _: Any) -> Kind:
        raise error

    converter.register_structure_hook(Kind, hook)
    with pytest.raises(Invalid) as caught:
        structure({"kind": 1}, Kinds)
    assert str(caught.value) == fault


def test_a_bug_in_a_hook_is_not_the_clients_fault() -> None:
    class Buggy:
        pass

    def hook(value: Any, _: Any) -> Buggy:
        raise RuntimeError("a bug")

    converter.register_structure_hook(Buggy, hook)
    with pytest.raises(RuntimeError, match="a bug"):
        structure(1, Buggy)
