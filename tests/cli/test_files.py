"""trio_wss/cli/files.py: a node takes as many files as its connections need, or says so."""

import resource
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from trio_wss.cli.files import SPARE_FILES, allow_files

FILES = resource.RLIMIT_NOFILE


@pytest.fixture
def limit() -> Iterator[int]:
    """The hard limit of this process, whose soft one is put back at the end."""
    soft, hard = resource.getrlimit(FILES)
    yield hard
    resource.setrlimit(FILES, (soft, hard))


def test_the_soft_limit_is_raised_as_far_as_it_is_needed(limit: int) -> None:
    resource.setrlimit(FILES, (512, limit))
    with capture_logs() as logs:
        allow_files(1000)
    assert resource.getrlimit(FILES) == (1000 + SPARE_FILES, limit)
    assert logs == []


def test_it_is_never_lowered(limit: int) -> None:
    resource.setrlimit(FILES, (2048, limit))
    allow_files(100)
    assert resource.getrlimit(FILES) == (2048, limit)


def test_what_the_hard_limit_forbids_is_said(limit: int) -> None:
    if limit == resource.RLIM_INFINITY:
        pytest.skip("this process may open any number of files")
    resource.setrlimit(FILES, (512, limit))
    with capture_logs() as logs:
        allow_files(limit + 1)
    assert resource.getrlimit(FILES) == (limit, limit)
    [entry] = logs
    assert (entry["log_level"], entry["files"], entry["max_connections"]) == (
        "warning",
        limit,
        limit + 1,
    )


def test_no_limit_at_all_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (unlimited, unlimited))
    monkeypatch.setattr(resource, "setrlimit", None)
    allow_files(10**9)
