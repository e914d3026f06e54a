"""A release, from the commit that prepares it to the release on GitHub.

The run-steps of release.yml are run as written, in a clone with an origin. The other steps need
GitHub or PyPI: check-out, upload and download of artifacts, attestations, publishing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.folders import ROOT, commit, git
from tests.installing import environment, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("package_index")]

JOBS = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A feature.\n"
VALUES = {"github.event.repository.default_branch": "main", "github.token": "a-token"}
GH = '#!/bin/sh\nprintf "%s\\n" "$@" > "$RUNNER_TEMP/called"\n'


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, as a runner checks it out for a tag."""

    folder: Path
    temporary: Path

    def step(self, step: dict[str, Any], tag: str) -> subprocess.CompletedProcess[str]:
        """Run a step as GitHub does."""
        environ = {
            name: re.sub(r"\$\{\{ (.+?) \}\}", lambda found: VALUES[found[1]], value)
            for name, value in step.get("env", {}).items()
        }
        environ |= {
            "GITHUB_REF_NAME": tag,
            "GITHUB_REPOSITORY": "acme/webhooks",
            "RUNNER_TEMP": str(self.temporary),
            "PATH": f"{self.temporary}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return run("bash", "-e", "-c", step["run"], cwd=self.folder, **environ)

    def job(self, name: str, tag: str) -> str:
        """Run the run-steps of a job; return the first error, or nothing."""
        for step in JOBS[name]["steps"]:
            if "run" in step and (done := self.step(step, tag)).returncode:
                return done.stdout + done.stderr
        return ""

    def prepare(self, version: str) -> subprocess.CompletedProcess[str]:
        """Run the script that prepares a release."""
        return run(sys.executable, "scripts/release.py", "prepare", version, cwd=self.folder)


@pytest.fixture
def clone(checkout: Path, tmp_path: Path) -> Clone:
    """The tracked files, with a short changelog, on the branch main of a repository."""
    folder, temporary = tmp_path / "clone", tmp_path / "temporary"
    shutil.copytree(checkout, folder)
    (folder / "CHANGELOG.md").write_text(CHANGELOG, "utf-8")
    temporary.mkdir()
    (temporary / "gh").write_text(GH)
    (temporary / "gh").chmod(0o755)
    git(tmp_path, "init", "-q", "--bare", "--initial-branch=main", "origin")
    git(folder, "init", "-q", "--initial-branch=main")
    git(folder, "remote", "add", "origin", str(tmp_path / "origin"))
    push(folder)
    return Clone(folder, temporary)


def push(folder: Path, branch: str = "main") -> None:
    """Commit everything, and push it to a branch of the origin."""
    commit(folder)
    git(folder, "push", "-q", "origin", f"HEAD:{branch}")


def test_a_release(clone: Clone, tmp_path: Path) -> None:
    """A prepared commit and a tag give both archives, an SBOM and release notes.

    The program then writes workflows that install this version from PyPI.
    """
    done = clone.prepare("0.2.0")
    assert done.returncode == 0, done.stderr
    push(clone.folder)
    assert clone.job("build", "v0.2.0") == ""
    dist = {each.name for each in (clone.folder / "dist").iterdir()}
    wheel = "cloudtruth_webhooks-0.2.0-py3-none-any.whl"
    assert dist == {wheel, "cloudtruth_webhooks-0.2.0.tar.gz"}
    assert (clone.folder / "notes/notes.md").read_text() == "### Added\n\n- A feature.\n"

    sbom = json.loads((clone.folder / "notes/sbom.cdx.json").read_text())
    listed = {
        each["name"].lower().replace("_", "-"): each["version"] for each in sbom["components"]
    }
    assert listed["cloudtruth-webhooks"] == "0.2.0"
    assert set(re.findall(r"^[\w-]+", "\n".join(PROJECT["dependencies"]), re.M)) <= set(listed)

    assert clone.job("release", "v0.2.0") == ""
    arguments = (clone.temporary / "called").read_text().split("\n")
    assert arguments[:3] == ["release", "create", "v0.2.0"]
    assert {f"dist/{wheel}", "notes/sbom.cdx.json", "notes/notes.md"} <= set(arguments)

    program = environment(tmp_path / "environment", clone.folder / "dist" / wheel)
    assert run(program / "webhooks", "--version", cwd=tmp_path).stdout == "webhooks 0.2.0\n"
    (tmp_path / "webhooks.yaml").write_text("webhooks: []\n")
    assert run(program / "webhooks", "init", "--github", cwd=tmp_path).returncode == 0
    written = (tmp_path / ".github/workflows/webhooks.yml").read_text("utf-8")
    assert 'WEBHOOKS_PACKAGE: "cloudtruth-webhooks==0.2.0"' in written


def test_the_documents_of_a_release(clone: Clone) -> None:
    """After each release, the documents install that release's version."""
    for version in ("0.2.0", "0.3.0"):
        done = clone.prepare(version)
        assert done.returncode == 0, done.stderr
        tests = "tests/packaging/test_supply_chain.py", "tests/ci/test_templates.py"
        python = (sys.executable, "-m", "pytest", "-q", "-m", "not slow")
        done = run(*python, *tests, cwd=clone.folder)
        assert done.returncode == 0, done.stdout
        guide = (clone.folder / "docs/github.md").read_text("utf-8")
        assert guide.count(f"cloudtruth-webhooks=={version}") == 2
        changelog = (clone.folder / "CHANGELOG.md").read_text("utf-8")
        assert f"## [Unreleased]\n\n## [{version}] - 20" in changelog


def test_what_is_not_released(clone: Clone) -> None:
    """Nothing is built for another version, an empty section, or a commit that is not on main."""
    assert "does not match version" in clone.job("build", "v9.9.9")
    assert clone.prepare("0.2").returncode == 1
    assert clone.prepare("0.2.0").returncode == 0
    push(clone.folder, branch="other")
    assert "The tag v0.2.0 is not on the branch main." in clone.job("build", "v0.2.0")
    git(clone.folder, "push", "-q", "origin", "HEAD:main")
    shutil.rmtree(clone.folder / "notes", ignore_errors=True)
    (clone.folder / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.2.0]\n")
    assert "CHANGELOG.md has no section for 0.2.0" in clone.job("build", "v0.2.0")
    assert not (clone.folder / "dist").exists()
