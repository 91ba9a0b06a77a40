"""trio_wss/client/pending.py: ids, order, bounds, and what becomes of what has no answer."""

import json
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_wss.client import Answer, ConnectionLost, EventError, OutcomeUnknown, Pending
from trio_wss.client.frames import BadFrame
from trio_wss.client.pending import MAX_QUEUED, MAX_UNANSWERED, PendingEvents

LOSS = ConnectionLost(1006, "cut")
UNAVAILABLE = EventError("unavailable", "the outcome is not known")


async def add(events: PendingEvents, *data: Any, again: bool = False) -> list[Pending]:
    return [await events.add("say", one, again=again) for one in data]


async def written(events: PendingEvents, count: int) -> list[tuple[int | None, Any]]:
    """Write so many frames: the id and the data of each."""
    found = [json.loads(await events.next_frame()) for _ in range(count)]
    return [(frame.get("id"), frame.get("data")) for frame in found]


async def nothing_to_write(events: PendingEvents) -> bool:
    with trio.move_on_after(0) as scope:
        await events.next_frame()
    return scope.cancelled_caught


async def test_ids_grow_and_frames_go_out_in_order() -> None:
    events = PendingEvents(5)
    await add(events, "a", "b")
    await events.post('{"event":"post","data":"c"}')
    await add(events, "d")
    assert await written(events, 4) == [(6, "a"), (7, "b"), (None, "c"), (8, "d")]
    assert len(events) == 3


async def test_data_is_taken_as_it_is_when_it_is_given() -> None:
    events = PendingEvents(0)
    data = [1]
    await events.add("say", data, again=False)
    data.append(2)
    assert await written(events, 1) == [(1, [1])]


@pytest.mark.parametrize(
    ("event", "data"),
    [("say", object()), ("say", float("nan")), (5, 1), ("\ud83d", 1), ("wss.x", 1)],
)
async def test_what_cannot_be_sent_takes_no_id(event: Any, data: Any) -> None:
    events = PendingEvents(0)
    with pytest.raises(TypeError):
        await events.add(event, data, again=False)
    await add(events, "a")
    assert await written(events, 1) == [(1, "a")]


async def test_the_newest_id_stays_near_the_oldest_unanswered_one() -> None:
    """However few are unanswered: the server keeps answers by id modulo 64."""
    events = PendingEvents(0)
    await add(events, *range(MAX_UNANSWERED))
    await written(events, MAX_UNANSWERED)
    for number in range(2, MAX_UNANSWERED + 1):
        events.answered(number, Answer("ok"), retry=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, events, "late")
        await wait_all_tasks_blocked()
        assert await nothing_to_write(events)
        events.answered(1, Answer("ok"), retry=True)
        assert await written(events, 1) == [(MAX_UNANSWERED + 1, "late")]


async def test_who_waits_for_room_goes_in_order(autojump_clock: trio.abc.Clock) -> None:
    events = PendingEvents(0)
    await add(events, *range(MAX_UNANSWERED))
    await written(events, MAX_UNANSWERED)
    async with trio.open_nursery() as nursery:
        for late in "abc":
            nursery.start_soon(add, events, late)
            await wait_all_tasks_blocked()
        with trio.move_on_after(1):  # and one that gives up leaves no trace
            await events.add("say", "never", again=False)
        for number in (1, 2, 3):
            events.answered(number, Answer("ok"), retry=True)
        found = await written(events, 3)
    assert [data for _, data in found] == ["a", "b", "c"]
    assert await nothing_to_write(events)


