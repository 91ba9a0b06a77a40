"""Which pages' browsers may connect. An origin is scheme, host and port (RFC 6454 §4), compared as
such: `https://example.org` and `HTTPS://example.org:443` are one.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NAME: Final = r"(\[[0-9a-f:.]+\]|[^][/?#\s@:]+)(?::([0-9]{0,5}))?"
_ORIGIN: Final = re.compile(rf"([a-z][a-z0-9+.-]*)://{_NAME}/?")
_HOST: Final = re.compile(_NAME)


@frozen
class Origin:
    """Where a page is from. `port` is None where the scheme has no default and none is named."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """An origin as browsers write it; None for what is none, such as "null"."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    scheme, host, port = found.groups()
    return Origin(scheme, host, int(port) if port else _PORTS.get(scheme))


def origin_allowed(origin: str | None, host: str, origins: tuple[str, ...]) -> bool:
    """Whether a browser's Origin is the Host's own or one of `origins` ("*": any).

    No Origin means no browser: allowed (RFC 6455 §10.2). A Host has no scheme, and TLS may end
    before this server: without a port it is that of http and of https.
    """
    if origin is None or "*" in origins:
        return True
    page = parse_origin(origin)
    if page is None:
        return False
    if any(page == parse_origin(allowed) for allowed in origins):
        return True
    own = _HOST.fullmatch(host.lower())
    if own is None:
        return False
    name, port = own.groups()
    return page == Origin(page.scheme, name, int(port) if port else _PORTS.get(page.scheme))
