"""trio_wss/commit/plan.py: the table of refusals, which docs/api.md has too, and the operations
that effects become. Every refusal is taken out and every bound moved once: the table notices."""

import ast
import os
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.refusals import TABLE, N, Row
from trio_wss.commit import plan as plan_module
from trio_wss.commit.plan import EMPTY_PLAN, Phase, Plan, plan
from trio_wss.effects import (
    Add,
    Append,
    Broadcast,
    Close,
    Delete,
    Drop,
    Increment,
    Join,
    Leave,
    Put,
    Remove,
    Reply,
    Store,
)
from trio_wss.errors import PlanError
from trio_wss.handling.handler import Handler
from trio_wss.reads import Client

API = Path(__file__).parents[2] / "docs/api.md"
ANN = Client("s1", "ann")

Make = Callable[..., Plan]


def history(topic: str) -> tuple[int, float]:
    return (0, 1.0) if topic.startswith("live:") else (128, 300.0)


def made(effects: Any, phase: Phase = "event", make: Make = plan) -> Plan:
    """What comes of a handler that returns this."""
    return make(HANDLER.run(effects, ANN, (), 0.0, 0), ANN, history, phase)


def handler(effects: Any) -> Any:
    return effects


HANDLER = Handler(handler, "test")


def refusals(row: Row, make: Make = plan) -> Iterator[str]:
    """Where a plan does not keep to a row, in words."""
    for effects, words in row.refused:
        try:
            made(effects, row.phase, make)
        except PlanError as error:
            if str(error) != words:
                yield f"refused with {str(error)!r}, not {words!r}"
        else:
            yield f"allowed, not refused with {words!r}"
    for effects in row.allowed:
        try:
            made(effects, row.phase, make)
        except PlanError as error:
            yield f"refused with {str(error)!r}, not allowed"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_is_refused_and_what_is_just_allowed(row: Row) -> None:
    assert list(refusals(row)) == []


# --- and nothing in the plan is there for nothing

TEXT = Path(plan_module.__file__).read_text()


class Without(ast.NodeTransformer):
    """The plan without the refusal that begins in this line."""

    def __init__(self, line: int) -> None:
        self.line = line

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.copy_location(ast.Pass(), node) if node.lineno == self.line else node


class Moved(ast.NodeTransformer):
    """The plan with the number at this place moved."""

    def __init__(self, line: int, column: int, by: int) -> None:
        self.place = (line, column)
        self.by = by

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if (node.lineno, node.col_offset) != self.place:
            return node
        assert isinstance(node.value, int | float)
        value = node.value * (1 + self.by / 2) if node.value == 0.001 else node.value + self.by
        return ast.copy_location(ast.Constant(value), node)


def bounds() -> Iterator[ast.Constant]:
    """Numbers that are compared, or that have a name."""
    for node in ast.walk(ast.parse(TEXT)):
        match node:
            case ast.AnnAssign(annotation=ast.Name("Final")):
                pass
            case ast.Compare(ops=ops) if not any(isinstance(op, ast.Eq) for op in ops):
                pass
            case _:
                continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and type(inner.value) in (int, float):
                yield inner


REFUSALS = [node.lineno for node in ast.walk(ast.parse(TEXT)) if isinstance(node, ast.Raise)]
PLACES = sorted({(node.lineno, node.col_offset) for node in bounds()})


def notices(change: ast.NodeTransformer) -> bool:
    """Whether the table goes red on a plan that was changed so."""
    tree = ast.fix_missing_locations(change.visit(ast.parse(TEXT)))
    module = ModuleType(plan_module.__name__)
    exec(compile(tree, plan_module.__file__, "exec"), module.__dict__)
    try:
        return any(any(refusals(row, module.plan)) for row in TABLE)
    except (
        TypeError,
        IndexError,
        ValueError,
        AttributeError,
    ):  # what a wrong effect does further on
        return True


unmutated = pytest.mark.skipif("MUTANT" in os.environ, reason="it plants bugs of its own")


@unmutated
@pytest.mark.parametrize("line", REFUSALS, ids=lambda line: TEXT.splitlines()[line - 1].strip())
def test_no_refusal_is_without_a_test(line: int) -> None:
    assert notices(Without(line))


@unmutated
@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: TEXT.splitlines()[place[0] - 1].strip())
def test_no_bound_can_be_moved(place: tuple[int, int], by: int) -> None:
    assert notices(Moved(*place, by))


def test_a_plan_that_was_not_changed_is_not_noticed() -> None:
    assert not notices(Without(0))
    assert len(REFUSALS) > 15
    assert len(PLACES) > 15


# --- the page


def test_the_page_has_the_same_table() -> None:
    section = API.read_text().partition("**Refused before Redis is asked**")[2]
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", section, re.MULTILINE)
    assert [name for name, _ in rows] == [row.name for row in TABLE if row.refused]
    told = " ".join(text for _, text in rows)
    for name, value in vars(plan_module).items():
        if name.startswith("MOST_"):
            assert f"{value:,.0f}" in told, name


# --- what effects become

