"""harness/faults: a small history passes every check; each check catches a bug that is put in."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from harness.faults import judge as judging
from harness.faults.sample import LEDGER, RECORDS, judged
from harness.faults.spoilt import SPOILT


def test_a_good_history_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, RECORDS, LEDGER) == {}


@pytest.mark.parametrize("bug", SPOILT)
def test_a_bug_is_caught(bug: str, tmp_path: Path) -> None:
    check, text, spoil = SPOILT[bug]
    records, ledger = deepcopy(RECORDS), deepcopy(LEDGER)
    spoil(records, ledger)
    found = judged(tmp_path, records, ledger)
    assert text in found.get(check, "nothing"), found


def test_every_check_is_shown_to_catch_something() -> None:
    assert {check for check, _, _ in SPOILT.values()} == {judging.SERIAL, *judging.CHECKS}
