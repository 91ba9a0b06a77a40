"""What a start prints on stdout: one line for machines, then what a person may do next."""

import os
import shutil
import sys
from pathlib import Path

from trio_wss.cli.launch import Launch
from trio_wss.cli.ports import url

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def greet(launch: Launch, host: str, port: int) -> None:
    """Say where the node listens, that temporary data is temporary, and what to type."""
    lines = [f"listening on {url(host, port)}"]
    if launch.settings.redis is None and launch.data is None:
        lines.append("The data is temporary: it goes when this stops. Keep it with --data DIR.")
    if launch.demo or sys.stdout.isatty():
        lines.append("Connect from another terminal:")
        lines.append(f"  {command()} connect {url(_ANY.get(host, host), port)}")
    if launch.demo:
        lines.append("and type:")
        lines.append('  say {"room":"lobby","text":"hi"}')
    print("\n".join(lines), flush=True)


def command() -> str:
    """How this person can call us: by name if we are on the PATH, else by our path."""
    if shutil.which("trio-wss"):
        return "trio-wss"
    script = Path(sys.executable).parent / "trio-wss"
    if not script.is_file():
        return f"{sys.executable} -m trio_wss"
    near = os.path.relpath(script)
    return str(script) if near.startswith("..") else near
