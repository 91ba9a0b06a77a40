"""The backlog against a plain model: exactly one answer each, one order, an honest size."""

from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trio_wss.errors import Unavailable
from trio_wss.store.backlog import Backlog, Slot

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 9)),  # expires so many ticks from now
        st.tuples(st.just("put_ours"), st.just(0)),
        st.tuples(st.sampled_from(["write", "answer", "tick", "disconnect"]), st.just(0)),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_every_command_is_answered_once_and_in_place(actions: list[tuple[str, int]]) -> None:
    backlog = Backlog(bound=5)
    answers: dict[int, list[Any]] = {}
    on_the_wire: list[int] = []  # what Redis has got and not answered on this connection
    expires: dict[int, int] = {}
    now = 0
    for number, (action, ticks) in enumerate(actions):
        if action == "put":
            answers[number], expires[number] = [], now + ticks
            backlog.put(Slot(b"%d;" % number, answers[number].append, now + ticks))
        elif action == "put_ours":
            backlog.put(Slot(b"%d;" % number, None, ours=True))
        elif action == "write":
            raw = backlog.next_write(now)
            on_the_wire += [int(item) for item in raw.split(b";") if item]
        elif action == "answer" and on_the_wire:
            backlog.answer_first(on_the_wire.pop(0))
        elif action == "tick":
            now += 1
            backlog.expire(now)
        elif action == "disconnect":
            backlog.disconnected()
            on_the_wire.clear()
        waiting = [*backlog.sent, *backlog.queued]
        assert [int(slot.packed[:-1]) for slot in backlog.sent] == on_the_wire
        assert backlog.size == sum(len(slot.packed) for slot in waiting)
        assert backlog.full == (len(waiting) >= 5)
        numbers = [int(slot.packed[:-1]) for slot in waiting]
        assert numbers == sorted(numbers)
    for number, replies in answers.items():
        still = any(slot.answered == replies.append for slot in (*backlog.sent, *backlog.queued))
        assert len(replies) == (0 if still else 1)
        if replies and isinstance(replies[0], Unavailable):
            assert expires[number] <= now
        elif replies:
            assert replies == [number]


def test_one_write_stops_growing_at_a_mebibyte() -> None:
    backlog = Backlog(bound=100)
    for _ in range(10):
        backlog.put(Slot(bytes(300_000), None))
    assert len(backlog.next_write(1.0)) == 1_200_000
    assert [slot.sent for slot in backlog.sent] == [1.0] * 4
    assert len(backlog.queued) == 6


def test_a_backlog_is_full_by_bytes_too() -> None:
    backlog = Backlog(bound=100)
    backlog.put(Slot(bytes(64 << 20), None))
    assert backlog.full
    assert backlog.free == 99


def test_a_callback_may_put_the_next_command() -> None:
    backlog = Backlog(bound=10)
    replies: list[Any] = []

    def again(slot: Slot, reply: Any) -> None:
        replies.append(reply)
        backlog.put(slot)

    next_one = Slot(b"next", replies.append)
    backlog.put(Slot(b"first", partial(again, next_one), expires=1))
    backlog.expire(2)
    assert [type(reply) for reply in replies] == [Unavailable]
    assert list(backlog.queued) == [next_one]
    assert backlog.size == 4


def test_what_is_urgent_goes_first_and_stays_urgent() -> None:
    backlog = Backlog(bound=10)
    replies: list[Any] = []
    for text in (b"a", b"b"):
        backlog.put(Slot(text, replies.append))
    for text in (b"C", b"D"):
        backlog.put(Slot(text, replies.append, urgent=True))
    assert backlog.unanswered == 4
    assert backlog.next_write(0, held=True) == b"CD"
    assert backlog.next_write(0, held=True) == b""
    backlog.answer_first("c")
    backlog.disconnected()
    assert backlog.next_write(0) == b"Dab"
    assert (replies, backlog.unanswered, backlog.size) == (["c"], 3, 3)


def test_what_is_urgent_expires_as_well() -> None:
    backlog = Backlog(bound=10)
    replies: list[Any] = []
    backlog.put(Slot(b"A", replies.append, expires=1, urgent=True))
    backlog.expire(1)
    assert isinstance(replies[0], Unavailable)
    assert (backlog.next_write(1), backlog.size) == (b"", 0)
