"""trio_wss/cli/apps.py: which app is run, and one sentence for each way it cannot be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_wss import App
from trio_wss.cli.apps import DEMO, find, folder, load
from trio_wss.errors import RegistrationError, SettingsError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, for apps whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_the_app_named_else_app_py_else_the_demo(here: Path) -> None:
    assert find("mine") == "mine:app"
    assert find("mine.sub:server") == "mine.sub:server"
    assert find("mine:") == "mine:app"
    assert find("mine:make()") == "mine:make()"
    assert find(None) == DEMO
    (here / "app.py").touch()
    assert find(None) == "app:app"


@pytest.mark.parametrize(
    ("target", "cure"),
    [
        ("chat.py", "trio-wss run chat:app"),
        ("./src/chat.py", "trio-wss run src.chat:app"),
        ("src/chat.py:server", r"src/chat.py is a file.* trio-wss run src.chat:server\.$"),
        ("chat.py:app", "trio-wss run chat:app"),
    ],
)
def test_a_file_is_no_module(target: str, cure: str) -> None:
    with pytest.raises(SettingsError, match=cure):
        find(target)


def test_the_demo_is_an_app() -> None:
    assert "say" in load(DEMO).handlers


def test_a_module_of_this_folder(here: Path) -> None:
    (here / "mine_a.py").write_text("from trio_wss import App\nserver = App()\n")
    assert load("mine_a:server") is sys.modules["mine_a"].server


SAY = "from trio_wss import App, Read\nfrom typing import Annotated\napp = App()\n"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import nonsense_\n",
            "cannot import mine_b: No module named 'nonsense_' .mine_b.py, line 1",
        ),
        ("1 / 0\n", r"cannot import mine_b: ZeroDivisionError: .* \(mine_b.py, line 1\)\.$"),
        ("\nx = y\n", r"NameError: name 'y' is not defined \(mine_b.py, line 2\)\.$"),
        ("def (\n", r"SyntaxError: invalid syntax \(mine_b.py, line 1\)\.$"),
        ("import json\njson.loads('')\n", r"JSONDecodeError: .* \(mine_b.py, line 2\)\.$"),
        ("", "mine_b has no app: write app = App"),
        ("app = 5", "mine_b has a int, not an App, as app"),
        ("from trio_wss import App\nserver = App()\n", "mine_b has no app: name mine_b:server"),
        ("from trio_wss import App as app\n", "mine_b has a type, not an App, as app: write app ="),
    ],
)
def test_why_it_cannot_be_run(code: str, says: str, here: Path) -> None:
    (here / "mine_b.py").write_text(code)
    with pytest.raises(SettingsError, match=says):
        load("mine_b:app")


HOLDERS = """
from trio_wss import App
class Holder:
    def __init__(self): self.app = App()
    def make(self): return self.app
    @property
    def late(self): return App()
class Mine(App): pass
holder = Holder()
def create_app(history=None): return holder.app
made = [App()]
"""


@pytest.mark.parametrize(
    "name",
    ["holder.app", "create_app", "create_app()", "holder.make", "holder.late", "Mine", "made.pop"],
)
def test_an_attribute_of_something_and_what_makes_an_app(name: str, here: Path) -> None:
    (here / "mine_h.py").write_text(HOLDERS)
    app = load(f"mine_h:{name}")
    assert isinstance(app, App)
    if name in ("holder.app", "create_app"):
        assert app is sys.modules["mine_h"].holder.app


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def make(config): ...", "mine_i:make is called to make the App, and must be callable wi"),
        ("def make(): return 5", "mine_i:make gave a int, not an App"),
        ("def make(): ...", "mine_i:make gave a NoneType, not an App"),
        ("async def make(): ...", "mine_i:make is async"),
        (
            "def make():\n    int('x')",
            r"mine_i:make made no App: ValueError: .*'x' .mine_i.py, line 2.\.$",
        ),
        ("class Odd(Exception): pass\ndef make(): raise Odd('!')", "made no App: Odd: !"),
        ("def make():\n    import nonsense_", "No module named 'nonsense_' .mine_i.py, line 2"),
        ("import types\nmake = types.SimpleNamespace()", "a SimpleNamespace, not an App, as make"),
        ("class make:\n    def __init__(self, x): ...", "must be callable without arguments"),
    ],
)
def test_why_a_factory_makes_no_app(code: str, says: str, here: Path) -> None:
    (here / "mine_i.py").write_text(code)
    with pytest.raises(SettingsError, match=says):
        load("mine_i:make")


def test_a_property_that_fails_is_one_sentence(here: Path) -> None:
    (here / "mine_j.py").write_text("class A:\n    @property\n    def app(self): 1 / 0\na = A()\n")
    with pytest.raises(SettingsError, match=r"look up mine_j:a\.app: ZeroDivisionError.*line 3"):
        load("mine_j:a.app")
    with pytest.raises(SettingsError, match=r"mine_j has no b\.app"):
        load("mine_j:b.app")


def test_a_wrong_handler_in_a_factory_keeps_its_text_and_gets_its_place(here: Path) -> None:
    body = SAY.replace("app = App()", "def make():\n  app = App()")
    (here / "mine_k.py").write_text(body + "  @app.on('say')\n  def say(event: 'Nobody'): ...\n")
    with pytest.raises(RegistrationError, match=r"Nobody.*\(mine_k.py, line 5\)"):
        load("mine_k:make")


def test_a_wrong_handler_keeps_its_text_and_gets_its_place(here: Path) -> None:
    (here / "mine_c.py").write_text(SAY + "@app.on('say')\ndef say(event: 'Nobody'): ...\n")
    with pytest.raises(RegistrationError, match=r"Nobody.*\(mine_c.py, line 4\)"):
        load("mine_c:app")


def test_what_is_not_there(here: Path) -> None:
    (here / "mine_d").mkdir()
    (here / "mine_d" / "__init__.py").touch()
    for target, missing in (("nowhere_:app", "nowhere_"), ("mine_d.sub:app", "mine_d.sub")):
        with pytest.raises(SettingsError, match=f"cannot find the module {missing}: run this in"):
            load(target)


def test_an_exotic_error_keeps_its_traceback(here: Path) -> None:
    (here / "mine_e.py").write_text("class Odd(Exception): pass\nraise Odd\n")
    with pytest.raises(Exception, match=r"^$") as caught:
        load("mine_e:app")
    assert type(caught.value).__name__ == "Odd"


def test_the_folder_of_an_app_is_found_without_importing_it(here: Path) -> None:
    (here / "mine_f.py").write_text("1 / 0")
    (here / "mine_g").mkdir()
    (here / "mine_g" / "__init__.py").write_text("1 / 0")
    assert folder("mine_f:app") == here
    assert folder("mine_g.sub:app") == here / "mine_g"
    with pytest.raises(SettingsError, match="cannot find the module nowhere_"):
        folder("nowhere_:app")
