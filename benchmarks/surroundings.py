"""Where a comparison runs: the machine, how busy it is, and the versions of what is compared."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.processes import CORES, ROOT
from benchmarks.rivals import NODE_MODULES, Peer
from trio_wss.store.embedded import find_server


def describe(peers: Iterable[Peer]) -> dict[str, Any]:
    """All that a reader needs to judge the figures, or to take them again."""
    return {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "load_average": os.getloadavg(),
        "machine": {
            "processor": _field(Path("/proc/cpuinfo"), "model name"),
            "cores": len(CORES),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        },
        "versions": {
            "Python": platform.python_version(),
            "Node": _first_line("node", "--version").removeprefix("v"),
            **_redis(_first_line(str(find_server()), "--version")),
        },
        "peers": {peer.name: _versions(peer) for peer in peers},
    }


def _redis(line: str) -> dict[str, str]:
    found = re.search(r"(\w+) server v=([\d.]+)", line)
    return {found[1]: found[2]} if found else {}


def _versions(peer: Peer) -> dict[str, str]:
    if peer.command[0] == "node":
        manifests = {name: NODE_MODULES / name / "package.json" for name in peer.packages}
        return {name: json.loads(path.read_text())["version"] for name, path in manifests.items()}
    return {name: version(name) for name in peer.packages}


def _field(path: Path, name: str) -> str:
    """A field of one of /proc's files; empty where there is none."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _first_line(*command: str) -> str:
    """What a program says first; empty where there is no such program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.partition("\n")[0]
