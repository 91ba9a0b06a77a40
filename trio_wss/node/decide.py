"""Decides what to commit for a message. The app's handlers run here, and nothing is awaited.

This is one of the places that catch every exception: every failure of an app becomes an answer,
and an answer to an event with an id is a commit like any other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from attrs import define, field

from trio_wss.app import App
from trio_wss.commit.plan import EMPTY_PLAN, Phase, Plan, plan
from trio_wss.errors import Invalid, Refused
from trio_wss.handling.handler import Handler
from trio_wss.ops.statistics import UNKNOWN_EVENT
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.entries import Entry
from trio_wss.wire import codec

log = structlog.get_logger(__name__)

INTERNAL: Final = "the server failed at this event; nothing was applied"

T = TypeVar("T")


@define(eq=False)
class Decision:
    """The content of a commit: a plan, and the answer (empty: none)."""

    number: int | None  # the event's id
    plan: Plan
    answer: bytes
    refusal: str = ""  # the code of the error in the answer; the plan is then empty
    event: str = UNKNOWN_EVENT  # what it is counted as
    by_app: bool = False  # it is the app that refuses, by whatever code

    @property
    def refused(self) -> bool:
        """Whether nothing is applied, and the answer says why."""
        return bool(self.refusal)

    @property
    def gave_up(self) -> bool:
        """Others kept changing what it was decided on."""
        return self.refusal == "conflict" and not self.by_app

    @property
    def failed(self) -> bool:
        """The app's code went wrong."""
        return self.refusal == "internal" and not self.by_app

    @property
    def silent(self) -> bool:
        """Whether there is nothing to do and nothing to say, so that no commit is needed."""
        plan = self.plan
        return self.number is None and not (plan.ops or self.answer or plan.close)


SILENT: Final = Decision(None, EMPTY_PLAN, b"", event="")


@define(eq=False)
class Undecided:
    """One event of one client whose handler reads before it decides.

    Time and seed are taken once, so that a handler that runs again on fresh values sees the same.
    """

    app: App
    handler: Handler
    client: Client
    phase: Phase
    event: object
    number: int | None
    requests: Sequence[ReadRequest]
    now: float = field(factory=time.time)
    seed: int = field(factory=lambda: random.getrandbits(64))

    def decide(self, entries: Sequence[Entry]) -> Decision:
        """Run the handler on the values that were read, and plan the effects that it returns."""
        values = [entry.value for entry in entries]
        return _guarded(
            self.number, self.handler, _decide, self.app, self.handler, self.client, self.phase,
            self.event, self.number, values, self.now, self.seed,
        )  # fmt: skip


def decide(app: App, client: Client, message: codec.Message) -> Undecided | Decision:
    """Return the decision on a message, or an Undecided if its handler reads first."""
    handler = app.handlers.get(message.event)
    if handler is None:
        return refuse(message.id, "unknown_event", f"there is no event {message.event[:64]!r}")
    return _guarded(message.id, handler, _take, app, handler, client, message)


def _take(
    app: App, handler: Handler, client: Client, message: codec.Message
) -> Undecided | Decision:
    event = handler.bind(message.data)
    return _take_event(app, handler, client, "event", event, message.id)


def _take_event(
    app: App, handler: Handler, client: Client, phase: Phase, event: object, number: int | None
) -> Undecided | Decision:
    """Return an Undecided for a handler that reads first, else the handler's decision."""
    if handler.reads:
        requests = handler.requests(event, client)
        return Undecided(app, handler, client, phase, event, number, requests)
    now, seed = time.time(), random.getrandbits(64)
    return _decide(app, handler, client, phase, event, number, (), now, seed)


def _decide(
    app: App, handler: Handler, client: Client, phase: Phase, event: object, number: int | None,
    values: Sequence[bytes | None], now: float, seed: int,
) -> Decision:  # fmt: skip
    made = plan(handler.run(event, client, values, now, seed), client, app.history, phase)
    if made.reply is not None:
        answer = codec.reply(made.reply.event, number, made.reply.data)
    else:
        answer = b"" if number is None else codec.ok(number)
    return Decision(number, made, answer, "", handler.name)


def decide_hook(
    app: App, client: Client, handler: Handler | None, phase: Phase, event: object = None
) -> Undecided | Decision:
    """Decide as `decide` does, with no message: a session begins, ends or has a gap."""
    if handler is None:
        return SILENT
    return _guarded(None, handler, _take_event, app, handler, client, phase, event, None)


def refuse(
    number: int | None, code: str, message: str, path: str = "", event: str = UNKNOWN_EVENT
) -> Decision:
    """Return a decision that applies nothing and answers with an error."""
    return Decision(number, EMPTY_PLAN, codec.error(number, code, message, path), code, event)


def _guarded(
    number: int | None, handler: Handler, work: Callable[..., T], *arguments: Any
) -> T | Decision:
    """Run the app's code; an exception becomes an answer."""
    try:
        return work(*arguments)
    except Refused as refusal:
        refused = refuse(number, refusal.code, refusal.message, event=handler.name)
        refused.by_app = True
        return refused
    except Invalid as fault:
        return refuse(number, "invalid", fault.message, fault.path, handler.name)
    except Exception:
        log.exception("handler failed", handler=handler.name)
        return refuse(number, "internal", INTERNAL, event=handler.name)
