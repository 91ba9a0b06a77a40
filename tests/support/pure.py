"""The tests that need nothing but the processor: they import neither trio nor redis nor what opens
sockets and starts processes, they await nothing, they ask for no server, and none of their helpers
does. As a pytest plugin (`-p tests.support.pure`) this runs these tests alone, unless others are
named, and holds them to it.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
IMPURE: Final = frozenset(
    [
        "trio", "redis", "hiredis", "socket", "ssl", "subprocess", "multiprocessing", "threading",
        "asyncio", "mypy",
    ]
)  # fmt: skip
SERVERS: Final = frozenset(
    ["redis_binary", "redis_url", "shared_redis", "own_redis", "make_redis", "chromium"]
)


def file_of(module: str) -> str:
    """The test file of a module, whose path is given below the package, without its suffix."""
    folder, slash, name = module.rpartition("/")
    return f"tests/{folder}{slash}test_{name}.py"


PURE_MODULES: Final = [
    "app", "commit/ops", "commit/plan", "data/annotations", "data/converter", "data/json",
    "data/scalars", "effects", "errors", "handling/handler", "handling/signature",
    "handling/template", "reads", "settings",
]  # fmt: skip
"""The language: what import-linter keeps from I/O."""

PURE_TESTS: Final = [
    *(file_of(module) for module in PURE_MODULES),
    "tests/testing/test_kinds.py",
    "tests/testing/test_memory.py",
    "tests/testing/test_model.py",
]
"""What tests the language: each mutant is run against these."""

FORBIDDEN: Final = ("subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system",
                    "socket.bind", "socket.connect")  # fmt: skip
"""What a pure test never does, as Python's audit calls it."""


def pure_tests() -> list[str]:
    """The files of all pure tests."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if not impurities(file)]


def impurities(file: Path) -> set[str]:
    """What in a file, or in a helper of it, is not pure."""
    found: set[str] = set()
    files = [file]
    for one in files:
        names, helpers = own(one)
        found |= names
        files += [helper for helper in helpers if helper not in files]
    return found


@cache
def own(file: Path) -> tuple[frozenset[str], frozenset[Path]]:
    """What in a file itself is not pure, and its helpers."""
    found, helpers = set(), set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                found.add(f"async {name}")
            case ast.arg(arg=name) if name in SERVERS:
                found.add(name)
            case ast.Import() | ast.ImportFrom():
                for module in imported(node):
                    helper = ROOT / f"{module.replace('.', '/')}.py"
                    if module.partition(".")[0] in IMPURE:
                        found.add(module)
                    elif module.startswith(("tests.", "harness.")) and helper.is_file():
                        helpers.add(helper)
    return frozenset(found), frozenset(helpers)


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif node.module:
        yield node.module
        yield from (f"{node.module}.{name.name}" for name in node.names)


def pytest_configure(config: pytest.Config) -> None:
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args[:] = pure_tests()


def pytest_sessionstart() -> None:
    def refuse(event: str, arguments: Any) -> None:
        if event in FORBIDDEN:
            raise RuntimeError(f"a pure test does no {event}: {arguments}")

    sys.addaudithook(refuse)
