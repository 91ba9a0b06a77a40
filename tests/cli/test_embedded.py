"""An embedded Redis that dies ends the program that cannot do without it: in order, with one
sentence."""

import os
import signal
from pathlib import Path

import pytest
import redis

from tests.cli.test_run import is_clean
from tests.support.processes import Running, trio_wss
from trio_wss.client import ConnectionLost, connect

SAY = ("say", {"room": "lobby", "text": "hi"})


def server(folder: Path) -> redis.Redis:
    """The embedded server of what runs in this folder."""
    [socket] = (folder / "tmp").glob("*/*.sock")
    return redis.Redis(unix_socket_path=str(socket))


def kill_redis(folder: Path) -> None:
    with server(folder) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)


async def check_end(running: Running, says: str) -> None:
    """It ended with 1 and said this last, and nothing else that a person must read."""
    assert await running.ended() == 1
    said = await running.err.rest()
    assert said.splitlines()[-1] == f"trio-wss: The embedded Redis was killed by signal 9: {says}"
    assert said.count("trio-wss: ") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "--workers", "2"),
        ("run", "--reload"),
        ("demo", "--nodes", "2"),
    ],
)
async def test_its_death_ends_the_program(arguments: tuple[str, ...], short_path: Path) -> None:
    """Clients are told to go, as at any stop."""
    async with trio_wss(*arguments, cwd=short_path) as running:
        await running.listening()
        async with connect(running.url, reconnect=False) as client:
            await client.send(*SAY)
            kill_redis(short_path)
            with pytest.raises(ConnectionLost) as lost:  # noqa: PT012 - after some events
                while True:
                    await client.receive()
            assert lost.value.code == 1012
        await check_end(running, "start again; its data was temporary and is gone.")
    assert is_clean(short_path)


@pytest.mark.parametrize("arguments", [("run", "--workers", "2"), ("demo",)])
async def test_its_death_before_anything_listens_ends_the_program(
    arguments: tuple[str, ...], short_path: Path
) -> None:
    async with trio_wss(*arguments, cwd=short_path) as running:
        await running.err.until("linked to Redis")
        kill_redis(short_path)
        await check_end(running, "start again; its data was temporary and is gone.")
    assert is_clean(short_path)


async def test_what_is_in_its_data_folder_is_there_again(short_path: Path) -> None:
    async with trio_wss("run", "--data", "kept", cwd=short_path) as running:
        await running.listening()
        async with connect(running.url) as client:
            assert (await client.send(*SAY)).data == {"n": 1}
            with server(short_path) as its:
                its.waitaof(1, 0, 0)  # it writes once a second
            kill_redis(short_path)
            await check_end(running, "start again; its data is in kept.")
    async with trio_wss("run", "--data", "kept", cwd=short_path) as running:
        await running.listening()
        async with connect(running.url) as client:
            assert (await client.send(*SAY)).data == {"n": 2}
