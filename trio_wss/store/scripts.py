"""The scripts that run inside Redis, by name, and the functions that call them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from trio_wss.errors import Unavailable
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import Address
from trio_wss.store.link.backlog import LIGHT
from trio_wss.store.link.link import Link
from trio_wss.store.link.resp import pack

log = structlog.get_logger(__name__)


def _load() -> dict[str, str]:
    """Return the texts. A full Redis refuses a script that is not flagged allow-oom; scripts that
    only free memory and the nodes' own book-keeping have that flag.
    """
    folder = files(__package__)

    def text(name: str) -> str:
        return folder.joinpath(f"{name}.lua").read_text()

    commit, reads = text("commit"), text("reads")
    return {
        "commit": f"#!lua\n{reads}{commit}",
        "free": f"#!lua flags=allow-oom\n{reads}{commit}",
        "read": f"#!lua flags=no-writes\n{reads}{text('read')}",
        "page": f"#!lua flags=no-writes\n{text('page')}",
        "beat": f"#!lua flags=allow-oom\n{text('beat')}",
        "take": f"#!lua flags=allow-oom\n{text('take')}",
        "away": f"#!lua flags=allow-oom\n{text('away')}",
        "due": f"#!lua flags=allow-oom\n{text('due')}",
        "audit": f"#!lua flags=allow-oom\n{text('audit')}",
        "leave": f"#!lua flags=allow-oom\n{text('leave')}",
        "hello": f"#!lua flags=allow-oom\n{text('hello')}",
    }


SCRIPTS: Final = _load()
_SHA: Final = {
    name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    for name, text in SCRIPTS.items()
}


async def ask(
    link: Link, packed: bytes, *, expires: float | None = None, weight: int = LIGHT
) -> Any:
    """Send a command and return its reply. `expires`: when to give up, on Trio's clock; `weight`:
    the most bytes of the reply. Raises Unavailable, whatever kept Redis from answering.
    """
    try:
        return await link.call(packed, expires=expires, weight=weight)
    except RedisError as error:
        log.error("Redis refused a command", error=str(error))
        raise Unavailable(str(error)) from error


def link_to(
    address: Address,
    keys: Keys,
    *,
    name: str = "trio-wss",
    patience: float = 10.0,
    deadline: float = 5.0,
) -> Link:
    """Return a link with all scripts, for one namespace; the options are the link's.

    A commit that is sent again after a failover must see the new master's name, so the name is not
    an argument of the commit: every hello writes it to Redis, before the queued commands.
    """
    names = (f"{keys.channel}all", *keys.one_of_each())

    def greeting(replid: bytes) -> tuple[str | bytes | int, ...]:
        return ("EVALSHA", _SHA["hello"], 1, keys.master, replid, *names)

    return Link(
        address, SCRIPTS, name=name, patience=patience, deadline=deadline, greeting=greeting
    )


def command(script: str, keys: Sequence[str], arguments: Sequence[str | bytes]) -> bytes:
    """Pack a call of a script for the link."""
    return pack("EVALSHA", _SHA[script], len(keys), *keys, *arguments)
