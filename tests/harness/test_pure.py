"""tests/support/pure.py: `make check` runs what is pure, all of it, and nothing else."""

from pathlib import Path

import pytest

from tests.support.pure import PURE_MODULES, PURE_TESTS, ROOT, file_of, impurities, pure_tests


def test_the_language_has_pure_tests() -> None:
    assert set(PURE_TESTS) <= set(pure_tests())


def test_the_language_is_what_the_contract_says() -> None:
    contracts = (ROOT / "pyproject.toml").read_text().split("[[tool.importlinter.contracts]]")
    [contract] = [text for text in contracts if '"The language does no I/O"' in text]
    assert sorted(PURE_MODULES) == sorted(
        line.strip().strip('",').removeprefix("trio_wss.").replace(".", "/")
        for line in contract.partition("source_modules = [")[2].partition("]")[0].split("\n")
        if line.strip()
    )


def test_what_needs_a_server_is_not_pure() -> None:
    pure = pure_tests()
    for name in ("cluster/atomic", "client/pending", "cli/run", "testing/parity"):
        assert (ROOT / file_of(name)).is_file()
        assert file_of(name) not in pure


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import json\n", set()),
        ("import trio.testing\n", {"trio.testing"}),
        ("from redis import Redis\n", {"redis", "redis.Redis"}),
        ("def test(redis_url): ...\n", {"redis_url"}),
        ("async def test_it(): ...\n", {"async test_it"}),
        ("def test():\n    import subprocess\n", {"subprocess"}),
    ],
)
def test_what_makes_a_file_impure(text: str, found: set[str], tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(text)
    assert impurities(file) == found


def test_a_helper_makes_its_users_impure(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text("from tests.support import servers\n")
    assert "subprocess" in impurities(file)
