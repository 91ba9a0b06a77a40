"""trio_wss/node/session.py: what a session commits, and what it does when the answer comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.support.fakes import DEADLINE, Box, FakeNode, pushed
from trio_wss import App, Broadcast, Client, Close, Effects, Gap, Join, Read, Refused, Reply, Store
from trio_wss.commit.plan import EMPTY_PLAN
from trio_wss.errors import Unavailable
from trio_wss.node.decide import SILENT, Decision, decide, refuse
from trio_wss.node.session import FIRST, RACES, Session
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import Entry
from trio_wss.store.executor import NEW, Commit
from trio_wss.store.history import Cursor
from trio_wss.store.outcome import (
    Changed,
    CommitOutcome,
    Done,
    Failed,
    Fenced,
    Gone,
    Joined,
    Left,
    Stale,
    Unknown,
)
from trio_wss.store.sessions import Overtaken, StoredSession, Taken
from trio_wss.wire import CloseCode
from trio_wss.wire.codec import Message

ANN = Client("s1", "ann")
app = App()


@app.on("say")
def say() -> Effects:
    return Reply("ok")


@app.on("join")
def join() -> Effects:
    return Join("room")


@app.on("add")
def add(n: Annotated[int | None, Read("n")]) -> Effects:
    return Store("n", (n or 0) + 1)


@app.on_gap
def gap(event: Gap) -> Effects:
    return Broadcast("log", "gap", event.topic)


def decision(event: str = "say", number: int | None = None) -> Decision:
    found = decide(app, ANN, Message(event, number))
    assert isinstance(found, Decision)
    return found


class Stage:
    """A session of Ann's."""

    def __init__(self, made: App, *, generation: str = FIRST) -> None:
        self.node = FakeNode(made)
        self.executor = self.node.executor
        self.sessions = self.node.sessions
        self.custody = self.node.custody
        self.box = Box()
        self.closes: list[tuple[int, str]] = []
        self.session = Session(self.node.parts, ANN, self.box.outbox, self._close)
        self.session.generation = generation
        self.session._begun = generation != NEW

    def _close(self, code: int, reason: str) -> None:
        self.closes.append((code, reason))

    def commit(self, decision: Decision, **options: Any) -> Commit:
        commit = self.session.commit(decision, **options)
        assert commit is not None
        return commit

    def apply(self, outcome: CommitOutcome) -> None:
        """As the answer to an event with the id 7 comes."""
        self.commit(_SEVEN).apply(outcome)

    def followed(self) -> set[str]:
        return {topic.name for topic in self.node.hub.topics()}

    def events(self) -> dict[tuple[str, str], int]:
        return dict(self.node.statistics.events)


_SEVEN = decision(number=7)


@asynccontextmanager
async def opened(made: App = app, *, generation: str = FIRST) -> AsyncIterator[Stage]:
    stage = Stage(made, generation=generation)
    async with trio.open_nursery() as nursery:
        stage.session.open(nursery)
        yield stage
        nursery.cancel_scope.cancel()


def at(offset: int) -> Cursor:
    return Cursor("e", offset)


def names(frames: list[Any]) -> list[str]:
    return [frame["event"] for frame in frames]


# --- what comes of a commit


@pytest.mark.parametrize(
    ("outcome", "code", "closes"),
    [
        (Changed(()), "", []),
        (Failed("topics"), "refused", []),
        (Failed("overflow n"), "internal", []),
        (Stale(), "stale", []),
        (Unknown("away"), "unavailable", []),
        (Fenced(), "", [(CloseCode.REPLACED, "replaced")]),
        (Gone(), "", [(CloseCode.RESTART, '{"retry":0.0,"why":"the session is gone"}')]),
    ],
)
async def test_an_outcome_is_told_under_the_events_id_or_closes(
    outcome: CommitOutcome, code: str, closes: list[tuple[int, str]]
) -> None:
    async with opened() as stage:
        with structlog.testing.capture_logs() as logs:
            stage.apply(outcome)
        told = [(one["event"], one["re"], one["data"]["code"]) for one in stage.box.said]
        assert told == ([("wss.error", 7, code)] if code else [])
        assert stage.closes == closes
        assert len(logs) == (code == "internal")


