"""The backlog against a plain model: exactly one answer each, one order, an honest size."""

from collections import Counter
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trio_wss.errors import Unavailable
from trio_wss.store.link.backlog import Backlog, Slot

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 9)),  # expires so many ticks from now
        st.tuples(st.just("put_ours"), st.just(0)),
        st.tuples(st.sampled_from(["write", "answer", "refuse", "tick", "disconnect"]), st.just(0)),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_every_command_is_answered_once_and_in_place(actions: list[tuple[str, int]]) -> None:
    backlog = Backlog(bound=5)
    answers: dict[int, list[Any]] = {}
    on_the_wire: list[int] = []  # what Redis has got and not answered on this connection
    expires: dict[int, int] = {}
    lost: Counter[int] = Counter()  # on how many connections
    refused: set[int] = set()
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
        elif action == "refuse" and on_the_wire:
            if backlog.sent[0].retried:
                backlog.answer_first(on_the_wire.pop(0), executed=False)
            else:
                refused.add(on_the_wire.pop(0))
                backlog.refuse_first()
        elif action == "tick":
            now += 1
            backlog.expire(now)
        elif action == "disconnect":
            lost.update(on_the_wire)
            backlog.disconnected()
            on_the_wire.clear()
        waiting = [*backlog.refused, *backlog.sent, *backlog.queued]
        assert backlog.due == sum(slot.weight for slot in backlog.sent)
        assert [int(slot.packed[:-1]) for slot in backlog.sent] == on_the_wire
        assert backlog.size == sum(len(slot.packed) for slot in waiting)
        assert backlog.full == (len(waiting) >= 5)
        numbers = [int(slot.packed[:-1]) for slot in waiting]
        assert numbers == sorted(numbers)
    for number, replies in answers.items():
        waiting = [*backlog.refused, *backlog.sent, *backlog.queued]
        still = any(slot.answered == replies.append for slot in waiting)
        assert len(replies) == (0 if still else 1)
        assert lost[number] <= 2
        if replies and isinstance(replies[0], Unavailable):
            assert expires[number] <= now or lost[number] == 2 or number in refused
        elif replies:
            assert replies == [number]


def test_one_write_stops_growing_at_a_mebibyte() -> None:
    backlog = Backlog(bound=100)
    for _ in range(10):
        backlog.put(Slot(bytes(300_000), None))
    assert len(backlog.next_write(1.0)) == 1_200_000
    assert [slot.sent for slot in backlog.sent] == [1.0] * 4
    assert len(backlog.queued) == 6


def sent(backlog: Backlog) -> bytes:
    """All that may be written now."""
    return b"".join(iter(lambda: backlog.next_write(0), b""))


def test_heavy_answers_are_waited_for() -> None:
    """They are on their way in one connection, which Redis cuts when they are too many."""
    mib = 1 << 20
    backlog = Backlog(bound=100)
    for text, weight in ((b"a", 9 * mib), (b"b", 7 * mib), (b"c", 1), (b"d", 64 * mib), (b"e", 1)):
        backlog.put(Slot(text, None, weight=weight))
    assert sent(backlog) == b"ab"
    backlog.put(Slot(b"U", None, urgent=True, weight=2 * mib))
    assert sent(backlog) == b"U"  # what is urgent is not held up
    backlog.answer_first(None)
    assert sent(backlog) == b"c"
    backlog.answer_first(None)
    backlog.answer_first(None)
    assert sent(backlog) == b""
    backlog.answer_first(None)
    assert sent(backlog) == b"d"  # alone: else it would never be sent
    assert backlog.due == 64 * mib
    backlog.disconnected()
    assert backlog.due == 0


def test_what_is_heaviest_does_not_wait_for_what_is_urgent() -> None:
    """There may be always some of that on its way, as where clients come and go all the time."""
    backlog = Backlog(bound=100)
    for text, weight in ((b"a", 1), (b"b", 16 << 20), (b"c", 1)):
        backlog.put(Slot(text, None, weight=weight))
        backlog.put(Slot(b"U", None, urgent=True))
    assert sent(backlog) == b"UUUa"
    for _ in range(3):
        backlog.answer_first(None)
    backlog.put(Slot(b"V", None, urgent=True))
    assert sent(backlog) == b"V"
    backlog.answer_first(None)
    assert sent(backlog) == b"b"
    assert sent(backlog) == b""
    backlog.answer_first(None)
    backlog.answer_first(None)
    assert sent(backlog) == b"c"


def refused(*texts: bytes) -> tuple[Backlog, list[Any]]:
    """A backlog of which all was sent, and the first had no script."""
    backlog = Backlog(bound=10)
    replies: list[Any] = []
    for text in texts:
        backlog.put(Slot(text, replies.append))
    backlog.next_write(0)
    backlog.refuse_first()
    return backlog, replies


def test_what_had_no_script_goes_out_again_in_order() -> None:
    backlog, replies = refused(b"a", b"b")
    backlog.put(Slot(b"c", replies.append))
    assert backlog.next_write(0) == b""  # not behind those that may have none either
    backlog.refuse_first()
    assert backlog.drained
    assert (backlog.unanswered, backlog.size) == (3, 3)
    backlog.disconnected()
    assert backlog.next_write(0) == b"abc"
    assert replies == []


def test_what_had_no_script_does_not_go_out_behind_a_later_one() -> None:
    backlog, replies = refused(b"a", b"b", b"c")
    backlog.answer_first("b")  # another node has loaded the scripts meanwhile
    assert [type(replies[0]), replies[1]] == [Unavailable, "b"]
    backlog.refuse_first()  # and they were lost again
    assert backlog.drained
    assert (backlog.unanswered, backlog.size) == (1, 1)
    backlog.disconnected()
    assert backlog.next_write(0) == b"c"


def test_what_had_no_script_is_given_up_when_nobody_knows_of_a_later_one() -> None:
    backlog, replies = refused(b"a", b"b")
    backlog.disconnected()
    assert [type(reply) for reply in replies] == [Unavailable]
    assert backlog.next_write(0) == b"b"


def test_the_links_own_commands_overtake_nothing() -> None:
    backlog, replies = refused(b"a")
    for _ in "12":
        backlog.put_sent(Slot(b"PING", None, ours=True), 0)
    backlog.answer_first("PONG")
    backlog.disconnected()
    assert backlog.next_write(0) == b"a"
    assert replies == []


def test_what_was_lost_twice_is_given_up() -> None:
    backlog = Backlog(bound=10)
    replies: list[Any] = []
    backlog.put(Slot(b"a", replies.append))
    for _ in "12":
        assert backlog.next_write(0) == b"a"
        assert replies == []
        backlog.disconnected()
        backlog.disconnected()  # it was not sent on this one
        backlog.put(Slot(b"b", replies.append, urgent=True))
        assert backlog.next_write(0, held=True) == b"b"
        backlog.answer_first("b")
        replies.remove("b")
    assert [type(reply) for reply in replies] == [Unavailable]
    assert backlog.unanswered == backlog.size == backlog.due == 0


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
