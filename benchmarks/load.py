"""A small load for a quick look at the cost of an event: ten members of one room on two nodes,
every event counted in Redis, broadcast with its number and answered. It needs nothing but the
project, starts all that it needs, sends to loopback only, and ends by itself.

    python benchmarks/load.py [--seconds 5] [--members 10] [--in-flight 80] [--nodes 2]
"""

from __future__ import annotations

import argparse
import base64
import os
import selectors
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.processes import LOAD, cpu_seconds, on_core, redis, servers


class Member:
    """A client that sends the next event when the last of its own is answered."""

    def __init__(self, port: int, room: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /?room={room} HTTP/1.1\r\nHost: x\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        found = b""
        while f'"topic":"room:{room}"'.encode() not in found:
            found += self.socket.recv(65536)
        self.socket.setblocking(False)
        self.room = room.encode()
        self.number = 0
        self.tail = b""

    def send(self, count: int) -> None:
        """Send events in one write; the mask is zero, which is a mask."""
        frames = []
        for number in range(self.number + 1, self.number + count + 1):
            text = b'{"event":"say","id":%d,"data":{"room":"%b","text":"hello"}}' % (
                number,
                self.room,
            )
            frames.append(b"\x81%c\0\0\0\0%b" % (0x80 | len(text), text))
        self.number += count
        self.socket.send(b"".join(frames))

    def receive(self) -> tuple[int, int]:
        """Read what is there: how many answers and broadcasts."""
        data = self.tail + self.socket.recv(1 << 20)
        cut = data.rfind(b"}}") + 2
        whole, self.tail = data[:cut], data[cut:]
        return whole.count(b'"re":'), whole.count(b'"event":"said"')


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--in-flight", type=int, default=80)
    parser.add_argument("--nodes", type=int, default=2)
    arguments = parser.parse_args()
    node = [sys.executable, str(Path(__file__).parent / "peers" / "ours.py")]
    with (
        redis() as (url, _),
        servers([*node, url], arguments.nodes, {}) as (ports, pids),
        on_core(LOAD),
    ):
        run(arguments, pids, ports)


def run(arguments: argparse.Namespace, pids: list[int], ports: list[int]) -> None:
    members = [Member(ports[n % len(ports)], "bench") for n in range(arguments.members)]
    senders = members[: max(1, min(len(members), arguments.in_flight // 8))]
    selector = selectors.DefaultSelector()
    for member in members:
        selector.register(member.socket, selectors.EVENT_READ, member)
    for member in senders:
        member.send(arguments.in_flight // len(senders))
    answers = deliveries = 0
    began, used = time.perf_counter(), [cpu_seconds(pid) for pid in pids]
    while time.perf_counter() < began + arguments.seconds:
        for key, _ in selector.select(1):
            member = key.data
            answered, delivered = member.receive()
            answers += answered
            deliveries += delivered
            if answered:
                member.send(answered)
    seconds = time.perf_counter() - began
    cpu = sum(cpu_seconds(pid) for pid in pids) - sum(used)
    print(f"events/s {answers / seconds:,.0f}   deliveries/s {deliveries / seconds:,.0f}")
    print(
        f"CPU per event {cpu / answers * 1e6:.1f} µs   per delivery {cpu / deliveries * 1e6:.2f} µs"
    )


if __name__ == "__main__":
    main()
