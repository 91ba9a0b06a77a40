"""Markers and values are plain data."""

import attrs
import pytest

from trio_wss.reads import Client, Member, Members, Now, Read, ReadRequest, Rng, is_implied


def test_markers_show_themselves_in_an_annotation() -> None:
    assert repr((Now, Rng)) == "(Now, Rng)"
    assert Read("k") == Read("k", field=None)
    assert Read("k", field="f") != Read("k")
    assert Members("t").topic == "t"
    with pytest.raises(TypeError):
        Read("k", "f")  # type: ignore[call-arg]  # the point of the test


def test_defaults() -> None:
    assert Client("s") == Client("s", None, None, {})
    assert Member("s") == Member("s", None, None)
    assert ReadRequest("value", "k").field is None


def test_a_client_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Client("s").session = "other"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("topic", "implied"),
    [
        ("all", True),
        ("session:1", True),
        ("user:ann", True),
        ("allotment", False),
        ("room:all", False),
        ("sessions", False),
    ],
)
def test_implied_topics(topic: str, implied: bool) -> None:
    assert is_implied(topic) is implied
