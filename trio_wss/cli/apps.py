"""From `module:app` to an App: found, imported, or refused with one sentence that says why."""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from trio_wss.app import App
from trio_wss.errors import RegistrationError, SettingsError

DEMO = "trio_wss.demo:app"

_OURS = Path(__file__).parents[1]
_STDLIB = Path(sysconfig.get_paths()["stdlib"])

# What a module does wrong when it is imported. Anything more exotic keeps its traceback.
_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def find(target: str | None) -> str:
    """The app to run: the one named, else `app.py` in the current folder, else the demo."""
    if target is None:
        return "app:app" if Path("app.py").is_file() else DEMO
    if target.endswith(".py") or "/" in target:
        name = target.removesuffix(".py").strip("./").replace("/", ".")
        raise SettingsError(f"{target} is a file: name its module, as in trio-wss run {name}:app.")
    return target if ":" in target else f"{target}:app"


def load(target: str) -> App:
    """Import the app. Raises SettingsError, or the RegistrationError of a wrong handler."""
    module_name, _, name = target.partition(":")
    _look_here()
    with _explained(module_name):
        module = importlib.import_module(module_name)
    app = getattr(module, name, None)
    if not isinstance(app, App):
        found = "has no" if app is None else f"has a {type(app).__name__}, not an App, as"
        raise SettingsError(f"{module_name} {found} {name}: write {name} = App() there.")
    return app


def folder(target: str) -> Path:
    """The folder whose files make the app, found without importing it. Raises SettingsError."""
    top = target.partition(":")[0].partition(".")[0]
    _look_here()
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise SettingsError(f"cannot find the module {top}: run this in the folder that holds it.")
    return Path(spec.origin).parent


def _look_here() -> None:
    """`python -m` looks in the current folder, the `trio-wss` script must be told to."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


@contextmanager
def _explained(module_name: str) -> Iterator[None]:
    try:
        yield
    except RegistrationError as error:
        raise RegistrationError(f"{error}{_place(error)}") from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(f"cannot import {module_name}: {error}{_place(error)}.") from error
        raise SettingsError(
            f"cannot find the module {error.name}: run this in the folder that holds it."
        ) from None
    except _FAULTS as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError(f"cannot import {module_name}: {reason}{_place(error)}.") from error


def _place(error: BaseException) -> str:
    """The file and line of the user's that raised, or "": never one of ours or Python's."""
    if isinstance(error, SyntaxError):
        return ""  # its text names the file and the line
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        pythons = _STDLIB in path.parents and "site-packages" not in path.parts
        if path.is_file() and not pythons and _OURS not in path.parents:
            return f" ({path.name}, line {frame.lineno})"
    return ""
