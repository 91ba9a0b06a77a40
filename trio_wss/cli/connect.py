"""`trio-wss connect`: a client for the terminal. It sends each line, `EVENT JSON`, and prints each
frame that comes.

From a pipe it sends every line in order and waits for all answers; into a pipe it prints one JSON
object per line. The exit code says whether an answer was an error, or there was no connection.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import click
import orjson
import trio
from attrs import define, field

from trio_wss.cli.faults import leaves
from trio_wss.cli.show import as_json, as_sentence, as_text
from trio_wss.client import (
    Answer,
    Client,
    ConnectError,
    ConnectionLost,
    Disconnected,
    Event,
    EventError,
    OutcomeUnknown,
    Pending,
)
from trio_wss.client import connect as dial
from trio_wss.errors import SettingsError

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_STDIN: Final = 0
_ERROR_ANSWER: Final = 1
_NO_CONNECTION: Final = 2


@click.command("connect")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--origin", metavar="URL", help="The Origin header to send.")
@click.option(
    "--header",
    "pairs",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header to send, such as a token's. May be repeated.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the connection, and for each answer.",
)
def connect_command(
    urls: tuple[str, ...], origin: str | None, pairs: tuple[str, ...], timeout: float
) -> int:
    """Connect to a node and type EVENT JSON, as in: say {"room":"lobby","text":"hi"}

    After a lost connection it goes on with the session at the next URL, or at the same one.

    In a pipe: one line in for each event, one JSON object out for each answer and broadcast; `re`
    is the number of the line. Exit code 1: an answer was an error, 2: no connection.
    """
    headers = parse_headers(pairs if origin is None else (f"Origin: {origin}", *pairs))
    return trio.run(partial(converse, urls, headers, timeout))


def parse_headers(pairs: Iterable[str]) -> dict[str, str]:
    """Headers written as `Name: value` (RFC 9110 §5.5, §5.6.2), each name once.

    Raises SettingsError, which shows no value: it may be a secret.
    """
    headers: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        name, colon, text = pair.partition(":")
        value = text.strip()
        if not colon or not _TOKEN.fullmatch(name) or not value.isprintable():
            raise SettingsError(
                "a --header must be one line like 'Authorization: Bearer …', with letters, digits"
                " and dashes as its name."
            )
        headers[name.lower()] = value
        if len(headers) < number:
            raise SettingsError(f"the header {name} is given twice: leave one of them out.")
    return headers


async def converse(urls: Sequence[str], headers: Mapping[str, str], patience: float) -> int:
    """Talk until stdin ends; returns the exit code."""
    code = 0
    try:
        async with dial(*urls, headers=headers, timeout=patience) as client:
            code = await _Conversation(client, patience).run()
    except* ConnectError as failed:
        _note(str(failed.exceptions[0]))
        code = _NO_CONNECTION
    except* ConnectionLost as lost:  # told to everyone who waited
        _note(str(next(leaves(lost))))
        code = _ERROR_ANSWER
    return code


@define(eq=False)
class _Conversation:
    client: Client
    patience: float
    human: bool = field(factory=sys.stdout.isatty)
    watched: bool = field(factory=sys.stderr.isatty)  # somebody wants to know how it stands
    code: int = 0

    async def run(self) -> int:
        """Send the lines of stdin until it ends and all have answers; returns the exit code."""
        if os.isatty(_STDIN):
            _note("type EVENT JSON, and Ctrl-D to leave")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            async with trio.open_nursery() as answers:
                number = 0
                async for line in lines(_STDIN):
                    number += 1
                    if line.strip():
                        await self._say(answers, number, line.decode(errors="replace").strip())
            nursery.cancel_scope.cancel()
        return self.code

    async def _say(self, answers: trio.Nursery, number: int, line: str) -> None:
        """Send one line's event; its answer is printed when it comes."""
        event, _, text = line.partition(" ")
        from trio_wss.wire.faulty import BEYOND, find_beyond  # not above: --help starts faster

        try:
            data = orjson.loads(text) if text.strip() else None
            if text.strip() and find_beyond(f'{{"data":{text}}}') is not None:
                self._fail(f"line {number}: {BEYOND}")
                return
            with trio.fail_after(self.patience):
                pending = await self.client.submit(event, data)
        except orjson.JSONDecodeError as error:
            self._fail(f"line {number}: what follows {event} is not JSON: {error}")
        except TypeError as error:
            self._fail(f"line {number}: {error}")
        except trio.TooSlowError:
            self._fail(f"line {number}: too many events are not answered")
        else:
            answers.start_soon(self._await, number, pending)

    async def _await(self, number: int, pending: Pending) -> None:
        try:
            with trio.fail_after(self.patience):
                self._print(await pending.answer(), number)
        except EventError as error:
            self.code = _ERROR_ANSWER
            self._print(error, number)
        except OutcomeUnknown:
            if isinstance(self.client.state, Disconnected) and self.client.state.wait is None:
                raise  # this is the end, which is told once
            self._fail(f"line {number}: the session is over, and what became of this is not known")
        except trio.TooSlowError:
            self._fail(f"line {number}: no answer within {self.patience:g} s")

    async def _listen(self) -> None:
        """Print each frame, and at a terminal the state of the connection too, in dim lines."""
        async for event in self.client.events():
            if isinstance(event, Event):
                self._print(event)
            elif self.watched:
                _note(click.style(as_sentence(event), dim=True))

    def _print(self, shown: Answer | EventError | Event, number: int | None = None) -> None:
        print(as_text(shown) if self.human else as_json(shown, number), flush=True)

    def _fail(self, sentence: str) -> None:
        self.code = _ERROR_ANSWER
        _note(sentence)


async def lines(descriptor: int) -> AsyncIterator[bytes]:
    """The lines of a file, read in a thread that may be left behind when we are cancelled.

    The file is not sys.stdin: a thread left in its buffer's lock would crash the interpreter's end.
    """
    rest = b""
    while chunk := await trio.to_thread.run_sync(
        os.read, descriptor, 65_536, abandon_on_cancel=True
    ):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


def _note(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
