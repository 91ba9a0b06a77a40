"""harness/swarm/parse.py: what Docker says of tasks and services is read for what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.swarm.parse import mesh_port, read_tasks, update_state


def task(**status: Any) -> dict[str, Any]:
    """A task as `docker inspect` has it."""
    return {
        "ID": "abcdefghijkl",
        "Slot": 2,
        "NodeID": "host-1",
        "DesiredState": "running",
        "Spec": {"ContainerSpec": {"Image": "chat:7"}},
        "Status": {"State": "running", **status},
    }


def test_a_task_that_runs_with_a_port_of_its_own() -> None:
    port = {"PublishMode": "host", "TargetPort": 8000, "PublishedPort": 32768}
    container = {"ContainerID": "c1", "PID": 7, "ExitCode": 0}
    inspected = task(ContainerStatus=container, PortStatus={"Ports": [port, port]})
    [read] = read_tasks(json.dumps([inspected]))
    assert (read.name, read.host, read.image) == ("2.abcdefgh", "host-1", "chat:7")
    assert (read.container, read.port, read.runs) == ("c1", 32768, True)
    assert read.code is None  # Docker says 0 of one that has not ended


def test_a_task_that_has_no_container_yet() -> None:
    [read] = read_tasks(json.dumps([task(State="pending", Err="no suitable node")]))
    assert (read.container, read.port, read.runs) == ("", None, False)
    assert read.error == "no suitable node"


@pytest.mark.parametrize(("state", "code"), [("shutdown", 0), ("complete", 0), ("failed", 137)])
def test_a_task_that_has_ended_says_how(state: str, code: int) -> None:
    inspected = task(State=state, ContainerStatus={"ContainerID": "c1", "ExitCode": code})
    [read] = read_tasks(json.dumps([inspected]))
    assert (read.code, read.runs) == (code, False)


def test_a_task_that_is_to_stop_does_not_count_as_running() -> None:
    """Nobody may be sent there any more, though it still runs."""
    [read] = read_tasks(json.dumps([{**task(), "DesiredState": "shutdown"}]))
    assert not read.runs


def test_where_an_update_is() -> None:
    assert update_state(json.dumps([{"UpdateStatus": {"State": "updating"}}])) == "updating"
    assert update_state(json.dumps([{"Spec": {}}])) == ""
    assert update_state(json.dumps([{"UpdateStatus": None}])) == ""


def test_the_port_of_the_routing_mesh_is_one_of_every_host() -> None:
    def service(*ports: dict[str, Any]) -> str:
        return json.dumps([{"Endpoint": {"Spec": {"Ports": list(ports)}}}])

    own = {"PublishMode": "host", "TargetPort": 8000}
    mesh = {"PublishMode": "ingress", "TargetPort": 8000, "PublishedPort": 8001}
    assert mesh_port(service(own)) is None
    assert mesh_port(service(own, mesh)) == 8001
    assert mesh_port(json.dumps([{"Endpoint": {}}])) is None
