"""Watches files by asking for their times, so that it needs no library on any system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import trio

_EVERY: Final = 0.3  # seconds between two looks
_WATCHED: Final = (".py", ".html", ".css", ".js", ".mjs", ".json", ".svg")  # the static files too
_SKIPPED: Final = {"__pycache__", "node_modules", "site-packages"}

FolderState = dict[str, tuple[int, int]]


def snapshot(folder: Path) -> FolderState:
    """Time and size of every source file below a folder, without hidden folders and venvs."""
    found: FolderState = {}
    for path, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in _SKIPPED and name[0] != "."]
        for name in files:
            if name.endswith(_WATCHED):
                file = os.path.join(path, name)  # noqa: PTH118 - a Path for each file is slow
                try:
                    stat = os.stat(file)  # noqa: PTH116 - as above
                except OSError:
                    continue  # gone between the two calls
                found[file] = (stat.st_mtime_ns, stat.st_size)
    return found


class Watch:
    """The files of a folder, as they were when last asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = snapshot(folder)

    async def edited(self) -> None:
        """Wait until a file has changed, is new or is gone since we last asked."""
        while True:
            now = await trio.to_thread.run_sync(snapshot, self._folder)
            if now != self._seen:
                self._seen = now
                return
            await trio.sleep(_EVERY)
