"""The entry point: a wrong call ends with one sentence and exit code 2."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from trio_wss.cli import log
from trio_wss.cli.children import WRONG_CALL, ChildFailed
from trio_wss.cli.connect import connect_command
from trio_wss.cli.demo import demo
from trio_wss.cli.emit import emit
from trio_wss.cli.faults import leaves
from trio_wss.cli.run import run
from trio_wss.cli.top import top, topics
from trio_wss.errors import EmbeddedEnded, RegistrationError, SettingsError, WssError

FAILED = 1
"""The exit code after the loss of something that the process needs."""

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="trio-wss", prog_name="trio-wss")
def commands() -> None:
    """A WebSocket server for many nodes: atomic effects, one order, on Trio and Redis."""


commands.add_command(run)
commands.add_command(connect_command)
commands.add_command(demo)
for command in (top, topics, emit):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code when all output is written."""
    try:
        return _call(arguments)
    finally:
        log.forget()


def _call(arguments: Sequence[str]) -> int:
    try:
        code = commands.main(list(arguments), prog_name="trio-wss", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return WRONG_CALL
    except click.ClickException as error:
        return complain(error.format_message())
    except click.Abort:  # click's name for Ctrl-C
        return INTERRUPTED
    except (WssError, BrokenPipeError, BaseExceptionGroup) as error:
        match list(leaves(error)):
            case [SettingsError() | RegistrationError() as wrong]:
                return complain(str(wrong))
            case [EmbeddedEnded() as ended]:
                return complain(str(ended), FAILED)
            case [ChildFailed() as failed]:
                return failed.exit_code
            case [KeyboardInterrupt()]:
                return INTERRUPTED
            case [BrokenPipeError()]:  # whoever read our output has gone
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return BROKEN_PIPE
            case _:
                raise
    return code if isinstance(code, int) else 0


def complain(sentence: str, code: int = WRONG_CALL) -> int:
    """Say what is wrong on stderr, in one line; returns the exit code."""
    log.tell(f"trio-wss: {' '.join(sentence.split())}")
    log.forget()
    return code
