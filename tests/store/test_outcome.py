"""trio_wss/store/outcome.py: what a reply of the commit script means, as a table."""

from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError, ResponseError
from structlog.testing import capture_logs

from trio_wss.effects import Close
from trio_wss.errors import Unavailable
from trio_wss.store.entries import Entry
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
    parse_outcome,
)

JOINED = Joined("tea", Cursor("e", 3))
HASH = [b"gen", b"t:tea"]  # of a session that is in one topic

REPLIES: dict[str, tuple[Any, CommitOutcome]] = {
    "nothing to tell": ([b"done", b"\nok"], Done(b"ok")),
    "no answer": ([b"done", b"\n"], Done(b"")),
    "an answer of several lines": ([b"done", b"\na\nb"], Done(b"a\nb")),
    "a join": ([b"done", b'["tea","e",3]\nok'], Done(b"ok", (JOINED,))),
    "a leave": ([b"done", b'["tea"]\nok'], Done(b"ok", (Left("tea"),))),
    "a close": ([b"done", b'[4000,"bye"]\n'], Done(b"", close=Close(4000, "bye"))),
    "all of them": (
        [b"done", b'["tea","e",3],["milk"],[4000,"bye"]\nok'],
        Done(b"ok", (JOINED, Left("milk")), Close(4000, "bye")),
    ),
    "seen, with nothing to tell": ([b"seen", b"\nok"], Done(b"ok")),
    "seen, and still in": (
        [b"seen", b'["tea","e",3]\nok', HASH],
        Done(b"ok", (JOINED,), seen=True),
    ),
    "seen, and out since": ([b"seen", b'["milk","e",3]\nok', HASH], Done(b"ok", seen=True)),
    "seen, and in since": ([b"seen", b'["tea"]\nok', HASH], Done(b"ok", seen=True)),
    "seen, where all are": (
        [b"seen", b'["all","e",3]\nok', HASH],
        Done(b"ok", (Joined("all", Cursor("e", 3)),), seen=True),
    ),
    "refused": ([b"done", b"!topics"], Failed("topics")),
    "refused, and seen": ([b"seen", b"!overflow \xff"], Failed("overflow \ufffd")),
    "spent": ([b"seen", b"~"], Changed(())),
    "changed": ([b"changed", [[b"v", b"value", b"1"]]], Changed((Entry(b"v", b"1"),))),
    "changed, and too large": ([b"changed", []], Changed(())),
    "changed into another type": (
        [b"changed", [[b"v", b"wrong"]]],
        Failed("wrong_type a field was read of a key that is not a map"),
    ),
    "stale": ([b"stale"], Stale()),
    "fenced": ([b"fenced"], Fenced()),
    "gone": ([b"gone"], Gone()),
    "no answer in time": (Unavailable("late"), Unknown("late")),
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_means(name: str) -> None:
    reply, outcome = REPLIES[name]
    with capture_logs() as logs:
        assert parse_outcome(reply) == outcome
    assert logs == []


@pytest.mark.parametrize(
    ("error", "full"), [(ResponseError("ERR x"), False), (OutOfMemoryError("OOM"), True)]
)
def test_an_error_of_redis_is_logged(error: Exception, full: bool) -> None:
    with capture_logs() as logs:
        assert parse_outcome(error) == Unknown(str(error), full=full)
    assert [log["event"] for log in logs] == ["commit not applied"]
