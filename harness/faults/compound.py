"""Faults that are made of several: each was once enough to break a promise."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, suppress
from typing import Final

import trio
from redis.exceptions import RedisError

from harness.faults.fleet import NodeProcess
from harness.faults.kinds import LEASE, fault
from harness.faults.stage import Stage
from tests.support.members import Rejected, dial, request, shake_hands

CROWD: Final = 250  # sessions that lose their node at once
BURIED: Final = LEASE * 2 + 1.5  # seconds from a node's death until its sessions are over
ARRIVED: Final = 0.1  # seconds until what a node sent has come to Redis
APART: Final = (0.08, 0.14, 0.23)  # seconds, each way
PATIENCE: Final = 5.0  # seconds for a handshake


@fault("late-delivery", "node")
async def late_delivery(stage: Stage, chance: random.Random) -> None:
    """A node is killed while what it has sent lies in the network, such as the end of a resume. It
    arrives when the node is dead and buried.
    """
    node, *others = chance.sample(stage.nodes, len(stage.nodes))
    async with node.busy, node.link.busy:
        with stage.fault("late-delivery", node.name):
            node.link.delay = 0.15
            await trio.sleep(0.3)
            for other in others:  # whose clients come here, some of them
                other.front.cut()
            await trio.sleep(chance.uniform(0.3, 0.9))
            node.link.gate.shut()
            await trio.sleep(0.2)
            await node.kill()
            await trio.sleep(BURIED)
            node.link.heal()
            await trio.sleep(0.3)
            await node.start()


@fault("link-late", "link")
async def link_late(stage: Stage, chance: random.Random) -> None:
    """A connection of a node to Redis holds everything. The node takes another one, and sends again
    what has no answer; then what was held arrives all the same.
    """
    node = chance.choice(stage.nodes)
    async with node.link.busy:
        with stage.fault("link-late", node.name):
            node.link.hold()
            await trio.sleep(chance.uniform(1.2, 3))  # it gives up after one second
            node.link.heal()


@fault("links-apart", "link")
async def links_apart(stage: Stage, chance: random.Random) -> None:
    """Each node is another way from Redis: what a client has sent to one comes behind the first
    words of the next, where it has gone since, and before the second.
    """
    async with stage.all_links() as links:
        with stage.fault("links-apart"):
            for link, delay in zip(links, chance.sample(APART, len(links)), strict=True):
                link.delay = delay
            await trio.sleep(chance.uniform(6, 8))
            for link in links:
                link.heal()


@fault("exile", "client")
async def exile(stage: Stage, chance: random.Random) -> None:
    """What clients are answered is lost, then nobody is let in until all sessions are over."""
    async with AsyncExitStack() as stack:
        for node in stage.nodes:
            await stack.enter_async_context(node.front.busy)
        with stage.fault("exile"):
            for node in stage.nodes:
                node.front.swallows = True
            await trio.sleep(chance.uniform(0.2, 0.6))
            for node in stage.nodes:
                node.front.refuses = True
                node.front.cut()
            await trio.sleep(LEASE + 1)  # their grace is as long as the lease
            for node in stage.nodes:
                node.front.heal()


@fault("crowd", "node")
async def crowd(stage: Stage, chance: random.Random) -> None:
    """Hundreds of clients come to one node, and die with it."""
    node = chance.choice(stage.nodes)
    async with node.busy, node.link.busy, node.front.busy, AsyncExitStack() as stack:
        with stage.fault("crowd", node.name) as found:
            limit, there = trio.Semaphore(20), list[str]()
            async with trio.open_nursery() as nursery:
                for number in range(CROWD):
                    await limit.acquire()
                    nursery.start_soon(_come, node, f"crowd-{number}", stack, limit, there)
            found.append(f"{len(there)} came")
            await node.kill()
            await trio.sleep(ARRIVED)
            await _note_orphans(stage, node)
            await trio.sleep(chance.uniform(0, 1))
            await node.start()


async def _note_orphans(stage: Stage, node: NodeProcess) -> None:
    """Write down the sessions of a dead node that nobody has missed, and how long its lease goes
    on: none of them is due before that."""
    at = stage.recorder.now()
    with suppress(RedisError):
        lease, sessions = await stage.stores.held_by(node.id)
        stage.recorder.note("orphans", node=node.name, at=at, lease=lease, sessions=sessions)


async def _come(
    node: NodeProcess, name: str, stack: AsyncExitStack, limit: trio.Semaphore, there: list[str]
) -> None:
    try:
        with trio.move_on_after(PATIENCE):
            stream = await dial(node.url)
            stack.push_async_callback(trio.aclose_forcefully, stream)
            await shake_hands(stream, request(node.url, {"name": name, "rooms": "crowd"}))
            there.append(name)
    except (OSError, Rejected, trio.BrokenResourceError):
        pass
    finally:
        limit.release()


@fault("full-redis", "redis")
async def full_redis(stage: Stage, chance: random.Random) -> None:
    """Redis has no room for another byte, for a while."""
    async with stage.stores.busy:
        with stage.fault("full-redis"):
            await stage.stores.limit_memory(1)
            await trio.sleep(chance.uniform(0.3, 3))
            await stage.stores.limit_memory(0)


@fault("slow-flush", "redis")
async def slow_flush(stage: Stage, chance: random.Random) -> None:
    """SCRIPT FLUSH, while commands of one node are on a long way, and another loads the scripts."""
    slow, other = chance.sample(stage.nodes, 2)
    async with stage.stores.busy, slow.link.busy, other.link.busy:
        with stage.fault("slow-flush", slow.name):
            slow.link.delay = 0.2
            await trio.sleep(0.5)
            for _ in range(3):
                await stage.stores.forget_scripts()
                other.link.cut()
                await trio.sleep(chance.uniform(0.3, 0.7))
            slow.link.heal()
