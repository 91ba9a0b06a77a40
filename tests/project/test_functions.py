"""No function is longer than a screen."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "trio_wss"
MAX_LINES = 40

LONGER = {
    "client/client.py": {"connect"},
    "commit/plan.py": {"add"},
    "node/connection.py": {"_take"},
    "node/node.py": {"__init__"},
    "node/session.py": {"commit"},
    "node/supervisor.py": {"serve"},
    "ops/rates.py": {"load_between"},
    "store/link/link.py": {"__init__"},
}
"""Those that are. This list only gets shorter."""


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module with its lines, from its def to its end."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    longer: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        for name, lines in functions(path):
            if lines > MAX_LINES:
                longer.setdefault(str(path.relative_to(ROOT)), set()).add(name)
    assert longer == LONGER, "make it shorter, or strike it from the list"
