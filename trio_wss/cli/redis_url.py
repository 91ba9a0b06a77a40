"""The address of Redis on the command line: a URL, or a file that holds one, such as a secret that
an orchestrator mounts. No error shows the file's text, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from trio_wss.errors import SettingsError

MAX_URL: Final = 4096  # bytes of a URL: whatever is longer is another file

_FLAG: Final = ParameterSource.COMMANDLINE
_NAME: Final = "--redis-file (REDIS_SERVER_FILE)"

redis_file: Final[Callable[..., Any]] = click.option(
    "--redis-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="REDIS_SERVER_FILE",
    show_envvar=True,
    help="A file that holds that URL, such as a secret.",
)


def given_redis(context: click.Context) -> tuple[str | None, Path | None]:
    """The values of --redis and --redis-file for a command: a flag wins over both variables."""
    given = {name: context.params.get(name) for name in ("redis", "redis_file")}
    flags = [name for name in given if context.get_parameter_source(name) is _FLAG]
    if len(flags) == 1:
        given = {name: value for name, value in given.items() if name in flags}
    return given.get("redis"), given.get("redis_file")


def find_redis_url() -> str | None:
    """The URL that the running command was given, or that the file holds; None for neither.

    Raises SettingsError if both are given, and for a file that cannot be read or is empty.
    """
    url, file = given_redis(click.get_current_context())
    if file is None:
        return url
    if url is not None:
        raise SettingsError(
            "--redis (REDIS_SERVER) and --redis-file (REDIS_SERVER_FILE) are both set: leave one of"
            " them out."
        )
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_URL + 1).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it is not text"
        raise SettingsError(
            f"{_NAME} names {file}, which cannot be read ({reason}): it must be a file that holds"
            " the URL of Redis."
        ) from None
    if not text or len(text) > MAX_URL or len(text.split()) != 1:
        raise SettingsError(
            f"{_NAME} names {file}, which must hold the URL of Redis and nothing else."
        )
    return text