async def test_what_was_applied_is_done_here_memberships_first() -> None:
    async with opened() as stage:
        joined = Joined("room", at(5))
        stage.apply(Done(b'{"event":"ok"}', (joined, Left("other")), Close(4000, "bye")))
        assert names(stage.box.said) == ["wss.joined", "wss.left", "ok"]
        assert stage.closes == [(4000, "bye")]
        assert stage.followed() == {"room"}


async def test_a_join_of_an_earlier_copy_catches_up_with_what_came_since() -> None:
    async with opened() as stage:
        stage.apply(Done(b"", (Joined("room", at(5)),), seen=True))
        await wait_all_tasks_blocked()
        assert stage.node.catch_up.asked == [("room", at(5), False)]


async def test_the_first_commit_that_is_applied_makes_the_session() -> None:
    async with opened(generation=NEW) as stage:
        stage.apply(Done(b'{"event":"ok"}'))
        welcome, answer = stage.box.said
        assert welcome["event"] == "wss.welcome"
        assert welcome["data"] == {
            "session": "s1", "token": stage.session.token, "node": "n1", "resumed": False,
            "last": 7, "protocol": 1,
        }  # fmt: skip
        assert (answer["event"], stage.session.generation) == ("ok", FIRST)


async def test_a_beginning_that_failed_closes() -> None:
    async with opened(generation=NEW) as stage:
        with structlog.testing.capture_logs():
            stage.apply(Failed("overflow n"))
        assert stage.closes == [(CloseCode.INTERNAL_ERROR, "on_connect failed")]


async def test_each_event_is_counted_by_what_came_of_it() -> None:
    async with opened() as stage:
        stage.apply(Done(b""))
        stage.apply(Stale())
        assert stage.session.commit(SILENT) is None
        assert stage.events() == {("say", "ok"): 1, ("say", "stale"): 1, ("", "ok"): 1}
        assert sum(stage.node.statistics.commits.counts) == 2


# --- which commits are made


async def test_a_commit_says_whose_it_is_and_what_it_rests_on() -> None:
    async with opened(generation="3.ab") as stage:
        requests, entries = (ReadRequest("value", "n"),), (Entry(b"v", b"4"),)
        commit = stage.commit(_SEVEN, requests=requests, entries=entries, expires=9.0)
        assert (commit.session, commit.generation) == ("s1", "3.ab")
        assert (commit.number, commit.answer) == (7, _SEVEN.answer)
        assert (commit.requests, commit.entries, commit.expires) == (requests, entries, 9.0)
        assert (commit.plan, commit.lead, commit.again) == (_SEVEN.plan, (), False)


@pytest.mark.parametrize(
    ("number", "again", "last"), [(7, False, 7), (5, True, 5), (3, True, 5), (None, False, 5)]
)
async def test_an_id_that_is_not_above_the_last_may_have_been_here_before(
    number: int | None, again: bool, last: int
) -> None:
    async with opened() as stage:
        stage.session.last = 5
        commit = stage.commit(decision(number=number))
        assert (commit.again, stage.session.last) == (again, last)


async def test_a_silent_decision_is_committed_where_something_rests_on_it() -> None:
    async with opened() as stage:
        assert stage.session.commit(SILENT) is None
        assert stage.commit(SILENT, requests=(ReadRequest("value", "n"),)).plan == EMPTY_PLAN
        assert stage.commit(SILENT, lead=(("N", (), []),)).lead == (("N", (), []),)


@pytest.mark.parametrize("outcome", [Done(b""), Done(b"", (Joined("room", at(5)),)), Stale()])
async def test_what_a_commit_may_join_is_followed_until_its_answer(outcome: CommitOutcome) -> None:
    async with opened() as stage:
        commit = stage.commit(decision("join"))
        assert stage.followed() == {"room"}
        stage.node.hub.said("room", pushed(at(5), 5))
        commit.apply(outcome)
        joined = isinstance(outcome, Done) and outcome.membership
        assert stage.followed() == ({"room"} if joined else set())
        assert all(topic.holds == 0 for topic in stage.node.hub.topics())


@pytest.mark.parametrize(
    ("code", "closed"),
    [
        ("not_today", (CloseCode.REFUSED, "refused")),
        ("internal", (CloseCode.INTERNAL_ERROR, "on_connect failed")),
        ("conflict", (CloseCode.AGAIN_LATER, "the session could not begin")),
    ],
)
async def test_where_on_connect_says_no_there_is_no_session(
    code: str, closed: tuple[int, str]
) -> None:
    async with opened(generation=NEW) as stage:
        assert stage.session.commit(refuse(None, code, "No.")) is None
        assert [one["data"]["code"] for one in stage.box.said] == [code]
        assert stage.closes == [closed]
        await stage.session.finish(clean=True)
        assert (stage.node.endings.ended, stage.custody.unfinished) == ([], {})


