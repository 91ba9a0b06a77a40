"""Ask the Sentinels for the primary: through redis-py, in a worker thread, anew at each connection.
The answer is a hint; the hello checks whether it is true."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import starmap
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from attrs import field, frozen
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from trio_wss.errors import WrongSetting
from trio_wss.settings import host_and_port
from trio_wss.store.link.resp import LinkLost

PORT: Final = 26379
SCHEMES: Final = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}

_PATIENCE: Final = 1.0  # seconds for a step with one Sentinel, before the next is asked
_SERVICE: Final = re.compile(r"[\w.-]+", re.ASCII)  # the names that Sentinel allows
CURE: Final = (
    "use redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/database]"
    " (rediss+sentinel:// with TLS and its ssl_… options), with sentinel_username and"
    " sentinel_password in the query if the Sentinels want their own"
)


@frozen
class Sentinels:
    """The Sentinels of one `service`, in the order in which they are asked.

    `options` are redis-py's options for the connections to them; they may contain secrets.
    """

    members: tuple[tuple[str, int], ...]
    service: str
    options: Mapping[str, Any] = field(factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{','.join(starmap(host_and_port, self.members))}/{self.service}"

    async def primary(self) -> tuple[str, int]:
        """Return host and port of the primary. Raises LinkLost with the reason of each Sentinel.

        After a cancellation the thread goes on until its Sentinels have answered or timed out.
        """
        return await trio.to_thread.run_sync(self._ask_all, abandon_on_cancel=True)

    def _ask_all(self) -> tuple[str, int]:
        reasons = []
        for member in self.members:
            try:
                return self._ask(*member)
            except RedisError as error:
                reasons.append(f"{host_and_port(*member)}: {error}")
        text = "; ".join(reasons).replace(self.options.get("password") or "\0", "…")
        raise LinkLost(f"no Sentinel knows the primary of {self.service} ({text})")

    def _ask(self, host: str, port: int) -> tuple[str, int]:
        with Redis(
            host,
            port,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
            **self.options,
        ) as sentinel:
            state = sentinel.sentinel_masters().get(self.service)
        if state is None:
            raise RedisError("it watches over no such service")
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            raise RedisError("the primary is down")
        return state["ip"], state["port"]


def split(url: str) -> tuple[str, Sentinels]:
    """Split a URL into that of a single server, with all other options, and the Sentinels.

    Raises WrongSetting, without any part of the URL.
    """
    scheme, _, rest = url.partition("://")
    place, question, query = rest.partition("?")
    authority, _, path = place.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    service, _, database = path.partition("/")
    try:
        members = tuple(map(_member, hosts.split(",")))
    except ValueError:
        raise WrongSetting("redis", f"names no Sentinels: {CURE}") from None
    if not _SERVICE.fullmatch(service):
        raise WrongSetting("redis", f"names no service of its Sentinels: {CURE}")
    plain = f"{SCHEMES[scheme]}://{credentials}{at}sentinel/{database}{question}{query}"
    return plain, Sentinels(members, service)


def _member(text: str) -> tuple[str, int]:
    """Parse one `host[:port]`. Raises ValueError."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.netloc != text:
        raise ValueError(text)
    return parts.hostname, PORT if parts.port is None else parts.port
