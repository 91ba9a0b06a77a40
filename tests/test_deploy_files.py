"""The files around the code: Makefile, .ci, Containerfile and swarm.yml say what they must."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def text(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.fixture(scope="module")
def stack() -> Any:
    """swarm.yml with every variable at its default."""
    return yaml.safe_load(VARIABLE.sub(r"\2", text("swarm.yml")))


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """The Containerfile's instructions, by stages."""
    joined = re.sub(r"\\\n\s*", "", text("Containerfile"))
    found: list[list[tuple[str, str]]] = []
    for line in joined.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                found.append([])
            found[-1].append((word, rest))
    return found


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


# swarm.yml


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker client")
def test_docker_takes_the_stack() -> None:
    done = subprocess.run(
        ["docker", "stack", "config", "-c", "swarm.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(yaml.safe_load(done.stdout)["services"]) == {"redis", "node"}


def test_every_variable_has_a_default() -> None:
    uncommented = re.sub(r"(?m)^\s*#.*$", "", text("swarm.yml"))
    assert re.findall(r"\$(?!\{\w+:-[^}]+\})", uncommented) == []


def test_the_header_says_in_five_lines_what_to_change() -> None:
    header = text("swarm.yml").split("\n\n")[0].splitlines()
    assert len(header) == 5
    assert all(line.startswith("#") for line in header)
    named = set(re.findall(r"\b[A-Z_]{3,}\b", " ".join(header)))
    known = {name for name, _ in VARIABLE.findall(text("swarm.yml"))}
    assert named <= known
    assert {"IMAGE", "APP", "PORT", "REPLICAS", "DRAIN", "STOP_GRACE"} <= named


def test_redis_keeps_its_data_and_evicts_nothing(stack: Any) -> None:
    redis = stack["services"]["redis"]
    command = redis["command"]
    assert redis["image"] == "redis:7"
    assert option(command, "--appendonly") == "yes"
    assert option(command, "--maxmemory-policy") == "noeviction"
    assert option(command, "--maxmemory")
    assert redis["volumes"] == ["redis-data:/data"]
    assert "redis-data" in stack["volumes"]
    assert redis["deploy"]["replicas"] == 1
    assert redis["deploy"]["placement"]["constraints"]


def test_a_node_is_not_cut_off_by_a_burst_of_answers(stack: Any) -> None:
    """The link is of client class pubsub, whose default limit is 32 MB."""
    limit = option(stack["services"]["redis"]["command"], "--client-output-buffer-limit").split()
    assert limit[0] == "pubsub"
    assert int(limit[1].removesuffix("mb")) > 32
    assert int(limit[2].removesuffix("mb")) > 8


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_redis_takes_its_options(stack: Any, tmp_path: Path) -> None:
    command = [*stack["services"]["redis"]["command"], "--port", "0", "--unixsocket", "s"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if "ready to accept connections" in line:
                break
        server.terminate()
    assert "ready to accept connections" in said, said


def test_nodes_roll_without_a_gap_and_back_when_it_fails(stack: Any) -> None:
    node = stack["services"]["node"]
    update = node["deploy"]["update_config"]
    assert node["deploy"]["replicas"] == 3
    assert update["order"] == "start-first"
    assert update["failure_action"] == "rollback"
    assert update["parallelism"] == 1
    assert node["deploy"]["rollback_config"]["order"] == "start-first"
    # A new node must have had the time to be found unhealthy.
    health = node["healthcheck"]
    assert "/readyz" in health["test"][-1]
    assert seconds(update["monitor"]) >= seconds(health["start_period"])


def test_a_node_may_finish_before_it_is_killed(stack: Any) -> None:
    node = stack["services"]["node"]
    assert seconds(node["stop_grace_period"]) > float(option(node["command"], "--drain"))


def test_nodes_are_given_their_redis_and_port(stack: Any) -> None:
    node = stack["services"]["node"]
    environment = node["environment"]
    assert environment["REDIS_SERVER"] == "redis://redis:6379/0"
    assert str(node["ports"][0]["target"]) == environment["SERVER_PORT"]
    assert set(node["networks"]) == set(stack["services"]["redis"]["networks"])


def test_the_commands_are_ones_that_we_take(stack: Any) -> None:
    """With a port out of range added, that alone is what is wrong with it."""
    command = [*stack["services"]["node"]["command"], "--port", "70000"]
    done = subprocess.run(
        [sys.executable, "-m", "trio_wss", "run", *command],
        env={
            **os.environ,
            "REDIS_SERVER": stack["services"]["node"]["environment"]["REDIS_SERVER"],
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "port must be" in done.stderr


# Containerfile


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
    assert entrypoint == ["trio-wss", "run", "--host", "0.0.0.0"]
    assert dict(stages[-1])["STOPSIGNAL"] == "SIGTERM"


def test_the_image_knows_whether_it_is_ready(stages: Any) -> None:
    health = dict(stages[-1])["HEALTHCHECK"]
    command = json.loads(health.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "/readyz" in command[2]
    assert "urllib" in command[2]
    compile(command[2], "HEALTHCHECK", "exec")


def test_what_the_image_copies_is_there(stages: Any) -> None:
    for word, rest in stages[0]:
        if word == "COPY":
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources), rest


# Makefile and .ci


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def link_tools(folder: Path, *names: str) -> None:
    for name in names:
        program = shutil.which(name)
        assert program is not None
        (folder / name).symlink_to(program)


def test_pythons_are_run_before_they_are_believed(tmp_path: Path) -> None:
    """A shim that fails, one that lies and one without venv are passed over."""
    home, shims, good = tmp_path / "home", tmp_path / "shims", tmp_path / "good"
    fake(shims, "python3.11", "echo 'pyenv: not found' >&2; exit 127")
    fake(shims, "python3.12", "true")  # of another version than its name says
    fake(good, "python3", '[ "$3" = 3.12 ] && echo "3.12=$0"')
    fake(home / ".pyenv/versions/3.11.9/bin", "python3.11", 'echo "$3=$0"')
    fake(home / ".pyenv/versions/3.13.1/bin", "python3.13", "exit 1")
    link_tools(good, "tr")
    done = run("/bin/sh", ".ci/pythons", PATH=f"{shims}:{good}", HOME=str(home), PYENV_ROOT="")
    assert done.stdout.split() == [
        f"3.11={home}/.pyenv/versions/3.11.9/bin/python3.11",
        f"3.12={good}/python3",
    ]


def test_the_python_that_runs_this_is_found() -> None:
    version = "{}.{}".format(*sys.version_info)
    done = run("/bin/sh", ".ci/pythons")
    assert version in [each.partition("=")[0] for each in done.stdout.split()]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_names_every_target() -> None:
    done = run("make", "help")
    assert done.returncode == 0, done.stderr
    for target in ("help", "run", "test", "fmt", "clean"):
        assert re.search(rf"^make {target}\t", done.stdout, re.MULTILINE), target


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_installs_what_is_up_to_date_no_second_time(tmp_path: Path) -> None:
    """A Python that only notes how it is called, so that nothing is fetched."""
    folder = tmp_path / "project"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    fake(tmp_path, "python3.12", 'mkdir -p "$3/bin" && cp "$0" "$3/bin/python"')
    fake(folder / ".ci", "pythons", f'echo "3.11=none 3.12={tmp_path}/python3.12"')
    stamp = ".cache/venv-3.12/.test"
    first = run("make", "-C", str(folder), stamp)
    assert first.returncode == 0, first.stderr
    assert (folder / ".cache/venv-3.12/.run").exists()
    assert "up to date" in run("make", "-C", str(folder), stamp).stdout
    os.utime(folder / "pyproject.toml")
    assert "pip install" in run("make", "-C", str(folder), stamp).stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_without_a_python_says_what_to_install(tmp_path: Path) -> None:
    link_tools(tmp_path, "make", "sh", "tr", "sed")
    done = run("make", "help", PATH=str(tmp_path), HOME=str(tmp_path), PYENV_ROOT=str(tmp_path))
    assert done.returncode == 2
    assert "No Python 3.11, 3.12 or 3.13" in done.stderr


def test_the_gate_holds_all_its_checks() -> None:
    makefile = text("Makefile")
    for check in (
        "ruff format --check",
        "ruff check .",
        "mypy",
        "lint-imports",
        "coverage run -m pytest",
        "coverage report --fail-under=95",
    ):
        assert check in makefile


def test_ci_runs_the_gate() -> None:
    script = text(".ci/run")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert script.index("apt-get update") < script.index("install -y")
    assert script.rstrip().endswith("make test")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert run("bash", "-n", ".ci/run").returncode == 0


def test_the_changelog_is_one_people_can_read() -> None:
    changelog = text("CHANGELOG.md")
    assert changelog.startswith("# Changelog\n")
    assert "## [Unreleased]" in changelog


def test_every_module_of_the_language_is_in_the_import_contracts() -> None:
    """A new module must be put into the layers, and may do no I/O."""
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = {part.strip() for layer in contracts[0]["layers"] for part in layer.split("|")}
    pure = set(contracts[1]["source_modules"])
    outside = {"__init__", "__main__", "demo"}
    modules = {file.stem for file in (ROOT / "trio_wss").glob("*.py")} - outside
    assert {f"trio_wss.{name}" for name in modules} == pure
    assert pure < layers
