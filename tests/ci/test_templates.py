"""The workflows, the action and its locked requirements are valid, minimal and pinned."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.ci import JobResult
from reconciler.ci.workflows import (
    CALLER,
    RequiredSecrets,
    Setup,
    caller_beside,
    is_edited,
    is_started_by,
    not_triggering,
    pinned,
    settings_in,
    workflows,
)
from reconciler.cli.commands import ci
from reconciler.errors import UsageError
from reconciler.model import SecretRef
from reconciler.source.history import default_branch, git_in, has_all_branches
from tests.ci.actions import filled
from tests.ci.support import SETUP, plant
from tests.folders import ROOT, commit, git, write
from tests.goldens import rows
from tests.installing import run, tool

TABLES = rows(Path(__file__).with_suffix(".yaml"))

ACTION = ROOT / "action.yml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def env(*names: str) -> tuple[SecretRef, ...]:
    return tuple(SecretRef(scheme="env", name=name) for name in names)


def one(*references: SecretRef, **values: Any) -> Setup:
    """Return the setup of a single organization."""
    return Setup(
        **{"package": ".", "organizations": (RequiredSecrets(references=references),), **values}
    )


SHIPPED = workflows(
    one(*env("PAGER_PASSWORD", "SLACK_BOT_TOKEN"), files=("examples/webhooks.yaml",))
)
SEVERAL = Setup(
    package=pinned("0" * 40)[0],
    files=("orgs/",),
    organizations=(
        RequiredSecrets(name="Acme EU", references=env("A"), environment="eu"),
        RequiredSecrets(name="Acme US", key="US_KEY"),
    ),
)
CALLERS = {"plan": "pull_request", "apply": "push", "drift": "schedule"}


def called(setup: Setup = SETUP) -> Any:
    """Return the called workflow."""
    return yaml.safe_load(workflows(setup)[".github/workflows/webhooks.yml"])


def caller(name: str, setup: Setup = SETUP) -> Any:
    return yaml.safe_load(workflows(setup)[f".github/workflows/{name}-webhooks.yml"])


def paths(folder: Path) -> list[str]:
    """Write the workflows as `init` does, and the example, and return all files to check."""
    example = (ROOT / "examples/github-workflow.yml").read_text("utf-8")
    write(folder, {".github/workflows/example.yml": example.replace("@COMMIT", f"@{COMMIT}")})
    for number, setup in enumerate((SETUP, SEVERAL)):
        write(folder / str(number), workflows(setup))
    return [*map(str, folder.rglob("*.yml")), *(str(ROOT / name) for name in SHIPPED)]


def test_this_repository_runs_the_workflows_it_ships() -> None:
    """The two sets of workflows differ only in package, file and secrets."""
    for name, text in SHIPPED.items():
        assert (ROOT / name).read_text(encoding="utf-8") == text


def test_an_audit_finds_nothing(tmp_path: Path) -> None:
    """The strictest persona of the auditor has no findings in workflows and action."""
    done = run(tool("zizmor"), "--offline", "--persona", "auditor", "--no-progress",
               "--format", "plain", str(ACTION), *paths(tmp_path), cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_match_the_schemas_of_github(tmp_path: Path) -> None:
    """Workflows and action are valid by the published schemas."""
    schema = (tool("check-jsonschema"), "--builtin-schema")
    done = run(*schema, "vendor.github-workflows", *paths(tmp_path), cwd=ROOT)
    assert done.returncode == 0, done.stdout
    done = run(*schema, "vendor.github-actions", str(ACTION), cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", CALLERS)
def test_a_workflow_has_minimal_permissions(name: str) -> None:
    """A job reads the files, and writes only what its command writes; the top level has nothing."""
    workflow = caller(name)
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    writes = {"plan": ["pull-requests"], "apply": ["pull-requests", "issues"], "drift": ["issues"]}
    reads = ["contents", "pull-requests"] if name == "drift" else ["contents"]
    assert job["permissions"] == dict.fromkeys(reads, "read") | dict.fromkeys(writes[name], "write")
    assert all("permissions" not in each or each["permissions"] == {}
               for each in called()["jobs"].values())  # fmt: skip


@pytest.mark.parametrize("name", CALLERS)
def test_plans_and_applies_have_separate_environments(name: str) -> None:
    """Only apply gets the secrets of the configuration; the others get read-only keys."""
    (job,) = caller(name, SEVERAL)["jobs"].values()
    keys = {"CLOUDTRUTH_API_KEY", "US_KEY"}  # eu uses the default variable
    assert set(job["secrets"]) == (keys | {"A"} if name == "apply" else keys)
    (single,) = caller(name)["jobs"].values()
    environments = [
        filled(called()["jobs"]["webhooks"]["environment"]["name"], contexts)
        for contexts in (
            {"inputs": single["with"], "matrix": {"environment": ""}},
            {"inputs": job["with"], "matrix": {"environment": "eu"}},
        )
    ]
    expected = "cloudtruth-production" if name == "apply" else "cloudtruth-plan"
    assert environments == [expected, "eu"]  # plan and drift have no matrix
    assert job["with"].get("environments") == ("eu" if name == "apply" else None)


@pytest.mark.parametrize("name", CALLERS)
def test_a_caller_passes_what_the_called_workflow_declares(name: str) -> None:
    """GitHub rejects an input or a secret that is not declared."""
    for setup in (SETUP, SEVERAL):
        declared = called(setup)[True]["workflow_call"]
        (job,) = caller(name, setup)["jobs"].values()
        assert job["with"]["command"] == name
        assert set(job["with"]) <= set(declared["inputs"])
        assert set(job["secrets"]) <= set(declared["secrets"])
        required = {key for key, each in declared["inputs"].items() if each.get("required")}
        assert required <= set(job["with"])


def test_the_called_workflow_is_documented() -> None:
    """Every input has a description, and docs/github.md lists all of them."""
    text = (ROOT / "docs/github.md").read_text("utf-8").split("## The called workflow")[1]
    for name, each in called()[True]["workflow_call"]["inputs"].items():
        assert each["description"]
        assert f"`{name}`" in text


def test_applies_are_queued_and_never_cancelled() -> None:
    """Two merges give two applies in order; environments and commands do not wait for others."""
    concurrency = called()["jobs"]["webhooks"]["concurrency"]
    assert (concurrency["cancel-in-progress"], concurrency["queue"]) == (False, "max")
    for value in ("inputs.command", "matrix.environment || inputs.environment", "github.ref"):
        assert f"${{{{ {value} }}}}" in concurrency["group"]
    # A copy of the workflow has another group, or the two would cancel each other.
    group = "${{ github.workflow_ref }}"
    assert caller("plan")["concurrency"] == {"group": group, "cancel-in-progress": True}


def test_until_a_release_the_workflows_install_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unregistered package is installed, and everything is pinned."""
    monkeypatch.setattr("reconciler.ci.workflows._RELEASED", False)
    requirement, lock = pinned(COMMIT)
    text = workflows(Setup(package=requirement))[".github/workflows/webhooks.yml"]
    pin = rf"cloudtruth-webhooks @ git\+https://github\.com/\S+@{COMMIT}"
    assert re.fullmatch(rf"https://github\.com/\S+/{COMMIT}/requirements/action\.lock", lock)
    for installed in re.findall(r'WEBHOOKS_PACKAGE: "(.+)"', text):
        assert re.fullmatch(pin, installed)


