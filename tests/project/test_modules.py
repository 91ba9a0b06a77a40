"""Every module has its test file: trio_wss/a/b.py is tested in tests/a/test_b.py."""

import ast
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).parents[2]


ELSEWHERE = {
    "cli/demo_nodes.py": "tests/cli/test_demo.py, as a process",
    "cli/emission.py": "tests/cli/test_emit.py, as a process",
    "cli/single.py": "tests/cli/test_run.py, as a process",
    "testing/cluster.py": "tests/cluster/test_*.py, which stand on it",
}
"""What has none, and where it is tested. This list only gets shorter."""

MOST_ELSEWHERE = 4


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
def test_a_module_has_its_test_file_or_stands_in_the_list(module: str) -> None:
    file = file_of(module)
    if module in ELSEWHERE:
        assert not file.is_file(), "strike it from the list"
    else:
        assert file.is_file()
        assert "def test_" in file.read_text()


def test_the_list_only_gets_shorter() -> None:
    assert len(ELSEWHERE) <= MOST_ELSEWHERE
    assert set(ELSEWHERE) <= set(MODULES)
    assert "commit/plan.py" in MODULES


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_places_in_the_list_exist(place: str) -> None:
    assert list(ROOT.glob(place.partition(";")[0].partition(",")[0]))