K = (("k", "k"),)
OPS: list[tuple[Any, tuple[Any, ...]]] = [
    (Store("k", {"a": 1}), ("S", K, [b'{"a":1}', ""])),
    (Store("k", None, ttl=1.5), ("S", K, [b"null", "1500"])),
    (Delete("k"), ("D", K, [])),
    (Increment("k", -2), ("I", K, ["-2", "", ""])),
    (Increment("k", ttl=0.001), ("I", K, ["1", "1", ""])),
    (Append("k", 1), ("A", K, [b"1", "1000", "", ""])),
    (Append("k", 1, 5, ttl=2), ("A", K, [b"1", "5", "2000", ""])),
    (Put("k", "f", 1, ttl=2), ("P", K, ["m", "f", b"1", "2000", ""])),
    (Drop("k", "f"), ("R", K, ["m", "f", ""])),
    (Add("k", {"b": 1, "a": 2}), ("P", K, ["s", b'{"a":2,"b":1}', "", "", ""])),
    (Add("k", [1], ttl=2), ("P", K, ["s", b"[1]", "", "2000", ""])),
    (Remove("k", {"b": 1, "a": 2}), ("R", K, ["s", b'{"a":2,"b":1}', ""])),
    (Leave("t"), ("L", (("m", "t"),), ["t", "s1", b'"t"'])),
    (
        Join("t", [1]),
        ("J", (("m", "t"), ("t", "t")),
         ["t", "s1", b'{"session":"s1","user":"ann","info":[1]}', b'"t"']),
    ),
    (
        Broadcast("t", "said", {"n": 1}),
        ("B", (("t", "t"), ("h", "t")),
         ["t", b'{"event":"said","topic":"t"', b'{"n":1}', "128", "300000"]),
    ),
    (
        Broadcast("t", "said", volatile=True),
        ("V", (), ["t", b'{"event":"said","topic":"t"', b"null"]),
    ),
    (
        Broadcast("live:t", "e"),
        ("V", (), ["live:t", b'{"event":"e","topic":"live:t"', b"null"]),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("effect", "op"), OPS)
def test_each_effect_is_one_operation(effect: Any, op: tuple[Any, ...]) -> None:
    assert made(effect).ops == [op]


def test_state_comes_before_membership_and_that_before_broadcasts() -> None:
    effects = [
        Broadcast("t", "e"), Leave("b"), Increment("k1"), Broadcast("t", "e", volatile=True),
        Join("a"), Store("k2", 1), Join("c"),
    ]  # fmt: skip
    found = made(effects)
    assert [op[0] for op in found.ops] == ["I", "S", "L", "J", "J", "B", "V"]
    assert found.joins == ("a", "c")


def test_what_is_said_to_the_sender_is_no_operation() -> None:
    found = made([Reply("ok", [N.result, 1]), Close(4000, "bye"), N])
    assert found.reply is not None
    assert (found.reply.event, found.reply.data) == ("ok", b"[\xff0\xff,1]")
    assert found.close == Close(4000, "bye")
    assert found.ops == [("I", (("k", "n"),), ["1", "", "0"])]


def test_nothing_is_a_plan_too() -> None:
    found = made(None)
    assert (found.ops, found.reply, found.close, found.joins, found.frees) == (
        [],
        None,
        None,
        (),
        True,
    )
    assert EMPTY_PLAN.frees


def test_a_result_is_numbered_at_the_effect_that_it_is_of() -> None:
    used, other = Put("m", "f", 1), Add("s", 2)
    said = Broadcast("t", "e", [other.result, used.result])
    found = made([Reply("ok", used.result), said, N, Increment("n", 2), used, other])
    assert [op[2][-1] for op in found.ops[:-1]] == ["", "", "0", "1"]
    assert found.ops[-1][2][2] == b"[\xff1\xff,\xff0\xff]"


FREES = [Delete("k"), Drop("k", "f"), Remove("k", 1), Leave("t"), None, Reply("r"), Close()]
SAYS = [Join("t"), Broadcast("t", "e"), Broadcast("t", "e", volatile=True)]
GROWS = [Store("k", 1), Increment("k"), Append("k", 1), Put("k", "f", 1), Add("k", 1), *SAYS]


@pytest.mark.parametrize("effect", FREES)
def test_a_full_redis_takes_what_frees(effect: Any) -> None:
    assert made(effect).frees


@pytest.mark.parametrize("effect", GROWS)
def test_a_full_redis_does_not_take_what_makes_it_larger(effect: Any) -> None:
    assert not made([Delete("other"), effect, Leave("left")]).frees


class Name(StrEnum):
    SAID = "said"


def test_the_name_of_an_event_is_text_whatever_was_sent_before() -> None:
    """A StrEnum is equal to its text, so a cache holds them for the same."""
    for _ in range(2):
        with pytest.raises(PlanError, match="the event must be text"):
            made(Broadcast("t", Name.SAID))
        made(Broadcast("t", "said"))
    with pytest.raises(PlanError, match="the event must be text"):
        made(Broadcast("t", ["said"]))  # type: ignore[arg-type]  # the point of the test
