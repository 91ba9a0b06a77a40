"""trio_wss/commit/ops.py: each operation is laid out as the commit script takes it apart."""

import re
from pathlib import Path

import pytest

import trio_wss
from trio_wss.commit import ops
from trio_wss.commit.ops import LAYOUTS, Layout, Op

LUA = (Path(trio_wss.__file__).parent / "store/commit.lua").read_text()
TOLD = re.compile(r"if op == '(?P<op>\w)' then +-- (?P<keys>[^:;\n]*)(?:: (?P<rest>[^;\n]*))?")
STEP = re.compile(r"at, k = at \+ (\d), k \+ (\d)|at, k = at \+ (\d), k|at = at \+ (\d)")

MADE: dict[str, Op] = {
    ops.INCREMENT: ops.increment("a", 2, "1000"),
    ops.STORE: ops.store("a", b"1", ""),
    ops.PUT: ops.put("a", "m", "f", b"1", ""),
    ops.APPEND: ops.append("a", b"1", 10, ""),
    ops.DELETE: ops.delete("a"),
    ops.REMOVE: ops.remove("a", "s", b"1"),
    ops.JOIN_TOPIC: ops.join_topic("a", "s1", b"{}", b'"a"'),
    ops.LEAVE_TOPIC: ops.leave_topic("a", "s1", b'"a"'),
    ops.KEEP_BROADCAST: ops.keep_broadcast("a", b"{", b"1", 10, "1000"),
    ops.VOLATILE_BROADCAST: ops.volatile_broadcast("a", b"{", b"1"),
    ops.TELL_CURSOR: ops.tell_cursor("a", b'"a"'),
    ops.BEGIN_SESSION: ops.begin_session("n1", "s1", b"{}", "token"),
    ops.END_SESSION: ops.end_session("s1", "m:", "o:"),
    ops.TELL_CLOSE: ops.tell_close(b"[1000]"),
}
"""One of each."""


WHOLE: dict[str, Op] = {
    ops.INCREMENT: ("I", (("k", "a"),), ["2", "1000", ""]),
    ops.STORE: ("S", (("k", "a"),), [b"1", ""]),
    ops.PUT: ("P", (("k", "a"),), ["m", "f", b"1", "", ""]),
    ops.APPEND: ("A", (("k", "a"),), [b"1", "10", "", ""]),
    ops.DELETE: ("D", (("k", "a"),), []),
    ops.REMOVE: ("R", (("k", "a"),), ["s", b"1", ""]),
    ops.JOIN_TOPIC: ("J", (("m", "a"), ("t", "a")), ["a", "s1", b"{}", b'"a"']),
    ops.LEAVE_TOPIC: ("L", (("m", "a"),), ["a", "s1", b'"a"']),
    ops.KEEP_BROADCAST: ("B", (("t", "a"), ("h", "a")), ["a", b"{", b"1", "10", "1000"]),
    ops.VOLATILE_BROADCAST: ("V", (), ["a", b"{", b"1"]),
    ops.TELL_CURSOR: ("C", (("t", "a"),), [b'"a"']),
    ops.BEGIN_SESSION: ("N", (("o", "n1"), ("sessions", "")), ["s1", "n1", b"{}", "token"]),
    ops.END_SESSION: ("E", (("due", ""), ("sessions", ""), ("r", "s1")), ["s1", "m:", "o:"]),
    ops.TELL_CLOSE: ("K", (), [b"[1000]"]),
}
"""The same, as the script gets them."""


def test_each_is_made_as_the_script_gets_it() -> None:
    assert MADE == WHOLE


def told(found: re.Match[str]) -> Layout:
    """What the script's comment says beside an operation."""
    keys = tuple(filter(None, found["keys"].strip().split(", ")))
    return Layout(keys, tuple((found["rest"] or "").split()))


def test_the_script_says_the_same_beside_each_operation() -> None:
    assert {found["op"]: told(found) for found in TOLD.finditer(LUA)} == dict(LAYOUTS)


@pytest.mark.parametrize("letter", LAYOUTS)
def test_an_operation_has_the_keys_and_arguments_of_its_layout(letter: str) -> None:
    made, keys, arguments = MADE[letter]
    layout = LAYOUTS[letter]
    assert made == letter
    assert (len(keys), len(arguments)) == (len(layout.keys), len(layout.arguments))
    if "result" in layout.arguments:
        assert layout.arguments[-1] == "result"
        assert arguments[-1] == ""


@pytest.mark.parametrize("letter", LAYOUTS)
def test_the_script_goes_on_behind_all_of_an_operation(letter: str) -> None:
    layout = LAYOUTS[letter]
    step = STEP.search(LUA, LUA.index(f"if op == '{letter}' then"))
    assert step is not None
    arguments, keys, alone, only = step.groups()
    assert int(arguments or alone or only) == len(layout.arguments) + 1
    assert int(keys or 0) == len(layout.keys)


def test_there_is_one_of_each() -> None:
    letters = [value for name, value in vars(ops).items() if name.isupper() and len(name) > 2]
    assert sorted(one for one in letters if isinstance(one, str)) == sorted(LAYOUTS) == sorted(MADE)
