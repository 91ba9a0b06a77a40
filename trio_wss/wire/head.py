"""The request head: read it to the blank line, judge it, and answer it if it is plain HTTP or may
not become a WebSocket (RFC 6455 §4.2). Bytes behind the blank line are not interpreted."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, final
from urllib.parse import parse_qsl, unquote

import trio
from attrs import field, frozen

from trio_wss.wire.limits import WireLimits
from trio_wss.wire.origins import origin_allowed

PIECE_BYTES: Final = 64 << 10
PIECE_SECONDS: Final = 10.0


@final
@frozen
class Head:
    """A client's request."""

    path: str
    """Percent-decoded, without the query."""
    query: dict[str, str] = field(factory=dict)
    """If a name comes twice, the last value counts."""
    headers: Mapping[str, str] = field(factory=dict)
    """Names in lower case. If a name comes twice, its values are joined: cookies with "; ", lists
    with ", ". If the name may have only one value, the first counts or the request is refused."""
    remote: str | None = None
    """The peer's address, if the transport has one."""
    method: str = "GET"


@final
@frozen
class Response:
    """A plain HTTP answer; the connection is closed after it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "text/plain; charset=utf-8"
    cache: str = "no-store"
    """Cache-Control."""


class BadHead(Exception):
    """The head may not become a WebSocket. `response` tells the client, if it is not None.
    `warning` is for the operator's log, with its `values`.
    """

    def __init__(self, response: Response | None, warning: str = "", **values: str) -> None:
        super().__init__(response)
        self.response = response
        self.warning = warning
        self.values = values


@final
@frozen
class Opening:
    """A head that was read, with the frames that came after it."""

    head: Head
    version: str
    rest: bytes


async def read_head(stream: trio.abc.Stream, limits: WireLimits) -> Opening:
    """Read a request head of at most `head_bytes`.

    Raises BadHead: 400 malformed, 431 too long, no response if the peer sent nothing or left.
    """
    data, seen = b"", 0
    try:
        while (end := _END.search(data, max(0, seen - 2))) is None:
            seen = len(data)
            if seen >= limits.head_bytes:
                raise BadHead(Response(431, b"The request head is too long.\n"))
            chunk = await stream.receive_some(limits.head_bytes - seen)
            if not chunk:
                raise BadHead(None)
            data += chunk
            if data[0] <= 0x20 or data[0] >= 0x7F or _PROXY.match(data):  # no head will come
                raise _strange(data)
        version, head = parse_head(data[: end.end()], remote_address(stream))
    except ValueError as error:
        raise BadHead(_MALFORMED) from error
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise BadHead(None) from error
    return Opening(head, version, data[end.end() :])


_MALFORMED: Final = Response(400, b"Malformed request.\n")

_PROXY: Final = re.compile(rb"PROXY (TCP4|TCP6|UNKNOWN)|\r\n\r\n\0\r\nQUIT\n")
"""The beginnings of the two versions of the PROXY protocol."""

_TLS: Final = re.compile(rb"\x16\x03")  # a handshake, RFC 8446 §5.1

_STRANGERS: Final = (
    (
        _PROXY,
        "a PROXY protocol head came, which this node does not speak: turn it off in the proxy",
    ),
    (_TLS, "TLS came to a port without TLS: use ws:// or http://, or put a TLS proxy in front"),
)


def _strange(data: bytes) -> BadHead:
    """Return the error for bytes that do not begin a request; it names their protocol if known."""
    for begins, warning in _STRANGERS:
        if begins.match(data):
            body = f"{warning[0].upper()}{warning[1:]}.\n"
            return BadHead(Response(400, body.encode()), warning)
    return BadHead(_MALFORMED)


# RFC 9112 §2-5, also with a bare line feed as a line's end (§2.2), without folded lines (§5.2).
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE: Final = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/([0-9]\.[0-9])\r?\n")
_FIELD: Final = re.compile(
    rf"({_TOKEN}):[ \t]*((?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?)[ \t]*\r?\n", re.ASCII
)
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # base64 of 16 bytes, RFC 6455 §4.2.1
_END: Final = re.compile(rb"\n\r?\n")


def parse_head(data: bytes, remote: str | None = None) -> tuple[str, Head]:
    """Parse a whole head; return its HTTP version and the request. Raises ValueError."""
    text = data.decode("latin-1")
    line = _LINE.match(text)
    if line is None:
        raise ValueError("not a request line")
    method, target, version = line.groups()
    headers: dict[str, str] = {}
    position = line.end()
    while (found := _FIELD.match(text, position)) is not None:
        position = found.end()
        name, value = found[1].lower(), found[2]
        headers[name] = _combined(name, headers[name], value) if name in headers else value
    if text[position:] not in ("\r\n", "\n"):
        raise ValueError("not a header")
    if version >= "1.1" and "host" not in headers:
        raise ValueError("no Host")
    if "content-length" in headers:
        lengths = {one.strip() for one in headers["content-length"].split(",")}
        headers["content-length"] = lengths.pop()
        if lengths or not headers["content-length"].isdecimal():
            raise ValueError("no Content-Length")
    path, _, query = target.partition("?")
    fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100)) if query else {}
    return version, Head(unquote(path), fields, headers, remote, method)


_ONCE: Final = frozenset(
    (
        *("host", "origin", "authorization", "proxy-authorization", "content-type"),
        *("sec-websocket-key", "sec-websocket-version"),  # RFC 6455 §11.3
        *("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"),
    )
)
"""Fields that identify the client, its origin and its target. A second one is refused, because a
proxy may trust a different one of the two."""

_FIRST: Final = frozenset(
    (
        *("user-agent", "referer", "from", "date", "max-forwards", "range", "if-range"),
        *("if-modified-since", "if-unmodified-since", "upgrade-insecure-requests", "dnt"),
    )
)
"""Fields that only describe the request: a second one is ignored."""


def _combined(name: str, before: str, value: str) -> str:
    """Return the value of a field that comes again. RFC 9110 §5.3 joins only lists, by commas; a
    field that is not known here counts as a list. Raises ValueError if two are a fault.
    """
    if name in _ONCE:
        raise ValueError(f"{name} comes twice")
    if name in _FIRST:
        return before
    return f"{before}{'; ' if name == 'cookie' else ', '}{value}"  # RFC 9113 §8.2.3


def accept_key(
    opening: Opening, origins: tuple[str, ...], plain: Callable[[Head], Response | None]
) -> str:
    """Return the Sec-WebSocket-Accept for a request to become a WebSocket (RFC 6455 §4.2.2).

    Raises BadHead, with the answer, for plain HTTP and for a request that may not be upgraded.
    """
    head = opening.head
    headers = head.headers
    if head.method not in ("GET", "HEAD"):
        raise BadHead(Response(405, headers=(("Allow", "GET, HEAD"),)))
    if "websocket" not in _tokens(headers, "upgrade"):
        answer = plain(head)
        raise BadHead(answer or Response(426, _WANTED, (("Upgrade", "websocket"),)))
    if headers.get("sec-websocket-version") != "13":
        raise BadHead(Response(426, _WANTED, (("Sec-WebSocket-Version", "13"),)))
    key = headers.get("sec-websocket-key", "")
    if (
        head.method != "GET"
        or opening.version != "1.1"
        or "upgrade" not in _tokens(headers, "connection")
        or not _KEY.fullmatch(key)
        or headers.get("content-length", "0") != "0"
        or "transfer-encoding" in headers
    ):
        raise BadHead(Response(400, b"Not a WebSocket handshake (RFC 6455).\n"))
    origin, host = headers.get("origin"), headers["host"]
    if not origin_allowed(origin, host, origins):
        response = Response(403, b"This origin may not connect.\n")
        warning = "an origin may not connect: name it with --origin, if it is yours"
        raise BadHead(response, warning, origin=origin or "", host=host)
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def upgraded(accept: str) -> bytes:
    """Return the answer that makes the connection a WebSocket."""
    return _UPGRADED % accept.encode()


_WANTED = b"This is a WebSocket server (RFC 6455, version 13).\n"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_UPGRADED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
ANY_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: _\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
"""A request that trio-websocket accepts, for a connection whose real handshake is over."""


def _tokens(headers: Mapping[str, str], name: str) -> list[str]:
    return [token.strip().lower() for token in headers.get(name, "").split(",")]


async def answer(stream: trio.abc.Stream, response: Response, method: str = "GET") -> None:
    """Send a plain HTTP answer and wait a moment for the peer to close, so that the answer is not
    lost.

    A peer that takes less than a piece in `PIECE_SECONDS` is given up.
    """
    body = memoryview(b"" if method == "HEAD" else response.body)
    pieces = [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]
    try:
        for piece in (memoryview(_answer_head(response)), *pieces):
            with trio.fail_after(PIECE_SECONDS):
                await stream.send_all(piece)
        with trio.move_on_after(1):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            while await stream.receive_some(4096):
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
        return


def _answer_head(response: Response) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        "Connection: close",
        f"Cache-Control: {response.cache}",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    if response.status != 304:  # a 304 has no body to describe
        lines.append(f"Content-Type: {response.content_type}")
        lines.append(f"Content-Length: {len(response.body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"


def remote_address(stream: trio.abc.Stream) -> str | None:
    """Return the peer's address; None for a stream without one (Unix socket, memory stream)."""
    if isinstance(stream, trio.SSLStream):
        return remote_address(stream.transport_stream)
    if not isinstance(stream, trio.SocketStream):
        return None
    try:
        peer = stream.socket.getpeername()
    except OSError:
        return None
    if not isinstance(peer, tuple):
        return None
    host: str = peer[0]
    return host.removeprefix("::ffff:")  # IPv4 on a dual-stack socket
