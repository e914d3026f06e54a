"""The example of many organizations: each file with its own key, and a job for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Cloud, Shell
from tests.docs.test_library import ROOT, SLACK, both

__all__ = ["both"]
EXAMPLE = ROOT / "examples" / "organizations"
WORKFLOW = yaml.safe_load((EXAMPLE / "workflow.yml").read_text("utf-8"))
JOB = WORKFLOW["jobs"]["webhooks"]
ORGANIZATIONS = JOB["strategy"]["matrix"]["organization"]


@pytest.mark.parametrize("name", ORGANIZATIONS)
def test_each_organization(both: Cloud, shell: Shell, tmp_path: Path, name: str) -> None:
    """Each job's file is valid, is applied with its own key, and refuses the other's."""
    shutil.copytree(EXAMPLE, tmp_path / "organizations")
    step = JOB["steps"][-1]["env"]
    file = step["WEBHOOKS_FILE"].replace("${{ matrix.organization }}", name)
    environ = {**both.environ, **SLACK, "CLOUDTRUTH_API_KEY": f"{name}-example-key"}
    environ["WEBHOOKS_ALLOW_SECRETS"] = step["WEBHOOKS_ALLOW_SECRETS"]
    assert shell("validate", "-f", file, "--strict", **environ).code == 0
    assert shell("apply", "-f", file, "--yes", **environ).code == 0
    assert shell("plan", "-f", file, "--detailed-exitcode", **environ).code == 0
    (other,) = set(ORGANIZATIONS) - {name}
    wrong = {**environ, "CLOUDTRUTH_API_KEY": f"{other}-example-key"}
    assert shell("plan", "-f", file, **wrong).code == 4


def test_every_file_has_a_job() -> None:
    """No organization is forgotten, and the secrets of each reach its job."""
    assert {f"{name}.yaml" for name in ORGANIZATIONS} == {
        each.name for each in EXAMPLE.glob("*.yaml")
    }
    passed = JOB["steps"][-1]["env"]
    for name in ORGANIZATIONS:
        assert f"{name.upper()}_SLACK_TOKEN" in passed
        assert f"{name.upper()}_SLACK_TOKEN" in (EXAMPLE / f"{name}.yaml").read_text("utf-8")


def test_the_index_names_every_example() -> None:
    """Nobody has to look into the folder to know what is there."""
    index = (ROOT / "examples" / "README.md").read_text("utf-8")
    for each in (ROOT / "examples").iterdir():
        if each.name not in ("README.md", "__pycache__"):
            assert f"({each.name}" in index, each.name
