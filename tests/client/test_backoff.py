"""trio_wss/client/backoff.py: who may come back, and when."""

import random

import pytest

from trio_wss.client import ConnectError, ConnectionLost, TooLong
from trio_wss.client.backoff import (
    COME_BACK,
    MAX_HINT,
    BackOff,
    comes_back,
    is_final,
    read_reason,
    retry_delay,
)


@pytest.mark.parametrize(
    ("text", "words", "wait"),
    [
        ("", "", None),
        ("restart", "restart", None),
        ('{"retry": 1.7, "why": "the node is stopping"}', "the node is stopping", 1.7),
        ('{"retry": 0}', '{"retry": 0}', 0.0),
        ('{"retry": 1e300}', '{"retry": 1e300}', MAX_HINT),
        ('{"retry": -1, "why": "x"}', "x", None),
        ('{"retry": true, "why": 5}', '{"retry": true, "why": 5}', None),
        ('{"retry": "1"}', '{"retry": "1"}', None),
        ('{"retry": 1e999}', '{"retry": 1e999}', None),
        ('{"retry": NaN}', '{"retry": NaN}', None),
        ("[1, 2]", "[1, 2]", None),
        ("5", "5", None),
        ('{"retry": 1.7, "why": "cut of', '{"retry": 1.7, "why": "cut of', None),
    ],
)
def test_a_reason_is_words_or_says_how_long_to_wait(
    text: str, words: str, wait: float | None
) -> None:
    assert read_reason(text) == (words, wait)


@pytest.mark.parametrize("code", [1001, 1006, 1012, 1013])
def test_codes_of_the_server_that_mean_come_back(code: int) -> None:
    assert code in COME_BACK


@pytest.mark.parametrize("code", [1000, 1002, 1007, 1008, 1009, 4000, 4403, 4409, 4999])
def test_codes_that_mean_stay_away(code: int) -> None:
    assert code not in COME_BACK


@pytest.mark.parametrize(
    ("loss", "comes"),
    [
        (ConnectionLost(1006), True),
        (ConnectionLost(1009), True),  # it blames one event, which goes out no more
        (TooLong(1009), False),  # what was too long for us would be sent again
        (ConnectionLost(4000), False),
    ],
    ids=repr,
)
def test_which_connections_are_followed_by_another(loss: ConnectionLost, comes: bool) -> None:
    assert comes_back(loss) is comes


def test_an_event_that_is_unavailable_rests_longer_and_longer() -> None:
    for tries, bound in enumerate((0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0), 1):
        for _ in range(50):
            assert bound / 2 <= retry_delay(tries) <= bound


@pytest.mark.parametrize(
    ("status", "code", "final"),
    [
        (None, None, False),  # nobody there
        (503, None, False),
        (404, None, False),  # a proxy in the middle of a deployment says such things
        (401, None, True),
        (403, None, True),
        (None, 1013, False),
        (None, 4403, True),
        (None, 1009, True),  # our first word was too big, and would be again
    ],
)
def test_which_failures_are_final(status: int | None, code: int | None, final: bool) -> None:
    assert is_final(ConnectError("no", status, code)) is final


def test_the_back_off_doubles_up_to_its_most_and_is_random_below() -> None:
    random.seed(1)
    runs = []
    for _ in range(500):
        back_off = BackOff(0.5, 15.0)
        runs.append([back_off.next() for _ in range(8)])
    for waits, bound in zip(zip(*runs, strict=True), [0.5, 1, 2, 4, 8, 15, 15, 15], strict=True):
        assert 0 <= min(waits) < bound * 0.05
        assert bound * 0.95 < max(waits) <= bound


def test_no_wait_ever_overflows() -> None:
    assert retry_delay(5000) <= 5.0
    back_off = BackOff(0.5, 15.0)
    for _ in range(2000):
        assert back_off.next() <= 15.0


def test_a_connection_that_lasted_begins_the_back_off_anew() -> None:
    back_off = BackOff(0.5, 15.0)
    for _ in range(3):
        back_off.next()
    assert back_off.bound == 4.0
    back_off.connection_lasted(3.9)  # it ended sooner than we would have waited
    assert back_off.bound == 4.0
    back_off.connection_lasted(4.0)
    assert back_off.bound == 0.5
