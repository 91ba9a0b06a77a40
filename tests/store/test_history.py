"""What Redis says of a topic, read back."""

import pytest

from trio_wss.store.history import NOWHERE, Cursor, parse_meta


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        (None, NOWHERE),
        (b"65bc - 1", Cursor("65bc", 1)),
        (b"65bc 0123abcd 9007199254740991", Cursor("65bc", 9007199254740991)),
        (b"", None),
        (b"65bc 0123abcd", None),
        (b"65bc 0123abcd -1", None),
        (b"65bc 0123abcd 1\n", None),
        (b"\xff 0123abcd 1", None),
        (b"65bc 0123 abcd 1", None),
    ],
)
def test_a_meta_is_a_cursor_or_is_none(text: bytes | None, cursor: Cursor | None) -> None:
    assert parse_meta(text) == cursor
