"""trio_wss/cli/greeting.py: one line for machines, then what a person may do next."""

import json
import sys
from pathlib import Path

import pytest

from trio_wss.cli import greeting
from trio_wss.cli.apps import DEMO
from trio_wss.cli.launch import Launch
from trio_wss.settings import Settings

REDIS = Settings(redis="redis://db")


def lines(launch: Launch, capsys: pytest.CaptureFixture[str], host: str = "127.0.0.1") -> list[str]:
    greeting.greet(launch, host, 4000)
    return capsys.readouterr().out.splitlines()


def test_in_a_pipe_with_redis_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(Launch("a:b", REDIS), capsys) == ["listening on ws://127.0.0.1:4000"]


def test_temporary_data_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = lines(Launch("a:b", Settings()), capsys)
    assert first == "listening on ws://127.0.0.1:4000"
    assert "temporary" in second
    assert "--data DIR" in second
    assert len(lines(Launch("a:b", Settings(), data=Path("d")), capsys)) == 1


def test_a_terminal_says_how_to_connect(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(greeting, "our_command", lambda: "trio-wss")
    said = lines(Launch("a:b", REDIS), capsys, host="0.0.0.0")
    assert said[0] == "listening on ws://0.0.0.0:4000"
    assert said[2:] == ["  trio-wss connect ws://127.0.0.1:4000"]


def test_it_says_where_operations_are(capsys: pytest.CaptureFixture[str]) -> None:
    greeting.greet(Launch("a:b", REDIS), "127.0.0.1", 4000, [9100, 9101])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "operations on http://127.0.0.1:9100/",
        "operations on http://127.0.0.1:9101/",
    ]


def test_every_address_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(redis="redis://db", host="::", ops_host="::")
    greeting.greet(Launch("a:b", settings), "::", 4000, [9100])
    assert capsys.readouterr().out.splitlines() == [
        "listening on ws://[::]:4000 and ws://0.0.0.0:4000",
        "operations on http://[::1]:9100/ and http://127.0.0.1:9100/",
    ]


def test_among_json_logs_it_is_json_and_nothing_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    launch = Launch(DEMO, Settings(), log_format="json")
    greeting.greet(launch, "127.0.0.1", 4000, [9100])
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"event": "listening on ws://127.0.0.1:4000"},
        {"event": "operations on http://127.0.0.1:9100/"},
    ]


def test_the_demo_says_what_to_open_and_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    said = lines(Launch(DEMO, REDIS), capsys, host="::")
    assert said[1] == "Open http://[::1]:4000/ in a browser."
    assert said[-1] == '  say {"room":"lobby","text":"hi"}'


def test_how_we_are_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(tmp_path)
    assert greeting.our_command() == f"{folder / 'python'} -m trio_wss"
    script = folder / "trio-wss"
    script.touch()
    assert greeting.our_command() == "venv/bin/trio-wss"
    monkeypatch.chdir("/")
    assert greeting.our_command() == str(script).removeprefix("/")
    monkeypatch.chdir(Path(__file__).parent)
    assert greeting.our_command() == str(script)
    script.chmod(0o755)
    assert greeting.our_command() == "trio-wss"
