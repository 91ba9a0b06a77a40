"""The last report of each node of a cluster, heard over the WebSocket of an operations listener."""

from __future__ import annotations

import string
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

import orjson
import trio
from attrs import define, field
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from trio_wss.cli.faults import leaves
from trio_wss.client.transport import Stream, open_stream
from trio_wss.errors import SettingsError

GONE: Final = 3.5  # seconds of silence after which a node counts as gone
FORGOTTEN: Final = 60.0
ALL: Final = 1.5  # seconds in which every node that is there has spoken
CONNECT_TIMEOUT: Final = 10.0
MAX_WORD: Final = 1 << 24  # bytes of a word

PUBLIC: Final = "is the public port of a node, which shows nothing of the cluster"

LoadJson = Mapping[str, Any]
"""The JSON of a node's `Load`, see ops/rates.py."""


@define
class ClusterView:
    """The last report of each node, and when it came (trio's clock)."""

    words: dict[str, tuple[float, LoadJson]] = field(factory=dict)
    note: str = ""  # why nothing is heard now
    public: bool = False  # what speaks is the public port of a node, which tells nothing

    def hear(self, load: LoadJson) -> None:
        """Take in a node's report."""
        now = trio.current_time()
        self.words[load["node"]] = now, load
        for node, (heard, _) in list(self.words.items()):
            if now - heard > FORGOTTEN:
                del self.words[node]

    def nodes(self) -> list[tuple[LoadJson, bool]]:
        """Every node's load, and whether the node is gone, by address."""
        now = trio.current_time()
        found = [(load, now - heard > GONE) for heard, load in self.words.values()]
        return sorted(found, key=lambda one: str(one[0]["url"]))

    def here(self) -> list[LoadJson]:
        """The loads of the nodes that are not gone."""
        return [load for load, gone in self.nodes() if not gone]

    def topics(self) -> list[tuple[str, int, float]]:
        """Topics by name, clients and rate: clients add up, while every node hears every
        broadcast.
        """
        found: dict[str, tuple[int, float]] = {}
        for load in self.here():
            for one in load["top_topics"]:
                members, rate = found.get(one["topic"], (0, 0.0))
                found[one["topic"]] = members + one["members"], max(rate, one["rate"])
        rows = [(topic, members, rate) for topic, (members, rate) in found.items()]
        return sorted(rows, key=lambda row: (-row[2], -row[1], row[0]))

    def faults(self) -> list[tuple[float, str, str, str]]:
        """The faults as time, node, kind and text, the newest first."""
        return sorted(
            (
                (fault["time"], load["node"], fault["kind"], fault["text"])
                for load, _ in self.nodes()
                for fault in load["faults"]
            ),
            reverse=True,
        )


def ops_url(text: str) -> str:
    """The WebSocket's URL, from that of the page, or from `host:port`. Raises SettingsError."""
    url = text if "://" in text else f"ws://{text}"
    scheme, _, rest = url.partition("://")
    secure = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    try:
        parts = urlsplit(f"{secure}://{rest}")
        if secure in ("ws", "wss") and parts.hostname and parts.port != 0:
            return f"{secure}://{parts.netloc}{quote(parts.path or '/', safe=string.punctuation)}"
    except ValueError:  # a port that is no number, an unclosed bracket
        pass
    raise SettingsError(f"{text!r} is no URL such as http://127.0.0.1:9100.")


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[WebSocketConnection]:
    """A connection to an operations listener. Raises SettingsError if there is none."""
    parts = urlsplit(ops_url(url))
    assert parts.hostname is not None
    failure, rejects = "does not answer", False
    stream: Stream | None = None
    try:
        with trio.move_on_after(CONNECT_TIMEOUT):
            stream = await _open(parts.scheme, parts.hostname, parts.port)
        if stream is not None:
            async with trio.open_nursery() as nursery:
                try:
                    with trio.fail_after(CONNECT_TIMEOUT):
                        socket = await wrap_client_stream(
                            nursery, stream, parts.netloc, parts.path, max_message_size=MAX_WORD
                        )
                except ConnectionRejected:
                    raise
                except (HandshakeError, trio.TooSlowError):
                    pass
                else:
                    failure = ""
                    yield socket
                nursery.cancel_scope.cancel()
    except* ConnectionRejected as errors:  # trio-websocket's task raises it if there is a body
        failure, rejects = f"answers {_status(errors)}", True
    finally:
        if stream is not None:
            await trio.aclose_forcefully(stream)  # a failed handshake leaves it open
    if rejects and await _is_node(parts):  # an operations listener of one rejects nobody
        failure = PUBLIC
    if failure:
        raise _wrong(url, failure)


def _status(errors: BaseException) -> int:
    rejected = next(leaves(errors))
    assert isinstance(rejected, ConnectionRejected)
    return rejected.status_code


def _wrong(url: str, failure: str) -> SettingsError:
    return SettingsError(
        f"{url} {failure}: name the operations listener of a node, see --ops-port of trio-wss run."
    )


async def _is_node(parts: SplitResult) -> bool:
    """Whether a node answers a question for its health there."""
    answer = b""
    with trio.move_on_after(CONNECT_TIMEOUT), suppress(trio.BrokenResourceError):
        stream = await _open(parts.scheme, parts.hostname or "", parts.port)
        if stream is not None:
            async with stream:
                await stream.send_all(b"GET /healthz HTTP/1.0\r\n\r\n")
                while len(answer) < MAX_WORD and (chunk := await stream.receive_some()):
                    answer += chunk
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nok\n")


async def _open(scheme: str, host: str, port: int | None) -> Stream | None:
    """A stream to a host, or None if nothing listens there."""
    try:
        return await open_stream(scheme, host, port)
    except (OSError, UnicodeError, trio.BrokenResourceError):
        return None


async def hear(socket: WebSocketConnection, cluster: ClusterView) -> None:
    """Take in reports until the connection ends, or turns out to be on a public port."""
    try:
        while not cluster.public:
            _take(await socket.get_message(), cluster)
    except ConnectionClosed:
        return


def _take(message: str | bytes, cluster: ClusterView) -> None:
    with suppress(orjson.JSONDecodeError):
        match orjson.loads(message):
            case {"event": "wss.node", "data": dict(load)}:
                cluster.hear(load)
            case {"event": "wss.welcome" | "wss.error"}:
                cluster.public = True


async def first_word(socket: WebSocketConnection, cluster: ClusterView) -> None:
    """Wait until a node has reported, but not for ever."""
    with suppress(ConnectionClosed), trio.move_on_after(CONNECT_TIMEOUT):
        while not (cluster.words or cluster.public):
            _take(await socket.get_message(), cluster)


async def view_of(url: str) -> ClusterView:
    """Listen until every node has reported. Raises SettingsError if none does."""
    cluster = ClusterView()
    async with watching(url) as socket:
        with trio.move_on_after(ALL):
            await hear(socket, cluster)
        await first_word(socket, cluster)
    check(url, cluster)
    return cluster


def check(url: str, cluster: ClusterView) -> None:
    """Raises SettingsError if no node has reported at an address."""
    if cluster.public:
        raise _wrong(url, PUBLIC)
    if not cluster.words:
        raise SettingsError(
            f"no node has said anything at {url}: perhaps it is not an operations port, see"
            " --ops-port of trio-wss run."
        )