async def test_a_refusal_of_a_session_that_is_there_is_a_commit_like_any_other() -> None:
    async with opened() as stage:
        commit = stage.commit(refuse(7, "not_today", "No."))
        assert (commit.number, commit.plan, stage.box.said, stage.closes) == (7, EMPTY_PLAN, [], [])


# --- begin


async def test_it_begins_with_one_commit_and_follows_its_own_topics(
    autojump_clock: MockClock,
) -> None:
    async with opened(generation=NEW) as stage:
        stage.executor.seconds = 1.0
        stage.executor.outcomes = [Done(b"", (Joined("all", at(1)), Joined("session:s1", at(0))))]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.session.begin)
            await wait_all_tasks_blocked()
            assert stage.followed() == {"all", "session:s1", "user:ann"}
        assert names(stage.box.said) == ["wss.welcome", "wss.joined", "wss.joined"]
        assert stage.followed() == {"all", "session:s1"}
        [commit] = stage.executor.commits
        assert (commit.generation, commit.number) == (NEW, None)
        assert commit.lead == stage.sessions.begin(ANN, stage.session.token)
        assert stage.closes == []


@pytest.mark.parametrize("refuses", [True, False])
async def test_one_that_cannot_begin_is_closed(refuses: bool) -> None:
    made = App()

    @made.on_connect
    def enter() -> Effects:
        if refuses:
            raise Refused("not_today", "No.")
        return None

    async with opened(made, generation=NEW) as stage:
        stage.executor.outcomes = [Unknown("away")]
        assert not await stage.session.begin()
        assert stage.closes[0][0] == (CloseCode.REFUSED if refuses else CloseCode.AGAIN_LATER)
        assert [one["data"]["code"] for one in stage.box.said] == [
            "not_today" if refuses else "unavailable"
        ]
        assert stage.followed() == set()


# --- resume

STORED = StoredSession(ANN, "3.ab", frozenset({"room"}))
TAKEN = Taken(ANN, "", 9, {"room": at(5), "all": at(2)})


async def test_a_session_is_taken_over_with_its_topics_and_its_last_id() -> None:
    async with opened(generation=NEW) as stage:
        stage.sessions.found, stage.sessions.taken = [STORED], [TAKEN]
        cursors = {"room": at(5), "elsewhere": at(1)}
        assert await stage.session.resume("s1.token", cursors, attempt=4)
        assert stage.sessions.takes == [("3.ab", 4)]
        welcome, *rest = stage.box.said
        told = {key: welcome["data"][key] for key in ("token", "resumed", "last")}
        assert told == {"token": "s1.token", "resumed": True, "last": 9}
        assert {(one["event"], one["data"]["topic"]) for one in rest} == {
            ("wss.left", "elsewhere"), ("wss.joined", "room"), ("wss.joined", "all"),
        }  # fmt: skip
        assert rest[0]["event"] == "wss.left"
        assert stage.session.generation.startswith("4.")
        assert stage.session.last == 9
        assert stage.followed() == {"room", "all"}
        assert not stage.custody.arriving
        await stage.session.finish(clean=False)
        assert stage.sessions.aways == [("s1", stage.session.generation, 30.0)]


@pytest.mark.parametrize("found", [None, StoredSession(Client("s1", "bob"), "3.ab")])
async def test_no_session_and_one_of_another_user_are_not_taken(
    found: StoredSession | None,
) -> None:
    async with opened(generation=NEW) as stage:
        stage.sessions.found = [found]
        assert not await stage.session.resume("s1.token", {})
        assert (stage.sessions.takes, stage.box.said) == ([], [])


@pytest.mark.parametrize(("losses", "resumed"), [(1, True), (RACES - 1, True), (RACES, False)])
async def test_a_session_that_changes_meanwhile_is_looked_up_again(
    losses: int, resumed: bool
) -> None:
    async with opened(generation=NEW) as stage:
        stage.sessions.found = [STORED] * RACES
        stage.sessions.taken = [*[None] * losses, TAKEN]
        assert await stage.session.resume("s1.token", {}) == resumed
        assert len(stage.sessions.takes) == min(losses + 1, RACES)
        assert bool(stage.followed()) == resumed


