"""The request head: what becomes a WebSocket, and the HTTP answers to all that does not."""

import ssl
from collections.abc import Awaitable, Callable

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.support.frames import HEAD, close
from tests.support.wires import BlockHost, Client, accepted, tcp_pair
from trio_wss.wire import Head, Response, WireLimits, socket
from trio_wss.wire.head import remote_address
from trio_wss.wire.seldom import Seldom

LIMITS = WireLimits()
Admit = Callable[[Head], Awaitable[Response | None]]


def plain(head: Head) -> Response | None:
    return Response(200, b"fine\n") if head.path == "/healthz" else None


def head(*lines: str, without: str = "-", start: str = "GET /chat HTTP/1.1") -> bytes:
    """The head of a handshake with `lines` added, less those that start with `without`."""
    usual = HEAD.decode().split("\r\n")[1:-2]
    kept = [line for line in usual if not line.startswith(without)]
    return "\r\n".join([start, *kept, *lines, "", ""]).encode("latin-1")


async def opened(
    *segments: bytes, admit: Admit | None = None, origins: tuple[str, ...] = ()
) -> tuple[bytes, Head | None]:
    """What a client gets for its segments, up to the end of the answer's head and body, and the
    request if it became a WebSocket."""
    near, far = memory_stream_pair()
    client = Client(near)
    answers: list[bytes] = []

    async def talk() -> None:
        for segment in segments:
            await client.send(segment)
            await wait_all_tasks_blocked()
        answers.append(await client.rest())

    host = BlockHost(LIMITS, origins=origins, plain=plain, admit=admit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        async with accepted(far, host) as socket:
            if socket is not None:
                await near.send_all(close())
    return b"".join(answers), host.request


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


async def test_a_handshake_becomes_a_websocket() -> None:
    answer, request = await opened(
        head("Cookie: a=1", "X-Name: é", "Cookie: b=2", start="GET /a%20b?x=1&y=%26&x=2 HTTP/1.1")
    )
    assert status(answer) == 101
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455 §1.3
    assert request is not None
    assert (request.path, request.query) == ("/a b", {"x": "2", "y": "&"})
    assert request.headers["host"] == "example.com"
    assert request.headers["cookie"] == "a=1; b=2"  # RFC 9113 §8.2.3
    assert request.headers["x-name"] == "é"
    assert request.remote is None


async def test_a_head_may_arrive_byte_by_byte() -> None:
    answer, request = await opened(*(HEAD[i : i + 1] for i in range(len(HEAD))))
    assert status(answer) == 101
    assert request is not None


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, id="plain"),
        pytest.param(b"HEAD /healthz HTTP/1.0\r\n\r\n", 200, id="plain HEAD"),
        pytest.param(b"GET /chat HTTP/1.1\r\nHost: x\r\n\r\n", 426, id="no upgrade"),
        pytest.param(head(start="POST /chat HTTP/1.1"), 405, id="method"),
        pytest.param(head(start="HEAD /chat HTTP/1.1"), 400, id="HEAD"),
        pytest.param(head(start="GET /chat HTTP/1.0"), 400, id="HTTP/1.0"),
        pytest.param(head(without="Upgrade"), 426, id="Upgrade missing"),
        pytest.param(head("Upgrade: h2c", without="Upgrade"), 426, id="another upgrade"),
        pytest.param(head(without="Connection"), 400, id="Connection missing"),
        pytest.param(head("Connection: close", without="Connection"), 400, id="Connection: close"),
        pytest.param(head(without="Sec-WebSocket-Version"), 426, id="version missing"),
        pytest.param(
            head("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"), 426, id="version"
        ),
        pytest.param(head(without="Sec-WebSocket-Key"), 400, id="key missing"),
        pytest.param(
            head("Sec-WebSocket-Key: c2hvcnQ=", without="Sec-WebSocket-Key"), 400, id="key short"
        ),
        pytest.param(
            head("Sec-WebSocket-Key: é!", without="Sec-WebSocket-Key"), 400, id="key not base64"
        ),
        pytest.param(head(without="Host"), 400, id="Host missing"),
        pytest.param(head("Host: other"), 400, id="two Hosts"),
        pytest.param(head("Content-Length: 3"), 400, id="body"),
        pytest.param(head("Transfer-Encoding: chunked"), 400, id="chunked body"),
        pytest.param(head("Transfer-Encoding: chunked") + b"no size\r\n", 400, id="bad chunk"),
        pytest.param(head("Origin: http://evil.example"), 403, id="Origin"),
        pytest.param(head("Origin: http://example.com"), 101, id="own Origin"),
        pytest.param(head("Host: a" + "." * 80 + "é", without="Host"), 101, id="strange Host"),
        pytest.param(head("Sec-WebSocket-Protocol: é, x"), 101, id="strange protocol"),
        pytest.param(head("Sec-WebSocket-Extensions: permessage-deflate"), 101, id="extension"),
        pytest.param(
            head("Connection: keep-alive, UPGRADE", "upgrade: x, WebSocket", without="Upgrade"),
            101,
            id="lists",
        ),
        pytest.param(head(start="GET /?" + "a&" * 200 + " HTTP/1.1"), 400, id="too many fields"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, id="TLS to a plain port"),
        pytest.param(b"not http\r\n\r\n", 400, id="not HTTP"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, id="bad header"),
        pytest.param(head("X: " + "x" * 16_384), 431, id="too long"),
        pytest.param(b"GET /" + b"x" * 20_000, 431, id="endless line"),
    ],
)
async def test_every_other_head_has_its_answer(
    request_head: bytes, expected: int, autojump_clock: MockClock
) -> None:
    answer, request = await opened(request_head)
    assert status(answer) == expected
    assert (request is not None) == (expected == 101)
    if expected != 101:
        assert b"Connection: close" in answer
        body = answer.partition(b"\r\n\r\n")[2]
        if request_head.startswith(b"HEAD"):
            assert body == b""
        else:
            assert b"Content-Length: %d\r\n" % len(body) in answer
    if expected == 426:
        assert b"Upgrade: websocket" in answer or b"Sec-WebSocket-Version: 13" in answer


