"""Effects are data; a placeholder stands for an outcome and for nothing else."""

import copy
import inspect
import operator
from collections.abc import Callable
from typing import Any, get_args

import attrs
import pytest

from trio_wss import effects
from trio_wss.effects import (
    EFFECTS,
    Add,
    Append,
    Broadcast,
    Close,
    Drop,
    Effect,
    Increment,
    Put,
    Remove,
    Reply,
    Result,
    Store,
    position,
    same,
)

WITH_RESULT: list[Any] = [
    Increment("k"),
    Append("k", 1),
    Put("k", "f", 1),
    Drop("k", "f"),
    Add("k", 1),
    Remove("k", 1),
]
PLACEHOLDER: Any = Increment("k").result


def test_the_set_of_effects_is_closed() -> None:
    defined = {kind for kind in vars(effects).values() if attrs.has(kind)}
    assert set(EFFECTS) == set(get_args(Effect)) == defined
    assert len(EFFECTS) == 13


@pytest.mark.parametrize("kind", EFFECTS)
def test_an_effect_is_frozen_and_has_slots(kind: type) -> None:
    required = [field for field in attrs.fields(kind) if field.default is attrs.NOTHING]
    effect = kind(*["a"] * len(required))
    assert effect == kind(*["a"] * len(required))
    assert not hasattr(effect, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(effect, attrs.fields(kind)[0].name, "b")


def test_options_are_given_by_name() -> None:
    assert Store("k", 1, ttl=5).ttl == 5
    assert Broadcast("t", "e", volatile=True).volatile
    with pytest.raises(TypeError):
        Store("k", 1, 5)  # type: ignore[call-arg]  # the point of the test


def test_defaults() -> None:
    assert Increment("k") == Increment("k", 1, ttl=None)
    assert Append("k", 1).limit == 1000
    assert Close() == Close(1000, "")
    assert Reply("ok").data is None
    assert Broadcast("t", "e") == Broadcast("t", "e", None, volatile=False)


@pytest.mark.parametrize("effect", WITH_RESULT, ids=repr)
def test_a_result_names_its_effect_by_equality(effect: Any) -> None:
    assert isinstance(effect.result, Result)
    assert effect.result == copy.copy(effect).result
    assert effect.result != Increment("another").result
    assert repr(effect.result) == f"{effect!r}.result"


def test_effects_that_carry_equal_results_are_equal() -> None:
    assert Reply("ok", {"n": Increment("k").result}) == Reply("ok", {"n": Increment("k").result})
    assert Reply("ok", {"n": Increment("k").result}) != Reply("ok", {"n": Increment("j").result})


UNARY: list[Callable[[Any], Any]] = [
    str,
    format,
    bool,
    len,
    iter,
    next,
    reversed,
    int,
    float,
    complex,
    bytes,
    round,
    hash,
    abs,
    list,
    operator.index,
    operator.neg,
    operator.pos,
    operator.invert,
    lambda it: f"{it}",
    lambda it: f"{it:>5}",
    lambda it: "%s" % it,  # noqa: UP031  # the operator itself is what is tried
    lambda it: it[0],
    lambda it: it(),
    lambda it: 1 in it,
    lambda it: {it: 1},
    lambda it: {it},
    lambda it: not it,
    lambda it: __import__("math").floor(it),
    lambda it: __import__("math").ceil(it),
    lambda it: __import__("math").trunc(it),
    lambda it: operator.setitem(it, 0, 1),
    lambda it: operator.delitem(it, 0),
]


@pytest.mark.parametrize("use", UNARY)
def test_a_result_has_no_value_yet(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="known only after the commit"):
        use(PLACEHOLDER)


BINARY = [
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.matmul,
    operator.and_,
    operator.or_,
    operator.xor,
    operator.lshift,
    operator.rshift,
    operator.iadd,
    divmod,
]


@pytest.mark.parametrize("use", BINARY)
def test_no_operator_takes_a_result(use: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(TypeError, match="known only after the commit"):
        use(PLACEHOLDER, 1)
    with pytest.raises(TypeError, match="known only after the commit"):
        use(1, PLACEHOLDER)


def test_no_special_method_of_int_works_on_a_result() -> None:
    """Whatever Python adds to int has to be refused here too."""
    harmless = {*dir(object), "__getnewargs__"} - {"__str__", "__format__", "__hash__", "__eq__"}
    special = {name for name in dir(int) if name.startswith("__")} - harmless
    assert special - set(vars(Result)) == set()
    assert inspect.isfunction(Result.__str__)


def test_same_is_equality_that_does_not_stumble_over_a_result() -> None:
    plain, used = Append("log", {"n": 1}), Append("log", {"n": PLACEHOLDER})
    assert same(plain, Append("log", {"n": 1}))
    assert same(used, used)
    assert not same(plain, used)
    assert not same(plain, Add("log", {"n": 1}))


def test_position() -> None:
    found: list[Effect] = [Append("log", PLACEHOLDER), Increment("k"), Increment("k")]
    assert position(Increment("k"), found) == 1
    assert position(Append("log", 1), found) == -1


def test_what_can_be_left_out_is_named() -> None:
    """A number that stands alone tells a reader nothing: volatile and ttl are written out."""
    named = {
        kind.__name__: [
            name
            for name, parameter in inspect.signature(kind).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        ]
        for kind in effects.EFFECTS
    }
    assert {name for name, fields in named.items() if fields == ["ttl"]} == {
        "Store", "Increment", "Append", "Put", "Add",
    }  # fmt: skip
    assert named["Broadcast"] == ["volatile"]
    assert sum(map(len, named.values())) == 6


def test_same_says_yes_or_no() -> None:
    assert same(Increment("k"), Increment("k")) is True
    assert same(Append("log", PLACEHOLDER), Append("log", 1)) is False