async def test_while_it_is_taken_it_is_known_to_arrive_and_its_topics_are_followed(
    autojump_clock: MockClock,
) -> None:
    async with opened(generation=NEW) as stage:
        stage.sessions.found, stage.sessions.taken = [STORED], [TAKEN]
        stage.sessions.seconds = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.session.resume, "s1.token", {})
            await wait_all_tasks_blocked()
            assert stage.custody.arriving == {"s1"}
            assert stage.followed() == {"room", "all", "session:s1", "user:ann"}
            nursery.cancel_scope.cancel()
        assert stage.custody.arriving == set()
        assert list(stage.custody.unfinished) == ["s1"]  # it may have been taken
        assert stage.followed() == set()


@pytest.mark.parametrize(
    ("error", "unfinished"), [(Unavailable("away"), ["s1"]), (Overtaken("later"), [])]
)
async def test_one_that_may_have_been_taken_is_to_be_finished(
    error: Unavailable | Overtaken, unfinished: list[str]
) -> None:
    async with opened(generation=NEW) as stage:
        stage.sessions.found, stage.sessions.taken = [STORED], [error]
        with pytest.raises(type(error)):
            await stage.session.resume("s1.token", {})
        assert list(stage.custody.unfinished) == unfinished
        assert all(one.startswith("4.") for one in stage.custody.unfinished.values())


# --- finish


@pytest.mark.parametrize(
    ("before", "clean", "ended", "away"),
    [
        (None, True, [("s1", FIRST)], []),
        (None, False, [], [("s1", FIRST, 30.0)]),
        (Done(b"", close=Close()), False, [("s1", FIRST)], []),  # the app closed it
        (Fenced(), True, [], []),  # it lives elsewhere
        (Gone(), True, [], []),
    ],
)
async def test_a_goodbye_ends_a_session_and_a_loss_leaves_it_its_grace(
    before: CommitOutcome | None,
    clean: bool,
    ended: list[tuple[str, str]],
    away: list[tuple[str, str, float]],
) -> None:
    async with opened() as stage:
        if before is not None:
            stage.apply(before)
        await stage.session.finish(clean=clean)
        assert (stage.node.endings.ended, stage.sessions.aways) == (ended, away)
        assert stage.custody.unfinished == {}


async def test_a_session_that_never_was_is_not_finished() -> None:
    async with opened(generation=NEW) as stage:
        await stage.session.finish(clean=True)
        assert (stage.node.endings.ended, stage.custody.unfinished) == ([], {})


async def test_a_beginning_of_which_nobody_knows_is_ended() -> None:
    async with opened(generation=NEW) as stage:
        stage.apply(Unknown("away"))
        await stage.session.finish(clean=False)
        assert stage.node.endings.ended == [("s1", FIRST)]


@pytest.mark.parametrize("clean", [True, False])
async def test_what_redis_did_not_take_is_left_to_the_janitor(clean: bool) -> None:
    async with opened() as stage:
        stage.node.endings.outcome = Unknown("away")
        stage.sessions.error = Unavailable("away")
        await stage.session.finish(clean=clean)
        assert stage.custody.unfinished == {"s1": FIRST}


# --- is it still ours, and where is it


@pytest.mark.parametrize(
    ("outcome", "closes"),
    [(Done(b""), []), (Fenced(), [CloseCode.REPLACED]), (Gone(), [CloseCode.RESTART])],
)
async def test_a_session_finds_out_that_it_has_moved(
    outcome: CommitOutcome, closes: list[int]
) -> None:
    async with opened() as stage:
        await stage.session.check()
        [commit] = stage.executor.commits
        assert (commit.plan, commit.session, commit.generation) == (EMPTY_PLAN, "s1", FIRST)
        stage.executor.answer(outcome)
        assert [code for code, _ in stage.closes] == closes
        assert stage.box.said == []
        await stage.session.check()
        assert len(stage.executor.commits) == (1 if closes else 2)


async def test_one_that_has_not_begun_asks_nothing() -> None:
    async with opened(generation=NEW) as stage:
        await stage.session.check()
        stage.executor.there = Gone()
        assert await stage.session.compare()
        assert (stage.executor.commits, stage.closes) == ([], [])


