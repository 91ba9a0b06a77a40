"""A fault's text is made of types, so that nothing a client sent comes back in it."""

import pytest

from trio_wss.scalars import Fault, literals_by_value, one_of


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, "an object"),
        ([], "an array"),
        ("secret", "a string"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a number"),
        (None, "null"),
        (b"", "bytes"),
    ],
)
def test_a_fault_names_kinds(value: object, kind: str) -> None:
    assert str(Fault("a hat", value)) == f"expected a hat, not {kind}"


def test_literals_are_told_apart_by_type() -> None:
    known = literals_by_value([1, True, "1"])
    assert [known[key] for key in ((int, 1), (bool, True), (str, "1"))] == [1, True, "1"]
    assert one_of(known) == "one of 1, True, '1'"
