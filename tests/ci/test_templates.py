"""The workflows, the action and its locked requirements as files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.ci.outcome import ended
from reconciler.ci.workflows import (
    Setup,
    default_branch,
    package,
    updated,
    workflows,
)
from reconciler.cli.commands import ci
from reconciler.errors import UsageError
from reconciler.model import Scheme, SecretRef
from tests.ci.support import SETUP
from tests.cli.conftest import perform
from tests.environment import PROXIES

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "action.yml"
LOCK = ROOT / "requirements" / "action.lock"
BIN = Path(sys.executable).parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def env(*names: str) -> tuple[SecretRef, ...]:
    return tuple(SecretRef(scheme=Scheme.ENV, name=name) for name in names)


SHIPPED = workflows(
    Setup(
        package=".",
        file="examples/webhooks.yaml",
        references=env("PAGER_PASSWORD", "SLACK_BOT_TOKEN"),
    )
)

NAMES = [name.rpartition("/")[2] for name in SHIPPED]


def paths(folder: Path) -> list[str]:
    """Write the workflows as `init` does, and return all files to check."""
    written = []
    for name, text in workflows(SETUP).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(str(path))
    return written


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = BIN / name
    if not program.exists():
        pytest.skip(f"{name} is not installed")
    return subprocess.run(
        [str(program), *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )


def test_this_repository_runs_the_workflows_it_ships() -> None:
    """They differ only in the values that are filled in: package, file and allowed secrets."""
    for name, text in SHIPPED.items():
        assert (ROOT / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", NAMES)
def test_this_repository_s_workflows_pass_without_a_key(name: str) -> None:
    """Each step as GitHub would run it here: the examples are validated, nothing else happens."""
    (job,) = yaml.safe_load(SHIPPED[f".github/workflows/{name}"])["jobs"].values()
    (step,) = (each for each in job["steps"] if each.get("run", "").startswith("exec "))
    environ = {key: re.sub(r"\$\{\{.*?\}\}", "", str(value)) for key, value in step["env"].items()}
    done = perform(*step["run"].split()[2:], directory=ROOT, **environ)
    assert done.code == 0, done.out + done.err
    assert "there is no CLOUDTRUTH_API_KEY here" in done.out


def test_an_audit_finds_nothing(tmp_path: Path) -> None:
    """The auditor's strictest persona has no finding, on any workflow or the action."""
    done = tool("zizmor", "--offline", "--persona", "auditor", "--no-progress", "--format", "plain",
                str(ACTION), *paths(tmp_path), *(str(ROOT / name) for name in SHIPPED))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_match_github_s_schemas(tmp_path: Path) -> None:
    """Workflows and action are valid by the published schemas."""
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows",
                *paths(tmp_path), *(str(ROOT / name) for name in SHIPPED))  # fmt: skip
    assert done.returncode == 0, done.stdout
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", str(ACTION))
    assert done.returncode == 0, done.stdout


def steps() -> list[dict[str, Any]]:
    found = [
        step
        for text in workflows(SETUP).values()
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
    ]
    return found + yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]


def test_no_script_contains_an_expression() -> None:
    """Values reach a script through its environment only."""
    scripts = [step["run"] for step in steps() if "run" in step]
    assert len(scripts) == 10
    assert not any("${{" in script for script in scripts)


def test_every_action_is_pinned() -> None:
    """A full commit with its version as a comment, and only GitHub's own actions."""
    used = re.findall(r"uses: (.+)", "".join(workflows(SETUP).values()))
    assert used
    for line in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v[0-9.]+", line)
    assert "uses:" not in ACTION.read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_minimal_permissions(name: str) -> None:
    """None at the top; each job may read the files and has one write permission."""
    workflow = yaml.safe_load(workflows(SETUP)[f".github/workflows/{name}"])
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    writable = {key for key, level in job["permissions"].items() if level == "write"}
    assert job["permissions"]["contents"] == "read"
    assert (
        writable
        == {
            "plan-webhooks.yml": {"pull-requests"},
            "apply-webhooks.yml": {"pull-requests", "issues"},
            "drift-webhooks.yml": {"issues"},
        }[name]
    )
    assert job["environment"] == (
        "cloudtruth-production" if name.startswith("apply") else "cloudtruth-plan"
    )
    assert any(each.get("run", "").startswith("exec webhooks ") for each in job["steps"])
    assert job["steps"][0]["with"]["persist-credentials"] is False


