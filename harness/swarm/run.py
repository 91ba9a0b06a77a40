"""One run: the stack deployed, clients at work, the acts, and everything written down."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import orjson
import trio
from attrs import frozen

from harness.faults.crew import Crew, Hands, all_topics
from harness.faults.fleet import NOWHERE, errors_in
from harness.faults.ledger import LEDGER, MOST
from harness.faults.own import Own
from harness.faults.proxy import Proxy, proxied
from harness.faults.record import Recorder
from harness.faults.run import HEARD, count_members, find_level, last_word, until
from harness.swarm.acts import NODES, Acts, Images
from harness.swarm.engine import Engines, Host
from harness.swarm.stack import ROOT, Stack
from trio_wss.settings import Settings
from trio_wss.store.keys import Keys

HANDS: Final = Hands(workers=4, movers=1, returners=0, visitors=1, slow=0, listeners=2, gluttons=0)
FRONTS: Final = 6  # addresses that stand for the routing mesh where there is none
ALL_THERE: Final = 30.0  # seconds until every client is connected
DEFAULTS: Final = Settings()
BURIED: Final = DEFAULTS.lease + DEFAULTS.grace + 20.0  # seconds until no ghost is left


@frozen
class Plan:
    """Where to run, and how. `kill` is a shell command that kills the host at `{address}`."""

    sockets: list[str]
    base: str = "wss"
    override: Path | None = None
    kill: str = ""
    seed: int = 1
    name: str = "wss-test"
    port: int = 18000

    @property
    def images(self) -> Images:
        return Images(*(f"{self.name}:{release}" for release in ("one", "two", "broken")))


async def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> Acts:
    """Play it and write it down. What is deployed is taken down again."""
    engines = await Engines.find(plan.sockets)
    await _build(plan, engines)
    files = [ROOT / "swarm.yml", *([plan.override] if plan.override else [])]
    port = 0 if plan.override else plan.port  # else the override gives each node its own
    stack = Stack(plan.name, engines, files, {"PORT": str(port)})
    recorder = Recorder(folder / "history.jsonl")
    with ExitStack() as closing:
        closing.callback(recorder.close)
        acts = Acts(stack, plan.images, recorder, say, _killer(plan.kill))
        await stack.remove()  # what a run that was killed has left
        try:
            begun = recorder.now()
            await stack.deploy(plan.images.first)
            await stack.healthy(NODES)
            say(f"{recorder.now():7.1f}  {NODES} healthy, {recorder.now() - begun:.1f} s after")
            recorder.note("deployed", seconds=recorder.now() - begun)
            await _play(plan, stack, acts, folder)
        finally:
            with trio.CancelScope(shield=True):
                await stack.remove()
    return acts


async def _build(plan: Plan, engines: Engines) -> None:
    images, here = plan.images, Path(__file__).parent
    app = ("--file", str(here / "Containerfile"), "--build-arg", f"BASE={plan.base}")
    await engines.carry(plan.base)
    await engines.build(images.first, *app, str(ROOT / "harness" / "faults"))
    label = f"FROM {images.first}\nLABEL release=two\n"
    await engines.build(images.second, "-", stdin=label.encode())
    broken = f'FROM {images.first}\nENTRYPOINT ["trio-wss", "run", "--port", "nonsense"]\n'
    await engines.build(images.broken, "-", stdin=broken.encode())


def _killer(command: str) -> Callable[[Host], Awaitable[None]] | None:
    async def kill(host: Host) -> None:
        words = command.replace("{address}", host.address)
        await trio.run_process(["sh", "-c", words], stdout=subprocess.DEVNULL)

    return kill if command else None


async def _play(plan: Plan, stack: Stack, acts: Acts, folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stack.keep_looking)
        urls = await nursery.start(_ways_in, stack)
        crew = Crew(urls, acts.recorder, plan.seed, nursery)
        crew.man(HANDS, [Own])  # a bare client that only listens does not see a host die
        with trio.fail_after(ALL_THERE):
            await until(lambda: all(actor.connected for actor in crew.there.values()))
        for name, deed in acts.all():
            await acts.play(name, deed)
        await _come_to_rest(crew, acts)
        await _close_books(stack, acts, folder)
        live = [actor.session for actor in crew.there.values()]
        acts.recorder.note("end", live=live)
        nursery.cancel_scope.cancel()


async def _ways_in(
    stack: Stack, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Where clients connect: every host's port of the routing mesh; without one, addresses of our
    own that lead to whichever nodes run."""
    port = await stack.mesh()
    if port is not None:
        task_status.started([f"ws://{host.address}:{port}" for host in stack.engines.hosts])
        return
    async with trio.open_nursery() as nursery:
        fronts = [await nursery.start(_front) for _ in range(FRONTS)]
        _lead(stack, fronts)
        task_status.started([f"ws://127.0.0.1:{front.port}" for front in fronts])
        while True:
            await trio.sleep(0.1)
            _lead(stack, fronts)


async def _front(task_status: trio.TaskStatus[Proxy] = trio.TASK_STATUS_IGNORED) -> None:
    async with proxied(NOWHERE) as front:
        task_status.started(front)
        await trio.sleep_forever()


def _lead(stack: Stack, fronts: list[Proxy]) -> None:
    """Have the addresses lead to the nodes that run, in turn."""
    there = [
        (host.address, task.port)
        for task in stack.tasks
        if task.runs and task.port is not None and (host := stack.engines.named(task.host))
    ]
    for number, front in enumerate(fronts):
        front.target = there[number % len(there)] if there else NOWHERE


async def _come_to_rest(crew: Crew, acts: Acts) -> None:
    """Everything answered, a last word heard by everybody, and nobody there who has gone."""
    acts.say("quiet")
    crew.gate.shut()
    with trio.move_on_after(ALL_THERE):
        await crew.steward.do("look")  # it may have been silent, on a host that is dead
        await until(lambda: crew.idle)
    acts.recorder.note("quiet", idle=crew.idle)
    topics = [topic for topic in all_topics() if topic != "room:bulk"]
    end = trio.current_time() + HEARD
    for topic in topics:
        await find_level(acts.recorder, crew, topic, None, end)
        await last_word(acts.recorder, crew, topic)
    for topic in topics[:-1]:
        await count_members(acts.recorder, crew, topic, BURIED)


async def _close_books(stack: Stack, acts: Acts, folder: Path) -> None:
    """The ledger, as Redis has it in the end; and what the nodes said."""
    key = Keys(DEFAULTS.namespace).state(LEDGER)
    lines = [
        line for line in (await stack.redis_cli("LRANGE", key, "0", "-1")).splitlines() if line
    ]
    if len(lines) >= MOST:
        raise RuntimeError("the ledger is full: the run was too long")
    (folder / "ledger-0.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "timelines.json").write_bytes(orjson.dumps([(0, 0.0, 1e9, len(lines))]))
    for task in await stack.look(all_states=True):
        log = await stack.logs(task)
        (folder / f"node-{task.name}.log").write_text(log)
        if acts.images.broken in task.image or task.container in acts.killed:
            continue
        if task.code is not None and task.container:
            acts.recorder.note("exit", node=task.name, code=task.code, wanted=0)
        for text in errors_in(log):
            acts.recorder.note("error", node=task.name, text=text[:4000])
