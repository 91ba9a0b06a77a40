"""trio_wss/cli/signals.py: one signal asks, two force, and a parent's end asks too."""

import os
import signal

import pytest
import trio

from trio_wss.cli.signals import FORCED, stopping
from trio_wss.errors import EmbeddedEnded


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_signal_asks(number: int) -> None:
    with trio.fail_after(10):
        async with stopping() as stop:
            assert not stop.asked.is_set()
            os.kill(os.getpid(), number)
            await stop.asked.wait()
    assert stop.code == 0


async def test_a_second_one_forces() -> None:
    left = False
    with trio.fail_after(10):
        async with stopping() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.asked.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await trio.sleep(600)
            left = True
    assert not left
    assert stop.code == FORCED


async def test_without_a_signal_it_just_ends() -> None:
    async with stopping() as stop:
        pass
    assert stop.code == 0


async def test_a_failure_asks_and_is_raised_when_all_has_stopped() -> None:
    stopped = False
    with trio.fail_after(10), pytest.raises(EmbeddedEnded, match="gone"):  # noqa: PT012 - its end
        async with stopping() as stop:
            stop.fail(EmbeddedEnded("gone"))
            await stop.asked.wait()
            stopped = True
    assert stopped


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_the_end_of_the_channel_asks(how: str) -> None:
    parent, ours = trio.socket.socketpair()
    with trio.fail_after(10), ours:
        async with stopping(ours) as stop:
            if how == "reset":
                await ours.send(b"1")  # unread: on a Unix socket the close becomes a reset
            parent.close()
            await stop.asked.wait()
