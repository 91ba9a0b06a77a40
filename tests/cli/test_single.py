"""trio_wss/cli/single.py: one node in this process, for itself or as the child of a parent."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_wss import App
from trio_wss.cli import single
from trio_wss.cli.children import LISTENS, WRONG, WRONG_CALL
from trio_wss.cli.launch import Launch
from trio_wss.cli.signals import Stop
from trio_wss.cli.single import calm_collector, redis_for, run_node
from trio_wss.errors import WrongSetting, WssError
from trio_wss.settings import Settings

REDIS = "redis://127.0.0.1:1"
app = App()


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class FakeServe:
    """Stands for the node: it listens, and stops when it is told to, or fails first."""

    def __init__(self, error: Exception | None = None) -> None:
        self.settings: Settings | None = None
        self.options: dict[str, Any] = {}
        self.listens = trio.Event()
        self._error = error

    async def __call__(
        self, app: App, settings: Settings, *, task_status: trio.TaskStatus[None], **options: Any
    ) -> None:
        self.settings, self.options = settings, options
        async with AsyncExitStack() as stack:
            for listener in (*options["listeners"], *(options["ops_listeners"] or ())):
                await stack.enter_async_context(listener)
            if self._error is not None:
                raise self._error
            task_status.started()
            self.listens.set()
            await options["shutdown"].wait()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeServe]:
    def make(error: Exception | None = None) -> FakeServe:
        made = FakeServe(error)
        monkeypatch.setattr("trio_wss.node.serve", made)
        return made

    return make


def launch(**changes: Any) -> Launch:
    settings = Settings(redis=REDIS, port=0, **changes.pop("settings", {}))
    return Launch("app", settings, **changes)


async def run(started: Launch, codes: list[int]) -> None:
    codes.append(await run_node(started, app))


# --- its Redis


async def test_a_redis_that_is_named_is_used() -> None:
    async with redis_for(launch(), Stop()) as url:
        assert url == REDIS


async def test_without_one_there_is_one_whose_end_asks_for_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    @asynccontextmanager
    async def embedded(data: Path | None, *, ended: Callable[[WssError], None]) -> Any:
        given.append(data)
        yield "unix:///embedded"
        ended(WssError("it died"))

    monkeypatch.setattr(single, "embedded", embedded)
    stop = Stop()
    async with redis_for(Launch("app", Settings(), data=tmp_path), stop) as url:
        assert (url, given) == ("unix:///embedded", [tmp_path])
    assert stop.asked.is_set()
    assert str(stop.error) == "it died"


def test_the_collector_looks_less_often_at_what_lives_long() -> None:
    calm_collector()
    assert gc.get_threshold() == (20_000, 50, 50)
    assert gc.get_freeze_count() > 0


# --- for itself


async def test_by_itself_it_says_where_it_listens(
    serve: Callable[..., FakeServe],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asynccontextmanager
    async def redis_for(launch: Launch, stop: Stop) -> AsyncIterator[str]:
        yield "unix:///found"

    monkeypatch.setattr(single, "redis_for", redis_for)
    node, codes = serve(), list[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, launch(settings={"ops_port": 0, "grace": 3.0}), codes)
        await node.listens.wait()
        while not (out := capsys.readouterr().out):
            await trio.lowlevel.checkpoint()
        node.options["shutdown"].set()
    assert codes == [0]
    assert out.startswith("listening on ws://127.0.0.1:")
    assert "\noperations on http://127.0.0.1:" in out
    assert node.settings is not None
    assert (node.settings.redis, node.settings.grace) == ("unix:///found", 3.0)
    assert gc.get_threshold()[0] == 20_000
    assert len(node.options["listeners"]) == len(node.options["ops_listeners"]) == 1


async def test_by_itself_a_wrong_setting_comes_out(serve: Callable[..., FakeServe]) -> None:
    serve(WrongSetting("redis", "does not work."))
    with pytest.RaisesGroup(WrongSetting, flatten_subgroups=True):
        await run_node(launch(), app)


# --- as a child


@asynccontextmanager
async def parent() -> AsyncIterator[tuple[socket.socket, int]]:
    """The parent's end of a channel, and the number of the child's."""
    ours, theirs = socket.socketpair()
    with ours:
        yield ours, theirs.detach()


async def test_a_child_tells_its_parent_that_it_listens_and_stops_with_it(
    serve: Callable[..., FakeServe], capsys: pytest.CaptureFixture[str]
) -> None:
    node, codes = serve(), list[int]()
    with trio.fail_after(30):
        async with parent() as (ours, channel), trio.open_nursery() as nursery:
            nursery.start_soon(run, launch(channel=channel), codes)
            await trio.lowlevel.wait_readable(ours)
            assert ours.recv(100) == LISTENS
            assert (codes, node.options["ops_listeners"]) == ([], None)
            ours.shutdown(socket.SHUT_WR)
    assert codes == [0]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("gone", [False, True])
async def test_a_child_leaves_it_to_its_parent_to_say_which_setting_is_wrong(
    gone: bool, serve: Callable[..., FakeServe]
) -> None:
    serve(WrongSetting("redis", "does not work: it is too old."))
    async with parent() as (ours, channel):
        if gone:
            ours.close()
        assert await run_node(launch(channel=channel), app) == WRONG_CALL
        if not gone:
            assert ours.recv(100) == WRONG + b"redis does not work: it is too old."


async def test_what_else_fails_in_a_child_comes_out(serve: Callable[..., FakeServe]) -> None:
    serve(WssError("the embedded server ended"))
    async with parent() as (ours, channel):
        with pytest.RaisesGroup(WssError, flatten_subgroups=True):
            await run_node(launch(channel=channel), app)
        assert ours.recv(100) == b""