def test_the_plan_workflow_runs_on_pushes_and_a_changed_base() -> None:
    """A pull request that gets another base is `edited`."""
    on = yaml.safe_load(workflows(SETUP)[".github/workflows/plan-webhooks.yml"])[True]
    assert on["pull_request"]["types"] == ["opened", "synchronize", "reopened", "edited"]
    assert "merge_group" in on


def test_applies_are_queued_and_never_cancelled() -> None:
    """Two merges give two applies in order; drift checks cannot cancel one in the queue."""
    apply, drift = (
        yaml.safe_load(workflows(SETUP)[f".github/workflows/{name}-webhooks.yml"])["concurrency"]
        for name in ("apply", "drift")
    )
    assert (apply["cancel-in-progress"], apply["queue"]) == (False, "max")
    assert apply["group"] != drift["group"]


def test_until_a_release_the_workflows_install_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unregistered package name is installed, and nothing without a pin."""
    monkeypatch.setattr("reconciler.ci.workflows._RELEASED", False)
    setup = Setup(package=package(COMMIT))
    for text in workflows(setup).values():
        (installed,) = re.findall(r'WEBHOOKS_PACKAGE: "(.+)"', text)
        assert re.fullmatch(
            rf"cloudtruth-webhooks @ git\+https://github\.com/\S+@{COMMIT}", installed
        )
    with pytest.raises(UsageError, match="commit"):
        package(None)


@pytest.mark.parametrize(
    ("file", "watched"),
    [("hooks/", "hooks/**"), ("./hooks", "hooks/**"), (".", "**"), ("./a.yml", "a.yml")],
)
def test_a_workflow_watches_the_configuration_and_its_secret_files(file: str, watched: str) -> None:
    """A directory is watched recursively; a file outside the repository cannot be watched."""
    files = ("hooks/pager-url", "/run/secrets/token")
    references = tuple(SecretRef(scheme=Scheme.FILE, name=name) for name in files)
    setup = Setup(package=".", file=file, branch="trunk", references=references)
    on = yaml.safe_load(workflows(setup)[".github/workflows/apply-webhooks.yml"])[True]
    assert on["push"] == {
        "branches": ["trunk"],
        "paths": [watched, "hooks/pager-url", ".github/workflows/apply-webhooks.yml"],
    }


def test_the_lists_are_exactly_the_references() -> None:
    """The allow-list has all of them; only apply gets values, one line per variable."""
    setup = Setup(
        package=".", references=(*env("B", "A"), SecretRef(scheme=Scheme.FILE, name="a b,c"))
    )
    for name in NAMES:
        (job,) = yaml.safe_load(workflows(setup)[f".github/workflows/{name}"])["jobs"].values()
        (step,) = (each for each in job["steps"] if each.get("run", "").startswith("exec "))
        assert step["env"]["WEBHOOKS_ALLOW_SECRETS"] == "env:A env:B file:a?b?c"
        assert ("A" in step["env"]) is name.startswith("apply")


def test_an_update_changes_only_the_lists() -> None:
    """Other edits of the user stay, and so do lines that were mapped by hand."""
    text = workflows(Setup(package=".", references=env("A", "B")))[
        ".github/workflows/apply-webhooks.yml"
    ]
    edited = text.replace("secrets.A }}", "secrets.OTHER }}").replace("minutes: 30", "minutes: 9")
    done = updated(edited, Setup(package="ignored", references=env("A", "C")))
    changed = set(done.splitlines()) ^ set(edited.splitlines())
    assert {each.strip() for each in changed} == {
        "B: ${{ secrets.B }}",
        "C: ${{ secrets.C }}",
        'WEBHOOKS_ALLOW_SECRETS: "env:A env:B"',
        'WEBHOOKS_ALLOW_SECRETS: "env:A env:C"',
    }
    assert updated(done, Setup(package="ignored", references=env("A", "C"))) == done


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a\\b", "${{ secrets.X }}"])
def test_a_value_that_would_break_the_workflow_is_refused(value: str) -> None:
    """No value can add lines or expressions."""
    with pytest.raises(UsageError, match="file"):
        workflows(Setup(package=".", file=value))


@pytest.mark.parametrize(
    ("answers", "branch"),
    [
        ({"refs/remotes/origin/HEAD": "origin/trunk"}, "trunk"),
        ({"refs/heads": "topic\nmaster", "HEAD": "topic"}, "master"),
        ({"refs/heads": "topic\ndev", "init.defaultBranch": "dev"}, "dev"),
        ({"HEAD": "work"}, "work"),
        ({}, "main"),
    ],
)
def test_the_default_branch_is_the_repository_s(answers: dict[str, str], branch: str) -> None:
    """The remote's, a usual name that exists, or the current one, in this order."""

    def git(arguments: Sequence[str]) -> bytes | None:
        found = answers.get(arguments[-1])
        return None if found is None else found.encode()

    assert default_branch(git) == branch


