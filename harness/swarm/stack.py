"""The stack of swarm.yml on a Swarm: deployed, looked at, changed, harmed, taken down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, final

import trio

from harness.swarm.engine import DockerFailed, Engines, Host
from harness.swarm.parse import Task, mesh_port, read_tasks, update_state

ROOT: Final = Path(__file__).parents[2]
APP: Final = "soak:app"
SLOW: Final = 240.0  # seconds for anything that the Swarm does by itself
LOOK: Final = 1.0  # seconds between two looks at it


@final
class Stack:
    """One deployment, by its name."""

    def __init__(
        self, name: str, engines: Engines, files: Sequence[Path], variables: dict[str, str]
    ) -> None:
        self.name = name
        self.engines = engines
        self.tasks: list[Task] = []
        """The nodes' tasks at the last look."""
        self._files = files
        self._variables = {"APP": APP, **variables}

    @property
    def node(self) -> str:
        return f"{self.name}_node"

    async def deploy(self, image: str, **variables: str) -> None:
        """Deploy it, or change what is deployed; returns at once."""
        files = [part for file in self._files for part in ("--compose-file", str(file))]
        await self.engines.manager.docker(
            *("stack", "deploy", "--detach=true", "--resolve-image", "never", *files, self.name),
            variables={**self._variables, "IMAGE": image, **variables},
        )

    async def remove(self) -> None:
        """Take it down with its volume, and wait until nothing of it is left."""
        await self.engines.manager.docker("stack", "rm", self.name)
        for host in self.engines.hosts:
            with suppress(DockerFailed):  # it may be dead
                await self._clear(host)

    async def _clear(self, host: Host) -> None:
        """Wait until nothing of the stack runs on a host, and remove its volume."""
        await host.docker("version")
        ours = ("--quiet", "--filter", f"label=com.docker.stack.namespace={self.name}")

        async def clear() -> bool:
            return not await host.docker("ps", "--all", *ours)

        await self._until(clear)
        for volume in (await host.docker("volume", "ls", *ours)).split():
            await host.docker("volume", "rm", volume)

    # --- looking

    async def look(self, service: str = "node", *, all_states: bool = False) -> list[Task]:
        """The tasks of a service, as the manager knows them."""
        manager = self.engines.manager
        only = () if all_states else ("--filter", "desired-state=running")
        found = await manager.docker("service", "ps", "--quiet", *only, f"{self.name}_{service}")
        tasks = read_tasks(await manager.docker("inspect", *found.split())) if found else []
        if service == "node" and not all_states:
            self.tasks = tasks
        return tasks

    async def keep_looking(self) -> None:
        """Look for ever, for those who only read `tasks`."""
        while True:
            try:
                await self.look()
            except DockerFailed:  # a task that was gone before it could be inspected
                continue
            await trio.sleep(LOOK)

    async def healthy(self, number: int) -> None:
        """Wait until so many nodes run, and no other is to."""
        await self._until(lambda: self._is_healthy(number))

    async def _is_healthy(self, number: int) -> bool:
        tasks = await self.look()
        return len(tasks) == number and all(task.runs for task in tasks)

    async def gone(self, task: Task, service: str = "node") -> None:
        """Wait until a task runs no more, or is not to."""

        async def gone() -> bool:
            return not any(one.runs and one.name == task.name for one in await self.look(service))

        await self._until(gone)

    async def updated(self) -> str:
        """Wait until an update has come to its end; returns which."""
        ends = {"completed", "rollback_completed", "paused", "rollback_paused"}

        async def over() -> bool:
            return await self._update() in ends

        await self._until(over)
        return await self._update()

    async def updating(self) -> None:
        """Wait until an update has begun."""

        async def begun() -> bool:
            return await self._update() in {"updating", "rollback_started"}

        await self._until(begun)

    async def _update(self) -> str:
        return update_state(await self.engines.manager.docker("service", "inspect", self.node))

    async def mesh(self) -> int | None:
        """The port of the routing mesh, if nodes are behind it."""
        return mesh_port(await self.engines.manager.docker("service", "inspect", self.node))

    async def redis_runs(self) -> None:
        """Wait until Redis is there."""

        async def runs() -> bool:
            return any(task.runs for task in await self.look("redis"))

        await self._until(runs)

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Look until it is so; at most as long as the Swarm may take."""
        with trio.fail_after(SLOW):
            while not await self._try(condition):  # noqa: ASYNC110 - Docker tells nobody
                await trio.sleep(LOOK)

    async def _try(self, condition: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await condition()
        except DockerFailed:  # a task that was gone before it could be inspected
            return False

    # --- doing

    async def scale(self, number: int) -> None:
        """Have so many nodes."""
        await self.engines.manager.docker("service", "scale", "--detach", f"{self.node}={number}")

    async def kill(self, task: Task) -> None:
        """SIGKILL a task's process."""
        await self._host(task).docker("kill", "--signal", "KILL", task.container)

    async def redis_cli(self, *arguments: str) -> str:
        """Ask Redis, from inside its container."""
        [task] = [task for task in await self.look("redis") if task.runs]
        return await self._host(task).docker(
            "exec", task.container, "redis-cli", "--raw", *arguments
        )

    async def logs(self, task: Task) -> str:
        """What a task's process has said, if that is still to be had."""
        host = self.engines.named(task.host)
        if host is None or not task.container:
            return ""
        try:
            return await host.docker("logs", task.container, merged=True)
        except DockerFailed:
            return ""

    def _host(self, task: Task) -> Host:
        host = self.engines.named(task.host)
        if host is None:
            raise DockerFailed(f"{task.name} is on a host that SWARM_HOSTS does not name")
        return host
