"""Real Redis servers for every test that asks for one, on both engines: Valkey from the wheel and
the redis-server of the PATH."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
import structlog

from tests.support.servers import RedisServer
from tests.web.browser.chromium import NAMES, Chromium
from trio_wss.cli import log
from trio_wss.store.embedded import find_server

MakeRedis = Callable[..., RedisServer]

ENGINES: Final = ("valkey", "redis")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=ENGINES, help="what needs a server runs on this one only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what shall not run on its engine: see `--engine` and the mark `any_engine`."""
    left_out = [item for item in items if _engine(item) not in (None, *_engines(config, item))]
    if left_out:
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=left_out)


def _engine(item: pytest.Item) -> str | None:
    """The engine that a test was made for, if it needs one."""
    spec = getattr(item, "callspec", None)
    return None if spec is None else spec.params.get("redis_binary")


def _engines(config: pytest.Config, item: pytest.Item) -> tuple[str, ...]:
    chosen = (config.option.engine,) if config.option.engine else ENGINES
    return chosen[:1] if item.get_closest_marker("any_engine") else chosen


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command line that a test ran logs to that test's stderr, which is closed after it."""
    yield
    structlog.reset_defaults()
    log.forget()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """For sockets, whose paths have at most 107 bytes: `tmp_path` may be too long for one."""
    with TemporaryDirectory(prefix="wss-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session", params=ENGINES)
def redis_binary(request: pytest.FixtureRequest) -> Path:
    """The server of one engine: a test that uses it, even indirectly, runs on both."""
    found = find_server() if request.param == "valkey" else shutil.which("redis-server")
    if found is None or request.param not in Path(found).name:
        missing = f"there is no {request.param}-server here"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return Path(found)


@pytest.fixture(scope="session")
def shared_redis(redis_binary: Path) -> Iterator[RedisServer]:
    """One server for all tests of the run: do it no harm."""
    server = RedisServer(redis_binary)
    yield server
    server.close()


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The URL of a server with no data and no scripts."""
    with shared_redis.client() as client:
        client.flushall()
        client.script_flush()
    return shared_redis.url


@pytest.fixture
def make_redis(redis_binary: Path) -> Iterator[MakeRedis]:
    """`make_redis(appendonly="yes")`: servers of the test's own, to pause, kill and restart."""
    servers: list[RedisServer] = []

    def make(*, sentinel: Sequence[str] = (), **options: str) -> RedisServer:
        servers.append(RedisServer(redis_binary, under=None, sentinel=sentinel, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def own_redis(make_redis: MakeRedis) -> RedisServer:
    """A server of the test's own, which loses its data when it restarts."""
    return make_redis()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests of the run; each has a tab that shares nothing."""
    if not any(map(shutil.which, NAMES)):
        if os.environ.get("CI"):
            pytest.fail("there is no chromium here")
        pytest.skip("there is no chromium here")
    browser = Chromium()
    yield browser
    browser.close()
