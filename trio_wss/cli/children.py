"""The parent's side of node processes: it starts and stops them, kills those that do not stop, and
starts them again.

A child runs in a process group of its own, so that a terminal's Ctrl-C reaches it only through the
parent. A killed parent leaves no child behind, because each child watches its channel.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
import trio
from attrs import frozen

from trio_wss.errors import WrongSetting, WssError

WRONG_CALL: Final = 2
"""The exit code for a setting, an app or an argument that is wrong."""

LISTENS: Final = b"1"
"""A child sends it on its channel when it listens."""

WRONG: Final = b"0"
"""A child sends it before the name of a wrong setting, a space, and the complaint."""

_LONGEST_PAUSE: Final = 10.0
_FIRST_PAUSE: Final = 0.1
_HEALTHY: Final = 10.0  # seconds: whoever lived longer is started again at once


class ChildFailed(WssError):
    """A child that ended before it ever listened; it has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a node process ended with {code}")
        self.exit_code = code if code >= 0 else 128 - code  # as a shell puts a signal


@frozen
class Child:
    """How to start a node process and how long it may take to stop, in seconds."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    patience: float

    async def run(self, stop: trio.Event, ready: Callable[[], None]) -> int:
        """Run the process until it ends; returns its exit code.

        Calls `ready` when it listens. When `stop` is set, the process gets SIGTERM, and SIGKILL if
        it is there after `patience`; after a cancellation it gets SIGKILL at once. Raises
        WrongSetting if the process ended for that and left it to us to say so.
        """
        said = bytearray()
        ours, theirs = socket.socketpair()
        with theirs:
            process = await trio.lowlevel.open_process(
                [*self.arguments, "--channel", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
                env=self.environment,
            )
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_hear, trio.socket.from_stdlib_socket(ours), ready, said)
                nursery.start_soon(self._obey, process, stop)
                code = await process.wait()
                nursery.cancel_scope.cancel()
            with suppress(OSError):  # which does not block: what is there now is all
                while data := ours.recv(4096):
                    said += data
        finally:
            if process.returncode is None:
                process.kill()  # first, since the end of its channel would tell it to stop in order
            ours.close()
            with trio.CancelScope(shield=True):  # a killed process does not keep us waiting
                await process.wait()
        rest = said.removeprefix(LISTENS)
        if rest.startswith(WRONG):
            setting, _, complaint = rest.removeprefix(WRONG).decode().partition(" ")
            raise WrongSetting(setting, complaint)
        return code

    async def _obey(self, process: trio.Process, stop: trio.Event) -> None:
        await stop.wait()
        process.terminate()
        await trio.sleep(self.patience)
        process.kill()


async def _hear(
    channel: trio.socket.SocketType, ready: Callable[[], None], said: bytearray
) -> None:
    while data := await channel.recv(4096):
        said += data
        if said == LISTENS:
            ready()


async def keep(
    child: Child, stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Keep one child running until `stop` is set. It counts as started when it first listens.

    A child that keeps dying is started more and more slowly. Raises ChildFailed if the very first
    never listens, WrongSetting if a setting is the reason.
    """
    log = structlog.get_logger()
    listened = False

    def ready() -> None:
        nonlocal listened
        if not listened:
            task_status.started()
        listened = True

    pause = _FIRST_PAUSE
    while True:
        began = trio.current_time()
        try:
            code = await child.run(stop, ready)
        except WrongSetting as wrong:
            if not listened:
                raise
            log.error("a node process found a wrong setting", reason=str(wrong))
            code = WRONG_CALL
        if stop.is_set():
            ready()  # or as ready as it will be
            return
        if not listened:
            raise ChildFailed(code)
        if trio.current_time() - began > _HEALTHY:
            pause = _FIRST_PAUSE
        log.warning("a node process ended", code=code, again_in=pause)
        with trio.move_on_after(pause):
            await stop.wait()
            return
        pause = min(pause * 2, _LONGEST_PAUSE)
