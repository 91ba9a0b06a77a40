"""swarm.yml, and what goes on top of it, say what they must."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError

from tests.support.deploying import (
    ROOT,
    VARIABLE,
    image_health,
    option,
    run,
    seconds,
    text,
    with_defaults,
)


@pytest.fixture(scope="module")
def stack() -> Any:
    return with_defaults("swarm.yml")


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
    assert re.findall(r"\$(?!\{\w+:?-[^}]+\})", uncommented) == []


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
    assert option(command, "--dir") == "/data"
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
    command[command.index("--dir") + 1] = str(tmp_path)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if "ready to accept connections" in line:
                break
        server.terminate()
    assert "ready to accept connections" in said, said


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_a_secret_may_add_a_password(stack: Any, tmp_path: Path) -> None:
    """The pattern that finds nothing without a secret finds the secret's file."""
    (tmp_path / "redis.conf").write_text("requirepass hush\n")
    command = [*stack["services"]["redis"]["command"], "--port", "0", "--unixsocket", "s"]
    secret = Path(option(command, "--include"))
    assert secret.match("/run/secrets/redis*.conf")
    command[command.index("--include") + 1] = str(tmp_path / secret.name)
    command[command.index("--dir") + 1] = str(tmp_path)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("ready to accept connections" in line for line in server.stdout)
        client = Redis(unix_socket_path=str(tmp_path / "s"))
        with pytest.raises(AuthenticationError):
            client.ping()
        client.close()
        server.terminate()


def test_secrets_are_mounted_where_they_are_looked_for() -> None:
    secret = with_defaults("swarm-secret.yml")
    node, redis = secret["services"]["node"], secret["services"]["redis"]
    assert node["environment"] == {"REDIS_SERVER_FILE": "/run/secrets/redis-url"}
    assert node["secrets"] == ["redis-url"]
    assert redis["secrets"] == [{"source": "redis-conf", "target": "redis.conf"}]
    assert all(one["external"] for one in secret["secrets"].values())


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker client")
def test_secrets_take_the_place_of_the_environment() -> None:
    """An empty REDIS_SERVER is none: with both, a node would not start. A stack file on top cannot
    make a variable empty, so it is the shell's that is."""
    files = ("-c", "swarm.yml", "-c", "swarm-secret.yml")
    done = run("docker", "stack", "config", *files, REDIS_SERVER="")
    assert done.returncode == 0, done.stderr
    environment = yaml.safe_load(done.stdout)["services"]["node"]["environment"]
    assert environment["REDIS_SERVER"] == ""
    assert environment["REDIS_SERVER_FILE"] == "/run/secrets/redis-url"
    assert "REDIS_SERVER= docker stack deploy -c swarm.yml -c swarm-secret.yml" in text(
        "swarm-secret.yml"
    )


def test_the_dev_stack_is_one_node_on_the_mounted_source() -> None:
    dev = with_defaults("dev-stack.yml")
    node = dev["services"]["node"]
    assert node["deploy"] == {"replicas": 1}
    assert node["volumes"] == [{"type": "bind", "source": ".", "target": "/app", "read_only": True}]
    assert node["environment"] == {"PYTHONPATH": "/app"}
    assert option(node["command"], "--log-format") == "text"
    assert_node_takes([*node["command"]])


def test_nodes_roll_without_a_gap_and_back_when_it_fails(stack: Any) -> None:
    node = stack["services"]["node"]
    update = node["deploy"]["update_config"]
    assert node["deploy"]["replicas"] == 3
    assert update["order"] == "start-first"
    assert update["failure_action"] == "rollback"
    assert update["parallelism"] == 1
    assert node["deploy"]["rollback_config"]["order"] == "start-first"
    # One that dies soon after it was ready counts, too.
    assert seconds(update["monitor"]) >= image_health()["start-period"]
    assert "healthcheck" not in node  # it is the image's


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
    assert_node_takes(stack["services"]["node"]["command"])


def assert_node_takes(command: list[str]) -> None:
    """With a port out of range added, that alone is what is wrong with it."""
    done = subprocess.run(
        [sys.executable, "-m", "trio_wss", "run", *command, "--port", "70000"],
        env={**os.environ, "REDIS_SERVER": "redis://redis:6379/0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--port (SERVER_PORT) must be" in done.stderr


def test_every_override_goes_with_the_stack() -> None:
    """Each names services that there are, and nothing but them."""
    services = set(yaml.safe_load(text("swarm.yml"))["services"])
    for name in ("swarm-secret.yml", "dev-stack.yml", "harness/swarm/no-ipvs.yml"):
        assert set(yaml.safe_load(text(name))["services"]) <= services