async def test_origins_are_a_setting(autojump_clock: MockClock) -> None:
    asked = head("Origin: https://app.example")
    assert status((await opened(asked))[0]) == 403
    assert status((await opened(asked, origins=("https://app.example",)))[0]) == 101


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("X-Forwarded-For: a", "X-Forwarded-For: b"), {"x-forwarded-for": "a, b"}),
        (("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"), {}),
        (("User-Agent: a", "User-Agent: b"), {"user-agent": "a"}),
        (("Referer: http://a", "Referer: http://b"), {"referer": "http://a"}),
        (("Cookie: a=1, 2", "cookie: b=3"), {"cookie": "a=1, 2; b=3"}),
        (("Content-Length: 0", "Content-Length: 0"), {"content-length": "0"}),
        (("Authorization: a", "Authorization: a"), None),
        (("Authorization: a", "authorization: b"), None),
        (("Origin: http://example.com", "Origin: http://example.com"), None),
        (("Content-Length: 0", "Content-Length: 1"), None),
        (("Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",), None),
        (("Sec-WebSocket-Version: 13",), None),
        (("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"), None),
    ],
)
async def test_only_lists_are_joined(
    lines: tuple[str, ...], expected: dict[str, str] | None, autojump_clock: MockClock
) -> None:
    answer, request = await opened(head(*lines))
    if expected is None:
        assert (status(answer), request) == (400, None)
    else:
        assert request is not None
        assert request.headers.items() >= expected.items()


PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x30\x39\x1f\x90"


@pytest.mark.parametrize(
    ("begin", "says"),
    [
        pytest.param(b"PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n" + HEAD, "PROXY protocol", id="v1"),
        pytest.param(b"PROXY TCP6 ::1 ::1 5 80\r\n", "PROXY protocol", id="v1, and silence"),
        pytest.param(b"PROXY UNKNOWN\r\n" + HEAD, "PROXY protocol", id="v1 of nobody"),
        pytest.param(PROXY_2 + HEAD, "PROXY protocol", id="v2"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "TLS", id="TLS"),
    ],
)
async def test_another_protocol_is_called_by_its_name(
    begin: bytes, says: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "seldom", Seldom())
    with capture_logs() as logs:
        for _ in range(3):
            answer, request = await opened(begin)
            assert (status(answer), request) == (400, None)
            assert says in answer.partition(b"\r\n\r\n")[2].decode()
    [line] = logs  # once a minute
    assert says in line["event"]
    assert line["log_level"] == "warning"


