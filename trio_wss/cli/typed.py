"""Settings as they are typed: `--port (SERVER_PORT)` and not `port`, and the values of `--set`. All
names come from the command that runs, so none can be forgotten here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from attrs import fields

from trio_wss.cli.faults import leaves
from trio_wss.cli.redis_url import given_redis
from trio_wss.errors import SettingsError, WrongSetting
from trio_wss.settings import Settings


@contextmanager
def as_typed() -> Iterator[None]:
    """Name a wrong setting as it is typed. Use it around or inside a command's function."""
    try:
        yield
    except (WrongSetting, BaseExceptionGroup) as error:
        match list(leaves(error)):
            case [WrongSetting() as wrong]:
                raise SettingsError(f"{_title(wrong.setting)} {wrong.complaint}") from None
            case _:
                raise


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """The settings of `--set`, written as `name=value`: numbers that have no flag of their own.

    Raises SettingsError.
    """
    known = {
        one.name: one.type
        for one in fields(Settings)
        if one.type in (int, float) and _option(one.name) is None
    }
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if (option := _option(name)) is not None:
            raise SettingsError(f"--set is not for {name}: use {option.opts[0]}.")
        kind = known.get(name)
        if kind is None:
            raise SettingsError(f"--set knows no {name!r}: there are {', '.join(known)}.")
        if not equals:
            raise SettingsError(f"--set {name} has no value: write {name}=NUMBER.")
        try:
            values[name] = kind(text)
        except ValueError:
            noun = "a whole number" if kind is int else "a number"
            raise WrongSetting(name, f"must be {noun}, not {text!r}.") from None
    return values


def _title(setting: str) -> str:
    """The name of a setting where it was given."""
    context = click.get_current_context()
    if setting == "redis" and given_redis(context)[0] is None:
        return f"the URL in {_title('redis_file')}"
    option = _option(setting)
    if option is None:
        return f"--set {setting}"
    return option.opts[0] + (f" ({option.envvar})" if option.envvar else "")


def _option(name: str) -> click.Option | None:
    """The running command's option that has this name or is for this setting."""
    for one in click.get_current_context().command.params:
        if isinstance(one, click.Option) and name in (one.name, one.opts[0].removeprefix("--")):
            return None if one.hidden or one.name == "pairs" else one
    return None
