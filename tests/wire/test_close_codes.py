"""The close codes: as many as the protocol tells of, and no number for one of them elsewhere."""

import ast
import re
from pathlib import Path

from trio_wss.wire.close_codes import NEVER_SENT, CloseCode

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([0-9, ]+) \| .+ \| .+ \|$", re.MULTILINE)


def table() -> list[int]:
    """The codes that docs/protocol.md explains, in its order."""
    chapter = (ROOT / "docs" / "protocol.md").read_text().partition("\n## Closing\n")[2]
    rows = ROW.findall(chapter.partition("\n## ")[0])
    return [int(code) for row in rows for code in row.split(", ")]


def test_the_protocol_explains_every_code_that_travels() -> None:
    assert table() == sorted(set(CloseCode) - NEVER_SENT)


def test_what_never_travels_is_what_the_rfc_says() -> None:
    assert sorted(NEVER_SENT) == [1005, 1006, 1015]


def test_the_server_writes_no_code_as_a_number() -> None:
    for folder in ("wire", "node", "ops", "cli"):
        for path in (ROOT / "trio_wss" / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and (name_of(call.func) in TAKE_A_CODE):
                    assert not any(is_code(argument) for argument in call.args), path


TAKE_A_CODE = {"seal", "Closed", "close", "_close", "close_soon", "farewell", "retire"}


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def is_code(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant) and isinstance(argument.value, int)
