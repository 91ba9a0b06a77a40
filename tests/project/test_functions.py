"""No function is longer than a screen."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "trio_wss"
MAX_LINES = 40


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module with its lines, from its def to its end."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}": lines
        for path in ROOT.rglob("*.py")
        for name, lines in functions(path)
    }
    assert len(found) > 1000
    assert {name: lines for name, lines in found.items() if lines > MAX_LINES} == {}
