"""A node: the parts of one, and how they are put together. Only here are all of them seen; each has
what it uses and no more. It holds nothing that matters but sockets.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

from trio_wss.app import App
from trio_wss.node.admission import Admission
from trio_wss.node.connection import ConnectionParts, Connections
from trio_wss.node.janitor import Janitor
from trio_wss.node.session import Custody, Session, SessionParts
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
        self.link: Final[Link] = link_to(
            server, keys, patience=settings.redis_patience, deadline=settings.link_deadline
        )
        self.executor: Final = Executor(self.link, keys, self.id, max_topics=settings.max_topics)
        self.sessions: Final = Sessions(self.link, keys, self.id)
        self.hub: Final = Hub(self.link, keys)
        self.nodes_topic: Final = NodesTopic(self.hub, self.executor.publish)
        self.catch_up: Final = CatchUp(
            self.executor,
            self.hub,
            page=settings.catchup_page,
            in_flight=settings.catchup_in_flight,
        )
        self.writes: Final = Writes(self.statistics.delivery.observe)
        self.listener: Final = Listener(
            push=self.hub.push,
            begin_batch=self.writes.begin_batch,
            end_batch=self.writes.end_batch,
            up=self.hub.reset,
        )

        # From events to commits.
        self.transactions: Final = Transactions(self.executor, deadline=settings.event_deadline)
        endings = Endings(app, self.sessions, self.transactions)
        self.custody: Final = Custody()
        self.connections: Final = Connections()
        parts = SessionParts(
            node=self.id,
            app=app,
            hub=self.hub,
            catch_up=self.catch_up,
            executor=self.executor,
            transactions=self.transactions,
            sessions=self.sessions,
            endings=endings,
            custody=self.custody,
            statistics=self.statistics,
            grace=settings.grace,
            max_topics=settings.max_topics,
        )
        self.janitor: Final = Janitor(
            self.link,
            self.sessions,
            endings,
            self.custody,
            self._connected,
            grace=settings.grace,
            lease=settings.lease,
            pause=settings.janitor_round,
        )

        # From sockets to events.
        limits = WireLimits.of(settings)
        self.keep_alive: Final = KeepAlive(limits)
        self.admission: Final = Admission(
            ConnectionParts(
                session=parts,
                link=self.link,
                all=self.connections,
                rate=settings.rate,
                burst=settings.burst,
                patience=settings.redis_patience,
                drain=settings.drain,
            ),
            limits,
            self.keep_alive,
            self.writes.mark_dirty,
            origins=settings.origins,
            max_connections=settings.max_connections,
            unready=self.unready,
        )
        self.operations: Final = Operations(
            self.id,
            limits,
            self.keep_alive,
            self.writes.mark_dirty,
            take_snapshot=self.snapshot,
            unready=self.unready,
            watch=self.nodes_topic.watch,
        )

    def __repr__(self) -> str:
        return f"<Node {self.id} {self.host}:{self.port} connections={len(self.connections)}>"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{host_and_port(self.host, self.port)}"

    def unready(self) -> str:
        """Why no client should be sent here now; empty: it is ready."""
        if self.draining:
            return "the node is stopping"
        if not self.link.up:
            return "Redis is away"
        if not self.registered:
            return "the node is not registered"
        return ""

    def snapshot(self) -> Snapshot:
        """The node as it is now."""
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
            broadcasts=statistics.broadcasts,
            deliveries=statistics.deliveries,
            reruns=statistics.reruns,
            slow_consumers=statistics.slow_consumers,
            recovered=statistics.recovered,
            broken=statistics.broken,
            gaps=self.hub.gaps,
            link_losses=statistics.link_losses,
            outbox_bytes=sum(sizes),
            outbox_most=max(sizes, default=0),
            faults=tuple(statistics.faults),
        )

    def _connected(self) -> list[Session]:
        return [connection.session for connection in self.connections]
