"""harness/faults: what looks like a bug in a history, and has a reason, passes the checks."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from harness.faults.sample import (
    LEDGER,
    RECORDS,
    Spoil,
    begin_anew,
    die_with_its_node,
    end_at_once,
    find,
    judged,
    seen,
    send_together_and_swap,
)


@pytest.mark.parametrize(
    "why", [{"at": ["e", 401]}, {"at": ["e", 2], "t": 126.1}], ids=["too many", "too old"]
)
def test_a_gap_may_be_told_of_what_is_no_longer_kept(why: dict[str, Any], tmp_path: Path) -> None:
    records = deepcopy(RECORDS)
    find(records, k="joined", c="b", t=6.3).update(whole=False, **why)
    records = [one for one in records if one["k"] != "said" or one["c"] != "b" or one["n"] == 1]
    records.append({"t": 130, "k": "end", "live": ["s2"]})
    assert "each broadcast once, in one order" not in judged(tmp_path, records, LEDGER)


EXCUSES: dict[str, tuple[Spoil, Spoil]] = {
    "it did not ask": (
        begin_anew, lambda h, w: find(h, session="s3").update(asked=False),
    ),
    "it could not ask, by a record of old": (
        begin_anew,
        lambda h, w: (
            find(h, session="s3").pop("asked"), find(h, k="closed").update(code=4409),
        ),
    ),
    "it had said goodbye": (
        end_at_once,
        lambda h, w: h.insert(h.index(find(h, k="closed")), seen(6.2, "b", "leaving")),
    ),
    "its node was taken for dead": (
        end_at_once, lambda h, w: h.append({"t": 12, "k": "buried", "node": "n1", "at": 6.1}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("excuse", EXCUSES)
def test_a_session_may_be_lost_for_a_reason(excuse: str, tmp_path: Path) -> None:
    records, ledger = deepcopy(RECORDS), deepcopy(LEDGER)
    for spoil in EXCUSES[excuse]:
        spoil(records, ledger)
    assert "sessions survive connections" not in judged(tmp_path, records, ledger)


def test_a_session_may_be_over_after_its_node_s_lease_and_its_grace(tmp_path: Path) -> None:
    records, ledger = deepcopy(RECORDS), deepcopy(LEDGER)
    die_with_its_node(records, ledger, 4)
    assert judged(tmp_path, records, ledger) == {}


def test_what_a_node_may_have_given_up_may_come_late(tmp_path: Path) -> None:
    """Its client cannot know: the connection was lost with the word of it."""
    records, ledger = deepcopy(RECORDS), deepcopy(LEDGER)
    send_together_and_swap(records, ledger)
    find(records, k="call", op="a.1").update(t=-2.1)  # and sent again with the welcome at 1
    assert "writes in real-time order, and as sent" not in judged(tmp_path, records, ledger)
