"""RESP3 by hiredis: commands packed, items parsed, error replies as redis-py's exceptions.
An error keeps the whole text of Redis, its code first."""

from typing import Any, Final

import hiredis
from redis import exceptions

from trio_wss.errors import WssError

NOTHING: Final = object()  # what `Reader.gets` returns when no whole item is there

_CLASSES: Final[dict[str, type[exceptions.RedisError]]] = {
    "LOADING": exceptions.BusyLoadingError,
    "NOAUTH": exceptions.AuthenticationError,
    "NOPERM": exceptions.NoPermissionError,
    "NOSCRIPT": exceptions.NoScriptError,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,
    "WRONGPASS": exceptions.AuthenticationError,
}


class LinkLost(WssError):
    """The connection to Redis ended or could not be made; the text says why, with no secret."""


def pack(*command: str | bytes | int) -> bytes:
    """A command as bytes for the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # stub: a 1-tuple
    return packed


def new_reader() -> hiredis.Reader:
    """A parser for one connection; error replies come as values, not as exceptions."""
    return hiredis.Reader(replyError=redis_error, notEnoughData=NOTHING)


def redis_error(text: str) -> exceptions.RedisError:
    """The exception for an error reply, `str()` of which is the whole reply."""
    return _CLASSES.get(text.partition(" ")[0], exceptions.ResponseError)(text)


def is_push(item: Any) -> bool:
    """True for what Redis sends of its own accord: messages and (un)subscribe confirmations."""
    return isinstance(item, hiredis.PushNotification)
