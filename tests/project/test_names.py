"""One word, one thing: no public name at the top of two modules means two things."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import trio_wss

ROOT = Path(trio_wss.__file__).parent

SAME_ON_BOTH_SIDES = "the client's side of the same thing; a client's program loads no server"
OF_USERS = "a name of its package, which users import"

MORE_THAN_ONCE = {
    "Client": f"{OF_USERS}: a client as handlers see it, and one that is a program's own",
    "Connection": "either end's",
    "decode": SAME_ON_BOTH_SIDES,
    "encode": SAME_ON_BOTH_SIDES,
    "shown": SAME_ON_BOTH_SIDES,
    "welcome": SAME_ON_BOTH_SIDES,
}
"""Those that two modules have all the same, and why. This list only gets shorter."""


def names(path: Path) -> Iterator[str]:
    """What a module defines at its top."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def homes() -> dict[str, list[str]]:
    """Public names, and the modules that define them; the demo is an app, with names of its own."""
    found = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        module = path.relative_to(ROOT)
        if module.parts[0] == "demo":
            continue
        for name in names(path):
            if not name.startswith("_") and name != "log" and len(name) > 2:
                found[name].append(str(module))
    return found


def test_a_public_name_has_one_home() -> None:
    several = {name: modules for name, modules in homes().items() if len(modules) > 1}
    assert several.keys() - MORE_THAN_ONCE.keys() == set(), several


def test_the_list_only_gets_shorter() -> None:
    assert len(MORE_THAN_ONCE) <= 6
    found = homes()
    assert [name for name in MORE_THAN_ONCE if len(found[name]) < 2] == []
