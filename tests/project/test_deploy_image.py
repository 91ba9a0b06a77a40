"""The Containerfile and the locks that the image is made of say what they must."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.deploying import ROOT, image_health, image_stages, run, text
from tests.support.processes import trio_wss
from trio_wss.settings import Settings


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    return image_stages()


def test_the_image_is_built_in_two_stages_of_one_base(stages: Any) -> None:
    build, last = stages
    assert build[0] == ("FROM", "python:3.13-slim AS build")
    assert last[0] == ("FROM", "python:3.13-slim")
    assert ("COPY", "--from=build /opt/trio-wss /opt/trio-wss") in last


def test_the_last_stage_has_no_build_tools(stages: Any) -> None:
    runs = " ".join(rest for word, rest in stages[-1] if word == "RUN")
    assert not re.search(r"\b(pip|apt|apt-get|gcc|make|venv)\b", runs)
    assert any("--without-pip" in rest for word, rest in stages[0] if word == "RUN")


def test_the_image_is_not_run_by_root(stages: Any) -> None:
    words = [word for word, _ in stages[-1]]
    user = dict(stages[-1])["USER"]
    assert int(user) > 0  # a number, so that a cluster can check it
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_the_image_starts_a_node_and_signals_reach_it(stages: Any) -> None:
    entrypoint = json.loads(dict(stages[-1])["ENTRYPOINT"])  # the exec form: no shell between
    assert entrypoint == ["trio-wss", "run", "--host", "0.0.0.0", "--log-format", "json"]
    assert dict(stages[-1])["STOPSIGNAL"] == "SIGTERM"


def test_a_node_whose_redis_is_away_is_not_killed_before_it_sends_its_clients_away() -> None:
    health = image_health()
    assert health["interval"] * health["retries"] > Settings().redis_away


async def test_the_image_knows_whether_it_is_ready(stages: Any, tmp_path: Path) -> None:
    check = json.loads(dict(stages[-1])["HEALTHCHECK"].partition(" CMD ")[2])
    assert check[:3] == ["python", "-IS", "-c"]
    probe = [sys.executable, *check[1:]]
    async with trio_wss("run", cwd=tmp_path) as node:
        await node.listening()
        there = {"SERVER_PORT": str(node.port)}
        assert run(*probe, **there).returncode == 0
        node.process.terminate()
        assert await node.ended() == 0
    assert run(*probe, **there).returncode != 0


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1)])
def test_only_200_is_ready(stages: Any, status: str, code: int) -> None:
    check = json.loads(dict(stages[-1])["HEALTHCHECK"].partition(" CMD ")[2])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        probe = subprocess.Popen(
            [sys.executable, *check[1:]], env={**os.environ, "SERVER_PORT": port}
        )
        connection, _ = server.accept()
        with connection:
            asked = connection.recv(4096)
            connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
            assert asked.startswith(b"GET /readyz HTTP/1.1\r\n")
            assert probe.wait(60) == code


def test_what_the_image_copies_is_there_and_not_ignored(stages: Any) -> None:
    let_in = set(re.findall(r"(?m)^!(.+)$", text(".dockerignore")))
    copied = set()
    for word, rest in stages[0]:
        if word == "COPY":
            *sources, _ = rest.split()
            copied |= set(sources)
    assert all((ROOT / source).exists() for source in copied)
    assert copied == let_in


# The lock


def pins(name: str) -> dict[str, tuple[str, int]]:
    """What a lock file pins: each package's version, and the number of its hashes."""
    found: dict[str, tuple[str, int]] = {}
    for block in re.split(r"(?m)^(?=\w)", re.sub(r"(?m)^#.*\n", "", text(name))):
        if block:
            package, _, version = block.split(" ", 1)[0].partition("==")
            found[package.lower()] = (version, block.count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_everything_is_pinned_with_hashes_and_no_registry_is_named(lock: str) -> None:
    assert all(version and hashes for version, hashes in pins(lock).values())
    assert "://" not in text(lock)
    assert not re.search(r"(?m)^-", text(lock))


def test_the_locks_hold_what_the_project_depends_on() -> None:
    """If not: `make lock`."""
    project = tomllib.loads(text("pyproject.toml"))
    for wanted, lock in (
        (project["project"]["dependencies"], pins("requirements.lock")),
        (project["build-system"]["requires"], pins("requirements-build.lock")),
    ):
        for requirement in map(Requirement, wanted):
            version, _ = lock[requirement.name.lower()]
            assert version in requirement.specifier, requirement


def test_the_image_is_made_of_the_locks_and_of_nothing_else(stages: Any) -> None:
    runs = [rest for word, rest in stages[0] if word == "RUN"]
    for install in re.findall(r"install [^&]+", " ".join(runs)):
        assert "--require-hashes" in install or "--no-index --no-deps" in install
