"""A commit from outside a node: the process is a node for a moment, with a record in Redis."""

from __future__ import annotations

import secrets
from typing import Final

import trio

from trio_wss.cli.faults import leaves
from trio_wss.commit.plan import plan
from trio_wss.effects import Broadcast
from trio_wss.errors import PlanError, SettingsError, Unavailable
from trio_wss.reads import Client
from trio_wss.settings import Settings
from trio_wss.store.executor import Commit, Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import LinkLost
from trio_wss.store.outcome import Done
from trio_wss.store.scripts import link_to
from trio_wss.store.sessions import Sessions

LEASE: Final = 30.0  # seconds after which the janitors forget a record that was left behind
NOBODY: Final = Client("", None, None, {})


async def broadcast(settings: Settings, effect: Broadcast, history: tuple[int, float]) -> None:
    """Make one broadcast, and return when it is committed.

    `history` is how many broadcasts the topic keeps, and for how many seconds. Raises SettingsError
    if nothing was sent, Unavailable if the outcome is not known.
    """
    assert settings.redis is not None
    try:
        commit = Commit(plan([effect], NOBODY, lambda _: history))
    except PlanError as error:
        raise SettingsError(f"{error}.") from None
    address = parse_address(settings.redis)
    keys = Keys(settings.namespace, address.database)
    link = link_to(address, keys, name="trio-wss-emit")
    name = f"emit-{secrets.token_hex(8)}"
    executor, sessions = Executor(link, keys, name), Sessions(link, keys, name)
    sent = done = False
    reason = ""
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(link.run)
            if not await sessions.beat(LEASE, new=True):
                raise Unavailable("Redis did not take the record")
            sent = True
            outcome = await executor.committed(commit)
            if not isinstance(outcome, Done):
                raise Unavailable(str(outcome))
            done = True
            await sessions.sign_off(0)
            nursery.cancel_scope.cancel()
    except* (LinkLost, Unavailable) as errors:
        reason = str(next(leaves(errors)))
    if sent and not done:
        raise Unavailable(reason)
    if not done:
        raise SettingsError(f"{reason}: nothing was sent.")
