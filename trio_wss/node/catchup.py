"""Catching up: the one loop that brings a cursor forward through a topic's stream, page by page,
until it equals the topic's. It serves a new member, a resumed one, and the topic's own gap.

A page is applied in the moment its answer comes, in one order with the pushes: a page that reaches
the end of the stream therefore ends exactly where the pushes go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trio_wss.node.hub import Hub, Member, Topic
from trio_wss.store.executor import Executor, Page
from trio_wss.store.outcome import Cursor, parse_text
from trio_wss.wire import text_frame

RETRY: Final = 0.5  # seconds until a page that Redis did not give is asked for again
MOST: Final = 1024  # broadcasts of one page


class CatchUp:
    """Reads pages for one node, few at a time."""

    def __init__(self, executor: Executor, hub: Hub, *, page: int, in_flight: int) -> None:
        self._executor = executor
        self._hub = hub
        self._page = page
        self._pages = trio.CapacityLimiter(in_flight)

    async def fill_gap(self, topic: Topic) -> None:
        """Bring a topic's own cursor to the end of its stream, and its members with it."""

        def apply(page: Page) -> bool:
            if not page.whole:
                topic.break_off(page.cursor)
            for text in page.texts:
                cursor, _, frame = parse_text(text)
                topic.cursor = cursor or page.cursor
                topic.give(frame)
            if topic.cursor == page.cursor:
                topic.settle()
            return topic.live

        await self._read_pages(topic, lambda: topic.cursor, apply)

    async def bring_in(
        self,
        topic: Topic,
        member: Member,
        cursor: Cursor,
        wanted: Callable[[], bool],
        *,
        announce: bool,
    ) -> None:
        """Bring a member's cursor to the topic's, and let it in; the caller holds the topic.

        It ends early when the member is no longer `wanted` there. `announce`: a resumed member is
        told first where it goes on.
        """
        at = cursor
        outbox = member.outbox

        def apply(page: Page) -> bool | None:
            nonlocal at, announce
            if not wanted():
                return True
            if not page.whole:
                at = page.cursor
            if announce or not page.whole:
                member.tell_joined(topic.name, at, recovered=page.whole)
                announce = False
            for text in page.texts:
                if outbox.size * 2 >= outbox.limit:
                    return None  # the rest when there is room again
                after, _, frame = parse_text(text)
                at = after or at
                outbox.push(text_frame(frame))
            if not topic.live:
                return False
            entered = self._hub.enter(topic, member, at)
            if at == page.cursor and not entered:
                # The topic has not been there, though no push is missing: its history was lost.
                self._hub.open_gap(topic)
            return entered

        async def ready() -> None:
            await outbox.room()
            if not topic.live:
                await topic.settled.wait()

        await self._read_pages(topic, lambda: at, apply, ready)

    async def _read_pages(
        self,
        topic: Topic,
        after: Callable[[], Cursor | None],
        apply: Callable[[Page], bool | None],
        ready: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        """Read page after page until `apply` says that it is done; None: it did not take all.

        Pages grow while they come full, so that a busy topic cannot run away from its reader.
        """
        most = self._page
        while True:
            await ready()
            cursor = after()
            assert cursor is not None  # a topic without one has no gap
            async with self._pages:
                full, done = await self._ask(topic, cursor, most, apply)
            if done:
                return
            most = min(most * 2, MOST) if full else self._page

    async def _ask(
        self, topic: Topic, after: Cursor, most: int, apply: Callable[[Page], bool | None]
    ) -> tuple[bool, bool]:
        """Ask for one page and apply it as it comes. Returns whether a larger one would have been
        taken, and whether this was the end.
        """
        found: list[tuple[bool, bool]] = []
        there = trio.Event()

        def answered(page: Page | None) -> None:
            if page is not None:
                done = apply(page)
                found.append((done is False and len(page.texts) >= most, bool(done)))
            there.set()

        self._executor.page(topic.name, after, most, answered)
        await there.wait()
        if not found:  # Redis did not say
            await trio.sleep(RETRY)
            return False, False
        return found[0]
