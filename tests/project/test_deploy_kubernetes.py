"""docs/kubernetes.yml is the stack of swarm.yml in other words, and holds together."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.deploying import option, text, with_defaults
from trio_wss.store.link.address import parse_address


@pytest.fixture(scope="module")
def things() -> dict[tuple[str, str], Any]:
    """The manifest's objects, by kind and name."""
    found = yaml.safe_load_all(text("docs/kubernetes.yml"))
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def container(thing: Any) -> Any:
    [only] = thing["spec"]["template"]["spec"]["containers"]
    return only


def test_redis_has_the_options_of_the_stack(things: Any) -> None:
    """But for the password, which comes as the file that is named first."""
    there = container(things["StatefulSet", "wss-redis"])["args"]
    stack = with_defaults("swarm.yml")["services"]["redis"]["command"]
    for name in ("--dir", "--appendonly", "--appendfsync", "--save", "--maxmemory"):
        assert option(there, name) == option(stack, name)
    for name in ("--maxmemory-policy", "--client-output-buffer-limit"):
        assert option(there, name) == option(stack, name)
    assert there[1] == "/secret/redis.conf"


def test_the_password_is_the_same_for_both_and_the_url_leads_to_the_service(things: Any) -> None:
    secret = things["Secret", "wss-redis"]["stringData"]
    address = parse_address(secret["url"])
    assert secret["redis.conf"].split() == ["requirepass", address.password]
    assert ("Service", address.host) in things
    assert things["Service", address.host]["spec"]["ports"] == [{"port": address.port}]


def test_a_node_may_finish_before_it_is_killed(things: Any) -> None:
    pod = things["Deployment", "wss"]["spec"]["template"]["spec"]
    node = container(things["Deployment", "wss"])
    before = float(node["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = float(option(node["args"], "--drain"))
    assert pod["terminationGracePeriodSeconds"] > before + drain


def test_only_a_dead_node_is_restarted_and_only_a_ready_one_gets_clients(things: Any) -> None:
    node = container(things["Deployment", "wss"])
    assert node["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert node["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert things["Deployment", "wss"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_what_is_selected_and_mounted_is_there(things: Any) -> None:
    for (kind, _), thing in things.items():
        if kind not in ("Deployment", "StatefulSet"):
            continue
        spec = thing["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        claims = spec.get("volumeClaimTemplates", [])
        volumes = {one["name"] for one in spec["template"]["spec"]["volumes"]}
        volumes |= {one["metadata"]["name"] for one in claims}
        assert {one["name"] for one in container(thing)["volumeMounts"]} == volumes
    [redis_url] = container(things["Deployment", "wss"])["env"]
    assert redis_url == {"name": "REDIS_SERVER_FILE", "value": "/secret/url"}
