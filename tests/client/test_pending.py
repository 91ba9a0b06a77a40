"""trio_wss/client/pending.py: ids, order, bounds, and what becomes of what has no answer."""

import json
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_wss.client import Answer, ConnectionLost, EventError, OutcomeUnknown, Pending
from trio_wss.client.frames import BadFrame
from trio_wss.client.pending import MAX_QUEUED, MAX_UNANSWERED, Ledger

LOSS = ConnectionLost(1006, "cut")
UNAVAILABLE = EventError("unavailable", "the outcome is not known")


async def add(ledger: Ledger, *data: Any, again: bool = False) -> list[Pending]:
    return [await ledger.add("say", one, again=again) for one in data]


async def written(ledger: Ledger, count: int) -> list[tuple[int | None, Any]]:
    """Write so many frames: the id and the data of each."""
    found = [json.loads(await ledger.next_frame()) for _ in range(count)]
    return [(frame.get("id"), frame.get("data")) for frame in found]


async def nothing_to_write(ledger: Ledger) -> bool:
    with trio.move_on_after(0) as scope:
        await ledger.next_frame()
    return scope.cancelled_caught


async def test_ids_grow_and_frames_go_out_in_order() -> None:
    ledger = Ledger(5)
    await add(ledger, "a", "b")
    await ledger.post('{"event":"post","data":"c"}')
    await add(ledger, "d")
    assert await written(ledger, 4) == [(6, "a"), (7, "b"), (None, "c"), (8, "d")]
    assert len(ledger) == 3


async def test_data_is_taken_as_it_is_when_it_is_given() -> None:
    ledger = Ledger(0)
    data = [1]
    await ledger.add("say", data, again=False)
    data.append(2)
    assert await written(ledger, 1) == [(1, [1])]


@pytest.mark.parametrize(
    ("event", "data"),
    [("say", object()), ("say", float("nan")), (5, 1), ("\ud83d", 1), ("wss.x", 1)],
)
async def test_what_cannot_be_sent_takes_no_id(event: Any, data: Any) -> None:
    ledger = Ledger(0)
    with pytest.raises(TypeError):
        await ledger.add(event, data, again=False)
    await add(ledger, "a")
    assert await written(ledger, 1) == [(1, "a")]


async def test_the_newest_id_stays_near_the_oldest_unanswered_one() -> None:
    """However few are unanswered: the server keeps answers by id modulo 64."""
    ledger = Ledger(0)
    await add(ledger, *range(MAX_UNANSWERED))
    await written(ledger, MAX_UNANSWERED)
    for number in range(2, MAX_UNANSWERED + 1):
        ledger.answered(number, Answer("ok"), retry=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, ledger, "late")
        await wait_all_tasks_blocked()
        assert await nothing_to_write(ledger)
        ledger.answered(1, Answer("ok"), retry=True)
        assert await written(ledger, 1) == [(MAX_UNANSWERED + 1, "late")]


async def test_who_waits_for_room_goes_in_order(autojump_clock: trio.abc.Clock) -> None:
    ledger = Ledger(0)
    await add(ledger, *range(MAX_UNANSWERED))
    await written(ledger, MAX_UNANSWERED)
    async with trio.open_nursery() as nursery:
        for late in "abc":
            nursery.start_soon(add, ledger, late)
            await wait_all_tasks_blocked()
        with trio.move_on_after(1):  # and one that gives up leaves no trace
            await ledger.add("say", "never", again=False)
        for number in (1, 2, 3):
            ledger.answered(number, Answer("ok"), retry=True)
        found = await written(ledger, 3)
    assert [data for _, data in found] == ["a", "b", "c"]
    assert await nothing_to_write(ledger)


