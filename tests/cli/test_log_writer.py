"""trio_wss/cli/log_writer.py: whoever reads the log, or does not, nobody waits for it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from trio_wss.cli.log_writer import LogWriter

PATIENCE = 30.0
LINE = f"{'x' * 999}\n"


class Pipe:
    """A pipe that a writer writes to, and that is read here."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()

    def close(self) -> None:
        for end in (self.out, self.into):
            with suppress(OSError):  # a test may have closed it
                os.close(end)

    def read(self, until: str) -> str:
        text = ""
        while until not in text:
            text += os.read(self.out, 1 << 16).decode()
        return text


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def nothing_is_told(_: int) -> None:
    raise AssertionError


def test_lines_come_out_in_order(pipe: Pipe) -> None:
    writer = LogWriter(pipe.into, nothing_is_told)
    for number in range(1000):
        writer.write(f"{number} é \udc80\n")
    lines = pipe.read("999 é").splitlines()
    assert lines[:2] == ["0 é \\udc80", "1 é \\udc80"]
    assert [int(line.split()[0]) for line in lines] == list(range(1000))
    writer.finish(PATIENCE)


def test_a_reader_that_stopped_costs_lines_and_no_time(pipe: Pipe) -> None:
    def tell(lines: int) -> None:
        told.append(lines)
        writer.write(f"missing {lines}\n")

    told: list[int] = []
    writer = LogWriter(pipe.into, tell, most=300_000)
    for _ in range(1000):
        writer.write(LINE)
    before = time.monotonic()
    writer.finish(0.05)  # it is not out, and we do not wait for it
    assert time.monotonic() - before < PATIENCE / 2
    assert told == []
    text = pipe.read("missing")
    writer.write("the end\n")
    text += pipe.read("the end")
    writer.finish(PATIENCE)
    assert len(told) == 1
    assert text.count(LINE) + told[0] == 1000
    assert 300_000 <= len(LINE) * text.count(LINE) <= 300_000 + (1 << 17)  # and the pipe's own


def test_one_line_may_be_longer_than_all_that_may_wait(pipe: Pipe) -> None:
    writer = LogWriter(pipe.into, nothing_is_told, most=10)
    writer.write(LINE)
    assert pipe.read("\n") == LINE


def test_a_pipe_that_is_closed_is_no_error(pipe: Pipe) -> None:
    writer = LogWriter(pipe.into, nothing_is_told)
    os.close(pipe.out)
    for _ in range(3):
        writer.write(LINE)
        writer.finish(PATIENCE)
    os.write(pipe.into, b"others may write there, too")


def test_a_full_disk_is_no_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        writer = LogWriter(full, nothing_is_told)
        for _ in range(3):
            writer.write(LINE)
            writer.finish(PATIENCE)
    finally:
        os.close(full)


def test_nothing_runs_before_the_first_line(pipe: Pipe) -> None:
    before = threading.active_count()
    LogWriter(pipe.into, nothing_is_told)
    assert threading.active_count() == before


PROGRAM = """
import sys
from trio_wss.cli import log
import structlog
log.configure("json")
for number in range(int(sys.argv[1])):
    structlog.get_logger().info("line", number=number, text="x" * 1000)
"""


def test_the_last_lines_get_out_at_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "200"], stderr=subprocess.PIPE, timeout=PATIENCE, check=True
    )
    assert done.stderr.count(b"\n") == 200
    assert b'"number": 199' in done.stderr


def test_a_process_ends_though_nobody_reads_its_log() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "200"], stderr=subprocess.PIPE
    ) as process:
        assert process.wait(PATIENCE) == 0
