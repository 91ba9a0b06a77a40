"""What a contributor meets first. The forge alone reads the forms and the workflow, so they are
parsed here, and what they name must exist."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.deploying import ROOT, text

FORMS = ("bug", "feature")
HOME = "https://github.com/trio-wss/trio-wss"


def parsed(name: str) -> Any:
    return yaml.safe_load(text(name))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", text("Makefile"), re.MULTILINE))


def steps() -> Iterator[dict[str, Any]]:
    for job in parsed(".github/workflows/ci.yml")["jobs"].values():
        yield from job["steps"]


def commands() -> Iterator[list[str]]:
    """The words of each command in the workflow and of each hook."""
    for step in steps():
        for line in step.get("run", "").splitlines():
            yield shlex.split(line)
    for repo in parsed(".pre-commit-config.yaml")["repos"]:
        for hook in repo["hooks"]:
            yield shlex.split(hook["entry"])


def test_commands_of_the_workflow_and_of_the_hooks_exist() -> None:
    for program, *words in commands():
        if program == "make":
            assert words
            assert set(words) <= targets()
        else:
            assert program == "bash"
            assert (ROOT / words[0]).is_file()


def test_the_workflow_runs_what_ci_runs_after_a_quick_look() -> None:
    workflow = parsed(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert [step["run"] for step in jobs["check"]["steps"] if "run" in step] == ["make check"]
    assert [step["run"] for step in jobs["test"]["steps"] if "run" in step] == ["bash .ci/run"]
    assert jobs["test"]["needs"] == "check"
    assert all("timeout-minutes" in job for job in jobs.values())


def test_the_workflow_has_the_oldest_python_that_is_allowed() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    pythons = [s["with"]["python-version"].split() for s in steps() if "setup-python" in str(s)]
    assert len(pythons) == 2
    assert {f">={versions[0]}" for versions in pythons} == {project["requires-python"]}


def test_the_hooks_are_the_projects_own_tools() -> None:
    [repo] = parsed(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    assert {hook["language"] for hook in repo["hooks"]} == {"system"}
    assert all(re.fullmatch(r"[a-z]+", hook["id"]) for hook in repo["hooks"])


@pytest.mark.parametrize("form", FORMS)
def test_a_form_asks_for_something(form: str) -> None:
    page = parsed(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert page.keys() == {"name", "description", "labels", "body"}
    ids = [part["id"] for part in page["body"]]
    assert len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in page["body"])
    assert {part["type"] for part in page["body"]} <= {"textarea", "input"}
    assert any(part.get("validations", {}).get("required") for part in page["body"])


def test_there_is_no_other_form() -> None:
    folder = ROOT / ".github/ISSUE_TEMPLATE"
    assert {file.stem for file in folder.iterdir()} == {*FORMS, "config"}


def test_the_project_has_one_address() -> None:
    urls = tomllib.loads(text("pyproject.toml"))["project"]["urls"]
    [link] = parsed(".github/ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert all(url.startswith(HOME) for url in urls.values())
    assert link["url"] == f"{HOME}/security/advisories/new"
    assert link["url"] in text("SECURITY.md")
    for file in re.findall(r"(?:blob|tree)/main/(\S+)", " ".join(urls.values())):
        assert (ROOT / file).exists()


def test_the_folders_and_tests_of_the_table_exist() -> None:
    table = text("CONTRIBUTING.md").partition("## Where")[2].partition("## What")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    for place in re.findall(r"`((?:trio_wss|tests|harness|benchmarks|docs)/\S*)`", "\n".join(rows)):
        assert list(ROOT.glob(place)), place
    assert len(rows) > 15


def test_a_contributor_is_told_how_long_the_long_things_take() -> None:
    page = text("CONTRIBUTING.md")
    for target in ("check", "test", "mutation", "faults", "mutants", "bench"):
        assert f"\n| `make {target}` |" in page
