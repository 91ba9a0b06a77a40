"""The supervisor runs a node's tasks, nested from the outside in: the link, the hub, the node's
lease, the connections, the listener. So a node links to Redis first and stops accepting first.
"""

from __future__ import annotations

import random
from typing import Final

import structlog
import trio

from trio_wss.app import App
from trio_wss.errors import SettingsError, Unavailable, WrongSetting
from trio_wss.node.node import Node
from trio_wss.settings import Settings, host_and_port
from trio_wss.store.link.resp import LinkLost, WrongRedis
from trio_wss.wire import listen, listen_everywhere

log = structlog.get_logger(__name__)

FIRST_LINK: Final = 5.0  # seconds to wait for Redis before listening without it
BACK_OFF: Final = (0.05, 2.0)  # seconds between two tries of the link: the first, and the most
BEATS: Final = 3  # signs of life in the time of a lease


async def serve(
    app: App,
    settings: Settings,
    *,
    listeners: list[trio.SocketListener] | None = None,
    ops_listeners: list[trio.SocketListener] | None = None,
    shutdown: trio.Event | None = None,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run one node until `shutdown` is set, then stop accepting, finish what is in flight, tell
    clients to go (1012) and return within `settings.drain` seconds.

    The started value is the Node. Raises SettingsError if an address cannot be listened on, or if
    the server named as Redis can never serve; once linked, a server is retried for ever. The
    operations listener runs before there is a link to Redis, and until the end.
    """
    node = Node(app, settings)
    if shutdown is None:
        shutdown = trio.Event()
    if ops_listeners is None and settings.ops_port is not None:
        ops_listeners = await _listen(settings.ops_host, settings.ops_port)
    async with trio.open_nursery() as services:
        if ops_listeners:
            host, port = ops_listeners[0].socket.getsockname()[:2]
            node.ops_url = f"http://{host_and_port(host, port)}"
            services.start_soon(node.operations.run, ops_listeners)
        _start_services(services, node)
        async with trio.open_nursery() as lease:
            registered = trio.Event()
            lease.start_soon(_keep_registered, node, registered)
            with trio.move_on_after(FIRST_LINK):
                await registered.wait()  # so that no client that reads "listening" is turned away
            lease.start_soon(node.janitor.run)  # now that it can tell one master from another
            await _take_clients(node, listeners, shutdown, task_status)
            lease.cancel_scope.cancel()
        await _sign_off(node)
        services.cancel_scope.cancel()


def _start_services(services: trio.Nursery, node: Node) -> None:
    """Start the tasks that run from before the first connection until after the last."""
    services.start_soon(_keep_link, node)
    services.start_soon(node.hub.run, node.catch_up.survey, node.catch_up.fill_gap)
    services.start_soon(node.writes.run)
    services.start_soon(_leave_a_dead_redis, node)
    services.start_soon(node.connections.listen)
    services.start_soon(node.statistics.measure_lag)
    services.start_soon(node.heartbeat.run, node.nodes_topic, node.snapshot, node.ops_url)
    services.start_soon(node.keep_alive.run)


async def _take_clients(
    node: Node,
    listeners: list[trio.SocketListener] | None,
    shutdown: trio.Event,
    task_status: trio.TaskStatus[Node],
) -> None:
    """Listen until `shutdown`, then stop accepting and send every client away."""
    settings = node.settings
    listeners = listeners or await _listen(settings.host, settings.port)
    node.host, node.port = listeners[0].socket.getsockname()[:2]
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(listen, listeners, node.admission.handle, connections)
            task_status.started(node)
            await shutdown.wait()
            node.draining = True
            accepting.cancel_scope.cancel()
        connections.cancel_scope.deadline = trio.current_time() + settings.drain / 2
        await node.connections.send_away(settings.drain / 4, "the node is stopping")


async def _sign_off(node: Node) -> None:
    """Remove the node's record. If that fails, a janitor finds the lapsed lease."""
    if node.link.up:
        with trio.move_on_after(node.settings.drain / 10):
            try:
                await node.sessions.sign_off(node.settings.grace)
            except Unavailable as error:
                log.warning("the node's record stays in Redis for now", reason=str(error))


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        if host == "::":
            return [await listen_everywhere(port)]
        found = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port} ({error.strerror or error}):"
            " choose another host or port, or port 0 to get a free one."
        ) from None
    if port == 0:  # each address family would get a free port of its own
        for listener in found[1:]:
            await listener.aclose()
        del found[1:]
    return found


async def _keep_link(node: Node) -> None:
    """Keep the link to Redis: when it is lost, make a new one, with back-off and jitter.

    Raises WrongSetting if there was no link yet and the server can never serve.
    """
    first, most = BACK_OFF
    pause = first
    linked = False
    while True:
        started, up = trio.current_time(), False
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(node.link.run, node.listener)
                up = linked = True
                log.info("linked to Redis", node=node.id)
                if node.link.maxmemory_policy not in (None, "noeviction"):
                    log.warning(
                        "Redis may evict state when it is full: set its maxmemory-policy to"
                        " noeviction",
                        policy=node.link.maxmemory_policy,
                    )
        except* LinkLost as lost:
            error = lost.exceptions[0]
            reason = str(error)
            if isinstance(error, WrongRedis) and not linked:
                raise WrongSetting("redis", f"does not work: {reason}.") from None
            log.warning("Redis is away", reason=reason)
            if up:  # else Redis was away before, and still is
                node.statistics.link_losses += 1
                node.statistics.fault("link", reason)
        if trio.current_time() - started > most:
            pause = first
        await node.link.rest(random.uniform(pause / 2, pause))
        pause = min(pause * 2, most)


async def _keep_registered(node: Node, registered: trio.Event) -> None:
    """Renew the node's lease. If its record is gone, so are its sessions: send clients away."""
    lease = node.settings.lease
    beat = lease / BEATS
    while True:
        try:
            there = await node.sessions.beat(lease, new=not node.registered)
        except Unavailable:
            there = node.registered  # Redis did not answer
        if node.registered and not there:
            log.warning("the node's record is gone from Redis")
            node.registered = False
            await node.connections.send_away(beat, "the node lost its sessions")
            continue
        node.registered = there
        if there:
            registered.set()
        await trio.sleep(beat if there else beat / 10)


async def _leave_a_dead_redis(node: Node) -> None:
    """Send clients to other nodes when Redis has been away from this one for too long."""
    away_since: float | None = None
    while True:
        await trio.sleep(1)
        if node.link.up:
            away_since = None
        elif away_since is None:
            away_since = trio.current_time()
        elif trio.current_time() - away_since >= node.settings.redis_away:
            await node.connections.send_away(node.settings.lease / BEATS, "Redis is away")