@pytest.mark.parametrize(("file", "watched"), TABLES["watched files"])
def test_a_workflow_watches_all_files_of_the_configuration(file: str, watched: list[str]) -> None:
    """A directory is watched recursively; a file outside the repository cannot be watched."""
    files = ("hooks/pager-url", "/run/secrets/token")
    references = tuple(SecretRef(scheme="file", name=name) for name in files)
    others: Any = {"parents": ("hooks/base.yaml",), "policies": ("policy.json",)}
    on = caller("apply", one(*references, files=file.split(), branch="trunk", **others))[True]
    names = [f".github/workflows/{name}.yml" for name in ("apply-webhooks", "webhooks")]
    assert on["push"] == {"branches": ["trunk"], "paths": [*watched, *names]}


@pytest.mark.parametrize(("push", "path", "starts"), TABLES["filters"])
def test_a_filter_means_what_it_means_on_github(push: str, path: str, starts: bool) -> None:
    """A path is accepted as the cheat sheet of GitHub says, however `on` is quoted."""
    for key in ("on", '"on"'):
        assert not_triggering(f"{key}: {{push: {{{push}}}}}", [path]) == [path] * (not starts)


@pytest.mark.parametrize(("name", "text", "caller"), TABLES["callers"])
def test_the_workflow_that_applies(tmp_path: Path, name: str, text: str, caller: str) -> None:
    """A copy belongs to the running one, which may also be a single workflow with all jobs."""
    write(tmp_path, {f".github/workflows/{name}": text})
    assert caller_beside(name, tmp_path) == f".github/workflows/{caller}"


