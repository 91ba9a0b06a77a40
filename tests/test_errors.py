"""Errors say whose fault it was, and show it."""

import pickle

import pytest

from trio_wss import errors
from trio_wss.errors import Invalid, Refused, WrongSetting, WssError, shown


def test_every_error_is_a_wss_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) == 9
    assert all(issubclass(kind, WssError) for kind in kinds)


def test_refused_carries_code_and_message() -> None:
    refused = Refused("not_your_turn", "Wait for your turn.")
    assert (refused.code, refused.message) == ("not_your_turn", "Wait for your turn.")
    assert str(refused) == "not_your_turn: Wait for your turn."
    assert str(Refused("no")) == "no"


@pytest.mark.parametrize("code", ["", "Not", "not your turn", "a" * 65, "é", "a\n"])
def test_refused_takes_no_other_code(code: str) -> None:
    with pytest.raises(ValueError, match="a Refused code is"):
        Refused(code)


def test_refused_cannot_claim_that_the_outcome_is_unknown() -> None:
    with pytest.raises(ValueError, match="server's own"):
        Refused("unavailable")


def test_invalid_says_where() -> None:
    invalid = Invalid("data.n: is missing", "data.n")
    assert (str(invalid), invalid.path) == ("data.n: is missing", "data.n")
    assert Invalid("not JSON").path == ""


ERRORS = [
    Refused(code="no", message="really"),
    Invalid(message="wrong", path="data"),
    WrongSetting(setting="port", complaint="must be a number."),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_errors_survive_pickling(error: WssError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_errors_show_all_that_they_know() -> None:
    assert repr(ERRORS[0]) == "Refused('no', 'really')"
    assert repr(ERRORS[1]) == "Invalid('wrong', 'data')"
    assert repr(ERRORS[2]) == "WrongSetting('port', 'must be a number.')"
    assert str(ERRORS[2]) == "port must be a number."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 76 + "..."),
    ],
)
def test_a_value_is_shown_in_at_most_80_characters(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_value_is_shown_even_if_python_does_not_write_it() -> None:
    assert shown(10**4299) == "1" + "0" * 76 + "..."
    assert shown(10**4300) == "a int of too many digits"
    assert shown([10**4300]) == "a list of too many digits"
