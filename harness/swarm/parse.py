"""What Docker says, as values. Pure: it takes the JSON of `docker inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from attrs import frozen

OVER: Final = frozenset({"shutdown", "complete", "failed", "rejected", "remove", "orphaned"})


@frozen
class Task:
    """One task of a service: a container that runs, will run, or has run.

    `host` is the Swarm's name of the machine; `port` the one of that machine that leads to it, if
    it has one of its own; `code` how it ended.
    """

    name: str
    host: str
    state: str
    wanted: bool
    image: str
    container: str = ""
    port: int | None = None
    code: int | None = None
    error: str = ""

    @property
    def runs(self) -> bool:
        """Whether it runs, healthy, and is to go on."""
        return self.wanted and self.state == "running"


def read_tasks(inspected: str | bytes) -> list[Task]:
    """The tasks of `docker inspect TASK…`."""
    return [_read_task(one) for one in orjson.loads(inspected)]


def _read_task(one: Mapping[str, Any]) -> Task:
    status = one["Status"]
    container = status.get("ContainerStatus", {})
    return Task(
        name=f"{one.get('Slot', 0)}.{one['ID'][:8]}",
        host=one.get("NodeID", ""),
        state=status["State"],
        wanted=one["DesiredState"] == "running",
        image=one["Spec"]["ContainerSpec"]["Image"],
        container=container.get("ContainerID", ""),
        port=next(_ports(status), None),
        code=container.get("ExitCode") if status["State"] in OVER else None,
        error=status.get("Err", ""),
    )


def _ports(status: Mapping[str, Any]) -> Iterator[int]:
    for port in status.get("PortStatus", {}).get("Ports", ()):
        if port.get("PublishMode") == "host":
            yield port["PublishedPort"]


def update_state(inspected: str | bytes) -> str:
    """Where an update is, of `docker service inspect SERVICE`: "updating", "completed",
    "rollback_completed", …; "" if there was none.
    """
    [one] = orjson.loads(inspected)
    return str((one.get("UpdateStatus") or {}).get("State", ""))


def mesh_port(inspected: str | bytes) -> int | None:
    """The port at which the routing mesh leads to a service from every host, if it does."""
    [one] = orjson.loads(inspected)
    for port in one.get("Endpoint", {}).get("Spec", {}).get("Ports", ()):
        if port["PublishMode"] == "ingress":
            return int(port["PublishedPort"])
    return None
