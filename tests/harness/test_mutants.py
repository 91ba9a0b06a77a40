"""harness/mutants: every planted bug is in the product that there is, and can be planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.mutants.mutant import PRODUCT, ROOT, Mutant
from harness.mutants.table import ENOUGH, MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_what_a_mutant_changes_is_there_once(name: str) -> None:
    mutant = MUTANTS[name]
    for file, old, _ in mutant.changes:
        assert (ROOT / PRODUCT / file).read_text().count(old) == 1, f"{file}: {old!r}"
    assert mutant.new != mutant.old
    assert mutant.wrong


def test_a_mutant_is_planted_into_a_copy_and_nowhere_else(tmp_path: Path) -> None:
    mutant = MUTANTS["no-ring"]
    mutant.plant(tmp_path)
    planted = tmp_path / PRODUCT / mutant.file
    assert mutant.old not in planted.read_text()
    assert (
        planted.read_text().replace(mutant.new, mutant.old, 1)
        == (ROOT / PRODUCT / mutant.file).read_text()
    )
    assert (tmp_path / "harness" / "faults" / "__main__.py").exists()
    assert mutant.old in (ROOT / PRODUCT / mutant.file).read_text()


def test_a_text_that_is_not_there_once_cannot_be_planted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has not one 'local'"):
        Mutant("store/commit.lua", "local", "", "nothing").plant(tmp_path)


def test_python_and_lua_stay_what_they_are(tmp_path: Path) -> None:
    """A mutant that cannot be read would be caught by anything."""
    for mutant in MUTANTS.values():
        if mutant.file.endswith(".py"):
            text = (ROOT / PRODUCT / mutant.file).read_text()
            compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 30
    assert ENOUGH >= 0.9
    parts = {mutant.file.partition("/")[0] for mutant in MUTANTS.values()}
    assert parts == {"store", "node", "wire", "client"}
