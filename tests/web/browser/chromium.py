"""A headless Chromium, driven over its DevTools protocol by trio-websocket."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
DEADLINE: Final = 60.0
"""Seconds for a step in a page; far more than it takes, since the machine may be busy."""

SWITCHES: Final = (
    "--headless=new",
    "--no-sandbox",  # it does not start without, as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Failure(Exception):
    """A command that the browser refused, or a script that threw."""


class Chromium:
    """A browser process with a profile of its own. `close` ends it."""

    def __init__(self) -> None:
        binary = next(filter(None, map(shutil.which, NAMES)), None)
        if binary is None:
            raise FileNotFoundError("there is no chromium here")
        self._profile = tempfile.mkdtemp(prefix="wss-browser-")
        self._process = subprocess.Popen(
            [binary, *SWITCHES, f"--user-data-dir={self._profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self._address()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _address(self) -> str:
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                return found[1]
            said.append(line)
        self.close()
        raise RuntimeError(f"chromium does not start: {''.join(said)}")


class Page:
    """A tab."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, Any] = {}
        self._news = trio.lowlevel.ParkingLot()
        self.errors: list[str] = []
        """What the page's scripts threw, and what it wrote to the console as an error."""
        self.session = ""

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command of the DevTools protocol. Raises Failure."""
        number = next(self._numbers)
        frame: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self.session:
            frame["sessionId"] = self.session
        await self._socket.send_message(json.dumps(frame))
        with trio.fail_after(DEADLINE):
            while number not in self._answers:
                await self._news.park()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    async def run(self, script: str) -> Any:
        """The value of an expression, a promise's included. Raises Failure."""
        found = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise Failure(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until an expression holds; its value. Nothing tells, so it looks again and again."""
        with trio.move_on_after(DEADLINE):
            while not (found := await self.run(condition)):  # noqa: ASYNC110 - as it says
                await trio.sleep(0.02)
            return found
        shown = await self.run("document.body.innerText")
        raise AssertionError(
            f"never {condition} within {DEADLINE:g} s; errors: {self.errors}; {shown}"
        )

    async def offline(self, *, offline: bool) -> None:
        """Take the network away from the page, or give it back."""
        await self.call(
            "Network.emulateNetworkConditions",
            offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip

    async def looks(
        self, width: int, height: int, *, dark: bool = False, phone: bool = False
    ) -> None:
        """Be a screen of this size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, file: Path, *, whole: bool = True) -> None:
        found = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        await trio.Path(file).write_bytes(base64.b64decode(found["data"]))

    async def read(self) -> None:
        """Take what the browser says. `page` runs it."""
        while True:
            try:
                frame = json.loads(await self._socket.get_message())
            except ConnectionClosed:
                return
            if "id" in frame:
                self._answers[frame["id"]] = frame
                self._news.unpark_all()
                continue
            match frame["method"], frame["params"]:
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    self.errors.append(
                        str(details.get("exception", details).get("description", details))
                    )
                case "Runtime.consoleAPICalled", {"type": "error" | "assert", "args": arguments}:
                    self.errors.append(str(arguments))


@asynccontextmanager
async def page(browser: Chromium, url: str) -> AsyncIterator[Page]:
    """A tab of its own, with nothing that other tabs stored, at this address."""
    async with open_websocket_url(browser.url, max_message_size=64 << 20) as socket:
        tab = Page(socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tab.read)
            context = (await tab.call("Target.createBrowserContext"))["browserContextId"]
            made = await tab.call(
                "Target.createTarget", url="about:blank", browserContextId=context
            )
            attached = await tab.call(
                "Target.attachToTarget", targetId=made["targetId"], flatten=True
            )
            tab.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Network"):
                await tab.call(f"{domain}.enable")
            await tab.call("Page.navigate", url=url)
            await tab.until(
                f"document.readyState === 'complete' && location.href.startsWith({url!r})"
            )
            try:
                yield tab
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(5):
                    tab.session = ""
                    await tab.call("Target.disposeBrowserContext", browserContextId=context)
            nursery.cancel_scope.cancel()
