"""Every module has its test file: trio_wss/a/b.py is tested in tests/a/test_b.py."""

import ast
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).parents[2]


def has_code(path: Path) -> bool:
    """Whether it is more than re-exports or a call of main."""
    return any(
        not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign | ast.If)
        for node in ast.parse(path.read_text()).body
    )


def file_of(module: str) -> Path:
    """The test file of a module; that of a package has the package's name."""
    path = PurePath(module)
    name = path.parent.name if path.stem == "__init__" else path.stem
    return ROOT / "tests" / path.parent / f"test_{name}.py"


MODULES = [
    str(path.relative_to(ROOT / "trio_wss"))
    for path in sorted((ROOT / "trio_wss").rglob("*.py"))
    if has_code(path)
]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_test_file(module: str) -> None:
    file = file_of(module)
    assert file.is_file()
    assert "def test_" in file.read_text()


def test_modules_are_found() -> None:
    assert {"commit/plan.py", "node/topics/hub.py", "cli/single.py"} <= set(MODULES)
