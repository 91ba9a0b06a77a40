"""Catching up is one loop that moves a cursor forward through a topic's stream, page by page, until
it equals the topic's. It serves a new member, a resumed one, and the topic's own gap. After a lost
link a survey first finds the topics that have a gap.

A page is applied in the moment its answer comes, in one order with the pushes. So a page that
reaches the end of the stream ends exactly where the pushes go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from attrs import frozen

from trio_wss.node.topics.hub import Hub
from trio_wss.node.topics.topic import Topic, TopicMember
from trio_wss.store.executor import Executor, Page
from trio_wss.store.history import NOWHERE, Cursor, parse_text
from trio_wss.store.link.awaited import Awaited
from trio_wss.wire import text_frame

RETRY: Final = 0.5  # seconds until a question that Redis did not answer is asked again
MAX_COMPARED: Final = 500  # topics in one question: less than a millisecond of Redis' time
MAX_PAGE: Final = 1024  # broadcasts in one page
PORTION: Final = 64 * 1024  # bytes after which the members of a topic get time to take them


@frozen
class Progress:
    """The result of a page: how many of its texts were taken, and whether it was the last one."""

    taken: int
    done: bool


class CatchUp:
    """Reads pages for one node, few at a time."""

    def __init__(self, executor: Executor, hub: Hub, *, page: int, in_flight: int) -> None:
        self._executor = executor
        self._hub = hub
        self._page = page
        self._pages = trio.CapacityLimiter(in_flight)

    async def survey(self, topics: Sequence[Topic]) -> None:
        """Compare the cursors of topics with those in Redis, many at a time. After a lost link most
        are equal, such as those of the sessions, and a page for each would keep commits waiting.
        """
        done = 0
        while done < len(topics):
            done += await self._compare(topics[done : done + MAX_COMPARED])

    async def _compare(self, topics: Sequence[Topic]) -> int:
        """Compare these topics when the answer comes. Return how many were compared."""
        compared = Awaited[int]()

        def answered(cursors: list[Cursor | None] | None) -> None:
            if cursors is None:  # Redis did not answer
                compared.come(0)
                return
            for topic, cursor in zip(topics, cursors, strict=True):
                self._hub.compare(topic, cursor)
            compared.come(len(topics))

        self._executor.cursors([topic.name for topic in topics], answered)
        done = await compared.wait()
        if not done:
            await trio.sleep(RETRY)
        return done

    async def fill_gap(self, topic: Topic) -> None:
        """Move a topic's own cursor to the end of its stream, and give its members the broadcasts.

        They are given in portions; a member that has not taken the last ones catches up alone.
        """

        def apply(page: Page) -> Progress:
            if not page.whole:
                topic.go_on_at(page.cursor, recovered=False)
            self._hub.part_from_slow(topic)
            taken = size = 0
            while taken < len(page.texts) and size < PORTION:
                cursor, _, frame = parse_text(page.texts[taken])
                assert cursor is not None  # no kept broadcast is volatile
                topic.cursor = cursor
                topic.give(frame)
                taken += 1
                size += len(frame)
            if topic.cursor == page.cursor:
                topic.go_live()
            return Progress(taken, topic.live)

        await self._read_pages(topic, lambda: topic.cursor, apply)

    async def bring_in(
        self,
        topic: Topic,
        member: TopicMember,
        cursor: Cursor,
        wanted: Callable[[], bool],
        *,
        announce: bool,
    ) -> None:
        """Move a member's cursor to the topic's, and let the member in. The caller holds the topic.

        Ends early when the member is no longer `wanted` there. `announce`: first tell the member,
        which was resumed, where it goes on.
        """
        at = cursor
        outbox = member.outbox

        def apply(page: Page) -> Progress:
            nonlocal at, announce
            if not wanted() or outbox.sealed:
                return Progress(0, True)
            if not page.whole:
                at = page.cursor
            if announce or not page.whole:
                member.tell_joined(topic.name, at, recovered=page.whole)
                announce = False
            taken = 0
            while taken < len(page.texts) and outbox.size * 2 < outbox.limit:
                after, _, frame = parse_text(page.texts[taken])
                outbox.push(text_frame(frame))
                at = after or at
                taken += 1
            return Progress(taken, self._let_in(topic, member, at, page))

        async def ready() -> None:
            await outbox.room()
            if not topic.live:
                await topic.went_live.wait()

        await self._read_pages(topic, lambda: at, apply, ready)

    def _let_in(self, topic: Topic, member: TopicMember, at: Cursor, page: Page) -> bool:
        """Let a member in if it has reached the end of the stream; return whether it is in."""
        if not topic.live or at != page.cursor:
            return False
        if at == NOWHERE and topic.cursor != at:  # the topic expired after a long silence
            topic.go_on_at(at, recovered=True)
        if self._hub.enter(topic, member, at):
            return True
        self._hub.open_gap(topic)  # no push is missing and yet the cursors differ: history was lost
        return False

    async def _read_pages(
        self,
        topic: Topic,
        after: Callable[[], Cursor | None],
        apply: Callable[[Page], Progress],
        ready: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        """Read page after page until `apply` says that it is done.

        Pages grow while they come full, so that the reader of a busy topic reaches its end, and
        shrink when they are not taken whole.
        """
        most = self._page
        while True:
            await ready()
            cursor = after()
            assert cursor is not None  # a topic without one has no gap
            async with self._pages:
                came, applied = await self._ask(topic, cursor, most, apply)
            if applied.done:
                return
            if applied.taken < came:
                most = max(applied.taken * 2, 1)
            else:
                most = min(most * 2, MAX_PAGE) if came >= most else self._page

    async def _ask(
        self, topic: Topic, after: Cursor, most: int, apply: Callable[[Page], Progress]
    ) -> tuple[int, Progress]:
        """Ask for one page and apply it when it comes. Return the number of its texts, and the
        result.
        """
        found = Awaited[tuple[int, Progress] | None]()

        def answered(page: Page | None) -> None:
            found.come(None if page is None else (len(page.texts), apply(page)))

        self._executor.page(topic.name, after, most, answered)
        came = await found.wait()
        if came is None:  # Redis did not answer
            await trio.sleep(RETRY)
            return 0, Progress(0, False)
        return came
