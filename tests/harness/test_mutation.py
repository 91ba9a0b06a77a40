"""harness/mutation/planting.py: what it plants, and that its list of exceptions is up to date."""

import ast

import pytest

from harness.mutation.equivalent import EQUIVALENT
from harness.mutation.planting import Planter, mutants, planted
from tests.support.pure import PURE_MODULES


@pytest.mark.parametrize("module", EQUIVALENT)
def test_each_exception_is_a_mutant(module: str) -> None:
    assert set(EQUIVALENT[module]) - set(mutants(module)) == set()


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_mutant_is_another_program(module: str) -> None:
    before = ast.unparse(planted(module, -1))
    for number in range(0, len(mutants(module)), 20):
        assert ast.unparse(planted(module, number)) != before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a < 1", ["a < 1 -> a <= 1", "1 -> 2", "1 -> 0"]),
        ("a and b", ["a and b -> a or b"]),
        ("f(a, b)", ["f(a, b) -> pass", "f(a, b) -> f(b, a)"]),
        ("raise E('x')", ["raise E('x') -> pass"]),
        ("f(a, a)", ["f(a, a) -> pass"]),
        ("x = f'{a}b'", []),
        ("x: 'T' = True", ["True -> False"]),
        ("'words'", []),
    ],
)
def test_what_is_planted(text: str, told: list[str]) -> None:
    planter = Planter(text)
    planter.visit(ast.parse(text))
    assert planter.told == [f"{text} | {one}" for one in told]
