"""Servers broken on purpose: one line of the product is changed in a copy, and the faults must find
it. `python -m tests.faults.broken [NAME …]`; a minute each, and exit code 1 if one was not found.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from attrs import frozen

ROOT: Final = Path(__file__).parents[2]


@frozen
class Break:
    """What is changed where, and what the cluster then does wrong."""

    file: str
    old: str
    new: str
    wrong: str


BREAKS: Final[dict[str, Break]] = {
    "no-ring": Break(
        "store/commit.lua", "if taken == NUMBER then", "if false then",
        "applies an event again that is sent again",
    ),
    "no-generations": Break(
        "store/commit.lua", "if now ~= generation then", "if false then",
        "takes commits of connections whose session has moved on",
    ),
    "no-versions": Break(
        "store/commit.lua", "~= ARGV[at + 2] then", "== nil then",
        "commits what was decided on values that have changed",
    ),
    "no-new-epoch": Break(
        "store/commit.lua", "or written_by ~= master then", "then",
        "keeps the epoch after a failover",
    ),
    "never-broken": Break(
        "store/page.lua", "return {'broken', epoch, offset}\nend\nlocal", "first = 1\nend\nlocal",
        "says `recovered: true` though a tail was lost",
    ),
    "deaf-after-a-cut": Break(
        "node/node.py", "self.link.on_up = self.hub.reset", "pass",
        "does not ask what was said while its link was down",
    ),
    "no-orphans": Break(
        "store/due.lua", "'NX', at(grace)", "'NX', at(grace * 1000)",
        "never ends the sessions of a dead node",
    ),
    "never-resumes": Break(
        "node/session.py", "found = await sessions.find(token)", "found = None",
        "begins a new session for everybody who comes back",
    ),
    "no-grace": Break(
        "node/session.py", "if clean or doubtful or self._over:", "if True:",
        "ends a session with its connection",
    ),
    "always-broken": Break(
        "node/session.py", "restore(name, cursors.get(name), now)", "restore(name, None, now)",
        "says `recovered: false` in every topic of a session that is resumed",
    ),
}  # fmt: skip


def broken_copy(name: str, folder: Path) -> None:
    """A copy of the product and its tests, with one line changed."""
    for part in ("trio_wss", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    change = BREAKS[name]
    file = folder / "trio_wss" / change.file
    text = file.read_text()
    if text.count(change.old) != 1:
        raise ValueError(f"{name}: {change.file} has not one {change.old!r}")
    file.write_text(text.replace(change.old, change.new))


def is_found(name: str) -> bool:
    """Run the faults on a broken copy; what they find is printed."""
    with tempfile.TemporaryDirectory(prefix="wss-") as folder:
        broken_copy(name, Path(folder))
        command = [sys.executable, "-m", "tests.faults", "--seed", "6", "--seconds", "50"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    found = [line[:200] for line in ran.stdout.splitlines() if line.startswith("FAIL ")]
    lines = [f"{name}: {BREAKS[name].wrong}", *(found or ["  NOT FOUND"])]
    sys.stdout.write("\n".join(lines) + "\n")
    return bool(found)


if __name__ == "__main__":
    found = [is_found(name) for name in sys.argv[1:] or BREAKS]
    sys.exit(not all(found))
