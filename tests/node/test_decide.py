"""trio_wss/node/decide.py: what a message comes to, whatever the app's code does."""

from typing import Annotated, Any

import pytest
import structlog
from attrs import frozen

from trio_wss import App, Client, Close, Effects, Increment, Read, Refused, Reply
from trio_wss.node.decide import SILENT, Decision, Undecided, decide, decide_hook, refuse
from trio_wss.ops.statistics import UNKNOWN_EVENT
from trio_wss.store.entries import Entry
from trio_wss.wire.codec import Message

ANN = Client("s1", "ann")


@frozen
class Say:
    text: str


def app() -> App:
    made = App()

    @made.on("say")
    def say(event: Say) -> Effects:
        return Reply("ok", event.text)

    @made.on("count")
    def count() -> Effects:
        return Increment("n")

    @made.on("no")
    def no() -> Effects:
        raise Refused("not_now", "Later.")

    @made.on("bug")
    def bug() -> Effects:
        raise LookupError("mine")

    @made.on("read")
    def read(event: Say, n: Annotated[int, Read("n:{event.text}")] = 5) -> Effects:
        return Reply("n", n)

    return made


APP = app()


def taken(event: str, number: int | None = 7, data: Any = None) -> Decision:
    found = decide(APP, ANN, Message(event, number, data))
    assert isinstance(found, Decision)
    return found


def test_a_reply_is_the_answer() -> None:
    found = taken("say", data={"text": "hi"})
    assert found.answer == b'{"event":"ok","re":7,"data":"hi"}'
    assert (found.number, found.refusal, found.refused, found.event) == (7, "", False, "say")
    assert taken("say", None, {"text": "hi"}).answer == b'{"event":"ok","data":"hi"}'


def test_with_no_reply_an_event_with_an_id_is_answered_all_the_same() -> None:
    assert taken("count").answer == b'{"event":"wss.ok","re":7}'
    assert taken("count", None).answer == b""
    assert len(taken("count").plan.ops) == 1


@pytest.mark.parametrize(
    ("event", "data", "code", "counted"),
    [
        ("unknown", None, "unknown_event", UNKNOWN_EVENT),
        ("say", {"text": 5}, "invalid", "say"),
        ("no", None, "not_now", "no"),
        ("bug", None, "internal", "bug"),
        ("read", {"text": "x" * 300}, "invalid", "read"),
    ],
)
def test_what_goes_wrong_becomes_an_answer_and_applies_nothing(
    event: str, data: Any, code: str, counted: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        found = taken(event, data=data)
    assert (found.refusal, found.refused, found.event) == (code, True, counted)
    assert not found.plan.ops
    head = f'{{"event":"wss.error","re":7,"data":{{"code":"{code}",'
    assert found.answer.startswith(head.encode())
    assert [log["handler"] for log in logs] == (["bug"] if code == "internal" else [])


def test_one_that_reads_is_decided_when_it_has_read() -> None:
    turn = decide(APP, ANN, Message("read", 7, {"text": "a"}))
    assert isinstance(turn, Undecided)
    assert [request.key for request in turn.requests] == ["n:a"]
    assert turn.decide([Entry(b"v", b"3")]).answer == b'{"event":"n","re":7,"data":3}'
    assert turn.decide([Entry(b"", None)]).answer == b'{"event":"n","re":7,"data":5}'
    with structlog.testing.capture_logs():
        assert turn.decide([Entry(b"v", b'"text"')]).refusal == "internal"


def test_only_what_does_and_says_nothing_is_silent() -> None:
    assert SILENT.silent
    assert decide_hook(APP, ANN, None, "connect") is SILENT
    assert not taken("count").silent
    assert not taken("count", None).silent
    assert not refuse(None, "no", "").silent


def test_a_session_that_ends_says_nothing_to_anybody() -> None:
    made = App()

    @made.on_disconnect
    def leave() -> Effects:
        return Close()

    with structlog.testing.capture_logs() as logs:
        found = decide_hook(made, ANN, made.disconnect, "disconnect")
    assert isinstance(found, Decision)
    assert found.refusal == "internal"
    assert len(logs) == 1
