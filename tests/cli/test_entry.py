"""trio_wss/cli/entry.py: how each way of ending becomes an exit code."""

from collections.abc import Callable

import click
import pytest

from trio_wss.cli.children import ChildFailed
from trio_wss.cli.entry import call, commands, main
from trio_wss.errors import RegistrationError, SettingsError, Unavailable


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | int], None]:
    """Make `trio-wss run` end in this way."""

    def set_ending(end: BaseException | int) -> None:
        @click.command()
        def run() -> int:
            if isinstance(end, BaseException):
                raise end
            return end

        monkeypatch.setitem(commands.commands, "run", run)

    return set_ending


def grouped(error: BaseException) -> BaseException:
    return BaseExceptionGroup("", [BaseExceptionGroup("", [error])])


@pytest.mark.parametrize("wrap", [lambda error: error, grouped], ids=["bare", "grouped"])
@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (SettingsError("port is wrong."), 2, "trio-wss: port is wrong.\n"),
        (RegistrationError("handler say:\n  no such field"), 2, "handler say: no such field\n"),
        (ChildFailed(7), 7, ""),
        (ChildFailed(-9), 137, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_is_told_and_the_code(
    error: BaseException,
    code: int,
    says: str,
    wrap: Callable[[BaseException], BaseException],
    ending: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ending(wrap(error))
    assert call(["run"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(says)
    assert bool(err.strip()) == bool(says)


@pytest.mark.parametrize("error", [Unavailable(), grouped(ZeroDivisionError())])
def test_what_is_our_own_fault_keeps_its_traceback(
    error: BaseException, ending: Callable[[BaseException], None]
) -> None:
    ending(error)
    with pytest.raises(type(error)):
        call(["run"])


def test_two_errors_at_once_are_a_group(ending: Callable[[BaseException], None]) -> None:
    ending(ExceptionGroup("", [SettingsError("a"), ValueError("b")]))
    with pytest.raises(ExceptionGroup):
        call(["run"])


def test_main_exits_with_the_code(ending: Callable[[int], None]) -> None:
    ending(1)
    with pytest.raises(SystemExit) as caught:
        main(["run"])
    assert caught.value.code == 1


def test_main_reads_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["trio-wss", "--version"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("trio-wss, version ")
