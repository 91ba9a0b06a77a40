"""What is done to the stack, each with clients at work, and when it is whole again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias, final

import trio
from attrs import define, field, frozen

from harness.faults.record import Recorder
from harness.swarm.engine import Host
from harness.swarm.parse import Task
from harness.swarm.stack import Stack

CALM: Final = 6.0  # seconds of traffic after each act, before the next one
NODES: Final = 3

Deed: TypeAlias = Callable[["Acts"], Awaitable[str]]
"""Does something, waits until all is whole again, and returns in a few words what that meant."""


@frozen
class Images:
    """The app as it is, its next release, and one that does not start."""

    first: str
    second: str
    broken: str


@define
class Act:
    """One act: when it began and when all was whole again, in seconds of the run."""

    name: str
    begun: float
    healed: float = 0.0
    ended: float = 0.0
    found: str = ""


@final
@define
class Acts:
    """Everything that is done, in order."""

    stack: Stack
    images: Images
    recorder: Recorder
    say: Callable[[str], None]
    kill_host: Callable[[Host], Awaitable[None]] | None
    done: list[Act] = field(factory=list)
    killed: set[str] = field(factory=set)  # containers that may end as they like

    async def play(self, name: str, deed: Deed) -> None:
        """One act, and calm after it."""
        act = Act(name, self.recorder.now())
        self.done.append(act)
        self.say(f"{act.begun:7.1f}  {name}")
        act.found = await deed(self)
        act.healed = self.recorder.now()
        self.recorder.note("fault", name=name, where="", begun=act.begun, found=[act.found])
        self.say(f"{act.healed:7.1f}    {act.found}, after {act.healed - act.begun:.1f} s")
        await trio.sleep(CALM)
        act.ended = self.recorder.now()

    def all(self) -> Iterator[tuple[str, Deed]]:
        """The acts that can be played here. The host dies last: it does not come back."""
        yield "nothing", _nothing
        yield "scaled from 3 to 5", lambda acts: acts._scale(5)
        yield "scaled from 5 to 2", lambda acts: acts._scale(2)
        yield "scaled from 2 to 3", lambda acts: acts._scale(3)
        yield "a replica killed", _kill_replica
        yield "rolling update", _update
        yield "an update that does not start", _update_broken
        yield "an update that is never ready", _update_unready
        yield "Redis killed", _kill_redis
        yield "Redis restarted", _restart_redis
        if self.kill_host is not None:
            yield "a host killed", _kill_host

    async def _scale(self, number: int) -> str:
        await self.stack.scale(number)
        await self.stack.healthy(number)
        return f"{number} of {number} healthy"


async def _nothing(_: Acts) -> str:
    await trio.sleep(10)
    return "as it is"


async def _kill_replica(acts: Acts) -> str:
    tasks = await acts.stack.look()
    acts.killed.add(tasks[0].container)
    await acts.stack.kill(tasks[0])
    await acts.stack.gone(tasks[0])
    await acts.stack.healthy(NODES)
    return f"{NODES} of {NODES} healthy"


async def _update(acts: Acts) -> str:
    await acts.stack.deploy(acts.images.second)
    return await _updated(acts, "completed")


async def _update_broken(acts: Acts) -> str:
    await acts.stack.deploy(acts.images.broken)
    return await _updated(acts, "rollback_completed")


async def _update_unready(acts: Acts) -> str:
    await acts.stack.deploy(acts.images.second, REDIS_SERVER="redis://nowhere:6379/0")
    return await _updated(acts, "rollback_completed")


async def _updated(acts: Acts, wanted: str) -> str:
    await acts.stack.updating()
    state = await acts.stack.updated()
    if state != wanted:
        raise RuntimeError(f"the update ended as {state}, not {wanted}")
    await acts.stack.healthy(NODES)
    images = {task.image.partition("@")[0] for task in await acts.stack.look()}
    if images != {acts.images.second}:
        raise RuntimeError(f"after the update nodes run {images}")
    return f"{state}, {NODES} of {NODES} healthy"


async def _kill_redis(acts: Acts) -> str:
    [task] = await acts.stack.look("redis")
    await acts.stack.kill(task)
    return await _redis_is_back(acts, task)


async def _restart_redis(acts: Acts) -> str:
    [task] = await acts.stack.look("redis")
    await acts.stack.engines.manager.docker(
        "service", "update", "--detach", "--force", f"{acts.stack.name}_redis"
    )
    return await _redis_is_back(acts, task)


async def _redis_is_back(acts: Acts, before: Task) -> str:
    await acts.stack.gone(before, "redis")
    await acts.stack.redis_runs()
    await acts.stack.healthy(NODES)
    return "Redis healthy, nodes as before"


async def _kill_host(acts: Acts) -> str:
    """One that is no manager and has the most nodes; Redis is where the manager is."""
    nodes, redis = await acts.stack.look(), await acts.stack.look("redis")
    spared = {acts.stack.engines.manager.name, *(task.host for task in redis)}
    on = Counter(task.host for task in nodes if task.host not in spared)
    victim = acts.stack.engines.named(on.most_common(1)[0][0]) if on else None
    if victim is None or acts.kill_host is None:
        raise RuntimeError("all nodes are on the host of the manager or of Redis")
    lost = [task for task in nodes if task.host == victim.name]
    acts.killed |= {task.container for task in lost}
    await acts.kill_host(victim)
    for task in lost:
        await acts.stack.gone(task)
    await acts.stack.healthy(NODES)
    return f"{len(lost)} of {NODES} nodes moved, all healthy"
