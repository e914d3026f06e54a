"""Commands with files that extend others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import SECRETS, Shell, expect
from tests.folders import git, write

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
    event_types: ["*"]
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
    write(tmp_path, {"base/webhooks.yaml": BASE, "orgs/staging.yaml": OVERLAY})
    return tmp_path


def test_rendered_lines_have_their_origin(shell: Shell, repository: Path) -> None:
    """Each line has the file and line of its value in a comment; YAML and JSON mean the same."""
    done = shell("render", "orgs/staging.yaml", "--origin")
    for line in (
        "organization: Acme Staging  # orgs/staging.yaml:2",
        "prune: true  # default",
        "  max_deletes: 3  # base/webhooks.yaml:1",
        "  - name: Deploys  # orgs/staging.yaml:4",
        "    event_types: [value_updated]  # base/webhooks.yaml:4",
        "      token: {env: TOKEN}  # base/webhooks.yaml:5",
        '      channel: "#deploys-staging"  # orgs/staging.yaml:4',
        "    event_types:  # base/webhooks.yaml:10",
        '      channel: "#audit"  # base/webhooks.yaml:11',
    ):
        assert line in done.out.splitlines()
    data = yaml.safe_load(done.out)
    assert data == yaml.safe_load(shell("render", "orgs/staging.yaml").out)
    document = json.loads(shell("render", "orgs/staging.yaml", "--format", "json").out)
    assert document["files"] == {"orgs/staging.yaml": data}


def test_a_saved_plan_contains_the_overlay_and_its_parent(shell: Shell, repository: Path) -> None:
    """Applying the plan reads no file, and its positions are those of the declaring file."""
    file = ("-f", "orgs/staging.yaml", "--local")
    assert shell("plan", *file, "-o", "plan.json", **SECRETS).code == 0
    (repository / "base/webhooks.yaml").unlink()
    expect(shell("apply", "plan.json", "--local", "--yes", **SECRETS), 0, "2 created")
    assert '"base/webhooks.yaml"' in (repository / "plan.json").read_text()


def test_a_base_revision_includes_parents(shell: Shell, repository: Path) -> None:
    """`--base` follows `extends` in git: a changed parent changes this file, and its guards."""
    for command in ("init -q", "add .", "commit -qm first"):
        git(repository, *command.split())
    file = ("-f", "orgs/staging.yaml", "--local")
    assert shell("apply", *file, "--yes", **SECRETS).code == 0
    changed = BASE.replace("#audit", "#other").replace("max_deletes: 3", "max_deletes: 9")
    (repository / "base/webhooks.yaml").write_text(changed)
    done = shell("plan", *file, "--base", "HEAD", **SECRETS)
    expect(done, 0, "warning[relaxed-limits]: limits.max_deletes", "~ Audit", "(this change)")