@pytest.mark.parametrize("branch", ["main", "release/1+2", "!a]", "team/main"])
def test_a_branch_with_the_characters_of_patterns_starts_the_apply(branch: str) -> None:
    """GitHub documents how to escape them; no other branch starts it."""
    text = workflows(one(branch=branch))[CALLER]
    assert is_started_by(text, branch)
    assert not is_started_by(text, branch.replace("1+2", "112") + "x")
    assert settings_in([text])["branch"] == branch


@pytest.mark.parametrize(("path", "file"), TABLES["written filters"])
def test_the_filters_that_init_writes_accept_the_files(path: str, file: str) -> None:
    """No name of a file is read as a pattern that does not match it, and globs match files."""
    text = workflows(one(files=(path,), parents=("[b] c+.yaml",), policies=("p?.json",)))[CALLER]
    assert not_triggering(text, [file, "[b] c+.yaml", "p?.json"]) == []


def test_the_lists_are_exactly_the_references() -> None:
    """The allow-list has all references, the step one line per variable."""
    setup = one(*env("B", "A"), SecretRef(scheme="file", name="a b,c*"))
    (step,) = (each for each in called(setup)["jobs"]["webhooks"]["steps"] if each["name"] == "Run")
    assert step["env"]["WEBHOOKS_ALLOW_SECRETS"] == "env:A env:B file:a?b?c?"
    assert {"A", "B"} <= set(step["env"])


def test_each_organization_has_a_line_of_allowed_secrets() -> None:
    """Secrets of one environment are visible to all its organizations."""
    (step,) = (it for it in called(SEVERAL)["jobs"]["webhooks"]["steps"] if it["name"] == "Run")
    assert step["env"]["WEBHOOKS_ALLOW_SECRETS"] == "Acme EU: env:A"
    assert SEVERAL.environments == {
        "cloudtruth-production": ("US_KEY",),
        "eu": ("A", "CLOUDTRUTH_API_KEY"),
    }


def test_settings_are_kept_and_other_edits_are_noticed() -> None:
    """Settings are written again; any other edit, and a workflow of an earlier version, counts."""
    texts = dict(workflows(SETUP))
    for old, new in TABLES["settings"]:
        assert any(old in text for text in texts.values()), old
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    assert not any(map(is_edited, texts.values()))
    found = settings_in(texts.values())
    setup = replace(SETUP, branch="release", policies=("a.json", "b.json"), settings=found)
    again = workflows(setup)
    for name, text in texts.items():
        branches = text.replace('branches: ["main"]', 'branches: ["release"]')
        assert again[name].replace('"a.json", "b.json", ', "") == branches
    for name, text in texts.items():
        assert is_edited(text.replace("name:", "name: My", 1)), name
        assert is_edited(re.sub("# Written by.*\n", "", text)), name


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a\\b", "${{ secrets.X }}"])
def test_a_value_that_would_break_the_workflow_is_rejected(value: str) -> None:
    """No value can add lines or expressions."""
    with pytest.raises(UsageError, match="file"):
        workflows(Setup(package=".", files=(value,)))


@pytest.mark.parametrize(("outputs", "branch"), TABLES["default branches"])
def test_the_default_branch_is_that_of_the_repository(outputs: dict[str, str], branch: str) -> None:
    """The remote's default comes first, then a branch with a usual name, then the current one."""

    def git(arguments: Sequence[str]) -> bytes | None:
        found = outputs.get(arguments[-1])
        return None if found is None else found.encode()

    assert default_branch(git) == branch


