"""trio_wss/node/transaction.py: read, decide, commit, until it holds; and a session's last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, cast

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.support.fakes import FakeExecutor, FakeSessions
from trio_wss import App, Broadcast, Client, Effects, Read, Refused, Store
from trio_wss.commit.plan import EMPTY_PLAN
from trio_wss.errors import Unavailable
from trio_wss.node.decide import SILENT, Decision, Undecided, decide
from trio_wss.node.transaction import Endings, Transactions
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import Entry, WrongType
from trio_wss.store.executor import Commit, Executor
from trio_wss.store.outcome import (
    Changed,
    CommitOutcome,
    Done,
    Failed,
    Fenced,
    Gone,
    Stale,
    Unknown,
)
from trio_wss.store.sessions import Sessions, StoredSession
from trio_wss.wire.codec import Message

ANN = Client("s1", "ann")
app = App()


@app.on("add")
def add(n: Annotated[int | None, Read("n")]) -> Effects:
    return Store("n", (n or 0) + 1)


def turn(number: int | None = 7) -> Undecided:
    found = decide(app, ANN, Message("add", number))
    assert isinstance(found, Undecided)
    return found


def entry(value: int) -> Entry:
    return Entry(b"version %d" % value, b"%d" % value)


class Stage:
    """Transactions, with what they were given to commit."""

    def __init__(self, deadline: float = 5.0) -> None:
        self.executor = FakeExecutor()
        self.transactions = Transactions(cast(Executor, self.executor), deadline=deadline)
        self.applied: list[CommitOutcome] = []

    def make(
        self, decision: Decision, requests: Sequence[ReadRequest], entries: Sequence[Entry]
    ) -> Commit | None:
        return Commit(
            decision.plan,
            number=decision.number,
            answer=decision.answer,
            requests=requests,
            entries=entries,
            apply=self.applied.append,
        )

    async def run(self, turn: Undecided | Decision, expires: float | None = None) -> CommitOutcome:
        return await self.transactions.run(turn, self.make, expires=expires)

    @property
    def values(self) -> list[bytes | str]:
        """What each commit was to store."""
        return [commit.plan.ops[0][2][0] for commit in self.executor.commits]


async def test_a_decision_is_committed_and_nothing_is_read() -> None:
    stage = Stage()
    stage.executor.outcomes = [Done(b"yes")]
    assert await stage.run(SILENT) == Done(b"yes")
    [commit] = stage.executor.commits
    assert (commit.requests, commit.entries, stage.executor.reads) == ((), (), [])
    assert stage.applied == [Done(b"yes")]


async def test_a_turn_is_decided_on_what_it_has_read() -> None:
    stage = Stage()
    stage.executor.entries = (entry(4),)
    await stage.run(turn())
    [commit] = stage.executor.commits
    assert stage.values == [b"5"]
    assert commit.requests == (ReadRequest("value", "n"),)
    assert commit.entries == (entry(4),)
    assert stage.executor.reads == [commit.requests]


@pytest.mark.parametrize(
    ("fresh", "reads", "values"),
    [((entry(8),), 1, [b"5", b"9"]), ((), 2, [b"5", b"5"])],
    ids=["told", "not told"],
)
async def test_where_what_was_read_has_changed_it_is_decided_again(
    fresh: tuple[Entry, ...], reads: int, values: list[bytes]
) -> None:
    stage = Stage()
    stage.executor.entries = (entry(4),)
    stage.executor.outcomes = [Changed(fresh), Done(b"ok")]
    assert await stage.run(turn()) == Done(b"ok")
    assert (stage.values, len(stage.executor.reads)) == (values, reads)
    assert stage.applied == [Changed(fresh), Done(b"ok")]


async def test_one_whose_reads_keep_changing_is_a_conflict_at_last(
    autojump_clock: MockClock,
) -> None:
    stage = Stage(deadline=5.0)
    stage.executor.seconds = 1.0
    stage.executor.outcomes = [*(Changed((entry(n),)) for n in range(5)), Done(b"last")]
    assert await stage.run(turn()) == Done(b"last")
    *tries, last = stage.executor.commits
    assert len(tries) == 5
    assert (last.number, last.plan, last.requests) == (7, EMPTY_PLAN, ())
    assert b'"re":7,"data":{"code":"conflict"' in last.answer


@pytest.mark.parametrize("outcome", [Failed("topics"), Stale(), Fenced(), Gone(), Unknown("away")])
async def test_any_other_outcome_is_the_end_and_the_next_event_reads_anew(
    outcome: CommitOutcome,
) -> None:
    stage = Stage()
    stage.executor.outcomes = [outcome]
    found = turn()
    with stage.transactions.speculations.of(found.requests):  # another event is under way
        assert await stage.run(found) == outcome
        assert len(stage.executor.commits) == 1
        await stage.run(turn())
    assert stage.values == [b"1", b"1"]
    assert len(stage.executor.reads) == 2


async def test_events_on_one_key_are_decided_on_what_those_before_them_leave(
    autojump_clock: MockClock,
) -> None:
    stage = Stage()
    stage.executor.seconds = 1.0
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(stage.run, turn())
        await wait_all_tasks_blocked()
        assert (stage.values, len(stage.executor.reads)) == ([b"1", b"2", b"3"], 1)
    assert repr(stage.transactions.speculations) == "<Speculations []>"


async def test_where_there_is_nothing_to_commit_nothing_is_sent() -> None:
    stage = Stage()
    outcome = await stage.transactions.run(SILENT, lambda *_: None)
    assert (outcome, stage.executor.commits) == (Done(b""), [])


async def test_a_commit_is_made_when_there_is_room_for_it() -> None:
    """What it is made of, such as the session's generation, may change until then."""
    stage = Stage()
    stage.executor.full = True
    made: list[Decision] = []

    def make(decision: Decision, *_: object) -> None:
        made.append(decision)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.transactions.run, SILENT, make)
        await wait_all_tasks_blocked()
        assert made == []
        stage.executor.make_room()
    assert made == [SILENT]