def test_the_action_passes_every_input_and_output() -> None:
    """None is missing, and every one exists in the program."""
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    env = action["runs"]["steps"][-1]["env"]
    passed = {re.findall(r"inputs\.([a-z-]+)", value)[0]: name for name, value in env.items()}
    assert set(passed) == set(action["inputs"])
    token = passed.pop("github-token")
    assert token == "GITHUB_TOKEN"
    for name, variable in passed.items():
        expected = "WEBHOOKS_" + name.upper().replace("-", "_")
        assert variable == expected + ("S" if name == "allow-secret" else "")
    options = {each.opts[-1].removeprefix("--") for each in ci.run.params if each.envvar}
    known = options & set(passed) | {"command"}
    assert set(passed) == known
    assert set(action["outputs"]) == set(ended("x", (), heading="").outputs)


def test_the_lock_pins_everything_without_an_index() -> None:
    """Each requirement has a version and hashes; the user chooses the index."""
    text = LOCK.read_text("utf-8")
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z])", text.strip())
    assert len(blocks) > 10
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+==[^\s]+ ", block), block
        assert "--hash=sha256:" in block
    locked = {block.split("==")[0] for block in blocks}
    assert {"click", "deepdiff", "httpx", "jsonschema-rs", "pyyaml", "hatchling"} <= locked
    assert "hatch-fancy-pypi-readme" in locked


@pytest.mark.slow
def test_the_action_installs_itself_from_the_lock(tmp_path: Path, package_index: None) -> None:
    """The install step, run as written, installs a working program."""
    install, run = yaml.safe_load(ACTION.read_text("utf-8"))["runs"]["steps"]

    kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_ACTION_PATH": str(ROOT),
        **kept,
        **PROXIES,
    }
    bash = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]
    done = subprocess.run(
        [*bash, install["run"]], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "webhooks.yaml").write_text("webhooks: []\n")
    done = subprocess.run(
        [*bash, run["run"]],
        cwd=tmp_path,
        env={**environ, "WEBHOOKS_COMMAND": "validate"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The files are valid" in done.stdout


def test_workflows_name_another_server_and_the_parents_of_the_file() -> None:
    """A server that is not the usual one is in each env; a parent triggers the apply."""
    setup = Setup(package="p", parents=("base/all.yaml",), server="https://ct.example.com")
    texts = workflows(setup)
    for text in texts.values():
        assert 'CLOUDTRUTH_SERVER_URL: "https://ct.example.com"' in text
        yaml.safe_load(text)
    assert '"base/all.yaml"' in texts[".github/workflows/apply-webhooks.yml"]
    assert "CLOUDTRUTH_SERVER_URL" not in "".join(workflows(Setup(package="p")).values())
