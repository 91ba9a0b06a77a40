"""trio_wss/cli/connect.py, through a pipe and at a terminal, against a server with a script."""

import base64
import hashlib
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import serve_websocket

from tests.support.peer import House, Peer, echo, server
from tests.support.processes import DEADLINE, Lines, call
from trio_wss.cli.connect import lines
from trio_wss.cli.entry import call as call_here

SCRIPT = str(Path(sys.executable).parent / "trio-wss")


async def pipe(url: str, text: str, *options: str) -> tuple[int, list[Any], str]:
    """`… | trio-wss connect URL`: exit code, what it printed, and what it complained of."""
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(
            [SCRIPT, "connect", url, *options],
            stdin=text.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, printed, done.stderr.decode()


async def test_every_line_gets_its_answer() -> None:
    async with server(echo) as url:
        code, printed, err = await pipe(url, 'say {"n":1}\n\nsay\n  say   [2]  ')
    assert (code, err) == (0, "")
    assert printed == [
        {"event": "ok", "re": 1, "data": {"n": 1}},
        {"event": "ok", "re": 3},
        {"event": "ok", "re": 4, "data": [2]},
    ]


async def test_a_thousand_lines_go_out_in_order() -> None:
    async with server(echo) as url:
        code, printed, _ = await pipe(url, "".join(f"say {n}\n" for n in range(1000)))
    assert code == 0
    assert [frame["data"] for frame in printed] == list(range(1000))


async def test_an_error_answer_is_exit_code_1_and_the_rest_is_sent() -> None:
    async def refuse_odd(peer: Peer) -> None:
        while True:
            frame = await peer.take()
            if frame["data"] % 2:
                data = {"code": "odd", "message": "I like even numbers."}
                await peer.put(event="wss.error", re=frame["id"], data=data)
            else:
                await peer.put(event="ok", re=frame["id"])

    async with server(refuse_odd) as url:
        code, printed, _ = await pipe(url, "n 1\nn 2\n")
    assert code == 1
    assert [frame["event"] for frame in printed] == ["wss.error", "ok"]
    assert printed[0]["data"] == {"code": "odd", "message": "I like even numbers."}


async def test_broadcasts_are_printed_as_they_come() -> None:
    async def broadcast(peer: Peer) -> None:
        frame = await peer.take()
        await peer.put(event="said", topic="a", epoch="x", offset=1, data="hi")
        await peer.put(event="wss.ok", re=frame["id"])
        await peer.until_closed()

    async with server(broadcast) as url:
        code, printed, _ = await pipe(url, "say\n")
    assert code == 0
    assert {"event": "said", "topic": "a", "epoch": "x", "offset": 1, "data": "hi"} in printed
    assert {"event": "wss.ok", "re": 1} in printed


async def test_a_line_that_is_no_json_is_told_and_the_rest_is_sent() -> None:
    async with server(echo) as url:
        code, printed, err = await pipe(url, "say {\nsay 2\n")
    assert code == 1
    assert "line 1: what follows say is not JSON" in err
    assert printed == [{"event": "ok", "re": 2, "data": 2}]


async def test_a_line_whose_event_is_the_servers_own_is_told_and_the_rest_is_sent() -> None:
    async with server(echo) as url:
        code, printed, err = await pipe(url, "wss.ping\nsay 2\n")
    assert code == 1
    assert "line 1: the name 'wss.ping' is the server's own" in err
    assert printed == [{"event": "ok", "re": 2, "data": 2}]


async def test_an_integer_beyond_64_bits_is_told_and_the_rest_is_sent() -> None:
    async with server(echo) as url:
        code, printed, err = await pipe(
            url, "say [18446744073709551616]\nsay 18446744073709551615\n"
        )
    assert code == 1
    assert "line 1: an integer is beyond 64 bits" in err
    assert printed == [{"event": "ok", "re": 2, "data": 18446744073709551615}]


async def test_no_answer_in_time() -> None:
    async def silent(peer: Peer) -> None:
        await peer.until_closed()

    async with server(silent) as url:
        code, printed, err = await pipe(url, "say 1\n", "--timeout", "0.5")
        assert (code, printed) == (1, [])
        assert "line 1: no answer within 0.5 s" in err
        code, printed, err = await pipe(url, "say\n" * 65, "--timeout", "0.5")
        assert (code, printed) == (1, [])
        assert "line 65: " in err


async def test_the_end_is_told_once() -> None:
    async def leave(peer: Peer) -> None:
        await peer.take()
        await peer.socket.aclose(4409, "replaced")

    async with server(leave) as url:
        code, printed, err = await pipe(url, "say\n" * 50)
    assert (code, printed) == (1, [])
    assert err == "the connection was closed with 4409: replaced\n"


async def test_answers_are_waited_for_over_lost_connections() -> None:
    async def restart(peer: Peer) -> None:
        """Every connection answers a third of what it gets."""
        while True:
            for _ in range(3):
                frame = await peer.take()
                if peer.number == 3:
                    await peer.put(event="ok", re=frame["id"], data=frame["data"])
            if peer.number < 3:
                await peer.put(event="ok", re=frame["id"], data=frame["data"])
                await peer.socket.aclose(1012, '{"retry": 0.01, "why": "the node is stopping"}')

    async with server(restart) as url:
        code, printed, err = await pipe(url, "".join(f"say {n}\n" for n in range(1, 10)))
    assert (code, err) == (0, "")
    assert sorted(printed, key=lambda frame: frame["data"]) == [
        {"event": "ok", "re": n, "data": n} for n in range(1, 10)
    ]


async def test_what_became_of_lines_in_a_session_that_is_over_is_not_known() -> None:
    async def forget(peer: Peer) -> None:
        if peer.number == 0:
            await peer.take()
            await peer.socket.aclose(1012, '{"retry": 0}')
        await echo(peer)

    async with server(forget, resumes=False) as url:
        code, printed, err = await pipe(url, "say 1\n")
    assert (code, printed) == (1, [])
    assert err == "line 1: the session is over, and what became of this is not known\n"


async def test_the_next_url_takes_over() -> None:
    async def stop(peer: Peer) -> None:
        await peer.take()
        await peer.socket.aclose(1012, '{"retry": 0}')

    async with server(stop) as first, server(echo) as second:
        code, printed, err = await pipe(first, "say 1\nsay 2\n", second)
    assert (code, err) == (0, "")
    assert [frame["data"] for frame in printed] == [1, 2]


async def test_no_connection_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    with trio.socket.socket() as held:
        await held.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{held.getsockname()[1]}"
        code, out, err = await call("connect", url, cwd=tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"cannot connect to {url}")
    code, out, err = await call("connect", "here", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert 'here must be a URL such as "ws://' in err


async def test_headers_are_sent() -> None:
    house = House(echo)
    serve = partial(serve_websocket, house.receive, "127.0.0.1", 0, ssl_context=None)
    async with trio.open_nursery() as nursery:
        url = f"ws://127.0.0.1:{(await nursery.start(serve)).port}"
        headers = ("--header", "Authorization: Bearer a:b ", "--header", "X-Room:tea")
        code, _, err = await pipe(url, "say", *headers, "--origin", "http://a")
        nursery.cancel_scope.cancel()
    assert (code, err) == (0, "")
    [request] = house.requests
    sent = {(b"authorization", b"Bearer a:b"), (b"x-room", b"tea"), (b"origin", b"http://a")}
    assert sent <= {(name.lower(), value) for name, value in request.headers}


@pytest.mark.parametrize(
    "pairs",
    [["hush"], [": hush"], ["a b: hush"], ["a: hush\r\nb: c"], ["a: hush", "A: hush"]],
)
def test_a_wrong_header_is_told_without_its_value(
    pairs: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    options = [part for pair in pairs for part in ("--header", pair)]
    assert call_here(["connect", "ws://127.0.0.1:1", *options]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "header" in err
    assert "hush" not in err


async def test_a_reader_that_has_gone_is_no_traceback() -> None:
    """`trio-wss connect … | head -1`"""
    out, into = os.pipe()
    os.close(out)
    async with server(echo) as url:
        with trio.fail_after(DEADLINE):
            done = await trio.run_process(
                [SCRIPT, "connect", url],
                stdin=b"say 1\n",
                stdout=into,
                capture_stderr=True,
                check=False,
            )
    os.close(into)
    assert (done.returncode, done.stderr) == (141, b"")


@asynccontextmanager
async def terminal(url: str) -> AsyncIterator[tuple[trio.Process, Lines, int]]:
    """`trio-wss connect URL` at a terminal of its own: its process, its screen, its keyboard."""
    ours, theirs = pty.openpty()
    process = await trio.lowlevel.open_process(
        [SCRIPT, "connect", url],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    keyboard = os.dup(ours)
    try:
        async with trio.lowlevel.FdStream(ours) as screen:
            yield process, Lines(screen), keyboard
    finally:
        os.close(keyboard)
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def test_at_a_terminal_it_speaks_to_people() -> None:
    async def chat(peer: Peer) -> None:
        frame = await peer.take()
        await peer.put(event="ok", re=frame["id"], data={"n": 1})
        await peer.put(event="said", topic="room:a", epoch="x", offset=3, data=[1])
        frame = await peer.take()
        data = {"code": "no", "message": "Not now."}
        await peer.put(event="wss.error", re=frame["id"], data=data)
        await peer.until_closed()

    async with server(chat) as url, terminal(url) as (process, screen, keyboard):
        await screen.until("Ctrl-D")
        await screen.until("connected to node n1 as session s1")
        os.write(keyboard, b"say 1\n")
        await screen.until(r'^ok \{"n":1\}\s*$')
        await screen.until(r"^said room:a #3 \[1\]\s*$")
        os.write(keyboard, b"say 2\n")
        await screen.until(r"^error no: Not now\.\s*$")
        os.write(keyboard, b"\x04")
        with trio.fail_after(DEADLINE):
            assert await process.wait() == 1
        assert "Traceback" not in screen.text


async def test_a_terminal_learns_of_the_end_while_it_waits_for_a_line() -> None:
    leave = trio.Event()

    async def until_told(peer: Peer) -> None:
        await leave.wait()
        await peer.socket.aclose(4000, "game over")

    async with server(until_told) as url, terminal(url) as (process, screen, _):
        await screen.until("Ctrl-D")
        leave.set()
        await screen.until("closed with 4000: game over")
        with trio.fail_after(DEADLINE):
            assert await process.wait() == 1
        assert "Fatal" not in screen.text  # a thread left in stdin's lock would end so


async def test_a_terminal_sees_a_node_go_and_another_take_over() -> None:
    async def restart(peer: Peer) -> None:
        if peer.number == 0:
            await peer.take()
            await peer.socket.aclose(1012, '{"retry": 0.2, "why": "the node is stopping"}')
        await echo(peer)

    async with server(restart) as url, terminal(url) as (process, screen, keyboard):
        await screen.until("connected to node n1 as session s1")
        os.write(keyboard, b"say 1\n")
        dim, plain = re.escape("\x1b[2m"), re.escape("\x1b[0m")
        lost = r"no connection \(1012: the node is stopping\); next try in 0\.2 s"
        await screen.until(f"^{dim}{lost}{plain}")
        await screen.until(f"^{dim}connected to node n1 as session s1, resumed{plain}")
        await screen.until(r"^ok 1\s*$")
        os.write(keyboard, b"\x04")
        with trio.fail_after(DEADLINE):
            assert await process.wait() == 0


async def test_ctrl_c_at_a_terminal() -> None:
    async with server(echo) as url, terminal(url) as (process, screen, _):
        await screen.until("Ctrl-D")
        os.killpg(process.pid, 2)
        with trio.fail_after(DEADLINE):
            assert await process.wait() == 130
        assert "Traceback" not in screen.text


async def test_lines_of_a_file_in_any_pieces() -> None:
    out, into = os.pipe()
    os.write(into, b"one\ntw")
    read = lines(out)
    assert await anext(read) == b"one"
    os.write(into, b"o\n\nrest")
    os.close(into)
    assert [line async for line in read] == [b"two", b"", b"rest"]
    os.close(out)


# --- somebody else lives there


async def hangs_up(stream: trio.SocketStream) -> None:
    pass


async def hangs_up_after_the_head(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def says_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def speaks_something_else(stream: trio.SocketStream) -> None:
    await stream.send_all(b"220 mail.example ESMTP\r\n")
    await trio.sleep_forever()


async def speaks_http_and_no_more(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


async def says_half_a_head(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 101 Switching")
    await trio.sleep_forever()


async def accept_it(stream: trio.SocketStream) -> None:
    head = bytes(await stream.receive_some())
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.IGNORECASE)
    assert found
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
    key = base64.b64encode(hashlib.sha1(found[1] + guid).digest())
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % key
    )


async def accepts_and_hangs_up(stream: trio.SocketStream) -> None:
    await accept_it(stream)


async def accepts_and_says_nothing(stream: trio.SocketStream) -> None:
    await accept_it(stream)
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("stranger", "told"),
    [
        (hangs_up, "hung up during the handshake|cannot connect|closed the connection"),
        (hangs_up_after_the_head, "hung up during the handshake"),
        (says_nothing, "did not answer within 1 s"),
        (speaks_something_else, "ws://127.0.0.1:"),
        (speaks_http_and_no_more, "answered with HTTP 200: hi"),
        (says_half_a_head, "did not answer within 1 s"),
        (accepts_and_hangs_up, "closed the connection|hung up"),
        (accepts_and_says_nothing, "did not answer within 1 s"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_stranger_at_the_port_is_told_in_one_line_and_in_time(
    stranger: Callable[[trio.SocketStream], Awaitable[None]], told: str
) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, stranger, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        code, printed, err = await pipe(f"ws://127.0.0.1:{port}", "say 1\n", "--timeout", "1")
        assert (code, printed) == (2, [])
        assert re.search(told, err), err
        assert err.count("\n") == 1
        nursery.cancel_scope.cancel()
