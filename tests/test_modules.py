"""Every module has its test file: trio_wss/a/b.py is tested in tests/test_a_b.py."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLUSTER = "tests/test_cluster_*.py; its folder is about to be laid out anew"

ELSEWHERE = {
    "cli/cluster.py": "tests/test_cli_top.py",
    "cli/demo_nodes.py": "tests/test_cli_demo.py, as a process",
    "cli/emission.py": "tests/test_cli_emit.py, as a process",
    "cli/single.py": "tests/test_cli_run.py, as a process",
    "cli/tables.py": "tests/test_cli_top.py",
    "node/connection.py": CLUSTER,
    "node/health.py": "tests/test_web_ops.py; its folder is about to be laid out anew",
    "node/hub.py": CLUSTER,
    "node/load.py": "tests/test_node_statistics.py; its folder is about to be laid out anew",
    "node/memberships.py": CLUSTER,
    "node/metrics.py": "tests/test_node_ops.py; its folder is about to be laid out anew",
    "node/node.py": CLUSTER,
    "node/pulse.py": "tests/test_node_survey.py; its folder is about to be laid out anew",
    "node/session.py": CLUSTER,
    "node/settle.py": "tests/test_cluster_serialisable.py; its folder is about to be laid out anew",
    "node/snapshot.py": "tests/test_node_statistics.py; its folder is about to be laid out anew",
    "node/supervisor.py": CLUSTER,
    "node/topic.py": CLUSTER,
    "testing/cluster.py": "tests/test_cluster_*.py, which stand on it",
}
"""What has none, and where it is tested. This list only gets shorter."""

MOST_ELSEWHERE = 19


def has_code(path: Path) -> bool:
    """Whether it is more than re-exports or a call of main."""
    return any(
        not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign | ast.If)
        for node in ast.parse(path.read_text()).body
    )


def file_of(module: str) -> Path:
    name = module.removesuffix(".py").removesuffix("/__init__").replace("/", "_")
    return ROOT / f"tests/test_{name}.py"


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
    assert "plan.py" in MODULES


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_places_in_the_list_exist(place: str) -> None:
    assert list(ROOT.glob(place.partition(";")[0].partition(",")[0]))
