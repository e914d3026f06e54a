"""GitHub's own libraries accept the workflows, and start the jobs that should run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from reconciler.ci.workflows import workflows
from tests.ci.actions import all_filled, evaluate, expressions
from tests.ci.libraries import GitHubLibraries
from tests.ci.support import SETUP
from tests.ci.test_templates import SEVERAL
from tests.folders import ROOT
from tests.goldens import rows

SETUPS: Final = {"one": SETUP, "several": SEVERAL}
SHIPPED: Final = {
    **{path.name: path.read_text("utf-8") for path in (ROOT / ".github/workflows").iterdir()},
    "action.yml": (ROOT / "action.yml").read_text("utf-8"),
    "examples/github.yml": (ROOT / "examples/github-workflow.yml").read_text("utf-8"),
    "docs/github.yml": next(
        text
        for text in (ROOT / "docs/github.md").read_text("utf-8").split("```")
        if text.startswith("yaml\non:")
    )[5:],
    **{
        f"{setup}/{Path(name).name}": text
        for setup, values in SETUPS.items()
        for name, text in workflows(values).items()
    },
}
"""The workflows and the action of this repository, those of `init`, and the documented ones."""

PARSED: Final = {name: yaml.safe_load(text) for name, text in SHIPPED.items()}


def files(name: str) -> tuple[str, dict[str, str]]:
    """Return the path of a shipped file in its repository, and the texts of that repository."""
    folder, _, file = name.rpartition("/")
    texts = {
        key if key == "action.yml" else f".github/workflows/{key.rpartition('/')[2]}": text
        for key, text in SHIPPED.items()
        if key.rpartition("/")[0] == folder
    }
    return file if file == "action.yml" else f".github/workflows/{file}", texts


STARTS: Final = rows(Path(__file__).with_name("starts.yaml"))
MATRIX: Final = '{"include":[{"environment":"eu"}]}'
FOUND: Final = {"result": "success", "outputs": {"matrix": MATRIX}}
NONE: Final = {"result": "success", "outputs": {"matrix": ""}}
SKIPPED: Final[Mapping[str, Any]] = {"result": "skipped", "outputs": {}}
FAILED: Final[Mapping[str, Any]] = {"result": "failure", "outputs": {}}


def contexts(
    command: str, event: str, ref: str, found: Mapping[str, Any], several: bool, **inputs: Any
) -> dict[str, Any]:
    """Return the contexts of a job of the called workflow, as GitHub creates them for an event.

    `found` is the state of the job that finds the environments, if there are several.
    """
    github = {
        "event": {"repository": {"default_branch": "main"}},
        "event_name": event,
        "ref": ref,
        "repository": "acme/hooks",
        "run_id": "1",
        "server_url": "https://github.com",
        "token": "gh-token",
    }
    setup = "several" if several else "one"
    declared = PARSED[f"{setup}/webhooks.yml"][True]["workflow_call"]["inputs"]
    (caller,) = PARSED[f"{setup}/{command}-webhooks.yml"]["jobs"].values()
    given = all_filled(caller["with"], {"inputs": {}})
    defaults = {name: value.get("default", "") for name, value in declared.items()}
    return {
        "github": github,
        "inputs": {**defaults, **given, **inputs},
        "needs": {"environments": found},
        "cancelled": lambda: False,
        "failure": lambda: False,
    }


@pytest.mark.parametrize(("command", "event", "ref", "starts"), STARTS)
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("branch", ["", "main"])
def test_a_command_starts_for_its_events_only(
    libraries: GitHubLibraries,
    command: str,
    event: str,
    ref: str,
    starts: bool,
    several: bool,
    branch: str,
) -> None:
    """With one environment and with several, each command starts for its events only.

    No event that a fork can cause applies or gets secrets. Without environments nothing starts.
    """
    jobs = PARSED["one/webhooks.yml"]["jobs"]
    has_matrix = several and command == "apply"
    known = contexts(command, event, ref, FOUND if has_matrix else SKIPPED, several, branch=branch)
    assert libraries.evaluate(jobs["environments"]["if"], known) is has_matrix
    condition = jobs["webhooks"]["if"].strip()
    assert libraries.evaluate(condition, known) is starts
    # A run that applies nothing must not look as if it had.
    is_refused = command == "apply" and not starts
    assert libraries.evaluate(jobs["other-branch"]["if"].strip(), known) is is_refused
    for found in (FAILED, NONE) if has_matrix else ():
        known["needs"]["environments"] = found
        assert not libraries.evaluate(condition, known)


PLACES: Final = {
    expression: f"{name}{place}"
    for name, tree in PARSED.items()
    for place, expression in expressions(tree)
}
"""The place of each expression."""


def situations() -> Iterator[dict[str, Any]]:
    """Return the contexts of every event, with what can be missing present and missing."""
    states = (FOUND, NONE, SKIPPED, FAILED)
    for (command, event, ref, _), several in product(STARTS, (False, True)):
        for index, found in enumerate(states):
            known = contexts(command, event, ref, found, several)
            known["secrets"] = {"CLOUDTRUTH_API_KEY": "key"} if index else {}
            known["matrix"] = {"environment": "eu" if several else ""}
            outputs = ({}, {"result": ""}, {"result": "applied", "matrix": "{}"})[index % 3]
            known["steps"] = {"run": {"outputs": outputs}} if index else {}
            known["failure"] = lambda failed=index % 2 == 1: failed
            known["cancelled"] = lambda cancelled=index == 2: cancelled
            yield known


SITUATIONS: Final = tuple(situations())


@pytest.mark.parametrize("expression", sorted(PLACES), ids=PLACES.get)
def test_the_scenarios_evaluate_expressions_like_github(
    libraries: GitHubLibraries, expression: str
) -> None:
    """Every expression has the same value in the scenarios and on GitHub, also where it is null."""
    for known in SITUATIONS:
        assert evaluate(expression, known) == libraries.evaluate(expression, known), known


@pytest.mark.parametrize("name", SHIPPED)
def test_github_accepts_the_workflow(libraries: GitHubLibraries, name: str) -> None:
    """GitHub's parser has no errors for any workflow with the one it calls, or for the action."""
    assert libraries.problems(*files(name)) == []


@pytest.mark.parametrize(
    ("name", "old", "new"), rows(Path(__file__).with_name("invalid_workflows.yaml"))
)
def test_github_rejects_mistakes(libraries: GitHubLibraries, name: str, old: str, new: str) -> None:
    """The parser finds unknown contexts, inputs, secrets and keys."""
    path, texts = files(name)
    assert old in texts[path]
    found = libraries.problems(path, {**texts, path: texts[path].replace(old, new)})
    assert any(new.split(":")[0].split(".")[0] in problem for problem in found), found
