"""The docs are true. The Python blocks of a page run, in order, as one program in an empty folder;
one that begins with `# name.py` is that file, `# name.py, continued` goes at its end. A line of a
`json in` block is a frame that the server takes, of `json wrong` one that it does not, of
`json out` one that it sends."""

import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import dropwhile, groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click
import orjson
import pytest
import trio

import trio_wss
import trio_wss.client
import trio_wss.testing
from trio_wss.cli.entry import commands
from trio_wss.client import Answer, Event, EventError, frames
from trio_wss.settings import Settings
from trio_wss.wire import codec

ROOT = Path(__file__).parents[2]
FIRST = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")]
PAGES = [*FIRST, *sorted(ROOT.glob("docs/*.md"))]
DEADLINE = 60.0
"""Seconds for a block that talks to a node."""

CODES = (
    "invalid",
    "unknown_event",
    "refused",
    "conflict",
    "rate_limited",
    "stale",
    "internal",
    "unavailable",
)
"""The codes that the server itself puts in a `wss.error`; a handler's own come beside them."""

FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (?P<name>\w+)\.py(?P<more>, continued)?\n")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
INLINE = re.compile(r"`((?:trio-wss|make) [^`…]+)`")
TEST_FILE = re.compile(r"tests/[\w/]*test_\w+\.py")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@attrs.frozen
class Block:
    """A fenced block: what stands behind the fence, its text, and the line where that begins."""

    kind: str
    text: str
    line: int


def blocks(page: Path, *kinds: str) -> list[Block]:
    text = page.read_text()
    found = [
        Block(m["kind"], m["text"], text.count("\n", 0, m.start()) + 1)
        for m in FENCE.finditer(text)
    ]
    return [block for block in found if block.kind in kinds]


