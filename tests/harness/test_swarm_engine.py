"""harness/swarm/engine.py and stack.py: how Docker is called, with a docker that only says how."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from attrs import frozen

from harness.swarm.engine import DockerFailed, Engines, Host
from harness.swarm.parse import Task
from harness.swarm.stack import Stack

HERE = Host("unix:///here", "host-1", "10.0.0.1")
THERE = Host("unix:///there", "host-2", "10.0.0.2")
TASK = Task("1.abc", "host-2", "running", True, "chat:7", container="c1")


@frozen
class Docker:
    """A docker that writes down how it is called, and does what it is told to."""

    folder: Path

    def does(self, script: str) -> None:
        called = f'echo "$DOCKER_HOST $IMAGE $APP $PORT: $*" >> {self.folder}/calls'
        (self.folder / "docker").write_text(f"#!/bin/sh\n{called}\n{script}\n")
        (self.folder / "docker").chmod(0o755)

    @property
    def calls(self) -> list[str]:
        text = (self.folder / "calls").read_text()
        return [re.sub(" +(:?)", lambda m: m[1] or " ", line) for line in text.splitlines()]

    def loaded(self) -> str:
        return (self.folder / "loaded").read_text()


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("IMAGE", "APP", "PORT"):
        monkeypatch.delenv(name, raising=False)
    found = Docker(tmp_path)
    found.does("")
    return found


async def test_it_is_told_which_engine(docker: Docker) -> None:
    docker.does("echo said")
    assert await HERE.docker("ps", "--all") == "said\n"
    assert docker.calls == ["unix:///here: ps --all"]


async def test_what_it_says_on_stderr_is_the_reason_or_the_log(docker: Docker) -> None:
    docker.does("echo no such thing >&2")
    assert await HERE.docker("logs", "c1") == ""
    assert await HERE.docker("logs", "c1", merged=True) == "no such thing\n"
    docker.does("echo no such thing >&2; exit 1")
    with pytest.raises(DockerFailed, match="docker logs c1 at unix:///here: no such thing"):
        await HERE.docker("logs", "c1")


async def test_a_host_says_who_it_is_in_the_swarm(docker: Docker) -> None:
    docker.does("""echo '{"LocalNodeState":"active","NodeID":"n7","NodeAddr":"10.0.0.7"}'""")
    found = await Engines.find(["unix:///here"])
    assert found.manager == Host("unix:///here", "n7", "10.0.0.7")
    assert found.named("n7") == found.manager
    assert found.named("n8") is None
    docker.does("""echo '{"LocalNodeState":"inactive","NodeID":"","NodeAddr":""}'""")
    with pytest.raises(DockerFailed, match="is in no Swarm: docker swarm init, or join"):
        await Engines.find(["unix:///here"])


async def test_an_image_is_carried_to_hosts_that_lack_it(docker: Docker) -> None:
    docker.does(f"case $1 in save) echo packed;; load) cat > {docker.folder}/loaded;; esac")
    await Engines([HERE, THERE]).carry("wss")
    assert docker.calls == [
        "unix:///there: images --quiet wss",
        "unix:///here: save wss",
        "unix:///there: load --quiet",
    ]
    assert docker.loaded() == "packed\n"


async def test_the_stack_is_deployed_with_its_files_and_variables(docker: Docker) -> None:
    stack = Stack("test", Engines([HERE, THERE]), [Path("a.yml"), Path("b.yml")], {"PORT": "0"})
    await stack.deploy("chat:7")
    assert docker.calls == [
        "unix:///here chat:7 soak:app 0: stack deploy --detach=true --resolve-image never"
        " --compose-file a.yml --compose-file b.yml test"
    ]


async def test_a_task_is_killed_on_its_own_host(docker: Docker) -> None:
    await Stack("test", Engines([HERE, THERE]), [], {}).kill(TASK)
    assert docker.calls == ["unix:///there: kill --signal KILL c1"]
    with pytest.raises(DockerFailed, match="on a host that SWARM_HOSTS does not name"):
        await Stack("test", Engines([HERE]), [], {}).kill(TASK)


async def test_the_log_of_a_host_that_is_dead_is_empty(docker: Docker) -> None:
    docker.does("exit 1")
    assert await Stack("test", Engines([HERE, THERE]), [], {}).logs(TASK) == ""
    assert await Stack("test", Engines([HERE]), [], {}).logs(TASK) == ""
