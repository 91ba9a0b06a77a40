"""A node puts its parts together. Only this file sees all of them; each part is given what it uses
and no more. A node holds no state that matters, except its sockets.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

from trio_wss.app import App
from trio_wss.node.admission import Admission
from trio_wss.node.connection import ConnectionParts
from trio_wss.node.connections import Connections
from trio_wss.node.janitor import Janitor
from trio_wss.node.session import Custody, SessionParts
from trio_wss.node.topics.catchup import CatchUp
from trio_wss.node.topics.hub import Hub
from trio_wss.node.topics.nodes_topic import NodesTopic
from trio_wss.node.transaction import Endings, Transactions
from trio_wss.node.writes import Writes
from trio_wss.ops.heartbeat import Heartbeat
from trio_wss.ops.server import Operations
from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import Statistics
from trio_wss.settings import Settings, host_and_port
from trio_wss.store.executor import Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import Link, Listener
from trio_wss.store.scripts import link_to
from trio_wss.store.sessions import Sessions
from trio_wss.wire import KeepAlive, WireLimits


class Node:
    """One node. `serve` in supervisor.py gives its parts their tasks."""

    def __init__(self, app: App, settings: Settings) -> None:
        """Raises RegistrationError for a folder of static files that cannot be served."""
        assert settings.redis is not None
        self.settings: Final = settings
        self.id: Final = secrets.token_hex(8)
        self.host = settings.host
        self.port = settings.port
        self.ops_url = ""  # of the operations listener, if there is one
        self.started: Final = time.time()
        self.draining = False
        self.registered = False  # its record is in Redis
        self._born = time.monotonic()
        self.statistics: Final = Statistics()
        self.heartbeat: Final = Heartbeat(self.statistics)

        # To Redis and back.
        server = parse_address(settings.redis)
        keys = Keys(settings.namespace, server.database)
        patience, deadline = settings.redis_patience, settings.link_deadline
        self.link: Final[Link] = link_to(server, keys, patience=patience, deadline=deadline)
        self.executor: Final = Executor(self.link, keys, self.id, max_topics=settings.max_topics)
        self.sessions: Final = Sessions(self.link, keys, self.id)
        self.hub: Final = Hub(self.link, keys, self.statistics)
        self.nodes_topic: Final = NodesTopic(self.hub, self.executor.publish)
        self.writes: Final = Writes(self.statistics.delivery.observe)
        self.listener: Final = self._listener()

        # From sockets to commits.
        self.catch_up: Final = self._catch_up()
        self.transactions: Final = Transactions(self.executor, deadline=settings.event_deadline)
        self.endings: Final = Endings(app, self.sessions, self.transactions)
        self.custody: Final = Custody()
        self.connections: Final = Connections()
        self.janitor: Final = self._janitor()
        limits = WireLimits.of(settings)
        self.keep_alive: Final = KeepAlive(limits)
        self.admission: Final = self._admission(self._session_parts(app), limits)
        self.operations: Final = self._operations(limits)

    def __repr__(self) -> str:
        return f"<Node {self.id} {self.host}:{self.port} connections={len(self.connections)}>"

    # --- the parts, each made of the parts that it uses

    def _listener(self) -> Listener:
        return Listener(
            hear=self.hub.hear,
            begin_batch=self.writes.begin_batch,
            end_batch=self.writes.end_batch,
            up=self.hub.reset,
        )

    def _catch_up(self) -> CatchUp:
        return CatchUp(
            self.executor,
            self.hub,
            page=self.settings.catchup_page,
            in_flight=self.settings.catchup_in_flight,
        )

    def _janitor(self) -> Janitor:
        return Janitor(
            self.link,
            self.sessions,
            self.endings,
            self.custody,
            lambda: [connection.session for connection in self.connections],
            grace=self.settings.grace,
            lease=self.settings.lease,
            pause=self.settings.janitor_round,
        )

    def _session_parts(self, app: App) -> SessionParts:
        return SessionParts(
            node=self.id,
            app=app,
            hub=self.hub,
            catch_up=self.catch_up,
            executor=self.executor,
            transactions=self.transactions,
            sessions=self.sessions,
            endings=self.endings,
            custody=self.custody,
            statistics=self.statistics,
            grace=self.settings.grace,
            max_topics=self.settings.max_topics,
        )

    def _admission(self, session: SessionParts, limits: WireLimits) -> Admission:
        settings = self.settings
        parts = ConnectionParts(
            session=session,
            link=self.link,
            all=self.connections,
            rate=settings.rate,
            burst=settings.burst,
            patience=settings.redis_patience,
            drain=settings.drain,
        )
        return Admission(
            parts,
            limits,
            self.keep_alive,
            self.writes.mark_dirty,
            origins=settings.origins,
            max_connections=settings.max_connections,
            unready=self.unready,
        )

    def _operations(self, limits: WireLimits) -> Operations:
        return Operations(
            self.id,
            limits,
            self.keep_alive,
            self.writes.mark_dirty,
            take_snapshot=self.snapshot,
            unready=self.unready,
            watch=self.nodes_topic.watch,
        )

    # --- the present state

    @property
    def url(self) -> str:
        """The URL to which clients connect."""
        return f"ws://{host_and_port(self.host, self.port)}"

    def unready(self) -> str:
        """Return why no client should be sent here now; empty: the node is ready."""
        if self.draining:
            return "the node is stopping"
        if not self.link.up:
            return "Redis is away"
        if not self.registered:
            return "the node is not registered"
        return ""

    def snapshot(self) -> Snapshot:
        """Return the node's counters and present state."""
        statistics, link = self.statistics, self.link
        sizes = [connection.socket.outbox.size for connection in self.connections]
        return Snapshot(
            node=self.id,
            url=self.url,
            started=self.started,
            uptime=time.monotonic() - self._born,
            cpu=time.process_time(),
            unready=self.unready(),
            connections=len(self.connections),
            sockets=self.admission.sockets,
            topics=self.hub.size,
            link_up=link.up,
            unanswered=link.unanswered,
            silence=self.heartbeat.silence,
            events=tuple((event, out, n) for (event, out), n in statistics.events.items() if event),
            commits=statistics.commits.snapshot(),
            delivery=statistics.delivery.snapshot(),
            lag=statistics.lag.snapshot(),
            **statistics.counted(),
            outbox_bytes=sum(sizes),
            outbox_most=max(sizes, default=0),
            faults=tuple(statistics.faults),
        )
