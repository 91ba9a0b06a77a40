"""Real Redis servers for the tests, handled from synchronous code: a test may pause, kill or
restart its own one. A server ends with the test run, however that ends."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trio_wss.store.embedded import GUARD

START = 10.0  # seconds until a server must answer


def free_port() -> int:
    """A port of the loopback that nobody has at the moment, and below those that the system gives
    to whoever names none: a connection of another test would take it before its server does.
    """
    for port in random.sample(range(15_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("a hundred ports are all taken")


class RedisServer:
    """One server on a Unix socket. `options` are its configuration, as in `appendonly="yes"`:
    then a restart keeps the data, else it comes back empty. `under`: where its folder shall be.
    `sentinel`: it is a Sentinel with these lines, such as `monitor db 127.0.0.1 6379 2`."""

    def __init__(
        self,
        binary: Path,
        *,
        under: Path | None = None,
        sentinel: Sequence[str] = (),
        **options: str,
    ) -> None:
        self.binary = binary
        self.options = {"port": "0", "loglevel": "warning"} | options
        self.folder = Path(tempfile.mkdtemp(prefix="wss-", dir=under))
        self._mode: list[str] = []
        if sentinel:
            file = self.folder / "sentinel.conf"  # its own: it keeps there what it learns
            file.write_text("".join(f"sentinel {line}\n" for line in sentinel))
            self._mode = [str(file), "--sentinel"]
        else:
            self.options.setdefault("save", "")
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers PING."""
        assert self._guard is None, "it is running"
        scratch = tempfile.mkdtemp(prefix="wss-")  # the guard's: it goes with the server
        command = [str(self.binary), *self._mode, "--unixsocket", str(self.socket)]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", *(value.split() or [""])]
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "test-redis", scratch, "4", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,
        )
        end = time.monotonic() + START
        with self.client() as client:
            while self._guard.poll() is None and time.monotonic() < end:
                try:
                    client.ping()
                    self._pid = client.info("server")["process_id"]
                    return
                except redis.ConnectionError:
                    time.sleep(0.005)
        log = self._end()
        self.close()
        raise RuntimeError(f"{self.binary} does not start: {log}")

    def client(self, **options: Any) -> redis.Redis:
        """A synchronous client; use it as a context manager."""
        return redis.Redis(
            unix_socket_path=str(self.socket),
            password=self.options.get("requirepass"),
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    def pause(self) -> None:
        """It still accepts connections and takes bytes (the kernel does), but never answers."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """As a crash: nothing is flushed or closed in order."""
        os.kill(self._pid, signal.SIGKILL)
        self._end()

    def restart(self) -> None:
        """Kill it if it runs, then start it at the same address."""
        if self._guard is not None:
            self.kill()
        self.start()

    def kill_connections(self) -> int:
        """CLIENT KILL of everybody else's connections; how many there were."""
        with self.client() as client:
            kinds = ("normal", "pubsub")
            return sum(client.client_kill_filter(_type=kind, skipme=True) for kind in kinds)

    def close(self) -> None:
        if self._guard is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> str:
        assert self._guard is not None
        with self._guard as guard:  # closes its pipes, which ends the server if it is still there
            self._guard = None
            assert guard.stdin is not None
            guard.stdin.close()
            assert guard.stdout is not None
            return guard.stdout.read().decode(errors="replace")
