"""Where Redis is, as the command line is told: a URL, or a file that holds one, such as a secret
that an orchestrator mounts. What the file says is never in an error: it may hold a password.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from trio_wss.errors import SettingsError

MOST: Final = 4096  # bytes of a URL: whatever is longer is another file

redis_file: Final[Callable[..., Any]] = click.option(
    "--redis-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="REDIS_SERVER_FILE",
    show_envvar=True,
    help="A file that holds that URL, such as a secret.",
)


def find_redis_url(url: str | None, file: Path | None) -> str | None:
    """The URL that was given, or that the file holds; None if there is neither.

    Raises SettingsError where both are given, and for a file that cannot be read or is empty.
    """
    if file is None:
        return url
    if url is not None:
        raise SettingsError(
            "REDIS_SERVER and REDIS_SERVER_FILE (or --redis and --redis-file) are both set: leave"
            " one of them out."
        )
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST + 1).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it is not text"
        raise SettingsError(
            f"REDIS_SERVER_FILE names {file}, which cannot be read ({reason}): it must be a file"
            " that holds the URL of Redis."
        ) from None
    if not text or len(text) > MOST or len(text.split()) != 1:
        raise SettingsError(
            f"REDIS_SERVER_FILE names {file}, which must hold the URL of Redis and nothing else."
        )
    return text
