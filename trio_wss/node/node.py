"""A node: what its tasks share. It holds nothing that matters but sockets."""

from __future__ import annotations

import secrets
import time
from typing import Final

from trio_wss.app import App
from trio_wss.node.admission import Entrance
from trio_wss.node.connection import Connection
from trio_wss.node.decide import Decision
from trio_wss.node.speculation import Expectations
from trio_wss.node.topics.catchup import CatchUp
from trio_wss.node.topics.hub import Hub
from trio_wss.ops.heartbeat import Pulse
from trio_wss.ops.statistics import UNKNOWN, Statistics
from trio_wss.settings import Settings
from trio_wss.store.executor import Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import Link
from trio_wss.store.scripts import SCRIPTS
from trio_wss.store.sessions import Sessions
from trio_wss.web.static_files import StaticFiles
from trio_wss.wire import BEHIND, KeepAlive, WireLimits
from trio_wss.wire.codec import Message


def address(host: str, port: int) -> str:
    """Host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Node:
    """The parts of one node. `serve` in supervisor.py gives them their tasks."""

    def __init__(self, app: App, settings: Settings) -> None:
        """Raises RegistrationError for a folder of static files that cannot be served."""
        assert settings.redis is not None
        self.app: Final = app
        self.settings: Final = settings
        self.static: Final = StaticFiles(app.static)
        self.id: Final = secrets.token_hex(8)
        self.host = settings.host
        self.port = settings.port
        self.ops_url = ""  # of the operations listener, if there is one
        self.started: Final = time.time()
        self.draining = False
        self.registered = False  # its record is in Redis
        self.connections: Final[set[Connection]] = set()
        self.waiting: Final[dict[Connection, float]] = {}  # whose reader waits, and since when
        self.expectations: Final = Expectations()
        self.statistics: Final = Statistics()
        self.pulse: Final = Pulse(self)
        self._born = time.monotonic()
        address = parse_address(settings.redis)
        keys = Keys(settings.namespace, address.database)
        self.link: Final = Link(
            address, SCRIPTS, patience=settings.redis_patience, deadline=settings.link_deadline
        )
        self.executor: Final = Executor(self.link, keys, self.id, max_topics=settings.max_topics)
        self.sessions: Final = Sessions(self.link, keys, self.id)
        self.unfinished: Final[dict[str, str]] = {}  # sessions to end, by generation: see janitor
        self.arriving: Final[set[str]] = set()  # sessions that are about to be resumed here
        self.hub: Final = Hub(self.link, keys)
        self.catch_up: Final = CatchUp(
            self.executor,
            self.hub,
            page=settings.catchup_page,
            in_flight=settings.catchup_in_flight,
        )
        self.wire_limits: Final = WireLimits(
            handshake_seconds=settings.handshake_timeout,
            message_bytes=settings.max_message,
            outbox_bytes=settings.outbox,
            ping_seconds=settings.ping_interval,
            pong_seconds=settings.ping_timeout,
        )
        self.keep_alive: Final = KeepAlive(self.wire_limits)
        self.entrance: Final = Entrance(self)
        self.hub.wrote = self.statistics.delivery.observe
        self.link.on_push = self.hub.push
        self.link.on_batch_begin = self.hub.begin_batch
        self.link.on_batch_end = self.hub.end_batch
        self.link.on_up = self.hub.reset

    def __repr__(self) -> str:
        return f"<Node {self.id} {self.host}:{self.port} connections={len(self.connections)}>"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{address(self.host, self.port)}"

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._born

    def connected(self, connection: Connection) -> None:
        """Count a connection as one of this node's, until `disconnected`."""
        self.connections.add(connection)

    def disconnected(self, connection: Connection) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        if connection.socket.outbox.reason == BEHIND:
            self.statistics.slow_consumers += 1

    def count(self, message: Message | Decision, outcome: str) -> None:
        """Count an event that had no turn. One that the app does not have has no name of its own:
        clients can make up any number of them.
        """
        event = message.event if message.event in self.app.handlers else UNKNOWN
        self.statistics.count(event, outcome)

    def unready(self) -> str:
        """Why no client should be sent here now; empty: it is ready."""
        if self.draining:
            return "the node is stopping"
        if not self.link.up:
            return "Redis is away"
        if not self.registered:
            return "the node is not registered"
        return ""