async def test_after_a_failover_its_topics_are_those_of_redis() -> None:
    async with opened() as stage:
        stage.apply(Done(b"", (Joined("lost", at(1)), Joined("kept", at(1)))))
        stage.box.take_said()
        stage.executor.there = frozenset({"kept"})
        assert await stage.session.compare()
        assert [one["data"] for one in stage.box.said] == [{"topic": "lost"}]


@pytest.mark.parametrize(
    ("there", "known", "closes"),
    [(Unknown("away"), False, []), (Gone(), True, [CloseCode.RESTART])],
)
async def test_what_redis_does_not_say_corrects_nothing(
    there: Unknown | Gone, known: bool, closes: list[int]
) -> None:
    async with opened() as stage:
        stage.executor.there = there
        assert await stage.session.compare() == known
        assert [code for code, _ in stage.closes] == closes


# --- gaps


async def test_a_gap_is_told_to_the_app_and_a_recovery_is_counted() -> None:
    async with opened() as stage:
        stage.session.memberships.tell_joined("room", at(5), recovered=True)
        stage.session.memberships.tell_joined("hall", at(5), recovered=False)
        await wait_all_tasks_blocked()
        statistics = stage.node.statistics
        assert (statistics.recovered, statistics.broken) == (1, 1)
        [commit] = stage.executor.commits
        assert [op[0] for op in commit.plan.ops] == ["B"]
        assert b'"hall"' in commit.plan.ops[0][2]


reading = App()


@reading.on_gap
def state(event: Gap, value: Annotated[int, Read("n")] = 0) -> Effects:
    return Reply("state", [event.topic, value])


async def test_a_hook_whose_reads_keep_changing_is_run_again_until_it_is_decided(
    autojump_clock: MockClock,
) -> None:
    """The client could not ask for it."""
    async with opened(reading) as stage:
        executor = stage.executor
        executor.seconds = 2 * DEADLINE
        executor.outcomes = [Changed((Entry(b"v", b"1"),)), Changed((Entry(b"v", b"2"),))]
        stage.session.memberships.tell_joined("tea", at(7), recovered=False)
        await trio.sleep(10 * DEADLINE)
        assert names(stage.box.said) == ["wss.joined", "state"]
        assert stage.box.said[1]["data"][0] == "tea"
        assert len(executor.commits) == 3


async def test_a_hook_that_lost_to_others_and_then_can_read_nothing_is_run_again(
    autojump_clock: MockClock,
) -> None:
    async with opened(reading) as stage:
        stage.executor.outcomes = [Changed(())]
        reads = len(stage.executor.reads)
        stage.session.memberships.tell_joined("tea", at(7), recovered=False)
        while len(stage.executor.reads) == reads:
            await trio.lowlevel.checkpoint()
        stage.executor.error = Unavailable("away")
        await trio.sleep(60)
        assert names(stage.box.said) == ["wss.joined"]
        stage.executor.error = None
        await trio.sleep(1)
        assert names(stage.box.said) == ["wss.joined", "state"]


refusing = App()


@refusing.on_gap
@refusing.on_connect
def refuse_all() -> Effects:
    raise Refused("conflict", "The app's own word.")


async def test_a_refusal_of_the_app_s_is_no_conflict_whatever_its_code(
    autojump_clock: MockClock,
) -> None:
    async with opened(refusing) as stage:
        stage.session.memberships.tell_joined("tea", at(7), recovered=False)
        await trio.sleep(60)
        [commit] = stage.executor.commits
        assert b"own word" in commit.answer
    async with opened(refusing, generation=NEW) as stage:
        assert not await stage.session.begin()
        assert stage.closes[0][0] == CloseCode.REFUSED


async def test_a_hook_that_can_read_nothing_is_run_again(autojump_clock: MockClock) -> None:
    async with opened(reading) as stage:
        stage.executor.error = Unavailable("away")
        stage.session.memberships.tell_joined("tea", at(7), recovered=False)
        await trio.sleep(60)
        assert names(stage.box.said) == ["wss.joined"]
        stage.executor.error = None
        await trio.sleep(1)
        assert names(stage.box.said) == ["wss.joined", "state"]


async def test_one_that_has_left_the_hub_is_in_no_topic_and_has_no_gaps() -> None:
    async with opened() as stage:
        stage.apply(Done(b"", (Joined("room", at(5)),)))
        stage.session.leave_hub()
        stage.session.memberships.tell_joined("room", at(5), recovered=False)
        await wait_all_tasks_blocked()
        assert (stage.followed(), stage.executor.commits) == (set(), [])