async def test_a_request_whose_method_is_proxy_is_a_request(autojump_clock: MockClock) -> None:
    assert status((await opened(head(start="PROXY / HTTP/1.1")))[0]) == 405


async def test_a_refused_origin_is_logged(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "seldom", Seldom())
    with capture_logs() as logs:
        for _ in range(3):
            assert status((await opened(head("Origin: http://evil\x1b.example")))[0]) == 403
    [line] = logs
    assert line["origin"] == r"http://evil\x1b.example"
    assert line["host"] == "example.com"


async def test_admission_may_refuse_with_a_response(autojump_clock: MockClock) -> None:
    async def refuse(request: Head) -> Response:
        assert request.query == {"room": "a"}
        return Response(401, b"{}", (("Retry-After", "1"),), "application/json")

    answer, request = await opened(HEAD, admit=refuse)
    assert status(answer) == 401
    assert b"Content-Type: application/json" in answer
    assert b"Retry-After: 1" in answer
    assert request is None


async def test_admission_has_a_deadline(autojump_clock: MockClock) -> None:
    async def hang(request: Head) -> None:
        await trio.sleep_forever()

    assert status((await opened(HEAD, admit=hang))[0]) == 503
    assert trio.current_time() < 20


async def test_an_endless_handshake_is_ended(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    client = Client(near)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def trickle() -> None:
            try:
                await client.send(b"GET / HTTP/1.1\r\n")
                while True:
                    await client.send(b"X: y\r\n")
                    await trio.sleep(1)
            except trio.BrokenResourceError:
                return

        start = trio.current_time()
        async with accepted(far, BlockHost(LIMITS, plain=plain)) as socket:
            assert socket is None
        assert trio.current_time() - start == pytest.approx(11)  # and a second for the answer
        assert status(await client.head()) == 408


async def test_half_open_handshakes_are_ended_and_hold_nobody_up(autojump_clock: MockClock) -> None:
    ends: list[float] = []

    async def one(segment: bytes) -> None:
        near, far = memory_stream_pair()
        await near.send_all(segment)
        async with accepted(far, BlockHost(LIMITS, plain=plain)) as socket:
            assert socket is None
        ends.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(one, HEAD[:50])
            nursery.start_soon(one, b"")
        answer, _ = await opened(HEAD)
        assert status(answer) == 101
        assert trio.current_time() < 1
    assert len(ends) == 200
    assert max(ends) < 12


@pytest.mark.parametrize("segment", [b"", b"GET /", HEAD])
async def test_a_client_that_leaves_in_the_handshake_is_no_error(segment: bytes) -> None:
    for linger in (b"\0\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\0"):  # FIN, and RST
        near, far = await tcp_pair()
        near.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
        with trio.fail_after(5):
            await near.send_all(segment)
            await near.aclose()
            async with accepted(far, BlockHost(LIMITS, plain=plain)) as socket:
                assert socket is None or segment == HEAD
        assert far.socket.fileno() < 0


async def test_the_peers_address_is_known_where_there_is_one() -> None:
    near, far = await tcp_pair()
    async with near, far:
        assert remote_address(far) == "127.0.0.1"
        assert remote_address(trio.SSLStream(far, ssl.create_default_context())) == "127.0.0.1"
    assert remote_address(far) is None
    assert remote_address(memory_stream_pair()[0]) is None


async def test_an_answer_is_not_lost_on_a_client_that_still_sends() -> None:
    near, far = await tcp_pair()
    with trio.fail_after(5):
        async with near, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def server() -> None:
                async with accepted(far, BlockHost(LIMITS, plain=plain)) as socket:
                    assert socket is None

            await near.send_all(b"GET /" + b"x" * 30_000)
            assert status(await Client(near).head()) == 431
            await near.aclose()
