"""trio_wss/cli/emission.py: what is said of a broadcast that did not happen, or may have."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.support.scripted_redis import ScriptedRedis
from trio_wss import Broadcast
from trio_wss.cli import emission
from trio_wss.cli.emission import LEASE, broadcast
from trio_wss.errors import SettingsError, Unavailable, WssError
from trio_wss.settings import Settings

SETTINGS = Settings(redis="redis://scripted", namespace="n")
NEWS = Broadcast("room", "news", {"n": 1})
YES, NO, DONE = b":1\r\n", b":0\r\n", b"*2\r\n$4\r\ndone\r\n$1\r\n\n\r\n"
FULL = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
GOES = b""  # it closes the connection instead of answering


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> ScriptedRedis:
    address = ScriptedRedis()
    monkeypatch.setattr(emission, "parse_address", lambda _: address)
    return address


async def serve(redis: ScriptedRedis, *answers: bytes) -> list[list[bytes]]:
    """Answer so much after the hello; the commands that were answered."""
    peer = await redis.accept()
    await peer.hello()
    taken: list[list[bytes]] = []
    greeted = False
    for answer in answers:
        while (command := await peer.take())[0] != b"EVALSHA" or not greeted:
            greeted = command[0] == b"EVALSHA"
            await peer.put(b"*0\r\n" if greeted else b"+OK\r\n")
        taken.append(command)
        if answer == GOES:
            await peer.stream.aclose()
        else:
            await peer.put(answer)
    return taken


async def emitted(redis: ScriptedRedis, *answers: bytes) -> list[list[bytes]]:
    """Make a broadcast on a Redis that answers so; the commands that it was asked."""
    taken: list[list[bytes]] = []

    async def answer() -> None:
        taken.extend(await serve(redis, *answers))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await broadcast(SETTINGS, NEWS, (100, 60.0))
    return taken


async def test_it_is_a_node_for_a_moment(redis: ScriptedRedis, autojump_clock: MockClock) -> None:
    beat, commit, leave = await emitted(redis, YES, DONE, YES)
    [name] = [word for word in beat if word.startswith(b"emit-")]
    assert str(int(LEASE * 1000)).encode() in beat
    assert b'{"event":"news","topic":"room"' in commit
    assert commit[-2:] == [b"100", b"60000"]
    assert b"{n}:n:" + name in commit
    assert name in leave


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ([GOES], SettingsError, "nothing was sent"),
        ([NO], SettingsError, "Redis did not take the record: nothing was sent"),
        ([FULL], SettingsError, "nothing was sent"),
        ([YES, GOES], Unavailable, "closed"),
        ([YES, b"*1\r\n$5\r\nstale\r\n"], Unavailable, "Stale"),
        ([YES, FULL], Unavailable, "OOM"),
    ],
)
async def test_what_may_have_happened_is_told_from_what_did_not(
    answers: list[bytes],
    error: type[WssError],
    text: str,
    redis: ScriptedRedis,
    autojump_clock: MockClock,
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(error, match=text)):
        await emitted(redis, *answers)


async def test_one_that_happened_is_no_failure_though_redis_goes_then(
    redis: ScriptedRedis, autojump_clock: MockClock
) -> None:
    assert len(await emitted(redis, YES, DONE, GOES)) == 3


async def test_what_cannot_be_sent_asks_nobody(redis: ScriptedRedis) -> None:
    with pytest.raises(SettingsError, match="reserved"):
        await broadcast(SETTINGS, Broadcast("wss.nodes", "news"), (0, 0.0))


async def test_no_redis_is_said_so() -> None:
    settings = Settings(redis="unix:///nowhere/at/all")
    with pytest.raises(SettingsError, match=r"no connection .*: nothing was sent"):
        await broadcast(settings, NEWS, (0, 0.0))