async def test_one_that_can_read_nothing_until_it_expires_is_unavailable(
    autojump_clock: MockClock,
) -> None:
    stage = Stage()
    stage.executor.error = Unavailable("away")
    expires = trio.current_time() + 3
    with pytest.raises(Unavailable):
        await stage.run(turn(), expires)
    assert trio.current_time() == expires
    assert (stage.executor.commits, repr(stage.transactions.speculations)) == (
        [],
        "<Speculations []>",
    )


async def test_a_read_that_can_never_be_answered_is_the_servers_fault() -> None:
    stage = Stage()
    stage.executor.error = WrongType("n")
    with structlog.testing.capture_logs() as logs:
        await stage.run(turn())
    [commit] = stage.executor.commits
    assert (commit.number, commit.plan) == (7, EMPTY_PLAN)
    assert b'"code":"internal"' in commit.answer
    assert [(log["event"], log["handler"]) for log in logs] == [("a read failed", "add")]


# --- endings


class Ending:
    """A session that is about to end, and what is committed for it."""

    def __init__(self, app: App) -> None:
        self.stage = Stage()
        self._endings = Endings(app, cast(Sessions, FakeSessions()), self.stage.transactions)

    async def end(self, *outcomes: CommitOutcome) -> CommitOutcome:
        self.stage.executor.outcomes = [*outcomes]
        with structlog.testing.capture_logs() as logs:
            outcome = await self._endings.end(StoredSession(ANN, "3.ab"))
        self.logs = [log["event"] for log in logs]
        for commit in self.stage.executor.commits:
            assert (commit.session, commit.generation, commit.number) == ("s1", "3.ab", None)
            assert commit.lead == (("E", (), ["s1"]),)
        return outcome

    @property
    def plans(self) -> list[list[str]]:
        """The letters of the operations of each commit."""
        return [[op[0] for op in commit.plan.ops] for commit in self.stage.executor.commits]


def leaving() -> App:
    made = App()

    @made.on_disconnect
    def leave(client: Client) -> Effects:
        return Broadcast("room", "left", client.user)

    return made


def counting() -> App:
    made = App()
    made.on_disconnect(add)
    return made


def failing() -> App:
    made = App()

    @made.on_disconnect
    def fail() -> Effects:
        raise LookupError

    return made


def refusing() -> App:
    made = App()

    @made.on_disconnect
    def refuse_it() -> Effects:
        raise Refused("conflict")

    return made


FULL = Unknown("OOM", full=True)


@pytest.mark.parametrize(
    ("outcomes", "found", "plans", "logged"),
    [
        ([Done(b"")], Done(b""), [["B"]], []),
        ([Fenced()], Fenced(), [["B"]], []),  # it was resumed
        ([Gone()], Gone(), [["B"]], []),  # another node was here before
        ([Unknown("away")], Unknown("away"), [["B"]], []),
        ([Failed("overflow n"), Done(b"")], Done(b""), [["B"], []], ["on_disconnect refused"]),
        (
            [FULL, Done(b"")],
            Done(b""),
            [["B"], []],
            ["on_disconnect is dropped: Redis is full, and its effects do not fit"],
        ),
    ],
)
async def test_a_session_ends_with_what_on_disconnect_wants_or_at_least_bare(
    outcomes: list[CommitOutcome], found: CommitOutcome, plans: list[list[str]], logged: list[str]
) -> None:
    ending = Ending(leaving())
    assert await ending.end(*outcomes) == found
    assert (ending.plans, ending.logs) == (plans, logged)


@pytest.mark.parametrize(
    ("made", "logged"), [(App, []), (refusing, []), (failing, ["handler failed"])]
)
async def test_no_handler_and_one_that_fails_keep_no_session_alive(
    made: Callable[[], App], logged: list[str]
) -> None:
    ending = Ending(made())
    assert await ending.end(Done(b"")) == Done(b"")
    assert (ending.plans, ending.logs) == ([[]], logged)


async def test_a_handler_that_reads_is_run_on_what_is_there() -> None:
    ending = Ending(counting())
    ending.stage.executor.entries = (entry(4),)
    assert await ending.end(Changed((entry(6),)), Done(b"")) == Done(b"")
    assert ending.stage.values == [b"5", b"7"]
    found = [(commit.requests, commit.entries) for commit in ending.stage.executor.commits]
    assert found == [(turn().requests, (entry(value),)) for value in (4, 6)]


async def test_a_conflict_is_not_the_last_word(autojump_clock: MockClock) -> None:
    """Nobody would be told; the session is due again, and its handler runs then."""
    ending = Ending(counting())
    ending.stage.executor.seconds = 1.0
    outcome = await ending.end(*[Changed((entry(n),)) for n in range(9)])
    assert isinstance(outcome, Unknown)
    assert ending.plans == [["S"]] * 5
    assert ending.logs == ["on_disconnect met a conflict"]


async def test_where_nothing_can_be_read_nobody_knows_and_nothing_is_committed() -> None:
    ending = Ending(counting())
    ending.stage.executor.error = Unavailable("away")
    assert await ending.end() == Unknown("away")
    assert ending.plans == []
