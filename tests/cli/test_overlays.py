"""Files that extend others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import SECRETS, Shell
from tests.folders import git

BASE = """\
limits: {max_deletes: 3}
defaults:
  type: slack
  event_types: [value_updated]
  configuration: {token: {env: TOKEN}, username: CloudTruth}
webhooks:
  - name: Deploys
    configuration: {channel: "#deploys"}
  - name: Audit
    configuration: {channel: "#audit"}
"""
OVERLAY = """\
extends: ../base/webhooks.yaml
organization: Acme Staging
webhooks:
  - {name: Deploys, configuration: {channel: "#deploys-staging"}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "orgs").mkdir()
    (tmp_path / "base/webhooks.yaml").write_text(BASE)
    (tmp_path / "orgs/staging.yaml").write_text(OVERLAY)
    return tmp_path


def test_an_overlay_is_applied_like_its_rendered_file(shell: Shell, repository: Path) -> None:
    """After the overlay is applied, neither it nor the rendered file has changes."""
    assert shell("apply", "-f", "orgs/staging.yaml", "--local", "--yes", **SECRETS).code == 0
    (repository / "rendered.yaml").write_text(shell("render", "orgs/staging.yaml").out)
    for file in ("rendered.yaml", "orgs/staging.yaml"):
        assert "No changes. 2 webhooks match." in shell("plan", file, "--local", **SECRETS).out


def test_rendered_lines_have_their_origin(shell: Shell, repository: Path) -> None:
    """Each line names the file and line of its value; the text parses the same."""
    done = shell("render", "orgs/staging.yaml", "--origin")
    for line in (
        "organization: Acme Staging  # orgs/staging.yaml:2",
        "prune: true  # default",
        "  max_deletes: 3  # base/webhooks.yaml:1",
        "  - name: Deploys  # orgs/staging.yaml:4",
        "    event_types: [value_updated]  # base/webhooks.yaml:4",
        "      token: {env: TOKEN}  # base/webhooks.yaml:5",
        '      channel: "#deploys-staging"  # orgs/staging.yaml:4',
        '      channel: "#audit"  # base/webhooks.yaml:10',
    ):
        assert line in done.out.splitlines()
    assert yaml.safe_load(done.out) == yaml.safe_load(shell("render", "orgs/staging.yaml").out)


def test_a_saved_plan_contains_the_overlay_and_its_parent(shell: Shell, repository: Path) -> None:
    """Applying it reads no file, and its positions name the declaring file."""
    file = ("-f", "orgs/staging.yaml", "--local")
    assert shell("plan", *file, "-o", "plan.json", **SECRETS).code == 0
    (repository / "base/webhooks.yaml").unlink()
    done = shell("apply", "plan.json", "--local", "--yes", **SECRETS)
    assert done.code == 0, done.err
    assert "2 created" in done.out
    assert '"base/webhooks.yaml"' in (repository / "plan.json").read_text()


def test_a_base_revision_includes_parents(shell: Shell, repository: Path) -> None:
    """`--base` follows `extends` in git, so a changed parent changes this file."""
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    file = ("-f", "orgs/staging.yaml", "--local")
    assert shell("apply", *file, "--yes", **SECRETS).code == 0
    (repository / "base/webhooks.yaml").write_text(BASE.replace("#audit", "#other"))
    done = shell("plan", *file, "--base", "HEAD", "--format", "json", **SECRETS)
    (operation,) = json.loads(done.out)["operations"]
    assert (operation["name"], operation["attribution"]) == ("Audit", "this-change")


def test_a_guard_relaxed_by_an_overlay_is_shown(shell: Shell, repository: Path) -> None:
    """Compared with the base revision, a larger limit is a change of a guard."""
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    path = repository / "orgs/staging.yaml"
    path.write_text(f"{path.read_text()}limits: {{max_deletes: 9}}\n")
    file = ("-f", "orgs/staging.yaml", "--local")
    assert "max_deletes" in shell("plan", *file, "--base", "HEAD", **SECRETS).out
