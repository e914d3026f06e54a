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
        '      channel: "#deploys-staging"  # orgs/staging.yaml:4, overrides base/webhooks.yaml:8',
        "    event_types:  # base/webhooks.yaml:10, overrides base/webhooks.yaml:4",
        '      channel: "#audit"  # base/webhooks.yaml:11',
    ):
        assert line in done.out.splitlines()
    data = yaml.safe_load(done.out)
    assert data == yaml.safe_load(shell("render", "orgs/staging.yaml").out)
    document = json.loads(shell("render", "orgs/staging.yaml", "--format", "json").out)
    assert document["files"] == {"orgs/staging.yaml": data}
    document = json.loads(shell("render", "orgs", "--origin", "--format", "json").out)
    channel = next(
        each
        for each in document["origins"]["orgs/staging.yaml"]
        if each["path"] == ["webhooks", 0, "configuration", "channel"]
    )
    assert channel["written"] == [{"file": "orgs/staging.yaml", "line": 4}]
    assert channel["overrides"] == [{"file": "base/webhooks.yaml", "line": 8}]


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


def test_a_plan_names_the_file_that_writes_the_changed_value(
    shell: Shell, repository: Path
) -> None:
    """A change of the base is shown at its line, also if the overlay changes the same webhook."""
    file = ("-f", "orgs/staging.yaml", "--local")
    assert shell("apply", *file, "--yes", **SECRETS).code == 0
    changed = BASE.replace("  - name: Deploys\n", "  - name: Deploys\n    event_types: [value_*]\n")
    (repository / "base/webhooks.yaml").write_text(changed)
    (line,) = (
        row for row in shell("plan", *file, **SECRETS).out.splitlines() if "~ Deploys" in row
    )
    assert line.endswith("base/webhooks.yaml:8")
    assert '"file": "base/webhooks.yaml"' in shell("plan", *file, "--format", "json", **SECRETS).out


def test_findings_as_json_name_the_organizations_and_their_files(
    shell: Shell, repository: Path
) -> None:
    """A program knows which organizations were checked, whether or not the files are valid."""
    for text, code in (("organization: Other\nwebhooks: []\n", 0), ("organization: Other\n", 3)):
        write(repository, {"orgs/other.yaml": text})
        done = shell("validate", "orgs", "base", "--format", "json", **SECRETS)
        assert (done.code, json.loads(done.out)["organizations"]) == (
            code,
            [
                {"organization": "Other", "files": ["orgs/other.yaml"]},
                {"organization": "Acme Staging", "files": ["orgs/staging.yaml"]},
            ],
        )


def test_twelve_organizations_of_three_brands_in_four_environments(
    shell: Shell, tmp_path: Path
) -> None:
    """A rename, a removal, a move to one overlay and a retired organization do what they say."""
    brands, environments = ("acme", "globex", "initech"), ("dev", "test", "staging", "production")
    legacy = "  - {name: Legacy, configuration: {channel: '#legacy'}}\n"
    base = BASE + legacy
    texts = {"base.yaml": base}
    for brand in brands:
        texts[f"brands/{brand}.yaml"] = (
            f"extends: ../base.yaml\ndefaults: {{configuration: {{username: {brand}}}}}\n"
        )
    texts["brands/globex.yaml"] += "webhooks: [{name: Audit, exclude: true}]\n"
    for environment in environments:
        texts[f"environments/{environment}.yaml"] = "extends: ../base.yaml\nprotect: [Deploys]\n"
        for brand in brands:
            parents = f"[../brands/{brand}.yaml, ../environments/{environment}.yaml]"
            texts[f"organizations/{brand}-{environment}.yaml"] = (
                f"extends: {parents}\norganization: {brand} {environment}\n"
            )
    write(tmp_path, texts)
    plan = ("plan", "-f", ".", "--local")
    assert shell("validate", "-f", ".", "--strict", **SECRETS).code == 0
    assert shell("apply", "-f", ".", "--local", "--yes", **SECRETS).code == 0
    expect(shell(*plan, **SECRETS), 0, "12 organizations: 12 unchanged. No changes.")

    write(
        tmp_path, {"base.yaml": base.replace("name: Audit", "name: Trail\n    previously: [Audit]")}
    )
    expect(shell(*plan, **SECRETS), 3, "'Audit' was renamed to 'Trail'", "brands/globex.yaml:3")
    renamed = texts["brands/globex.yaml"].replace("Audit", "Trail")
    write(tmp_path, {"brands/globex.yaml": renamed})
    expect(shell(*plan, **SECRETS), 0, "8 to change, 4 unchanged. 8 to update, 0 to delete.")

    write(tmp_path, {"brands/globex.yaml": texts["brands/globex.yaml"], "base.yaml": BASE})
    expect(shell(*plan, **SECRETS), 0, "12 to change. 12 to delete.")
    one = texts["organizations/acme-dev.yaml"]
    moved = f"{one}webhooks:\n{legacy.replace('name: Legacy', 'name: Legacy, add: true')}"
    write(tmp_path, {"organizations/acme-dev.yaml": moved})
    expect(shell(*plan, **SECRETS), 0, "11 to change, 1 unchanged. 11 to delete.")

    retired = "organization: globex dev\nwebhooks: []\nlimits: {max_deletes: 2}\n"
    write(tmp_path, {**texts, "organizations/globex-dev.yaml": retired})
    expect(shell(*plan, **SECRETS), 5, "--allow-deletes 2", "11 unchanged, 1 blocked.")
