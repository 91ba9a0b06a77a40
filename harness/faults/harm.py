"""The faults. Each takes what it needs, does its harm for a while, and leaves the stage whole."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import Final, Literal

import trio

from harness.faults import compound
from harness.faults.fleet import NodeProcess
from harness.faults.kinds import FAULTS, LEASE, Fault, Kind, fault
from harness.faults.proxy import Proxy
from harness.faults.stage import Stage

__all__ = ["FAULTS", "LEASE", "compound", "mischief"]

AT_ONCE: Final = 3  # faults


# --- nodes


@fault("kill", "node")
async def kill(stage: Stage, chance: random.Random) -> None:
    """SIGKILL; the node comes back before or after its lease is over."""
    node, away = chance.choice(stage.nodes), chance.uniform(0.1, LEASE * 1.5)
    async with node.busy:
        with stage.fault("kill", node.name):
            await node.kill()
            await trio.sleep(away)
            await node.start()


@fault("pause", "node")
async def pause(stage: Stage, chance: random.Random) -> None:
    """SIGSTOP, SIGCONT: for less than the lease, or long enough to be taken for dead."""
    node, away = chance.choice(stage.nodes), chance.uniform(0.2, LEASE * 3)
    async with node.busy:
        with stage.fault("pause", node.name):
            node.send(signal.SIGSTOP)
            await trio.sleep(away)
            node.send(signal.SIGCONT)


@fault("rolling-restart", "node")
async def rolling_restart(stage: Stage, chance: random.Random) -> None:
    """A deploy: one node after the other gets SIGTERM and comes back."""
    with stage.fault("rolling-restart") as found:
        for node in chance.sample(stage.nodes, len(stage.nodes)):
            async with node.busy:
                found.append(f"{node.name} took {await node.stop():.2f} s")
                await node.start()


@fault("kill-together", "node")
async def kill_together(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of a node and of clients that it has not yet missed: nobody has said that they went,
    and only its lease can tell.
    """
    node = chance.choice(stage.nodes)
    async with node.busy, node.front.busy:
        with stage.fault("kill-together", node.name):
            node.front.gate.shut()
            stage.depart()
            await trio.sleep(0.1)
            await node.kill()
            node.front.cut()
            node.front.heal()
            await trio.sleep(chance.uniform(0, LEASE * 1.5))
            await node.start()


# --- Redis


@fault("client-kill", "redis")
async def client_kill(stage: Stage, chance: random.Random) -> None:
    """CLIENT KILL, again and again."""
    with stage.fault("client-kill") as found:
        killed = 0
        for _ in range(chance.randint(1, 4)):
            async with stage.stores.busy:
                killed += await stage.stores.kill_connections()
            await trio.sleep(chance.uniform(0, 0.4))
        found.append(f"{killed} connections")


@fault("forget-scripts", "redis")
async def forget_scripts(stage: Stage, _: random.Random) -> None:
    """SCRIPT FLUSH."""
    async with stage.stores.busy:
        with stage.fault("forget-scripts"):
            await stage.stores.forget_scripts()


@fault("redis-pause", "redis")
async def redis_pause(stage: Stage, chance: random.Random) -> None:
    """SIGSTOP of Redis: everything is taken, nothing is answered."""
    seconds = chance.uniform(0.2, 4)
    async with stage.stores.busy:
        with stage.fault("redis-pause"):
            primary = stage.stores.primary.redis
            primary.pause()
            await trio.sleep(seconds)
            primary.resume()


@fault("redis-restart", "redis")
async def redis_restart(stage: Stage, _: random.Random) -> None:
    """SIGKILL of Redis; it comes back with its data."""
    async with stage.stores.busy:
        with stage.fault("redis-restart"):
            await stage.stores.restart()


@fault("failover", "redis")
async def failover(stage: Stage, _: random.Random) -> None:
    """The replica takes over, and has everything."""
    async with stage.stores.busy, stage.all_links():
        with stage.fault("failover") as found:
            lost = await stage.stores.fail_over(0)
            found.append(f"{lost} commits lost")


@fault("lagging-failover", "loss")
async def lagging_failover(stage: Stage, chance: random.Random) -> None:
    """The replica takes over, and lacks the last commits, acknowledged ones among them. One node
    may find it only when the others have gone on beyond what was lost. Some clients lose their
    connections, too: they come back to another history than the one they left."""
    lag, behind = chance.uniform(0.1, 1), chance.choice([None, *stage.nodes])
    lost_too = chance.sample(stage.nodes, chance.randint(0, len(stage.nodes)))

    def cut() -> None:
        for node in lost_too:
            node.front.cut()

    async with stage.stores.busy, stage.all_links():
        with stage.fault("lagging-failover") as found:
            lost = await stage.stores.fail_over(lag, behind and behind.link, cut)
            if behind is not None:
                await trio.sleep(2 * lag + 0.5)
                behind.link.refuses = False
            found.append(f"{lost} commits lost")


