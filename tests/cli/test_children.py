"""trio_wss/cli/children.py: children that stop, that do not, and that keep dying."""

import sys
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from tests.support.members import eventually
from trio_wss.cli import children
from trio_wss.cli.children import Child, ChildFailed, keep
from trio_wss.errors import WrongSetting

LISTEN = """
import signal, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[sys.argv.index("--channel") + 1]))
"""
READY = "channel.send(b'1')\n"


def child(code: str, patience: float = 60.0) -> Child:
    return Child([sys.executable, "-c", LISTEN + code], {}, patience)


def nothing() -> None: ...


async def test_its_exit_code() -> None:
    assert await child("sys.exit(7)").run(trio.Event(), nothing) == 7


async def test_it_says_when_it_listens_and_stops_when_told() -> None:
    listens = trio.Event()
    stop = trio.Event()
    code: list[int] = []

    async def run() -> None:
        waiting = child(
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n" + READY + "time.sleep(60)"
        )
        code.append(await waiting.run(stop, listens.set))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await listens.wait()
            stop.set()
    assert code == [3]


async def test_one_that_does_not_stop_is_killed() -> None:
    stop = trio.Event()
    deaf = child(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(60)", patience=0.1
    )
    with trio.fail_after(30):
        assert await deaf.run(stop, stop.set) == -9


async def test_one_of_a_cancelled_parent_is_killed() -> None:
    listens = trio.Event()
    deaf = child("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(60)")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deaf.run, trio.Event(), listens.set)
            await listens.wait()
            nursery.cancel_scope.cancel()


async def test_one_that_keeps_dying_is_started_more_and_more_slowly() -> None:
    pauses = await pauses_of(child(READY), 3)
    assert pauses == [0.1, 0.2, 0.4]


async def test_one_that_lived_long_is_started_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_HEALTHY", 0.0)
    assert await pauses_of(child(READY), 3) == [0.1, 0.1, 0.1]


async def test_the_pause_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_LONGEST_PAUSE", 0.15)
    assert await pauses_of(child(READY), 3) == [0.1, 0.15, 0.15]


async def pauses_of(dying: Child, deaths: int) -> list[float]:
    """How long it waited before each new start."""
    stop = trio.Event()
    with capture_logs() as logs, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, dying, stop)
            while len(logs) < deaths:  # noqa: ASYNC110 - a list cannot tell us
                await trio.sleep(0.01)
            stop.set()
    return [entry["again_in"] for entry in logs][:deaths]


@pytest.mark.parametrize(
    ("code", "exit_code"), [("sys.exit(2)", 2), ("import os; os.kill(os.getpid(), 9)", 137)]
)
async def test_one_that_never_listened_is_not_tried_again(code: str, exit_code: int) -> None:
    with trio.fail_after(30), pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, child(code), trio.Event())
    [failed] = caught.value.exceptions
    assert isinstance(failed, ChildFailed)
    assert failed.exit_code == exit_code


async def test_a_stop_before_it_ever_listened() -> None:
    stop = trio.Event()
    stop.set()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, child("time.sleep(60)"), stop)


WRONG = "channel.send(b'0redis does not work: it is closed')\nsys.exit(2)\n"


async def test_one_that_finds_a_wrong_setting_leaves_it_to_us_to_say_so() -> None:
    for before in ("", READY, READY + "time.sleep(0.2)\n"):
        with pytest.raises(WrongSetting, match=r"^redis does not work: it is closed$"):
            await child(before + WRONG).run(trio.Event(), nothing)


async def test_a_wrong_setting_ends_us_only_where_none_ever_listened(tmp_path: Path) -> None:
    """A password may be rotated while one of many is away."""
    with pytest.raises(WrongSetting), trio.fail_after(30):
        await keep(child(WRONG), trio.Event())
    starts = tmp_path / "starts"
    starts.touch()
    code = f"import pathlib\nstarts = pathlib.Path({str(starts)!r})\n"
    code += "number = len(starts.read_text())\nstarts.write_text('x' * (number + 1))\n"
    code += f"if number == 1:\n    {WRONG.replace(chr(10), '; ')}\n" + READY
    stop = trio.Event()
    with capture_logs() as logs, trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(keep, child(code), stop)
            await eventually(lambda: len(starts.read_text()) >= 3)
            stop.set()
    reasons = [one["reason"] for one in logs if one["log_level"] == "error"]
    assert reasons == ["redis does not work: it is closed"]
