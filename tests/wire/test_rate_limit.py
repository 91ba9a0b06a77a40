"""trio_wss/wire/rate_limit.py: how many events a connection may send, by the clock it is given."""

from trio_wss.wire.rate_limit import RateLimit


def test_a_burst_at_once_and_then_the_rate() -> None:
    bucket = RateLimit(rate=2, burst=3)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(100.49)
    assert bucket.take(100.5)
    assert not bucket.take(100.5)


def test_who_is_silent_saves_no_more_than_a_burst() -> None:
    bucket = RateLimit(rate=2, burst=3)
    for _ in range(3):
        bucket.take(0.0)
    assert [bucket.take(1_000.0) for _ in range(4)] == [True, True, True, False]


def test_a_borrowed_token_has_to_be_waited_for() -> None:
    bucket = RateLimit(rate=2, burst=1)
    assert bucket.take(0.0)
    assert bucket.borrow() == 0.5
    assert bucket.borrow() == 1.0
    assert not bucket.take(1.25)
    assert bucket.take(1.5)


def test_a_rate_of_zero_sets_no_limit() -> None:
    bucket = RateLimit(rate=0, burst=1)
    assert all(bucket.take(0.0) for _ in range(1_000))