@pytest.mark.parametrize(("commands", "has_all"), TABLES["clones"])
def test_a_clone_has_all_branches_only_if_all_were_fetched(
    tmp_path: Path, commands: list[str], has_all: bool
) -> None:
    """Otherwise a branch that was not fetched would seem not to exist."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    git(tmp_path, "init", "-q", "-b", "main", str(origin))
    write(origin, {"a": "1"})
    commit(origin, "1")
    git(origin, "checkout", "-q", "-b", "feature")
    write(origin, {"a": "2"})
    commit(origin, "2")
    git(origin, "checkout", "-q", "-b", "topic")
    write(origin, {"a": "3"})
    head = commit(origin, "3")
    git(origin, "update-ref", "refs/pull/1/merge", "HEAD")
    git(tmp_path, "init", "-q", str(clone))
    git(clone, "remote", "add", "origin", origin.as_uri())
    for command in commands:
        git(clone, *command.split())
    assert has_all_branches(git_in(clone), head) is has_all


def test_the_action_passes_every_input_and_output() -> None:
    """The action and the program have the same inputs and outputs."""
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    env = action["runs"]["steps"][-1]["env"]
    passed = {re.findall(r"inputs\.([a-z-]+)", value)[0]: name for name, value in env.items()}
    assert set(passed) == set(action["inputs"])
    token = passed.pop("github-token")
    assert token == "GITHUB_TOKEN"
    for name, variable in passed.items():
        expected = "WEBHOOKS_" + name.upper().replace("-", "_")
        assert variable == expected + ("S" if name == "allow-secret" else "")
    # The variables of a connection are for the job, not for the action.
    own = [each for each in ci.run.params if getattr(each, "group", "Connection") != "Connection"]
    options = {each.opts[-1].removeprefix("--") for each in own if each.envvar}
    assert set(passed) - {"command"} == options - {"no-color"}
    # Only webhooks.yml has the job of the command `matrix`, with the environments that it needs.
    assert set(action["outputs"]) | {"matrix"} == set(JobResult().outputs)


def scripted(name: str) -> list[dict[str, Any]]:
    """Return the steps of a workflow or of the action that run a script."""
    tree = yaml.safe_load((ROOT / name).read_text("utf-8"))
    jobs = tree.get("jobs", {"action": tree.get("runs")}).values()
    return [step for job in jobs for step in job.get("steps", ()) if "run" in step]


@pytest.mark.parametrize(
    "name", ["action.yml", *SHIPPED, ".github/workflows/audit.yml", ".github/workflows/release.yml"]
)
def test_python_ignores_the_working_directory(name: str) -> None:
    """No step imports modules of the checkout, as `-m`, `-c` and scripts without `-I` do."""
    scripts = "\n".join(step["run"] for step in scripted(name))
    assert re.findall(r"\bpython3?\"? (?!-I )(?:-|\S+\.py).*", scripts) == []


@pytest.mark.parametrize("name", ["action.yml", ".github/workflows/webhooks.yml"])
@pytest.mark.parametrize(("oldest", "code"), [("3, 11", 0), ("9, 0", 1)])
def test_the_steps_name_the_python_that_a_runner_lacks(name: str, oldest: str, code: int) -> None:
    """Otherwise pip would only report that it finds no version of a dependency."""
    install = next(step["run"] for step in scripted(name) if step["name"] == "Install")
    check = install.splitlines()[0].replace("3, 11", oldest)
    done = run("bash", "-e", "-c", check, cwd=ROOT)
    assert (done.returncode, "3.11" in done.stderr) == (code, code == 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["action.yml", ".github/workflows/webhooks.yml"])
def test_the_steps_install_a_program_and_run_nothing_of_the_checkout(
    tmp_path: Path, package_index: None, name: str
) -> None:
    """The steps, run as written, work in a checkout with a file for every module of Python."""
    work = tmp_path / "work"
    write(work, {"webhooks.yaml": "webhooks: []\n"})
    ran = plant(work)
    environ = {
        "HOME": str(tmp_path),
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_PATH": str(tmp_path / "path"),
        "WEBHOOKS_PACKAGE": str(ROOT),
        "WEBHOOKS_LOCK": str(ROOT / "requirements/action.lock"),
        "WEBHOOKS_COMMAND": "validate",
    }
    bash = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")
    install, run_step = (
        next(step["run"] for step in scripted(name) if step["name"] == title)
        for title in ("Install", "Run")
    )
    done = run(*bash, install, cwd=work, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "path"
    environ["PATH"] = (
        f"{folder.read_text().strip() if folder.exists() else ''}:{os.environ['PATH']}"
    )
    done = run(*bash, run_step, cwd=work, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The files are valid" in done.stdout
    assert not ran.exists()
