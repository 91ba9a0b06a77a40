"""trio_wss/ops/snapshot.py: a node at one moment."""

import attrs
import pytest

from tests.support.fakes import node_snapshot

EVENTS = (("say", "ok", 3), ("say", "conflict", 2), ("move", "conflict", 1), ("move", "stale", 4))


@pytest.mark.parametrize(
    ("outcomes", "number"),
    [((), 10), (("ok",), 3), (("conflict",), 3), (("ok", "stale"), 7), (("internal",), 0)],
)
def test_events_are_counted_by_what_came_of_them(outcomes: tuple[str, ...], number: int) -> None:
    assert node_snapshot(events=EVENTS).events_that(*outcomes) == number


def test_it_never_changes() -> None:
    found = node_snapshot()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.gaps = 1  # type: ignore[misc]  # that is what is tested
    assert found == node_snapshot()
