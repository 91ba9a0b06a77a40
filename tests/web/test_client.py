"""trio_wss/web/trio-wss.js under Node's test runner, and its types under TypeScript."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TSC = ROOT / ".cache/npm/node_modules/.bin/tsc"


PAGES = [ROOT / "docs/browser.md", ROOT / "trio_wss/web/README.md"]
CODE = re.compile(r"^```(?:js|html)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def tool(*names: str | Path) -> str:
    """The first of these that is here. Without any the test is skipped, and fails in CI."""
    for name in names:
        if found := shutil.which(name):
            return found
    missing = f"there is no {names[0]} here"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def succeed(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_passes_its_own_tests() -> None:
    report = succeed(tool("node"), "--test", "--test-reporter=tap", "tests/web/js/")
    assert "\n# fail 0" in report
    assert "\n# tests 0" not in report


def test_its_types_allow_and_refuse_what_they_should() -> None:
    succeed(tool(TSC), "-p", "tests/web/js")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_in_its_docs_parses(page: Path, tmp_path: Path) -> None:
    blocks = [re.sub(r"</?script.*?>", "", block) for block in CODE.findall(page.read_text())]
    assert blocks
    for block in blocks:
        (tmp_path / "block.mjs").write_text(block)
        succeed(tool("node"), "--check", tmp_path / "block.mjs")


def test_its_docs_name_everything_that_the_types_do() -> None:
    text = PAGES[0].read_text()
    types = (ROOT / "trio_wss/web/trio-wss.d.ts").read_text()
    names = re.findall(r"^  (?:readonly )?\"?([\w.]+)\"?[?:(<]", types, re.MULTILINE)
    assert {"backOff", "wss.joined", "reconnect", "topics"} <= set(names)
    assert {name for name in names if name not in text} <= {"name", "constructor"}