async def test_what_has_no_id_is_bounded_too() -> None:
    ledger = Ledger(0)
    for _ in range(MAX_QUEUED):
        await ledger.post("{}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.post, '{"data":"late"}')
        nursery.start_soon(ledger.post, '{"data":"late"}')
        await wait_all_tasks_blocked()
        await written(ledger, MAX_QUEUED)
        assert await written(ledger, 2) == [(None, "late")] * 2


async def test_an_answer_settles_its_event_once() -> None:
    ledger = Ledger(0)
    [one, two] = await add(ledger, "a", "b")
    await written(ledger, 2)
    assert ledger.answered(2, Answer("ok", 2), retry=True) is None
    assert ledger.answered(1, EventError("no", "Not now."), retry=True) is None
    assert await two.answer() == Answer("ok", 2)
    with pytest.raises(EventError, match="Not now"):
        await one.answer()
    for number in (1, 2, 3):
        with pytest.raises(BadFrame, match="waits for none"):
            ledger.answered(number, Answer("ok"), retry=True)


async def test_an_event_that_was_not_sent_has_no_answer() -> None:
    ledger = Ledger(0)
    await add(ledger, "a")
    with pytest.raises(BadFrame):
        ledger.answered(1, Answer("ok"), retry=True)


async def test_unavailable_rests_and_goes_out_again_with_its_id() -> None:
    ledger = Ledger(0)
    [one] = await add(ledger, "a")
    for tries in (1, 2):
        assert await written(ledger, 1) == [(1, "a")]
        assert ledger.answered(1, UNAVAILABLE, retry=True) is one
        assert one.tries == tries
        assert await nothing_to_write(ledger)
        ledger.send_again(one)
    assert await written(ledger, 1) == [(1, "a")]
    ledger.answered(1, Answer("ok"), retry=True)
    assert await one.answer() == Answer("ok")
    ledger.send_again(one)  # too late
    assert await nothing_to_write(ledger)


async def test_unavailable_is_an_answer_where_nothing_is_tried_again() -> None:
    ledger = Ledger(0)
    [one] = await add(ledger, "a")
    await written(ledger, 1)
    assert ledger.answered(1, UNAVAILABLE, retry=False) is None
    with pytest.raises(EventError, match="unavailable"):
        await one.answer()


async def test_an_event_that_was_passed_over_holds_the_others_up_for_10_s(
    autojump_clock: MockClock,
) -> None:
    ledger = Ledger(0)
    one, two, three = await add(ledger, "a", "b", "c")
    await written(ledger, 3)
    ledger.answered(2, Answer("ok"), retry=True)
    await trio.sleep(9.9)
    ledger.drop_overdue(-inf)
    assert not one.settled
    await trio.sleep(0.1)
    ledger.drop_overdue(-inf)
    assert (one.settled, three.settled) == (True, False)
    with pytest.raises(OutcomeUnknown) as caught:
        await one.answer()
    assert (caught.value.code, str(caught.value)) == (0, "the server gives this event no answer")
    assert ledger.answered(1, Answer("ok"), retry=True) is None  # too late, and no fault
    ledger.connection_over()
    with pytest.raises(BadFrame):
        ledger.answered(1, Answer("ok"), retry=True)
    assert await two.answer() == Answer("ok")


async def test_an_event_that_gets_no_answer_is_settled_after_a_minute(
    autojump_clock: MockClock,
) -> None:
    ledger = Ledger(0)
    pending = await add(ledger, *range(MAX_UNANSWERED))
    await written(ledger, MAX_UNANSWERED)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, ledger, "late")
        await trio.sleep(59.9)
        ledger.drop_overdue(-inf)
        assert len(ledger) == MAX_UNANSWERED
        await trio.sleep(0.1)
        ledger.drop_overdue(-inf)
        assert all(one.settled for one in pending)
        assert await written(ledger, 1) == [(MAX_UNANSWERED + 1, "late")]


async def test_what_was_read_late_is_not_late(autojump_clock: MockClock) -> None:
    ledger = Ledger(0)
    [one] = await add(ledger, "a")
    await written(ledger, 1)
    await trio.sleep(1000)  # while nobody took what came
    ledger.drop_overdue(since=1000)
    assert not one.settled
    await trio.sleep(60)
    ledger.drop_overdue(since=1000)
    assert one.settled


