"""trio_wss/cli/redis_url.py: the URL of Redis, given as it is or in a file; nothing of it leaks."""

from pathlib import Path

import pytest

from trio_wss.cli.redis_url import MOST, find_redis_url
from trio_wss.errors import SettingsError


def test_a_url_stays_as_it_is_and_none_is_none() -> None:
    assert find_redis_url("redis://db", None) == "redis://db"
    assert find_redis_url(None, None) is None


@pytest.mark.parametrize("text", ["redis://:p@db/1", "redis://:p@db/1\n", "  redis://:p@db/1\r\n"])
def test_a_file_may_end_with_a_line_end(text: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(text, newline="")
    assert find_redis_url(None, file) == "redis://:p@db/1"


def test_both_are_one_too_many(tmp_path: Path) -> None:
    """Before the file is looked at: which one is meant, nobody can know."""
    with pytest.raises(SettingsError, match=r"REDIS_SERVER_FILE .*are both set"):
        find_redis_url("redis://db", tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", " \n", "redis://a\nredis://b", "redis://:hush word@db"])
def test_a_file_holds_one_url_and_nothing_else(text: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(text)
    with pytest.raises(SettingsError, match="must hold the URL of Redis and nothing else") as error:
        find_redis_url(None, file)
    assert str(file) in str(error.value)
    assert "hush" not in str(error.value)


def test_a_file_that_is_something_else_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_bytes(b"x" * (MOST + 1))
    with pytest.raises(SettingsError, match="nothing else"):
        find_redis_url(None, file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file or directory\)"):
        find_redis_url(None, tmp_path / "nowhere")
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)"):
        find_redis_url(None, tmp_path)
    (tmp_path / "url").write_bytes(b"redis://\xff")
    with pytest.raises(SettingsError, match=r"cannot be read \(it is not text\)"):
        find_redis_url(None, tmp_path / "url")
