"""The greeting of a start on stdout: one line for machines, then a person's next steps."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from trio_wss.cli.launch import EVERYWHERE, Launch
from trio_wss.cli.ports import EVERY, url, urls


def greet(launch: Launch, host: str, port: int, ops_ports: Sequence[int] = ()) -> None:
    """Say where the node listens. Tell people also that temporary data goes, and what to type."""
    lines = [f"listening on {urls(host, port)}"]
    lines += [f"operations on {_pages(launch.settings.ops_host, one)}" for one in ops_ports]
    if launch.log_format == "json":  # for a collector, which may take this for a part of the log
        print("\n".join(json.dumps({"event": line}) for line in lines), flush=True)
        return
    if launch.settings.redis is None and launch.data is None:
        lines.append("The data is temporary: it goes when this stops. Keep it with --data DIR.")
    if launch.demo or sys.stdout.isatty():
        if launch.demo:
            lines.append(f"Open {page(host, port)} in a browser.")
        lines.append("Connect from another terminal:")
        lines.append(f"  {our_command()} connect {near(host, port)}")
    if launch.demo:
        lines.append("and type:")
        lines.append('  say {"room":"lobby","text":"hi"}')
    print("\n".join(lines), flush=True)


def near(host: str, port: int) -> str:
    """The WebSocket URL for a client on this machine."""
    return url(EVERYWHERE.get(host, host), port)


def page(host: str, port: int) -> str:
    """The address of the page, for a browser on this machine."""
    return f"{near(host, port).replace('ws:', 'http:')}/"


def _pages(host: str, port: int) -> str:
    """The addresses of the pages: one or two."""
    found = page(host, port)
    return f"{found} and {page('127.0.0.1', port)}" if host == EVERY else found


def our_command() -> str:
    """The command that starts this program: its name if it is on the PATH, else its path."""
    if shutil.which("trio-wss"):
        return "trio-wss"
    script = Path(sys.executable).parent / "trio-wss"
    if not script.is_file():
        return f"{sys.executable} -m trio_wss"
    near = os.path.relpath(script)
    return str(script) if near.startswith("..") else near
