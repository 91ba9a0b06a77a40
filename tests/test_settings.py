"""trio_wss/settings.py: defaults that stand, and one sentence for every wrong value."""

from typing import Any

import pytest
from attrs import fields
from attrs.exceptions import FrozenInstanceError

from trio_wss.errors import SettingsError, WrongSetting
from trio_wss.settings import Settings, host_and_port


def test_the_defaults_are_legal_and_safe() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 0
    assert settings.redis is None
    assert settings.origins == ()


def test_settings_are_named() -> None:
    with pytest.raises(TypeError):
        Settings("127.0.0.1")  # type: ignore[call-arg] # that it is an error is the test


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc] # that it is an error is the test


@pytest.mark.parametrize(
    "right",
    [
        {"host": "::1"},
        {"port": 65535},
        {"redis": "redis://:secret@db:6379/2"},
        {"redis": "rediss://db"},
        {"redis": "unix:///run/redis.sock?db=1"},
        {"redis": "redis+sentinel://a:26379,[::1]:26379/service/1"},
        {"redis": "rediss+sentinel://a/service"},
        {"namespace": "a"},
        {"namespace": "shop.eu-1_x" + "y" * 53},
        {"origins": ["https://example.org", "http://[::1]:8000", "HTTP://A:80"]},
        {"rate": 0},
        {"rate": 0.5},
        {"grace": 0},
    ],
)
def test_right_values_are_taken(right: dict[str, Any]) -> None:
    settings = Settings(**right)
    for name, value in right.items():
        assert getattr(settings, name) == (tuple(value) if name == "origins" else value)


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"host": ""}, '"127.0.0.1"'),
        ({"host": "ws://here/"}, '"127.0.0.1"'),
        ({"host": "a b"}, '"127.0.0.1"'),
        ({"host": 5}, '"127.0.0.1"'),
        ({"namespace": 5}, "1 to 64"),
        ({"origins": [5]}, "no path"),
        ({"port": 65536}, "0 to 65535"),
        ({"port": -1}, "0 takes a free port"),
        ({"port": True}, "whole number"),
        ({"port": 1.5}, "whole number"),
        ({"redis": "http://db"}, "redis://host:6379/0"),
        ({"redis": "localhost:6379"}, "redis://host:6379/0"),
        ({"redis": "redis://[::1"}, "redis://host:6379/0"),
        ({"redis": ""}, "redis://host:6379/0"),
        ({"namespace": ""}, "1 to 64"),
        ({"namespace": "a" * 65}, "1 to 64"),
        ({"namespace": "{a}"}, "1 to 64"),
        ({"namespace": "a\n"}, "1 to 64"),
        ({"origins": ["example.org"]}, '"https://example.org"'),
        ({"origins": ["https://example.org/"]}, "no path"),
        ({"origins": ["https://example.org:x"]}, "no path"),
        ({"origins": ["https://a:1:2"]}, "no path"),
        ({"max_connections": 0}, "from 1"),
        ({"max_message": 0}, "from 1"),
        ({"max_topics": 0}, "from 1"),
        ({"outbox": 10}, "from 4096"),
        ({"rate": -1}, "0 sets no limit"),
        ({"rate": float("nan")}, "a number"),
        ({"rate": float("inf")}, "a number"),
        ({"rate": "many"}, "a number"),
        ({"burst": 0}, "from 1"),
        ({"handshake_timeout": 0}, "from 0.01"),
        ({"ping_interval": 0}, "from 0.01"),
        ({"ping_timeout": 0}, "from 0.01"),
        ({"event_deadline": 0}, "from 0.01"),
        ({"link_deadline": 0}, "from 0.01"),
        ({"redis_patience": 0}, "from 0.01"),
        ({"redis_away": 0}, "from 0.01"),
        ({"grace": -1}, "from 0"),
        ({"drain": 0}, "from 0.01"),
        ({"catchup_page": 0}, "from 1"),
        ({"catchup_in_flight": 0}, "from 1"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_name_and_cure(wrong: dict[str, Any], cure: str) -> None:
    [name] = wrong
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    message = str(caught.value)
    assert message.startswith(f"{name} must be ")
    assert cure in message
    assert message.endswith(".")
    assert "\n" not in message


def test_every_setting_is_checked() -> None:
    assert [a.name for a in fields(Settings) if a.validator is None] == []


def test_a_password_is_never_shown() -> None:
    url = "redis://:hush@db:6379/0"
    assert "hush" not in repr(Settings(redis=url))
    with pytest.raises(SettingsError) as caught:
        Settings(redis=url.replace("redis://", "http://"))
    assert "hush" not in str(caught.value)


def test_of_a_wrong_url_the_scheme_is_shown() -> None:
    for wrong, shown in [("http://db", ", not http://."), ("redis://[::1", ".")]:
        with pytest.raises(WrongSetting) as caught:
            Settings(redis=wrong)
        assert caught.value.complaint.endswith(f' or "redis+sentinel://host:26379/service"{shown}')


def test_any_origin_can_be_allowed() -> None:
    assert Settings(origins=["*"]).origins == ("*",)


MIB = 1 << 20
NUMBERS: list[tuple[str, Any, Any, Any]] = [
    ("port", 0, 0, 65535),
    ("ops_port", None, 0, 65535),
    ("max_connections", 20_000, 1, 10_000_000),
    ("max_message", MIB, 1, 512 * MIB),
    ("max_topics", 100, 1, 100_000),
    ("outbox", MIB, 4096, 1024 * MIB),
    ("rate", 1_000.0, 0, 10**9),
    ("burst", 2_000.0, 1, 10**9),
    ("handshake_timeout", 10.0, 0.01, 3600),
    ("ping_interval", 20.0, 0.01, 3600),
    ("ping_timeout", 20.0, 0.01, 3600),
    ("event_deadline", 5.0, 0.01, 3600),
    ("link_deadline", 5.0, 0.01, 3600),
    ("redis_patience", 10.0, 0.01, 3600),
    ("redis_away", 30.0, 0.01, 86_400),
    ("grace", 30.0, 0, 86_400),
    ("lease", 15.0, 0.03, 3600),
    ("janitor_round", 2.0, 0.01, 3600),
    ("drain", 10.0, 0.01, 3600),
    ("catchup_page", 32, 1, 1000),
    ("catchup_in_flight", 4, 1, 1000),
]
"""Every number: its default, and the least and the most that it may be."""

FREE = " (0 takes a free port)"
NOTES = {"port": FREE, "ops_port": FREE, "rate": " (0 sets no limit)"}


@pytest.mark.parametrize(("name", "default", "low", "high"), NUMBERS)
def test_numbers_have_bounds(name: str, default: Any, low: Any, high: Any) -> None:
    assert getattr(Settings(), name) == default
    whole = isinstance(default, int | None)
    for right in (low, high):
        assert getattr(Settings(**{name: right}), name) == right
    step = 1 if whole else 0.001
    noun = "a whole number" if whole else "a number"
    wrongs: list[Any] = [low - step, high + step, True, "5"]
    for wrong in wrongs:
        with pytest.raises(WrongSetting) as caught:
            Settings(**{name: wrong})
        assert caught.value.setting == name
        note = NOTES.get(name, "")
        told = f"must be {noun} from {low} to {high}{note}, not {wrong!r}."
        assert caught.value.complaint == told
    if whole:
        with pytest.raises(WrongSetting, match="must be a whole number"):
            Settings(**{name: low + 0.5})


def test_every_number_is_in_the_table() -> None:
    numbers = {field.name for field in fields(Settings) if "int" in str(field.type)}
    numbers |= {field.name for field in fields(Settings) if field.type is float}
    assert numbers == {name for name, *_ in NUMBERS}
    others = {field.name: field.default for field in fields(Settings) if field.name not in numbers}
    assert others == {
        "host": "127.0.0.1", "ops_host": "127.0.0.1", "redis": None, "namespace": "wss",
        "origins": (),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "text"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("a.b", "a.b:80")]
)
def test_host_and_port_stand_together_in_a_url(host: str, text: str) -> None:
    assert host_and_port(host, 80) == text
