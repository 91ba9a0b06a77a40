"""The parts of the memory that random events do not show; the rest is in test_testing_parity."""

import pytest

from trio_wss.reads import ReadRequest
from trio_wss.testing.memory import DAY, Applied, Cell, Memory, ModelFault, Offset


def test_time_passes() -> None:
    memory = Memory(
        {"soon": Cell("value", b"1", 100), "later": Cell("value", b"1", 200), "k": Cell("map", {})},
        offsets={"t": Offset(7, 100 + DAY)},
    )
    memory.wait(99)
    assert set(memory.cells) == {"soon", "later", "k"}
    memory.wait(1)
    assert set(memory.cells) == {"later", "k"}
    assert memory.cells["later"].ttl == 100
    memory.wait(DAY - 1)
    assert set(memory.cells) == {"k"}
    assert memory.offsets["t"] == Offset(7, 1)
    memory.wait(1)
    assert memory.offsets == {}


def test_nothing_is_written_if_anything_is_refused() -> None:
    memory = Memory({"list": Cell("list", [b"1"])})
    ops = [
        ("S", (("k", "a"),), [b"1", ""]),
        ("I", (("k", "list"),), ["1", "", ""]),
    ]
    with pytest.raises(ModelFault, match=r"^wrong_type list$"):
        memory.commit("s1", ops, 100)  # type: ignore[arg-type]  # the operations are right
    assert memory == Memory({"list": Cell("list", [b"1"])})


def test_a_field_of_a_set_is_a_member() -> None:
    memory = Memory({"set": Cell("set", {b"1": b""})})
    assert memory.read(ReadRequest("field", "set", "1")) == b""
    assert memory.read(ReadRequest("field", "set", "2")) is None


def test_an_operation_that_is_new_to_it_is_not_passed_over() -> None:
    with pytest.raises(NotImplementedError, match="'Z'"):
        Memory().commit("s1", [("Z", (), [])], 100)


def test_splice() -> None:
    applied = Applied({b"0": b"5", b"11": b"-7"})
    assert applied.splice(b'{"a":\xff0\xff,"b":[\xff11\xff,\xff0\xff]}') == b'{"a":5,"b":[-7,5]}'
