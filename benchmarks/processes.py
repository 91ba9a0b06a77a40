"""The processes of one run: the Redis that all peers share and one peer's servers, each in its
place: servers have the first core, Redis and the load the last one. What a process has used is
read from /proc.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CORES: Final = sorted(os.sched_getaffinity(0))
SERVERS: Final = CORES[0]
LOAD: Final = CORES[-1]
TICKS: Final = os.sysconf("SC_CLK_TCK")
START: Final = 30.0  # seconds for a server until it listens
STOP: Final = 5.0  # seconds for a server to end by itself


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used with all its threads, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_bytes(pid: int) -> int:
    """What a process holds that is its own (RssAnon): heap and stacks, no shared libraries."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def allow_many_files() -> None:
    """Raise the limit of open files as far as this user may; children inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in this block runs on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def redis() -> Iterator[tuple[str, int]]:
    """A Redis or Valkey over TCP that keeps nothing; yields its URL and its pid."""
    from trio_wss.store.embedded import find_server  # the load's process needs no such thing

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, on_core(LOAD):
        command = [str(find_server()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]
        # As swarm.yml has it: a node is one subscriber for many topics.
        command += ["--client-output-buffer-limit", "pubsub 256mb 64mb 60"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _until_listening(port)
            yield f"redis://127.0.0.1:{port}/0", server.pid
        finally:
            stop([server])


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def values(port: int, keys: Sequence[str]) -> list[bytes | None]:
    """What the Redis at `port` holds at each of these keys."""
    words = [b"MGET", *(key.encode() for key in keys)]
    command = b"*%d\r\n" % len(words)
    command += b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    with (
        socket.create_connection(("127.0.0.1", port), START) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(command)
        if answer.readline() != b"*%d\r\n" % len(keys):
            raise RuntimeError("Redis did not give the values of some keys")
        sizes = (int(answer.readline()[1:]) for _ in keys)
        return [None if size < 0 else answer.read(size + 2)[:-2] for size in sizes]


def empty(url: str) -> None:
    """Remove everything from the Redis at `url`, scripts too."""
    port = port_of(url)
    with socket.create_connection(("127.0.0.1", port), START) as connection:
        connection.sendall(b"FLUSHALL SYNC\r\nSCRIPT FLUSH SYNC\r\n")
        answer = b""
        while answer.count(b"\r\n") < 2:
            answer += connection.recv(4096)
    if answer != b"+OK\r\n+OK\r\n":
        raise RuntimeError(f"Redis could not be emptied: {answer!r}")


@contextmanager
def servers(
    command: Sequence[str], count: int, environment: Mapping[str, str]
) -> Iterator[tuple[list[int], list[int]]]:
    """`count` servers of one peer; yields their ports and their pids.

    A server prints its port when it listens and ends at SIGTERM. Raises RuntimeError for one that
    prints something else, or nothing in time.
    """
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            with on_core(SERVERS):
                server = subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    cwd=ROOT,
                    env={**os.environ, **environment},
                )
            started.append(server)
        deadline = time.monotonic() + START
        ports = [_announced_port(server, deadline) for server in started]
        yield ports, [server.pid for server in started]
    finally:
        stop(started)


def _announced_port(server: subprocess.Popen[bytes], deadline: float) -> int:
    assert server.stdout is not None
    pipe, line = server.stdout.fileno(), b""
    readable = select.poll()
    readable.register(pipe, select.POLLIN)
    while not line.endswith(b"\n"):
        if not readable.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise RuntimeError(f"{server.args!r} did not start in {START:g} s: {line!r}")
        if not (piece := os.read(pipe, 4096)):
            break
        line += piece
    if not line.strip().isdigit():
        raise RuntimeError(f"{server.args!r} did not start: {line!r}")
    return int(line)


def _until_listening(port: int) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes, by force if they do not go."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
