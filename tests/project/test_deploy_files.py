"""The files around the code: the Makefile, .ci and the changelog say what they must."""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.deploying import ROOT, run, text


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def link_tools(folder: Path, *names: str) -> None:
    for name in names:
        program = shutil.which(name)
        assert program is not None
        (folder / name).symlink_to(program)


def test_pythons_are_run_before_they_are_believed(tmp_path: Path) -> None:
    """A shim that fails, one that is silent and one without venv are passed over."""
    home, shims, good = tmp_path / "home", tmp_path / "shims", tmp_path / "good"
    fake(shims, "python3.11", "echo 'pyenv: not found' >&2; exit 127")
    fake(shims, "python3.12", "true")  # too old, whatever its name says
    fake(good, "python3", 'echo "3.12=$0"')
    fake(home / ".pyenv/versions/3.11.9/bin", "python3.11", 'echo "3.11=$0"')
    fake(home / ".pyenv/versions/3.12.1/bin", "python3.12", 'echo "3.12=$0"')  # later on the way
    fake(home / ".pyenv/versions/3.13.1/bin", "python3.13", "exit 1")
    fake(home / ".pyenv/versions/3.14.0/bin", "python3.14", 'echo "3.14=$0"')
    link_tools(good, "awk", "sort", "tr")
    done = run("/bin/sh", ".ci/pythons", PATH=f"{shims}:{good}", HOME=str(home), PYENV_ROOT="")
    assert done.stdout.split() == [
        f"3.11={home}/.pyenv/versions/3.11.9/bin/python3.11",
        f"3.12={good}/python3",
        f"3.14={home}/.pyenv/versions/3.14.0/bin/python3.14",
    ]


def test_the_python_that_runs_this_is_found() -> None:
    version = "{}.{}".format(*sys.version_info)
    done = run("/bin/sh", ".ci/pythons")
    assert version in [each.partition("=")[0] for each in done.stdout.split()]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_names_every_target() -> None:
    done = run("make", "help")
    assert done.returncode == 0, done.stderr
    for target in ("help", "run", "test", "fmt", "clean"):
        assert re.search(rf"^make {target}\t", done.stdout, re.MULTILINE), target


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_installs_what_is_up_to_date_no_second_time(tmp_path: Path) -> None:
    """A Python that only notes how it is called, so that nothing is fetched."""
    folder = tmp_path / "project"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    fake(tmp_path, "python3.12", 'mkdir -p "$3/bin" && cp "$0" "$3/bin/python"')
    fake(folder / ".ci", "pythons", f'echo "3.11=none 3.12={tmp_path}/python3.12"')
    stamp = ".cache/venv-3.12/.test"
    first = run("make", "-C", str(folder), stamp)
    assert first.returncode == 0, first.stderr
    assert (folder / ".cache/venv-3.12/.run").exists()
    assert "up to date" in run("make", "-C", str(folder), stamp).stdout
    os.utime(folder / "pyproject.toml")
    assert "pip install" in run("make", "-C", str(folder), stamp).stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_without_a_python_says_what_to_install(tmp_path: Path) -> None:
    link_tools(tmp_path, "awk", "make", "sed", "sh", "sort", "tr")
    done = run("make", "help", PATH=str(tmp_path), HOME=str(tmp_path), PYENV_ROOT=str(tmp_path))
    assert done.returncode == 2
    assert "No Python from 3.11 up" in done.stderr


def test_the_gate_holds_all_its_checks() -> None:
    makefile = text("Makefile")
    for check in (
        "ruff format --check",
        "ruff check .",
        "mypy",
        "lint-imports",
        "coverage run -m pytest",
        "coverage report --fail-under=95",
    ):
        assert check in makefile


def test_ci_runs_the_gate() -> None:
    script = text(".ci/run")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert script.index("apt-get update") < script.index("install -y")
    assert script.rstrip().endswith("make test")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert run("bash", "-n", ".ci/run").returncode == 0


def test_the_changelog_is_one_people_can_read() -> None:
    changelog = text("CHANGELOG.md")
    assert changelog.startswith("# Changelog\n")
    assert "## [Unreleased]" in changelog


def test_every_module_of_the_language_is_in_the_import_contracts() -> None:
    """A new module must be put into the layers, and may do no I/O."""
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = {part.strip() for layer in contracts[0]["layers"] for part in layer.split("|")}
    [pure] = [one["source_modules"] for one in contracts if "does no I/O" in one["name"]]
    files = {*(ROOT / "trio_wss").glob("*.py")}
    for folder in ("handling", "data", "commit"):
        assert f"trio_wss.{folder}" in layers
        files |= {*(ROOT / "trio_wss" / folder).glob("*.py")}
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in files
        if not file.stem.startswith("__")
    }
    assert names == set(pure)
    assert {name for name in names if name.count(".") == 1} < layers
