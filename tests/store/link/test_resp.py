"""RESP3 through hiredis: what we send, and what becomes of what comes."""

import pytest
from redis import exceptions

from trio_wss.store.link.resp import NO_ITEM, is_push, new_reader, pack, redis_error


def test_a_command_is_packed() -> None:
    assert pack("GET", b"\xff\x00", 7) == b"*3\r\n$3\r\nGET\r\n$2\r\n\xff\x00\r\n$1\r\n7\r\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("LOADING Redis is loading", exceptions.BusyLoadingError),
        ("NOAUTH Authentication required.", exceptions.AuthenticationError),
        ("NOPERM no", exceptions.NoPermissionError),
        ("NOSCRIPT No matching script.", exceptions.NoScriptError),
        ("OOM command not allowed", exceptions.OutOfMemoryError),
        ("READONLY You can't write", exceptions.ReadOnlyError),
        ("WRONGPASS invalid", exceptions.AuthenticationError),
        ("MISCONF no disk", exceptions.ResponseError),
        ("OOMPH", exceptions.ResponseError),
        ("", exceptions.ResponseError),
    ],
)
def test_an_error_has_its_class_and_its_whole_text(
    text: str, kind: type[exceptions.RedisError]
) -> None:
    error = redis_error(text)
    assert type(error) is kind
    assert str(error) == text


def test_items_are_parsed_as_they_arrive() -> None:
    reader = new_reader()
    items = []
    for byte in b"-NOSCRIPT x\r\n>1\r\n+hi\r\n*1\r\n-ERR \xff\r\n#f\r\n_\r\n":
        reader.feed(bytes([byte]))
        while (item := reader.gets()) is not NO_ITEM:
            items.append(item)
    assert [type(item) for item in items[:1]] == [exceptions.NoScriptError]
    assert [is_push(item) for item in items] == [False, True, False, False, False]
    assert items[1] == [b"hi"]
    assert isinstance(items[2][0], exceptions.ResponseError)
    assert items[3:] == [False, None]
