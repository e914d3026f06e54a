"""Workflows, locks and documents: pinned, complete, and about one repository and requirement."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from reconciler.ci.workflows import GUIDE, pinned
from scripts.release import REQUIREMENTS, SENTENCES
from tests.folders import ROOT, tracked
from tests.packaging.test_installed import PYTHONS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))
CI = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    """A comment has the action's version. No triggered workflow sets top-level permissions."""
    text = path.read_text("utf-8")
    for used in re.findall(r"uses: (?![$.]/\.github/)(.+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    workflow = yaml.safe_load(text)
    assert "workflow_call" in workflow[True] or workflow["permissions"] == {}


MINIMUM = re.compile(
    r"Python,?\s3\.(\d+)\s(?:or|and|as)|--python-version 3\.(\d+)|sys\.version_info < \(3, (\d+)"
    r"|older than 3\.(\d+)|requires-python = \">=3\.(\d+)|target-version = \"py3(\d+)"
)
STATED_IN = ("README.md", "CONTRIBUTING.md", "docs/github.md", "action.yml", "pyproject.toml")


@pytest.mark.parametrize("file", [*STATED_IN, "scripts/lock"])
def test_each_place_has_the_same_minimum_python(file: str) -> None:
    """A raised minimum is raised in every file; the classifiers and CI have those of the tests."""
    stated = {
        f"3.{''.join(groups)}" for groups in MINIMUM.findall((ROOT / file).read_text("utf-8"))
    }
    assert stated == {PYTHONS[0]}


def test_every_dependency_is_used() -> None:
    """A package that the program does not import is not installed with it."""
    imported = set()
    for path in (ROOT / "reconciler").rglob("*.py"):
        imported.update(re.findall(r"(?m)^ *(?:import|from) (\w+)", path.read_text("utf-8")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.match(r"[\w-]+", each)[0].replace("-", "_") for each in project["dependencies"]}
    assert {"yaml" if each == "pyyaml" else each for each in names} <= imported


def test_only_the_job_that_publishes_may_publish() -> None:
    """The publish job runs after all tests, in an environment with required reviewers.

    It runs no code of the repository, and attests the archives.
    """
    publish = RELEASE["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"]["name"] == "pypi"
    assert not any("run" in step for step in publish["steps"])
    assert publish["steps"][-1]["with"]["attestations"] is True
    assert set(publish["needs"]) == {"test", "build", "attest"}
    assert RELEASE["jobs"]["test"]["uses"] == "./.github/workflows/ci.yml"
    assert RELEASE["jobs"]["release"]["needs"] == "publish"
    for job in ("test", "build"):
        assert RELEASE["jobs"][job]["permissions"] == {"contents": "read"}
    assert "secrets." not in yaml.safe_dump(RELEASE)


def test_ci_covers_what_the_metadata_promises() -> None:
    """CI tests every Python version: completely on Linux, a selection on Windows and macOS."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    linux, others = CI["jobs"]["check"], CI["jobs"]["platforms"]
    assert linux["strategy"]["matrix"]["python"] == promised == list(PYTHONS)
    assert linux["steps"][-1]["run"] == "bash .ci/run"
    assert {each.partition("-")[0] for each in others["strategy"]["matrix"]["system"]} == {
        "windows", "macos",
    }  # fmt: skip
    selected = re.findall(r"tests/\S+", others["steps"][-1]["run"])
    assert len(selected) > 2
    assert all((ROOT / each).exists() for each in selected)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_is_complete(path: Path) -> None:
    """A lock has every requirement, with exact versions and hashes, and no URL of an index."""
    text = path.read_text("utf-8")
    entries = re.findall(
        r"^([\w.-]+)==(\S+)[^\n]*((?:\n    --hash=sha256:[0-9a-f]{64}[^\n]*)*)", text, re.M
    )
    assert all(hashes for _, _, hashes in entries)
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert len(entries) == len(lines)
    requirements = path.with_suffix(".in").read_text("utf-8").splitlines()
    wanted = {line for line in requirements if line and not line.startswith("#")}
    assert {each.partition("[")[0] for each in wanted} <= {name for name, _, _ in entries}
    assert "://" not in text


def test_every_lock_is_generated_and_audited() -> None:
    """The script generates each lock, and the audit checks each."""
    script = (ROOT / "scripts" / "lock").read_text("utf-8")
    assert re.search(r"action build check audit", script)
    assert {each.stem for each in LOCKS} == {"action", "audit", "build", "check"}
    assert "requirements/*.lock" in (ROOT / ".github/workflows/audit.yml").read_text("utf-8")


REQUIREMENT = pinned("0" * 40)[0].replace("0" * 40, "COMMIT")
RELEASED = "==" in REQUIREMENT
ADDRESS = GUIDE.removesuffix("/blob/main/docs/github.md")
SLUG = ADDRESS.removeprefix("https://github.com/")


def texts() -> dict[str, str]:
    """Return what users read or copy, by file name: all tracked text outside tests."""
    return {
        name: (ROOT / name).read_text("utf-8")
        for name in tracked()
        if not name.startswith(("tests/", "benchmarks/", "requirements/"))
        and name != "scripts/release.py"
    }


@pytest.mark.parametrize("name", SENTENCES)
def test_a_document_installs_what_the_workflows_install(name: str) -> None:
    """A document has the pre-release requirement and text, or the released ones, never a mix."""
    text = " ".join((ROOT / name).read_text("utf-8").split())
    assert text.count(REQUIREMENT) == REQUIREMENTS.get(name, 0)
    for before, after in SENTENCES[name]:
        assert (before in text, after in text) == (not RELEASED, RELEASED)


def test_nothing_else_is_installed() -> None:
    """All requirements are equal. Before a release, none installs the name from PyPI."""
    for name, text in texts().items():
        found = re.findall(r"cloudtruth-webhooks(?:\[\w+\])?(?: @ git\+[^\s\"'{]+|==\d\S*\b)", text)
        assert set(found) <= {REQUIREMENT}, name
        if not RELEASED:
            by_name = r"(?:install|uvx|pipx run|--from)(?: -\S+)* ['\"]?cloudtruth-webhooks(?! @)"
            assert not re.search(by_name, text), name


def test_one_repository() -> None:
    """The metadata, schemas, documents and program all refer to the same repository."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Source"] == ADDRESS
    assert all(url.startswith(ADDRESS) for url in urls.values())
    for name, text in texts().items():
        addresses = rf"(?:github|githubusercontent)\.com/([\w.-]+/{SLUG.partition('/')[2]})\b"
        assert set(re.findall(addresses, text)) <= {SLUG}, name
        if name.startswith("schemas/") and name.endswith(".json"):
            assert f'"$id": "https://raw.githubusercontent.com/{SLUG}/main/{name}"' in text