async def test_what_has_no_id_is_bounded_too() -> None:
    events = PendingEvents(0)
    for _ in range(MAX_QUEUED):
        await events.post("{}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(events.post, '{"data":"late"}')
        nursery.start_soon(events.post, '{"data":"late"}')
        await wait_all_tasks_blocked()
        await written(events, MAX_QUEUED)
        assert await written(events, 2) == [(None, "late")] * 2


async def test_an_answer_settles_its_event_once() -> None:
    events = PendingEvents(0)
    [one, two] = await add(events, "a", "b")
    await written(events, 2)
    assert events.answered(2, Answer("ok", 2), retry=True) is None
    assert events.answered(1, EventError("no", "Not now."), retry=True) is None
    assert await two.answer() == Answer("ok", 2)
    with pytest.raises(EventError, match="Not now"):
        await one.answer()
    for number in (1, 2, 3):
        with pytest.raises(BadFrame, match="waits for none"):
            events.answered(number, Answer("ok"), retry=True)


async def test_an_event_that_was_not_sent_has_no_answer() -> None:
    events = PendingEvents(0)
    await add(events, "a")
    with pytest.raises(BadFrame):
        events.answered(1, Answer("ok"), retry=True)


async def test_unavailable_rests_and_goes_out_again_with_its_id() -> None:
    events = PendingEvents(0)
    [one] = await add(events, "a")
    for tries in (1, 2):
        assert await written(events, 1) == [(1, "a")]
        assert events.answered(1, UNAVAILABLE, retry=True) is one
        assert one.tries == tries
        assert await nothing_to_write(events)
        events.send_again(one)
    assert await written(events, 1) == [(1, "a")]
    events.answered(1, Answer("ok"), retry=True)
    assert await one.answer() == Answer("ok")
    events.send_again(one)  # too late
    assert await nothing_to_write(events)


async def test_unavailable_is_an_answer_where_nothing_is_tried_again() -> None:
    events = PendingEvents(0)
    [one] = await add(events, "a")
    await written(events, 1)
    assert events.answered(1, UNAVAILABLE, retry=False) is None
    with pytest.raises(EventError, match="unavailable"):
        await one.answer()


async def test_an_event_that_was_passed_over_holds_the_others_up_for_10_s(
    autojump_clock: MockClock,
) -> None:
    events = PendingEvents(0)
    one, two, three = await add(events, "a", "b", "c")
    await written(events, 3)
    events.answered(2, Answer("ok"), retry=True)
    await trio.sleep(9.9)
    events.drop_overdue(-inf)
    assert not one.settled
    await trio.sleep(0.1)
    events.drop_overdue(-inf)
    assert (one.settled, three.settled) == (True, False)
    with pytest.raises(OutcomeUnknown) as caught:
        await one.answer()
    assert (caught.value.code, str(caught.value)) == (0, "the server gives this event no answer")
    assert events.answered(1, Answer("ok"), retry=True) is None  # too late, and no fault
    events.connection_over()
    with pytest.raises(BadFrame):
        events.answered(1, Answer("ok"), retry=True)
    assert await two.answer() == Answer("ok")


async def test_an_event_that_gets_no_answer_is_settled_after_a_minute(
    autojump_clock: MockClock,
) -> None:
    events = PendingEvents(0)
    pending = await add(events, *range(MAX_UNANSWERED))
    await written(events, MAX_UNANSWERED)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add, events, "late")
        await trio.sleep(59.9)
        events.drop_overdue(-inf)
        assert len(events) == MAX_UNANSWERED
        await trio.sleep(0.1)
        events.drop_overdue(-inf)
        assert all(one.settled for one in pending)
        assert await written(events, 1) == [(MAX_UNANSWERED + 1, "late")]


async def test_what_was_read_late_is_not_late(autojump_clock: MockClock) -> None:
    events = PendingEvents(0)
    [one] = await add(events, "a")
    await written(events, 1)
    await trio.sleep(1000)  # while nobody took what came
    events.drop_overdue(since=1000)
    assert not one.settled
    await trio.sleep(60)
    events.drop_overdue(since=1000)
    assert one.settled


@pytest.mark.parametrize("code", ["unavailable", "rate_limited"])
async def test_what_may_come_out_of_turn_passes_nothing_over(
    code: str, autojump_clock: MockClock
) -> None:
    events = PendingEvents(0)
    one, _ = await add(events, "a", "b")
    await written(events, 2)
    events.answered(2, EventError(code, ""), retry=False)
    await trio.sleep(59)
    events.drop_overdue(-inf)
    assert not one.settled


async def test_what_rests_or_waits_for_a_connection_is_not_overdue(
    autojump_clock: MockClock,
) -> None:
    events = PendingEvents(0)
    [one] = await add(events, "a")
    await written(events, 1)
    events.answered(1, UNAVAILABLE, retry=True)
    await trio.sleep(1000)
    events.drop_overdue(-inf)
    events.connection_over()
    events.resume(1)
    events.drop_overdue(-inf)
    assert await written(events, 1) == [(1, "a")]
    events.drop_overdue(-inf)
    assert not one.settled


async def test_the_largest_of_what_is_out_was_too_big() -> None:
    events = PendingEvents(0)
    small, large, other = await add(events, "a", "é" * 300, "x" * 500)
    await written(events, 3)
    [queued] = await add(events, "x" * 5000)
    events.reject_largest()
    with pytest.raises(EventError) as caught:
        await large.answer()
    assert caught.value.code == "invalid"
    events.connection_over()
    events.resume(0)
    assert [number for number, _ in await written(events, 3)] == [1, 3, 4]
    assert not any(one.settled for one in (small, other, queued))
    for _ in range(5):
        events.reject_largest()
    assert len(events) == 0


async def test_an_event_that_nobody_wants_and_that_was_not_sent_is_not_sent() -> None:
    events = PendingEvents(0)
    one, _ = await add(events, "a", "b")
    events.forget(one)
    events.forget(one)
    assert await written(events, 1) == [(2, "b")]
    assert len(events) == 1


async def test_an_event_that_nobody_wants_and_that_is_out_may_still_be_answered() -> None:
    events = PendingEvents(0)
    one, two, three = await add(events, "a", "b", "c")
    await written(events, 3)
    for pending in (one, two, three):
        events.forget(pending)
    events.answered(1, Answer("ok"), retry=True)
    assert events.answered(2, UNAVAILABLE, retry=True) is None  # not sent again
    assert len(events) == 1
    events.connection_over()
    assert len(events) == 0
    events.resume(0)
    assert await nothing_to_write(events)


