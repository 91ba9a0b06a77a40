"""trio_wss/cli/redis_url.py: the URL of Redis, given as it is or in a file; nothing of it leaks."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from trio_wss.cli.redis_url import MAX_URL, find_redis_url, redis_file
from trio_wss.errors import SettingsError

VARIABLES = ("REDIS_SERVER", "REDIS_SERVER_FILE")


Find = Callable[..., str | None]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Find:
    """What a command finds that is given these flags and variables."""

    @click.command()
    @click.option("--redis", envvar="REDIS_SERVER")
    @redis_file
    def command(**_: object) -> str | None:
        return find_redis_url()

    def found(*flags: object, **variables: object) -> str | None:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        url: str | None = command.main([*map(str, flags)], standalone_mode=False)
        return url

    return found


def test_a_url_stays_as_it_is_and_none_is_none(find: Find) -> None:
    assert find("--redis", "redis://db") == "redis://db"
    assert find(REDIS_SERVER="redis://db") == "redis://db"
    assert find() is None


@pytest.mark.parametrize("text", ["redis://:p@db/1", "redis://:p@db/1\n", "  redis://:p@db/1\r\n"])
def test_a_file_may_end_with_a_line_end(text: str, tmp_path: Path, find: Find) -> None:
    file = tmp_path / "url"
    file.write_text(text, newline="")
    assert find("--redis-file", file) == find(REDIS_SERVER_FILE=file) == "redis://:p@db/1"


def test_a_flag_wins_over_both_variables(tmp_path: Path, find: Find) -> None:
    file = tmp_path / "url"
    file.write_text("redis://file")
    assert find("--redis-file", file, REDIS_SERVER="redis://other") == "redis://file"
    assert find("--redis", "redis://flag", REDIS_SERVER_FILE=file) == "redis://flag"
    both = {"REDIS_SERVER": "redis://other", "REDIS_SERVER_FILE": tmp_path / "nowhere"}
    assert find("--redis", "redis://flag", **both) == "redis://flag"
    assert find("--redis-file", file, **both) == "redis://file"


def test_both_flags_or_both_variables_are_one_too_many(tmp_path: Path, find: Find) -> None:
    """Before the file is looked at: which one is meant, nobody can know."""
    with pytest.raises(SettingsError, match=r"REDIS_SERVER_FILE.* are both set"):
        find("--redis", "redis://db", "--redis-file", tmp_path / "nowhere")
    with pytest.raises(SettingsError, match=r"REDIS_SERVER_FILE.* are both set"):
        find(REDIS_SERVER="redis://db", REDIS_SERVER_FILE=tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", " \n", "redis://a\nredis://b", "redis://:hush word@db"])
def test_a_file_holds_one_url_and_nothing_else(text: str, tmp_path: Path, find: Find) -> None:
    file = tmp_path / "url"
    file.write_text(text)
    with pytest.raises(SettingsError, match="must hold the URL of Redis and nothing else") as error:
        find("--redis-file", file)
    assert str(file) in str(error.value)
    assert "hush" not in str(error.value)


def test_a_file_that_is_something_else_is_not_read_to_its_end(tmp_path: Path, find: Find) -> None:
    file = tmp_path / "url"
    file.write_bytes(b"x" * (MAX_URL + 1))
    with pytest.raises(SettingsError, match="nothing else"):
        find("--redis-file", file)


def test_a_file_that_cannot_be_read(tmp_path: Path, find: Find) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file or directory\)"):
        find("--redis-file", tmp_path / "nowhere")
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)"):
        find("--redis-file", tmp_path)
    (tmp_path / "url").write_bytes(b"redis://\xff")
    with pytest.raises(SettingsError, match=r"cannot be read \(it is not text\)"):
        find("--redis-file", tmp_path / "url")
