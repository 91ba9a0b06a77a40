"""The headers and the query of a handshake: make them, check them, and write them as a request has
them. No error shows a value, because it may be a secret.
"""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, quote, urlencode

from trio_wss.client.errors import ConnectError

Pairs = Mapping[str, str]
Credentials = Pairs | Callable[[], Pairs | Awaitable[Pairs]] | None
"""Headers or query for each handshake: the same each time, or made anew by a function."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_VALUE: Final = re.compile(r"(?! )[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*(?<![ \t])")  # §5.5
_OWN: Final = re.compile(
    r"host|connection|upgrade|content-length|transfer-encoding|sec-websocket-.*", re.IGNORECASE
)


async def made(what: str, credentials: Credentials, *, again: bool) -> Pairs:
    """Return the headers or the query for this handshake. Raises the function's own error, or a
    ConnectError for it if `again`; and ConnectError if the value is not a mapping.
    """
    found: Any = credentials
    if callable(credentials):
        try:
            found = credentials()
            if inspect.isawaitable(found):
                found = await found
        except ConnectError:
            raise
        except Exception as error:  # the caller's code: most likely a token service is down
            if not again:
                raise
            raise ConnectError(f"what makes headers and query failed: {error!r}") from error
    if found is None and not callable(credentials):
        return {}
    if not isinstance(found, Mapping):
        raise ConnectError(f"{what} must be a mapping of text to text, not {type(found).__name__}")
    return found


def header_lines(headers: Pairs) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes. Raises ConnectError for a header that no request can hold."""
    lines: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        if not _matches(_NAME, name):
            raise ConnectError(f"no header can have the name {name!a:.80}")
        if _OWN.fullmatch(name):
            raise ConnectError(f"the header {name:.80} is the client's own")
        if not _matches(_VALUE, value):
            raise ConnectError(
                f"the header {name:.80} cannot be sent: its value must be one line of text, with no"
                " control character and no space at its ends"
            )
        lines.append((name.encode(), value.encode()))
    return lines


def _matches(pattern: re.Pattern[str], given: object) -> bool:
    return isinstance(given, str) and pattern.fullmatch(given) is not None


def target(url: SplitResult, query: Pairs, *, resumes: bool) -> str:
    """Return the request's target: the path, and the URL's query with `query`. As in a browser,
    characters that a request line cannot hold are percent-encoded, and encoded ones stay. Raises
    ConnectError.
    """
    if "resume" in query or "resume" in parse_qs(url.query, keep_blank_values=True):
        raise ConnectError("`resume` in a query is the client's own")
    for name, value in query.items():
        try:
            urlencode({name: value})
        except UnicodeEncodeError:
            raise ConnectError(f"the query's {name!a:.80} is no text: a lone surrogate") from None
    parts = [url.query, urlencode(query), "resume" if resumes else ""]
    whole = "&".join(part for part in parts if part)
    return quote((url.path or "/") + (f"?{whole}" if whole else ""), safe=string.punctuation)