async def test_an_event_that_nobody_wants_any_more_while_it_rests_is_not_sent_again() -> None:
    events = PendingEvents(0)
    [one] = await add(events, "a")
    await written(events, 1)
    events.answered(1, UNAVAILABLE, retry=True)
    events.forget(one)
    events.send_again(one)
    assert await nothing_to_write(events)
    assert len(events) == 0


@pytest.mark.parametrize("resumed", [True, False])
async def test_an_event_that_nobody_wants_any_more_while_there_is_no_connection_is_not_sent(
    resumed: bool,
) -> None:
    events = PendingEvents(0)
    one, two, three = await add(events, "a", "b", "c", again=True)
    await written(events, 2)
    events.connection_over()
    events.forget(one)
    events.forget(three)  # which was never sent
    assert len(events) == 1
    events.resume(2) if resumed else events.renew(0, LOSS)
    assert await written(events, 1) == [(2 if resumed else 1, "b")]
    assert await nothing_to_write(events)
    events.answered(two.number, Answer("ok"), retry=True)
    assert await two.answer() == Answer("ok")


async def test_what_rests_without_a_connection_has_no_answer_and_is_not_sent_on_its_own() -> None:
    events = PendingEvents(0)
    [one] = await add(events, "a")
    await written(events, 1)
    events.connection_over()
    with pytest.raises(BadFrame):
        events.answered(1, Answer("ok"), retry=True)
    events.connection_over()
    events.resume(1)
    events.send_again(one)  # it is queued already
    assert await written(events, 1) == [(1, "a")]
    assert await nothing_to_write(events)


async def test_a_resumed_session_gets_again_what_was_sent_and_then_the_rest() -> None:
    events = PendingEvents(0)
    await add(events, *"abcd")
    await events.post('{"data":"lost"}')
    await written(events, 5)
    events.answered(1, Answer("ok"), retry=True)
    events.answered(2, UNAVAILABLE, retry=True)  # it rests
    events.answered(3, UNAVAILABLE, retry=True)
    events.send_again((await add(events, "e"))[0])  # which does nothing: it is new
    await events.post('{"data":"f"}')
    events.connection_over()
    events.resume(4)
    again = [(2, "b"), (3, "c"), (4, "d")]
    assert await written(events, 5) == [*again, (5, "e"), (None, "f")]
    events.connection_over()
    events.resume(5)
    assert await written(events, 4) == [*again, (5, "e")]
    assert await nothing_to_write(events)


async def test_new_ids_are_above_all_that_the_session_has_used() -> None:
    events = PendingEvents(0)
    events.resume(9)  # by another client
    await add(events, "a")
    assert await written(events, 1) == [(10, "a")]
    events.resume(3)  # the last answer that was recorded
    await add(events, "b")
    assert await written(events, 2) == [(10, "a"), (11, "b")]


async def test_a_new_session_knows_nothing_of_what_was_sent() -> None:
    events = PendingEvents(7)
    [sent] = await add(events, "sent")
    [again] = await add(events, "again", again=True)
    await written(events, 2)
    [unsent] = await add(events, "unsent")
    await events.post('{"data":"post"}')
    events.connection_over()
    events.renew(0, LOSS)
    with pytest.raises(OutcomeUnknown) as caught:
        await sent.answer()
    assert (caught.value.code, caught.value.reason) == (1006, "cut")
    assert await written(events, 3) == [(1, "again"), (2, "unsent"), (None, "post")]
    assert (again.number, unsent.number) == (1, 2)
    events.answered(2, Answer("ok"), retry=True)
    assert await unsent.answer() == Answer("ok")
    await add(events, "next")
    assert await written(events, 1) == [(3, "next")]


async def test_the_end_tells_what_was_sent_from_what_was_not() -> None:
    events = PendingEvents(0)
    [sent] = await add(events, "sent")
    await written(events, 1)
    [unsent] = await add(events, "unsent")
    events.end(LOSS)
    for pending, kind in ((sent, OutcomeUnknown), (unsent, ConnectionLost)):
        with pytest.raises(ConnectionLost, match="1006: cut") as caught:
            await pending.answer()
        assert type(caught.value) is kind
    with pytest.raises(ConnectionLost, match="cut"):
        await events.add("say", 1, again=False)
    with pytest.raises(ConnectionLost, match="cut"):
        await events.post("{}")


async def test_the_end_wakes_who_waits_for_room() -> None:
    events = PendingEvents(0)
    await add(events, *range(MAX_UNANSWERED))

    async def one_more() -> None:
        with pytest.raises(ConnectionLost):
            await events.add("say", 1, again=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_more)
        nursery.start_soon(one_more)
        await wait_all_tasks_blocked()
        events.end(LOSS)
