"""trio_wss/cli/typed.py: errors call a setting what its user called it; `--set` knows its own."""

from collections.abc import Iterator

import click
import pytest
from attrs import fields

from trio_wss.cli.run import run
from trio_wss.cli.typed import as_typed, parse_settings
from trio_wss.errors import SettingsError, WrongSetting
from trio_wss.settings import Settings


@pytest.fixture(autouse=True)
def running() -> Iterator[None]:
    """As if `trio-wss run` ran."""
    with click.Context(run):
        yield


def test_settings_are_parsed_as_they_are_written_on_a_command_line() -> None:
    parsed = parse_settings(["rate=0", "grace=1.5", "max_topics=7"])
    settings = Settings(**parsed)
    assert (settings.rate, settings.grace, settings.max_topics) == (0.0, 1.5, 7)
    assert type(settings.max_topics) is int


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("nothing=1", "--set knows no 'nothing': there are max_connections, max_message"),
        ("pairs=1", "--set knows no 'pairs'"),
        ("channel=1", "--set knows no 'channel'"),
        ("rate", "--set rate has no value: write rate=NUMBER"),
        ("rate=", "rate must be a number, not ''"),
        ("max_topics=1.5", "max_topics must be a whole number, not '1.5'"),
        ("host=a", "--set is not for host: use --host"),
        ("port=5", "use --port"),
        ("drain=5", "use --drain"),
        ("redis=redis://a", "use --redis"),
        ("namespace=n", "use --namespace"),
        ("ops_port=1", "use --ops-port"),
        ("ops-port", "use --ops-port"),
        ("origins=a", "use --origin"),
        ("origin=a", "use --origin"),
        ("workers=2", "use --workers"),
    ],
)
def test_a_setting_that_cannot_be_parsed_is_named(pair: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says), as_typed():
        parse_settings([pair])


def test_only_what_set_takes_is_listed() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(["nothing=1"])
    listed = str(caught.value).partition("there are ")[2].rstrip(".").split(", ")
    flags = {"host", "port", "ops_host", "ops_port", "redis", "namespace", "origins", "drain"}
    assert {*listed} == {one.name for one in fields(Settings)} - flags
    for name in listed:
        assert parse_settings([f"{name}=5"]) == {name: 5}


@pytest.mark.parametrize(
    ("setting", "typed"),
    [
        ("port", "--port (SERVER_PORT)"),
        ("origins", "--origin"),
        ("redis_file", "--redis-file (REDIS_SERVER_FILE)"),
        ("rate", "--set rate"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_typed(setting: str, typed: str) -> None:
    with pytest.raises(SettingsError) as caught, as_typed():
        raise WrongSetting(setting, "must be better.")
    assert str(caught.value) == f"{typed} must be better."


def test_a_program_knows_a_setting_by_its_name() -> None:
    with pytest.raises(WrongSetting, match=r"^origins must be like"):
        Settings(origins=["x"])
