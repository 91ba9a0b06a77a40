"""trio_wss/cli/launch.py: what no single option can tell, and a child's command line."""

from pathlib import Path

import pytest

from trio_wss.cli.apps import DEMO
from trio_wss.cli.launch import Launch
from trio_wss.cli.run import run
from trio_wss.errors import SettingsError
from trio_wss.settings import Settings


@pytest.mark.parametrize(
    ("launch", "says"),
    [
        (Launch("a:b", Settings(redis="redis://db"), data=Path("d")), "--data is the embedded"),
        (Launch("a:b", Settings(), workers=2, reload=True), "--reload works on one process"),
        (Launch("a:b", Settings(redis="redis://db:x")), "redis is not the URL"),
        (Launch("a:b", Settings(redis="redis+sentinel://a,b")), "redis names no service"),
        (Launch("a:b", Settings(ops_port=0), workers=2), "not 0, with --workers"),
        (Launch("a:b", Settings(ops_port=0), reload=True), "not 0, with --workers or --reload"),
        (Launch("a:b", Settings(ops_port=65535), workers=2), "--ops-port 65535 leaves no port"),
        (
            Launch("a:b", Settings(port=8198, ops_port=8198)),
            "--port and --ops-port are the same, 8198: each needs its own.$",
        ),
        (
            Launch("a:b", Settings(port=8199, ops_port=8198, host="0.0.0.0"), workers=2),
            "the same, 8199: .* each of the --workers",
        ),
    ],
)
def test_what_does_not_go_together(launch: Launch, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        launch.check()


def test_what_does() -> None:
    Launch("a:b", Settings(redis="redis://db/1"), workers=2).check()
    Launch("a:b", Settings(), data=Path("d"), reload=True).check()
    Launch("a:b", Settings(host="192.0.2.1", port=8198, ops_port=8198)).check()
    Launch("a:b", Settings(port=8197, ops_port=8198), workers=2).check()


def test_a_child_gets_every_setting_that_a_flag_can_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_PORT", "1")
    monkeypatch.setenv("REDIS_SERVER_FILE", "/secret")
    monkeypatch.setenv("OTHER", "kept")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    settings = Settings(host="::1", namespace="n", origins=("http://a", "http://b"), drain=3)
    launch = Launch("mine:app", settings, workers=2, log_format="json")
    arguments, environment = launch.child(4000, "redis://:hush@db")
    command = " ".join(arguments)
    assert "-m trio_wss run --host ::1 --port 4000 --namespace n --drain 3" in command
    assert "--log-format json --origin http://a --origin http://b mine:app" in command
    assert "hush" not in command
    assert environment["REDIS_SERVER"] == "redis://:hush@db"
    assert environment["OTHER"] == "kept"
    assert "SERVER_PORT" not in environment
    assert "REDIS_SERVER_FILE" not in environment
    assert "PYTHONDONTWRITEBYTECODE" not in environment


def test_no_flag_is_forgotten_on_the_way_to_a_child() -> None:
    # The parent's own; Redis's URL goes by a variable.
    ours = {"--data", "--workers", "--reload", "--redis", "--redis-file"}
    flags = {option for each in run.params for option in each.opts if option.startswith("--")}
    settings = Settings(origins=("http://a",), rate=0, max_topics=7, ops_port=9100)
    arguments, _ = Launch("mine:app", settings).child(4000, "redis://db")
    assert " ".join(arguments).count("--set max_topics=7 --set rate=0") == 1
    assert {each for each in arguments if each.startswith("--")} == flags - ours - {"--channel"}


def test_every_worker_has_an_operations_port_of_its_own() -> None:
    settings = Settings(ops_port=9100, ops_host="::1")
    launch = Launch("mine:app", settings, workers=3)
    assert launch.ops_ports == [9100, 9101, 9102]
    last = " ".join(launch.child(4000, "redis://db", 2)[0])
    assert "--ops-host ::1 --ops-port 9102" in last
    assert "--ops" not in " ".join(Launch("mine:app", Settings()).child(4000, "redis://db")[0])


def test_a_child_that_is_reloaded_trusts_no_pyc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    _, environment = Launch("mine:app", Settings(), reload=True).child(4000, "redis://db")
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_demo_is_known() -> None:
    assert Launch(DEMO, Settings()).demo
    assert not Launch("a:b", Settings()).demo
