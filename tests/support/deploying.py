"""What the tests of the files around the code share: the files, read as they are meant."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(\w+):?-([^}]*)\}")


def text(name: str) -> str:
    return (ROOT / name).read_text()


def with_defaults(name: str) -> Any:
    """A stack file with every variable at its default."""
    return yaml.safe_load(VARIABLE.sub(r"\2", text(name)))


def image_stages() -> list[list[tuple[str, str]]]:
    """The Containerfile's instructions, by stages."""
    joined = re.sub(r"\\\n\s*", "", text("Containerfile"))
    found: list[list[tuple[str, str]]] = []
    for line in joined.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                found.append([])
            found[-1].append((word, rest))
    return found


def image_health() -> dict[str, float]:
    """The numbers of the image's health check, times in seconds."""
    options = dict(image_stages()[-1])["HEALTHCHECK"].partition(" CMD ")[0]
    return {name: seconds(value) for name, value in re.findall(r"--([a-z-]+)=(\S+)", options)}


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder to its end."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
