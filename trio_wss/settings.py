"""All settings of a node, each with its default, its unit and its check.

Pure: nothing here reads the environment or a file; the command line does that.
A wrong value raises WrongSetting, with one sentence that names the setting and the cure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen, resolve_types
from attrs.validators import optional

from trio_wss.errors import WrongSetting

_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^][/?#\s@:]+)(:[0-9]{1,5})?", re.IGNORECASE)
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_SENTINEL = ("redis+sentinel://", "rediss+sentinel://")  # then a list, which is no host to urlsplit

_MIB = 1 << 20

_Check = Callable[[Any, "Attribute[Any]", Any], None]


def host_and_port(host: str, port: int) -> str:
    """The two as they stand in a URL: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _between(low: float, high: float, note: str = "") -> _Check:
    """A check that a number lies in low..high, both included; NaN never does."""

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        whole = attribute.type in (int, int | None)
        fits = isinstance(value, int) if whole else isinstance(value, int | float)
        if not fits or isinstance(value, bool) or not low <= value <= high:
            noun = "a whole number" if whole else "a number"
            raise WrongSetting(
                attribute.name, f"must be {noun} from {low} to {high}{note}, not {value!r}."
            )

    return check


def _check_host(_: Any, attribute: Attribute[str], value: Any) -> None:
    if not isinstance(value, str) or not value or re.search(r"[\s/]", value):
        raise WrongSetting(
            attribute.name,
            f'must be an address or a name such as "127.0.0.1" or "0.0.0.0", not {value!r}.',
        )


def _check_redis(_: Any, attribute: Attribute[str | None], value: Any) -> None:
    """Check the scheme only. The message never shows the value, which may hold a password."""
    if value is None or str(value).startswith(_SENTINEL):
        return
    try:
        scheme = urlsplit(str(value)).scheme
    except ValueError:  # an unclosed bracket, for one
        scheme = ""
    if scheme not in _REDIS_SCHEMES:
        raise WrongSetting(
            attribute.name,
            'must be a URL such as "redis://host:6379/0", "rediss://…", "unix:///path" or'
            f' "redis+sentinel://host:26379/service"{f", not {scheme}://" if scheme else ""}.',
        )


def _check_namespace(_: Any, attribute: Attribute[str], value: Any) -> None:
    if not isinstance(value, str) or not _NAMESPACE.fullmatch(value):
        raise WrongSetting(
            attribute.name,
            f"must be 1 to 64 letters, digits, dots, dashes or underscores, not {value!r}.",
        )


def _as_tuple(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _check_origins(_: Any, attribute: Attribute[tuple[str, ...]], value: Any) -> None:
    for origin in value:
        if origin != "*" and (not isinstance(origin, str) or not _ORIGIN.fullmatch(origin)):
            raise WrongSetting(
                attribute.name,
                'must be like "https://example.org" or "http://localhost:8000",'
                f' with no path behind, or "*" for any, not {origin!r}.',
            )


@resolve_types  # the checks and the command line ask for a field's type
@frozen(kw_only=True)
class Settings:
    """The settings of one node. Times are in seconds, sizes in bytes."""

    host: str = field(default="127.0.0.1", validator=_check_host)
    """The address to listen on. "0.0.0.0" is every IPv4 address of the machine; "::" is every
    address, IPv4 and IPv6, on one port."""

    port: int = field(default=0, validator=_between(0, 65535, " (0 takes a free port)"))
    """The TCP port to listen on; 0 takes a free one."""

    ops_host: str = field(default="127.0.0.1", validator=_check_host)
    """The address of the operations listener. Everybody who reaches it can read it: keep it
    private."""

    ops_port: int | None = field(
        default=None, validator=optional(_between(0, 65535, " (0 takes a free port)"))
    )
    """The TCP port of the operations listener (metrics and the cluster's page), never the public
    one. 0 takes a free one; with None there is no such listener."""

    redis: str | None = field(default=None, validator=_check_redis, repr=False)
    """`redis://`, `rediss://` or `unix://` URL. A node needs one; None lets the command line
    start an embedded server. Not in the repr, since it may hold a password."""

    namespace: str = field(default="wss", validator=_check_namespace)
    """The beginning of all keys, as their hash tag. Nodes of one namespace are one cluster."""

    origins: tuple[str, ...] = field(default=(), converter=_as_tuple, validator=_check_origins)
    """Origins from which browsers may connect, beside the node's own Host (RFC 6455 §10.2).
    "*" is any origin."""

    max_connections: int = field(default=20_000, validator=_between(1, 10_000_000))
    """The connections that a node holds at once; more get HTTP 503."""

    max_message: int = field(default=_MIB, validator=_between(1, 512 * _MIB))
    """The longest message from a client, in bytes; a longer one closes with 1009."""

    max_topics: int = field(default=100, validator=_between(1, 100_000))
    """The number of topics that one session may join."""

    outbox: int = field(default=_MIB, validator=_between(4096, 1024 * _MIB))
    """The bytes that may wait for one client. A client that falls further behind is closed with
    1013."""

    rate: float = field(default=1_000.0, validator=_between(0, 10**9, " (0 sets no limit)"))
    """Events per second that one connection may send in the long run; 0 sets no limit."""

    burst: float = field(default=2_000.0, validator=_between(1, 10**9))
    """The events that one connection may send at once before `rate` limits it."""

    handshake_timeout: float = field(default=10.0, validator=_between(0.01, 3600))
    """The time from accepting a socket to the end of its WebSocket handshake."""

    ping_interval: float = field(default=20.0, validator=_between(0.01, 3600))
    """A node pings a client before it has been silent for so long, after four fifths at least
    (RFC 6455 §5.5.2)."""

    ping_timeout: float = field(default=20.0, validator=_between(0.01, 3600))
    """How long a client may stay silent after a ping before its connection counts as dead. A node
    finds a vanished client within `ping_interval + ping_timeout`."""

    event_deadline: float = field(default=5.0, validator=_between(0.01, 3600))
    """How long a handler may run again on fresh values before the answer is `conflict`."""

    link_deadline: float = field(default=5.0, validator=_between(0.01, 3600))
    """How long the oldest command sent to Redis may go unanswered before the link is dropped."""

    redis_patience: float = field(default=10.0, validator=_between(0.01, 3600))
    """How long a command waits for its answer, re-sends included, before it is `unavailable`."""

    redis_away: float = field(default=30.0, validator=_between(0.01, 86_400))
    """How long Redis may be away before clients are closed with 1012, to go elsewhere."""

    grace: float = field(default=30.0, validator=_between(0, 86_400))
    """How long a session outlives its connection."""

    lease: float = field(default=15.0, validator=_between(0.03, 3600))
    """How long a node counts as alive after a sign of life; it gives three in that time."""

    janitor_round: float = field(default=2.0, validator=_between(0.01, 3600))
    """How often, on average, a node looks for sessions whose grace is over."""

    drain: float = field(default=10.0, validator=_between(0.01, 3600))
    """How long a stopping node may take to finish the events in flight."""

    catchup_page: int = field(default=32, validator=_between(1, 1000))
    """The entries of a topic's stream in one page for a member that catches up."""

    catchup_in_flight: int = field(default=4, validator=_between(1, 1000))
    """The number of pages that a node reads at the same time."""
