"""trio_wss/cli/parent.py: many processes on one port, and one that follows edits."""

import os
import signal
from pathlib import Path

import pytest
import trio

from tests.cli.test_run import APP, ask, is_clean, write_app
from tests.support.processes import call, commands_with, trio_wss
from tests.support.servers import free_port
from trio_wss.client import ConnectError, ConnectionLost, connect

PID_APP = """
import os

from trio_wss import App, Increment, Reply

app = App()


@app.on("who")
def who() -> Reply:
    return Reply("me", os.getpid())


@app.on("count")
def count() -> list[object]:
    n = Increment("count")
    return [n, Reply("ok", n.result)]
"""


async def pids(url: str, wanted: int) -> set[int]:
    """The processes that answer; the kernel chooses among them by the client's port."""
    found: set[int] = set()
    with trio.fail_after(60):
        while len(found) < wanted:
            pid = await ask(url)
            assert isinstance(pid, int)
            found.add(pid)
    return found


async def gone(pid: int) -> None:
    """Wait until a process has ended and been waited for."""
    with trio.fail_after(20):
        while await trio.Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - nobody tells us
            await trio.sleep(0.02)


async def test_workers_share_one_port_and_one_redis(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    async with trio_wss("run", "--workers", "3", cwd=tmp_path) as parent:
        await parent.listening()
        found = await pids(parent.url, 3)
        assert parent.process.pid not in found
        counts = []
        for _ in range(6):
            async with connect(parent.url) as client:
                counts.append((await client.send("count")).data)
        assert counts == [1, 2, 3, 4, 5, 6]
        parent.process.terminate()
        assert await parent.ended() == 0
        assert (await parent.out.rest()).count("listening on") == 1
    assert is_clean(tmp_path)


async def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    async with trio_wss("run", "--workers", "2", cwd=tmp_path) as parent:
        await parent.listening()
        before = await pids(parent.url, 2)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        await parent.err.until(r"a node process ended.*again_in=0\.1.*code=-9")
        await gone(victim)
        after = await pids(parent.url, 2)
        assert victim not in after
        assert len(before & after) == 1


@pytest.mark.parametrize("option", [("--workers", "2"), ("--reload",)])
async def test_children_make_their_app_too(option: tuple[str, ...], tmp_path: Path) -> None:
    made = PID_APP.replace("app = App()", "app = App()\n\ndef create_app():\n    return app")
    (tmp_path / "mine.py").write_text(made)
    async with trio_wss("run", *option, "mine:create_app", cwd=tmp_path) as parent:
        await parent.listening()
        assert isinstance(await ask(parent.url), int)
        parent.process.terminate()
        assert await parent.ended() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_one_host_is_every_address(workers: str, tmp_path: Path) -> None:
    ops = str(free_port())
    hosts = ("--host", "::", "--ops-host", "::", "--ops-port", ops)
    async with trio_wss("run", "--workers", workers, *hosts, cwd=tmp_path) as node:
        found = await node.out.until(r"listening on ws://\[::\]:(\d+) and ws://0\.0\.0\.0:(\d+)$")
        await node.out.until(rf"operations on http://\[::1\]:{ops}/ and http://127.0.0.1:{ops}/$")
        assert found[1] == found[2]
        for host in ("127.0.0.1", "[::1]"):
            async with connect(f"ws://{host}:{found[1]}/?room=a") as client:
                assert (await client.send("say", {"room": "a", "text": ""})).event == "ok"
            async with await trio.open_tcp_stream(host.strip("[]"), int(ops)) as stream:
                await stream.send_all(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_ctrl_c_in_a_terminal_drains_the_workers_once(tmp_path: Path) -> None:
    """The terminal's SIGINT goes to the group: workers must not take it and the parent's both."""
    (tmp_path / "app.py").write_text(PID_APP)
    async with trio_wss("run", "--workers", "2", cwd=tmp_path) as parent:
        await parent.listening()
        async with connect(parent.url, reconnect=False) as client:
            parent.ctrl_c()
            with pytest.raises(ConnectionLost) as lost:  # noqa: PT012 - after some events
                while True:
                    await client.receive()
            assert lost.value.code == 1012
        assert await parent.ended() == 0
    assert is_clean(tmp_path)


async def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    async with trio_wss("run", "--workers", "2", cwd=tmp_path) as parent:
        await parent.listening()
        parent.process.kill()
        await parent.ended()
        with trio.fail_after(30):  # here, while our pipes hold: without them they would fall anyway
            while commands_with(str(tmp_path)):  # noqa: ASYNC110 - nobody is left to tell us
                await trio.sleep(0.05)
    assert is_clean(tmp_path)


async def test_what_is_wrong_with_all_workers_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("1 / 0")
    code, out, err = await call("run", "--workers", "3", cwd=tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "ZeroDivisionError: division by zero (app.py, line 1)" in err
    assert is_clean(tmp_path)


async def test_a_second_signal_ends_parent_and_workers_at_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import signal, time\nprint('in', flush=True)\ntime.sleep(600)"
    )
    async with trio_wss("run", "--workers", "2", cwd=tmp_path) as parent:
        await parent.out.until("^in$")
        parent.process.terminate()
        parent.process.send_signal(signal.SIGINT)
        assert await parent.ended() == 1
    assert is_clean(tmp_path)


async def test_reload_picks_up_an_edit_on_the_same_port(tmp_path: Path) -> None:
    write_app(tmp_path, "first")
    async with trio_wss("run", "--reload", cwd=tmp_path) as parent:
        await parent.listening()
        assert await ask(parent.url) == "first"
        write_app(tmp_path, "secnd")  # of the same size, likely in the same second
        await parent.err.until("reloaded")
        assert await ask(parent.url) == "secnd"
        parent.process.terminate()
        assert await parent.ended() == 0
    assert is_clean(tmp_path)


async def test_reload_survives_an_edit_that_does_not_import(tmp_path: Path) -> None:
    write_app(tmp_path, "first")
    async with trio_wss("run", "--reload", cwd=tmp_path) as parent:
        await parent.listening()
        async with connect(parent.url) as client:
            await client.send("who")
            (tmp_path / "app.py").write_text(APP + "\nboom\n")
            await parent.err.until(r"NameError: name 'boom' is not defined \(app.py, line \d+\)")
            await parent.err.until("waiting for an edit in ")
        with pytest.raises(ConnectError):
            await ask(parent.url)
        write_app(tmp_path, "third")
        await parent.err.until("reloaded")
        assert await ask(parent.url) == "third"
        parent.ctrl_c()
        assert await parent.ended() == 0
        assert (await parent.out.rest()).count("listening on") == 1
    assert is_clean(tmp_path)


async def test_reload_waits_for_an_app_that_never_imported(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("1 / 0")
    async with trio_wss("run", "--reload", cwd=tmp_path) as parent:
        await parent.err.until("waiting for an edit in ")
        write_app(tmp_path, "better")
        await parent.listening()
        assert await ask(parent.url) == "better"