@pytest.mark.parametrize("code", ["unavailable", "rate_limited"])
async def test_what_may_come_out_of_turn_passes_nothing_over(
    code: str, autojump_clock: MockClock
) -> None:
    ledger = Ledger(0)
    one, _ = await add(ledger, "a", "b")
    await written(ledger, 2)
    ledger.answered(2, EventError(code, ""), retry=False)
    await trio.sleep(59)
    ledger.drop_overdue(-inf)
    assert not one.settled


async def test_what_rests_or_waits_for_a_connection_is_not_overdue(
    autojump_clock: MockClock,
) -> None:
    ledger = Ledger(0)
    [one] = await add(ledger, "a")
    await written(ledger, 1)
    ledger.answered(1, UNAVAILABLE, retry=True)
    await trio.sleep(1000)
    ledger.drop_overdue(-inf)
    ledger.connection_over()
    ledger.resume(1)
    ledger.drop_overdue(-inf)
    assert await written(ledger, 1) == [(1, "a")]
    ledger.drop_overdue(-inf)
    assert not one.settled


async def test_the_largest_of_what_is_out_was_too_big() -> None:
    ledger = Ledger(0)
    small, large, other = await add(ledger, "a", "é" * 300, "x" * 500)
    await written(ledger, 3)
    [queued] = await add(ledger, "x" * 5000)
    ledger.reject_largest()
    with pytest.raises(EventError) as caught:
        await large.answer()
    assert caught.value.code == "invalid"
    ledger.connection_over()
    ledger.resume(0)
    assert [number for number, _ in await written(ledger, 3)] == [1, 3, 4]
    assert not any(one.settled for one in (small, other, queued))
    for _ in range(5):
        ledger.reject_largest()
    assert len(ledger) == 0


async def test_an_event_that_nobody_wants_and_that_was_not_sent_is_not_sent() -> None:
    ledger = Ledger(0)
    one, _ = await add(ledger, "a", "b")
    ledger.forget(one)
    ledger.forget(one)
    assert await written(ledger, 1) == [(2, "b")]
    assert len(ledger) == 1


async def test_an_event_that_nobody_wants_and_that_is_out_may_still_be_answered() -> None:
    ledger = Ledger(0)
    one, two, three = await add(ledger, "a", "b", "c")
    await written(ledger, 3)
    for pending in (one, two, three):
        ledger.forget(pending)
    ledger.answered(1, Answer("ok"), retry=True)
    assert ledger.answered(2, UNAVAILABLE, retry=True) is None  # not sent again
    assert len(ledger) == 1
    ledger.connection_over()
    assert len(ledger) == 0
    ledger.resume(0)
    assert await nothing_to_write(ledger)


async def test_an_event_that_nobody_wants_any_more_while_it_rests_is_not_sent_again() -> None:
    ledger = Ledger(0)
    [one] = await add(ledger, "a")
    await written(ledger, 1)
    ledger.answered(1, UNAVAILABLE, retry=True)
    ledger.forget(one)
    ledger.send_again(one)
    assert await nothing_to_write(ledger)
    assert len(ledger) == 0


@pytest.mark.parametrize("resumed", [True, False])
async def test_an_event_that_nobody_wants_any_more_while_there_is_no_connection_is_not_sent(
    resumed: bool,
) -> None:
    ledger = Ledger(0)
    one, two, three = await add(ledger, "a", "b", "c", again=True)
    await written(ledger, 2)
    ledger.connection_over()
    ledger.forget(one)
    ledger.forget(three)  # which was never sent
    assert len(ledger) == 1
    ledger.resume(2) if resumed else ledger.renew(0, LOSS)
    assert await written(ledger, 1) == [(2 if resumed else 1, "b")]
    assert await nothing_to_write(ledger)
    ledger.answered(two.number, Answer("ok"), retry=True)
    assert await two.answer() == Answer("ok")


