"""The origins of web pages that may connect. An origin is scheme, host and port (RFC 6454 §4), and
is compared so: `https://example.org` and `HTTPS://example.org:443` are the same.
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
    """The origin of a page. `port` is None if none is named and the scheme has no default."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """Parse an origin as browsers write it; return None for any other text, such as "null"."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    scheme, host, port = found.groups()
    return Origin(scheme, host, int(port) if port else _PORTS.get(scheme))


def origin_allowed(origin: str | None, host: str, origins: tuple[str, ...]) -> bool:
    """Return True if a browser's Origin is the Host's own or one of `origins` ("*": any).

    A request without an Origin is from no browser and is allowed (RFC 6455 §10.2). A Host has no
    scheme, and TLS may end before this server: a Host without a port matches http and https.
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