def frames_of(kind: str) -> list[Any]:
    return [
        pytest.param(line, id=f"{page.stem}:{block.line + number}")
        for page in PAGES
        for block in blocks(page, kind)
        for number, line in enumerate(block.text.splitlines(), 1)
    ]


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of every command of ours: in a console, behind the prompt; inside the text too."""
    lines = [line for block in blocks(page, "sh") for line in block.text.splitlines()]
    console = "".join(block.text for block in blocks(page, "console"))
    lines += re.findall(r"^\$ (.*)$", console, re.MULTILINE)
    lines += INLINE.findall(FENCE.sub("", page.read_text()))
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        for is_word, part in groupby(lexer, lambda word: word[0] not in "|&;"):
            words = list(dropwhile(re.compile(r"\w+=.*").fullmatch, part))
            if is_word and words and words[0] in ("trio-wss", "make"):
                yield words


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_all_pages_are_here() -> None:
    stems = {page.stem for page in PAGES}
    assert {"api", "architecture", "client", "decisions", "deployment"} <= stems
    assert {"guarantees", "protocol", "tutorial"} <= stems


@every_page
def test_its_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it could be older than the next text
    run = trio.run

    def bounded(main: Any, *args: Any) -> Any:
        async def within_deadline() -> Any:
            with trio.fail_after(DEADLINE):
                return await main(*args)

        return run(within_deadline)

    monkeypatch.setattr(trio, "run", bounded)
    program = ModuleType("program")
    monkeypatch.setitem(sys.modules, "program", program)
    module = program
    for block in blocks(page, "python"):
        if named := FILE.match(block.text):
            file = Path(f"{named['name']}.py")
            file.write_text((file.read_text() if named["more"] else "") + block.text)
            monkeypatch.setitem(sys.modules, named["name"], program)  # so that it is undone
            del sys.modules[named["name"]]
            module = import_module(named["name"])
        else:
            code = compile("\n" * block.line + block.text, str(page), "exec")
            exec(code, program.__dict__)
    for name, test in vars(module).items():  # of the last file
        if name.startswith("test_"):
            test()


@every_page
def test_its_json_parses(page: Path) -> None:
    for block in blocks(page, "json"):
        orjson.loads(block.text)


@pytest.mark.parametrize("frame", frames_of("json in"))
def test_the_server_takes_the_frame(frame: str) -> None:
    message = codec.parse_message(frame)
    assert message.event == orjson.loads(frame)["event"]
    if message.event == "wss.resume":
        resume = codec.parse_resume(frame)
        assert resume is not None
        assert list(resume.cursors) == list(message.data["topics"])


@pytest.mark.parametrize("frame", frames_of("json wrong"))
def test_the_server_refuses_the_frame(frame: str) -> None:
    with pytest.raises(codec.Malformed):
        codec.parse_message(frame)


@pytest.mark.parametrize("frame", frames_of("json out"))
def test_the_server_sends_such_a_frame(frame: str) -> None:
    """It is made once more from its parts: same keys, same order."""
    made = orjson.loads(frame)
    number, shown = frames.decode(frame)
    data = orjson.dumps(made.get("data"))
    match made["event"], shown:
        case "wss.welcome", Event():
            frames.welcome(frame)
            ours = codec.welcome(**{k: v for k, v in made["data"].items() if k != "protocol"})
        case "wss.joined", Event():
            ours = codec.joined(**made["data"])
        case "wss.left", Event():
            ours = codec.left(**made["data"])
        case "wss.error", EventError() | Event():
            ours = codec.error(number, **made["data"])
            assert made["data"]["code"] in CODES or made["data"]["code"] == "not_your_turn"
        case "wss.ok", Answer():
            assert number is not None
            ours = codec.ok(number)
        case "wss.pong", Event():
            ours = codec.pong()
        case event, Event(topic=str()):
            order = ["event", "topic", *(["epoch", "offset"] if shown.offset else []), "data"]
            ours = orjson.dumps({key: made[key] for key in order})
            assert not event.startswith("wss.")
        case event, _:
            ours = codec.reply(event, number, data)
    assert ours == orjson.dumps(made)


@every_page
def test_its_commands_exist(page: Path) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, *words in commands_of(page):
        if program == "make":
            assert words[0] in targets, f"make {words[0]}"
            words = ["run", *shlex.split(words[1].removeprefix("ARGS="))] if words[1:] else []
        if words and words != ["--help"]:
            command = commands.get_command(click.Context(commands), words[0])
            assert command is not None, f"trio-wss {words[0]}"
            command.make_context(words[0], words[1:])  # raises for what it does not know


@every_page
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@every_page
def test_the_tests_that_it_names_exist(page: Path) -> None:
    for name in TEST_FILE.findall(page.read_text()):
        assert (ROOT / name).is_file(), name


def test_the_api_names_everything_public() -> None:
    text = (ROOT / "docs/api.md").read_text() + (ROOT / "docs/client.md").read_text()
    for module in (trio_wss, trio_wss.testing, trio_wss.client):
        for name in module.__all__:
            assert re.search(rf"\b{name}\b", text), f"{module.__name__}.{name}"


def test_the_protocol_names_every_status_of_a_handshake() -> None:
    sources = [*(ROOT / "trio_wss/wire").glob("*.py"), ROOT / "trio_wss/node/admission.py"]
    given = {code for one in sources for code in re.findall(r"Response\((\d+)", one.read_text())}
    rows = re.findall(
        r"^\| (\d{3}(?:, \d{3})*) \|", (ROOT / "docs/protocol.md").read_text(), re.MULTILINE
    )
    assert given
    assert given == {code for row in rows for code in row.split(", ")}


def test_the_architecture_names_every_place_that_catches_every_exception() -> None:
    catching = {
        str(path.relative_to(ROOT / "trio_wss"))
        for path in ROOT.glob("trio_wss/**/*.py")
        if "except Exception" in path.read_text()
    }
    text = (ROOT / "docs/architecture.md").read_text()
    [told] = re.findall(r"\bthree `except Exception`.*?\n\n", text, re.DOTALL)
    assert catching == set(re.findall(r"`(\w+/\w+\.py)`", told))


@every_page
def test_a_picture_is_shown_once(page: Path) -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    assert len(pictures) == len(set(pictures))


def test_the_protocol_names_every_code() -> None:
    text = (ROOT / "docs/protocol.md").read_text()
    for code in CODES:
        assert f"\n| `{code}` |" in text


def test_the_settings_are_all_there_with_their_defaults() -> None:
    text = (ROOT / "docs/deployment.md").read_text().partition("## Settings")[2]
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", text, re.MULTILINE)
    told = {name: eval(default) for name, default in rows}
    assert told == {field.name: field.default for field in attrs.fields(Settings)}


def test_the_options_are_all_there() -> None:
    text = (ROOT / "docs/deployment.md").read_text()
    run = commands.commands["run"]
    names = [o.opts[0] for o in run.params if isinstance(o, click.Option) and not o.hidden]
    assert [name for name in names if f"\n| `{name}`" not in text] == []