async def test_what_rests_without_a_connection_has_no_answer_and_is_not_sent_on_its_own() -> None:
    ledger = Ledger(0)
    [one] = await add(ledger, "a")
    await written(ledger, 1)
    ledger.connection_over()
    with pytest.raises(BadFrame):
        ledger.answered(1, Answer("ok"), retry=True)
    ledger.connection_over()
    ledger.resume(1)
    ledger.send_again(one)  # it is queued already
    assert await written(ledger, 1) == [(1, "a")]
    assert await nothing_to_write(ledger)


async def test_a_resumed_session_gets_again_what_was_sent_and_then_the_rest() -> None:
    ledger = Ledger(0)
    await add(ledger, *"abcd")
    await ledger.post('{"data":"lost"}')
    await written(ledger, 5)
    ledger.answered(1, Answer("ok"), retry=True)
    ledger.answered(2, UNAVAILABLE, retry=True)  # it rests
    ledger.answered(3, UNAVAILABLE, retry=True)
    ledger.send_again((await add(ledger, "e"))[0])  # which does nothing: it is new
    await ledger.post('{"data":"f"}')
    ledger.connection_over()
    ledger.resume(4)
    again = [(2, "b"), (3, "c"), (4, "d")]
    assert await written(ledger, 5) == [*again, (5, "e"), (None, "f")]
    ledger.connection_over()
    ledger.resume(5)
    assert await written(ledger, 4) == [*again, (5, "e")]
    assert await nothing_to_write(ledger)


async def test_new_ids_are_above_all_that_the_session_has_used() -> None:
    ledger = Ledger(0)
    ledger.resume(9)  # by another client
    await add(ledger, "a")
    assert await written(ledger, 1) == [(10, "a")]
    ledger.resume(3)  # the last answer that was recorded
    await add(ledger, "b")
    assert await written(ledger, 2) == [(10, "a"), (11, "b")]


async def test_a_new_session_knows_nothing_of_what_was_sent() -> None:
    ledger = Ledger(7)
    [sent] = await add(ledger, "sent")
    [again] = await add(ledger, "again", again=True)
    await written(ledger, 2)
    [unsent] = await add(ledger, "unsent")
    await ledger.post('{"data":"post"}')
    ledger.connection_over()
    ledger.renew(0, LOSS)
    with pytest.raises(OutcomeUnknown) as caught:
        await sent.answer()
    assert (caught.value.code, caught.value.reason) == (1006, "cut")
    assert await written(ledger, 3) == [(1, "again"), (2, "unsent"), (None, "post")]
    assert (again.number, unsent.number) == (1, 2)
    ledger.answered(2, Answer("ok"), retry=True)
    assert await unsent.answer() == Answer("ok")
    await add(ledger, "next")
    assert await written(ledger, 1) == [(3, "next")]


async def test_the_end_tells_what_was_sent_from_what_was_not() -> None:
    ledger = Ledger(0)
    [sent] = await add(ledger, "sent")
    await written(ledger, 1)
    [unsent] = await add(ledger, "unsent")
    ledger.end(LOSS)
    for pending, kind in ((sent, OutcomeUnknown), (unsent, ConnectionLost)):
        with pytest.raises(ConnectionLost, match="1006: cut") as caught:
            await pending.answer()
        assert type(caught.value) is kind
    with pytest.raises(ConnectionLost, match="cut"):
        await ledger.add("say", 1, again=False)
    with pytest.raises(ConnectionLost, match="cut"):
        await ledger.post("{}")


async def test_the_end_wakes_who_waits_for_room() -> None:
    ledger = Ledger(0)
    await add(ledger, *range(MAX_UNANSWERED))

    async def one_more() -> None:
        with pytest.raises(ConnectionLost):
            await ledger.add("say", 1, again=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_more)
        nursery.start_soon(one_more)
        await wait_all_tasks_blocked()
        ledger.end(LOSS)
