"""trio_wss/client/credentials.py: what goes along is checked before anybody is called, and no error
shows a value."""

from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from trio.testing import MockClock

from tests.support.peer import House, Peer, Street, nothing
from trio_wss.client import ConnectError, Disconnected, connect
from trio_wss.client.credentials import header_lines, made, target


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sesame"},
        {"X-Empty": "", "X-Tab": "a\tb", "X-Wide": "caf\u00e9 \U0001f600"},
        {"!#$%&'*+-.^_`|~09azAZ": "any token"},
    ],
)
def test_headers_that_can_be_sent(headers: dict[str, str]) -> None:
    expected = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert header_lines(headers) == expected


@pytest.mark.parametrize(
    "value",
    ["sesame\n", "sesame\r\nX-Evil: 1", "ses\0ame", " sesame", "sesame ", "sesame\t", "sesame\x7f",
     "sesame\ud83d", b"sesame", 5, None],
)  # fmt: skip
def test_a_value_that_cannot_be_sent_is_named_by_its_header(value: Any) -> None:
    with pytest.raises(ConnectError, match="the header X-Key cannot be sent") as caught:
        header_lines({"X-Key": value})
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "X Key", "X-Key:", "X-Key\n", "Schl\u00fcssel", "\ud83d", b"X-Key", 5, "(x)"]
)
def test_a_name_that_no_header_can_have(name: Any) -> None:
    with pytest.raises(ConnectError, match="no header can have the name") as caught:
        header_lines({name: "sesame"})
    assert str(caught.value).isascii()
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Host", "upgrade", "CONNECTION", "Sec-WebSocket-Key", "Content-Length"]
)
def test_a_header_that_is_the_clients_own(name: str) -> None:
    with pytest.raises(ConnectError, match=f"the header {name} is the client's own"):
        header_lines({name: "x"})


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("ws://a/?resume", {}),
        ("ws://a/?room=a&resume=1", {}),
        ("ws://a/", {"resume": ""}),
        ("ws://a/", {"key": "\ud83d"}),
        ("ws://a/", {"\ud83d": "sesame"}),
    ],
)
def test_a_query_that_cannot_go_along(url: str, query: dict[str, str]) -> None:
    with pytest.raises(ConnectError, match="quer") as caught:
        target(urlsplit(url), query, resumes=False)
    assert "sesame" not in str(caught.value)
    assert str(caught.value).isascii()


@pytest.mark.parametrize("found", [None, 5, "X-Key: sesame", [("X-Key", "sesame")]])
async def test_what_is_no_mapping_is_told(found: Any) -> None:
    async def later() -> Any:
        return found

    for credentials in (lambda: found, later):
        with pytest.raises(ConnectError, match="headers must be a mapping of text to text") as told:
            await made("headers", credentials, again=False)
        assert "sesame" not in str(told.value)


@pytest.mark.parametrize(
    "options", [{"headers": {"X-Key": "sesame\n"}}, {"query": {"k": "\ud83d"}}, {"headers": 5}]
)
async def test_it_is_told_before_anybody_is_called(
    options: Any, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = Street({"a": House(nothing)})
    async with street.live(monkeypatch):
        with pytest.raises(ConnectError):
            async with connect("ws://a", **options):
                raise AssertionError
    assert street.calls == []


async def test_at_a_reconnect_it_makes_a_try_that_failed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[Any] = ["good", "sesame\n", None, "good"]

    def headers() -> Any:
        token = tokens.pop(0)
        return token and {"Authorization": token}

    async def leave(peer: Peer) -> None:
        if peer.number == 0:
            await peer.socket.aclose(1012)
        await peer.until_closed()

    reasons: list[str] = []
    async with (
        Street({"a": House(leave)}).live(monkeypatch),
        connect("ws://a", headers=headers) as client,
    ):
        while not client.welcome.resumed:
            state = await client.receive()
            if isinstance(state, Disconnected):
                reasons.append(state.reason)
    assert [bool(reason) for reason in reasons] == [False, True, True]
    assert "Authorization" in reasons[1]
    assert "mapping" in reasons[2]
    assert "sesame" not in str(reasons)
    assert trio.current_time() > 0
