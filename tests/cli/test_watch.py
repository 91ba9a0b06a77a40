"""trio_wss/cli/watch.py: an edit is noticed, whatever it is; nothing else is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from trio_wss.cli.watch import Watch, snapshot


def edit(folder: Path) -> None:
    (folder / "a.py").write_text("two")


def edit_of_the_same_size_and_second(folder: Path) -> None:
    file = folder / "a.py"
    times = file.stat()
    file.write_text("eno")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1))


def add(folder: Path) -> None:
    (folder / "sub" / "b.py").write_text("")


def add_a_page(folder: Path) -> None:
    (folder / "sub" / "index.html").write_text("")


def remove(folder: Path) -> None:
    (folder / "a.py").unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.py").write_text("one")
    return tmp_path


@pytest.mark.parametrize(
    "change", [edit, edit_of_the_same_size_and_second, add, add_a_page, remove]
)
async def test_what_is_an_edit(change: Callable[[Path], None], folder: Path) -> None:
    watch = Watch(folder)
    change(folder)
    with trio.fail_after(10):
        await watch.edited()


async def test_it_waits_for_one(folder: Path) -> None:
    watch = Watch(folder)
    noticed = trio.Event()

    async def wait() -> None:
        await watch.edited()
        noticed.set()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(0.4)  # longer than between two looks: it has looked and seen nothing
            assert not noticed.is_set()
            edit(folder)
            await noticed.wait()


def test_what_is_left_out(folder: Path) -> None:
    for place in (".hidden", "__pycache__", "node_modules", "venv/lib"):
        (folder / place).mkdir(parents=True)
        (folder / place / "x.py").touch()
    (folder / "venv" / "pyvenv.cfg").touch()
    (folder / "notes.txt").touch()
    (folder / "gone.py").symlink_to(folder / "nowhere")
    assert list(snapshot(folder)) == [str(folder / "a.py")]
