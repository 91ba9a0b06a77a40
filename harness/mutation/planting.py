"""Plant one small bug at a time in a pure module and see whether the pure tests notice:
`make mutation`, or `python -m harness.mutation commit/plan effects --survivors`.

Each mutant is a process of its own, forked before the package is imported: hooks and templates
that a first import keeps would hide it.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import resource
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from hypothesis import settings

from harness.mutation.equivalent import EQUIVALENT
from tests.support.pure import PURE_MODULES, PURE_TESTS, file_of

ROOT: Final = Path(__file__).parents[2]
GOAL: Final = 0.9
CPU: Final = 60  # seconds: a mutant that runs on counts as noticed
MEMORY: Final = 4 << 30  # bytes
BEFORE: Final = (  # imported once for all mutants: everything that is not ours
    "hypothesis.strategies", "attrs", "cattrs.preconf.orjson", "trio", "trio_websocket", "redis",
    "hiredis", "structlog", "prometheus_client", "typing_extensions", "click",
)  # fmt: skip

SWAPPED: Final[dict[type, type]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div,
}  # fmt: skip


def changes(node: Any) -> Iterator[ast.AST]:
    """What a node may be changed into."""
    match node:
        case ast.Compare():
            for place, op in enumerate(node.ops):
                ops = [*node.ops[:place], SWAPPED[type(op)](), *node.ops[place + 1 :]]
                yield with_(node, ops=ops)
        case ast.BoolOp() | ast.BinOp() | ast.AugAssign() if type(node.op) in SWAPPED:
            yield with_(node, op=SWAPPED[type(node.op)]())
        case ast.If() | ast.While() | ast.IfExp():
            yield with_(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension(ifs=[first, *rest]):
            yield with_(node, ifs=[ast.UnaryOp(ast.Not(), first), *rest])
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=str(value)):
            yield ast.Constant(value + "x")
        case ast.Return(value=ast.expr()):
            yield with_(node, value=ast.Constant(None))
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Call(args=[first, second, *rest]):
            yield with_(node, args=[second, first, *rest])


def with_(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


class Planter(ast.NodeTransformer):
    """Makes the change with this number; with none, it counts them and says what each is."""

    def __init__(self, text: str, wanted: int = -1) -> None:
        self.lines = text.splitlines()
        self.wanted = wanted
        self.told: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        for changed in changes(node):
            if ast.dump(changed) == ast.dump(node):
                continue  # `return None`, `f(a, a)`
            before, after = (ast.unparse(one).split("\n")[0] for one in (node, changed))
            place = node.target if isinstance(node, ast.comprehension) else node
            assert isinstance(place, ast.stmt | ast.expr)
            line = self.lines[place.lineno - 1]
            self.told.append(f"{line.strip()} | {before} -> {after}")
            if len(self.told) - 1 == self.wanted:
                return changed
        match node:
            # Words of errors, types, and text that is no code.
            case ast.Raise() | ast.JoinedStr() | ast.arg() | ast.Expr(value=ast.Constant()):
                return node
            case ast.Subscript(value=ast.Name(id="Literal")):
                return node
            case ast.AnnAssign():
                node.value = node.value and self.visit(node.value)
                return node
            case ast.FunctionDef():
                node.args = self.visit(node.args)
                node.body = [self.visit(statement) for statement in node.body]
                return node
        return self.generic_visit(node)


def source(module: str) -> str:
    return (ROOT / f"trio_wss/{module}.py").read_text()


def planted(module: str, number: int) -> ast.Module:
    text = source(module)
    tree = Planter(text, number).visit(ast.parse(text))
    assert isinstance(tree, ast.Module)
    return ast.fix_missing_locations(tree)


def mutants(module: str) -> list[str]:
    planter = Planter(source(module))
    planter.visit(ast.parse(source(module)))
    return planter.told


class Instead(MetaPathFinder, Loader):
    """Imports a module from a tree that was changed."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.name = f"trio_wss.{module.replace('/', '.')}"
        self.file = str(ROOT / f"trio_wss/{module}.py")
        self.tree = tree

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self, origin=self.file) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.file
        exec(compile(self.tree, self.file, "exec"), module.__dict__)


def notices(module: str, number: int) -> None:
    """In a process of its own: run the tests, its own first. Exits with 0 if none fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    settings.register_profile(
        "quick", max_examples=10, deadline=None, database=None, derandomize=True
    )
    settings.load_profile("quick")
    sys.meta_path.insert(0, Instead(module, planted(module, number)))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["MUTANT"] = module
    options = ["-x", "-q", "-c", os.devnull, "--rootdir", str(ROOT), "--noconftest", "--tb=no"]
    options += ["--assert=plain", "-W", "error", "-p", "no:cacheprovider"]
    own = file_of(module)
    code = pytest.main([*options, own])
    if code == 0:
        code = pytest.main([*options, *(test for test in PURE_TESTS if test != own)])
    os._exit(int(code))


def survivors(module: str, jobs: int) -> list[str]:
    """The mutants that no test notices, as they are told."""
    told = mutants(module)
    running: dict[int, int] = {}
    found: list[int] = []
    for number in [*range(-1, len(told)), *[None] * jobs]:
        while running and (number is None or len(running) >= jobs):
            process, status = os.wait()
            ended = running.pop(process)
            if ended < 0 and status:
                raise SystemExit(f"the tests fail without a mutant of {module}")
            if ended >= 0 and status == 0:
                found.append(ended)
        if number is not None:
            if (process := os.fork()) == 0:
                notices(module, number)
            running[process] = number
    return [told[number] for number in sorted(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=PURE_MODULES)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    os.chdir(ROOT)
    for name in BEFORE:
        import_module(name)
    low = []
    for module in options.modules:
        alive = survivors(module, options.jobs)
        known = EQUIVALENT.get(module, {})
        left = [one for one in alive if one not in known]
        total = len(mutants(module)) - (len(alive) - len(left))
        share = 1 - len(left) / total
        print(f"{module:18} {total:5} mutants, {share:6.1%} noticed", flush=True)
        print(*(f"    {one}" for one in left), sep="\n", flush=True)
        if share < GOAL:
            low.append(module)
    if low:
        raise SystemExit(f"under {GOAL:.0%}: {', '.join(low)}")
