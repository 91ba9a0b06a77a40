"""trio_wss/cli/log.py: lines on stderr, for people or for machines."""

import json
from collections.abc import Iterator

import pytest
import structlog

from trio_wss.cli import log


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    structlog.get_logger().debug("unseen")
    try:
        1 / 0  # noqa: B018 - for its traceback
    except ZeroDivisionError:
        structlog.get_logger().exception("failed", node="n")
    log.forget()
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    line = json.loads(err)
    assert (line["event"], line["level"], line["node"]) == ("failed", "error", "n")
    assert "ZeroDivisionError" in line["exception"]


def test_text(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    structlog.get_logger().warning("Redis is away", reason="refused")
    log.forget()
    out, err = capfd.readouterr()
    assert out == ""
    assert "Redis is away" in err
    assert "reason=refused" in err


def test_a_sentence_is_no_part_of_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    log.tell("before")
    log.configure("json")
    log.tell("behind")
    log.forget()
    assert capfd.readouterr() == ("", "before\nbehind\n")
