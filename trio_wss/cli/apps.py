"""From `module:app` to an App: found, imported, or refused with one sentence that says why."""

from __future__ import annotations

import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

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
    module, _, name = target.partition(":")
    if module.endswith(".py") or "/" in module:
        path = module.removesuffix(".py").strip("./").replace("/", ".")
        cure = f"trio-wss run {path}:{name or 'app'}"
        raise SettingsError(f"{module} is a file: name its module, as in {cure}.")
    return f"{module}:{name or 'app'}"


def load(target: str) -> App:
    """Import an app, or call its factory: `module:app`, `module:holder.app`, `module:create_app`.

    Raises SettingsError, or the RegistrationError of a wrong handler.
    """
    module_name, _, name = target.partition(":")
    path = name.removesuffix("()")  # as gunicorn has it
    _look_here()
    with _explained(f"import {module_name}", module_name):
        module = importlib.import_module(module_name)
    with _explained(f"look up {target}"):
        found = _look_up(module, path)
    if found is None:
        raise SettingsError(f"{module_name} has no {path}: {_cure(module)}")
    if isinstance(found, App):
        return found
    if not callable(found) or found is App:
        raise SettingsError(
            f"{module_name} has a {type(found).__name__}, not an App, as {path}: {_cure(module)}"
        )
    return _made(found, target)


def _look_up(module: ModuleType, path: str) -> Any:
    """The value at a dotted path, or None."""
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _cure(module: ModuleType) -> str:
    known = [name for name, value in vars(module).items() if isinstance(value, App)]
    if known:
        return f"name {module.__name__}:{known[0]}."
    return "write app = App() there."


def _made(factory: Callable[[], Any], target: str) -> App:
    """The App that a factory makes. Raises SettingsError if it wants arguments, fails, or returns
    anything else.
    """
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError):
        raise SettingsError(
            f"{target} is called to make the App, and must be callable without arguments."
        ) from None
    try:
        made = factory()
    except RegistrationError as error:
        raise RegistrationError(f"{error}{_place(error)}") from error
    except Exception as error:  # whatever the app's code raises is its own to mend
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError(f"{target} made no App: {reason}{_place(error)}.") from error
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that it was never awaited
        raise SettingsError(f"{target} is async, but nothing runs yet: make it a plain function.")
    if not isinstance(made, App):
        raise SettingsError(f"{target} gave a {type(made).__name__}, not an App.")
    return made


def folder(target: str) -> Path:
    """The folder whose files make the app, found without importing it. Raises SettingsError."""
    top = target.partition(":")[0].partition(".")[0]
    _look_here()
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise SettingsError(f"cannot find the module {top}: run this in the folder that holds it.")
    return Path(spec.origin).parent


def _look_here() -> None:
    """Let imports look in the current folder, as under `python -m` and not under `trio-wss`."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


@contextmanager
def _explained(attempt: str, module_name: str = "") -> Iterator[None]:
    """Explain an exception of the user's code in this block by the attempt that it broke. With a
    module's name, say whether that module is missing."""
    try:
        yield
    except RegistrationError as error:
        raise RegistrationError(f"{error}{_place(error)}") from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(f"cannot {attempt}: {error}{_place(error)}.") from error
        raise SettingsError(
            f"cannot find the module {error.name}: run this in the folder that holds it."
        ) from None
    except _FAULTS as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError(f"cannot {attempt}: {reason}{_place(error)}.") from error


def _place(error: BaseException) -> str:
    """The file and line of the user's code that raised, or "": never one of ours or Python's."""
    if isinstance(error, SyntaxError):
        return ""  # its text names the file and the line
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        pythons = _STDLIB in path.parents and "site-packages" not in path.parts
        if path.is_file() and not pythons and _OURS not in path.parents:
            return f" ({path.name}, line {frame.lineno})"
    return ""