@fault("redis-loss", "loss")
async def redis_loss(stage: Stage, _: random.Random) -> None:
    """Redis comes back with nothing."""
    async with stage.stores.busy, stage.all_links():
        with stage.fault("redis-loss"):
            await stage.stores.lose_data()


# --- the way from the nodes to Redis, and from the clients to the nodes


def _ways(stage: Stage, chance: random.Random, kind: Kind) -> list[tuple[NodeProcess, Proxy]]:
    """One node's, or those of all nodes."""
    nodes = stage.nodes if chance.random() < 0.25 else [chance.choice(stage.nodes)]
    return [(node, node.link if kind == "link" else node.front) for node in nodes]


async def _harm(
    stage: Stage,
    chance: random.Random,
    kind: Kind,
    name: str,
    begin: Callable[[Proxy], None],
    seconds: float,
) -> None:
    """Do one thing to some ways at once, for some time."""

    async def harm(node: NodeProcess, way: Proxy) -> None:
        async with way.busy:
            with stage.fault(name, node.name):
                begin(way)
                await trio.sleep(seconds)
                way.heal()

    async with trio.open_nursery() as nursery:
        for node, way in _ways(stage, chance, kind):
            nursery.start_soon(harm, node, way)


def _delay(way: Proxy, seconds: float) -> None:
    way.delay = seconds


def _refuse(way: Proxy) -> None:
    way.refuses = True
    way.cut()


def _swallow(way: Proxy) -> None:
    way.swallows = True


def _add_ways(kind: Kind) -> None:
    """The same harm can be done to either way."""

    @fault(f"{kind}-delay", kind)
    async def delay(stage: Stage, chance: random.Random) -> None:
        late, seconds = chance.uniform(0.02, 0.3), chance.uniform(0.5, 4)
        name = f"{kind}-delay"
        await _harm(stage, chance, kind, name, lambda way: _delay(way, late), seconds)

    @fault(f"{kind}-cut", kind)
    async def cut(stage: Stage, chance: random.Random) -> None:
        await _harm(stage, chance, kind, f"{kind}-cut", Proxy.cut, 0)

    @fault(f"{kind}-refuse", kind)
    async def refuse(stage: Stage, chance: random.Random) -> None:
        await _harm(stage, chance, kind, f"{kind}-refuse", _refuse, chance.uniform(0.2, 3))

    @fault(f"{kind}-black-hole", kind)
    async def black_hole(stage: Stage, chance: random.Random) -> None:
        seconds = chance.uniform(0.3, LEASE * 3)
        name = f"{kind}-black-hole"
        await _harm(stage, chance, kind, name, lambda way: way.gate.shut(), seconds)

    @fault(f"{kind}-half-close", kind)
    async def half_close(stage: Stage, chance: random.Random) -> None:
        side: Literal["client", "server"] = chance.choice(["client", "server"])
        name = f"{kind}-half-close"
        await _harm(stage, chance, kind, name, lambda way: way.half_close(side), 0)

    @fault(f"{kind}-swallow", kind)
    async def swallow(stage: Stage, chance: random.Random) -> None:
        await _harm(stage, chance, kind, f"{kind}-swallow", _swallow, chance.uniform(0.3, 4))


_add_ways("link")
_add_ways("client")


@fault("client-cut-one", "client")
async def cut_one(stage: Stage, chance: random.Random) -> None:
    """One client's socket is cut."""
    node = chance.choice(stage.nodes)
    with stage.fault("client-cut-one", node.name):
        for pair in chance.sample(node.front.pairs, min(1, len(node.front.pairs))):
            pair.cut()


# --- all of them, at random


async def mischief(
    stage: Stage,
    chance: random.Random,
    deck: list[Fault],
    faults: list[Fault],
    seconds: float,
    gap: float,
    hush: Callable[[], None],
    stop: trio.Event,
    last: bool,
) -> None:
    """Faults at random for so long, some at a time; but first those of the `deck`, which are taken
    off it, in the `last` round all of them. No more once it shall `stop`. `gap` is the average time
    between two. `hush`: the clients fall silent while the last ones are still going on, so that
    nothing that is said later makes good for what they did.
    """
    limit = trio.Semaphore(AT_ONCE)

    async def harm(chosen: Fault, seed: int) -> None:
        try:
            await chosen.harm(stage, random.Random(seed))
        finally:
            limit.release()

    async with trio.open_nursery() as nursery:
        end = trio.current_time() + seconds
        while (trio.current_time() < end or (last and deck)) and not stop.is_set():
            await limit.acquire()
            chosen = deck.pop() if deck else chance.choice(faults)
            nursery.start_soon(harm, chosen, chance.getrandbits(64))
            with trio.move_on_after(chance.uniform(0, 2 * gap)):
                await stop.wait()
        hush()
