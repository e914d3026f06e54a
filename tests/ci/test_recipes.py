"""What docs say of GitLab and pre-commit, run as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.support import World, world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def script(here: World, job: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CLOUDTRUTH_SERVER_URL": here.cloudtruth_url,
        **here.secrets,
        **variables,
    }
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(job["script"])],
        cwd=here.work,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_gitlab_recipe_validates_plans_and_applies(here: World) -> None:
    """Each job's script does what its name says, the plan with its base."""
    (text,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/gitlab.md").read_text("utf-8"), re.DOTALL
    )
    jobs = yaml.safe_load(text)
    base = here.git("rev-parse", "HEAD")
    here.declare("Audit", "Deploys")
    assert script(here, jobs["validate"]).returncode == 0
    for _ in range(2):  # runners keep the folder
        planned = script(here, jobs["plan"], CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
        assert planned.returncode == 0, planned.stderr
        assert "2 to create" in planned.stdout
        assert "this change" in planned.stdout
    applied = script(here, jobs["apply"])
    assert applied.returncode == 0, applied.stderr
    assert set(here.live()) == {"Audit", "Deploys"}
    assert jobs["apply"]["resource_group"]


def test_the_pre_commit_hook_judges_the_declared_files(here: World) -> None:
    """Its entry is a command that exists, and it fails on a broken file."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert hook["pass_filenames"] is False
    job = {"script": [hook["entry"]]}
    assert script(here, job).returncode == 0
    (here.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    assert script(here, job).returncode == 3


def test_every_reason_that_docs_name_exists() -> None:
    """The table of refusals speaks of words that the program says."""
    text = (ROOT / "docs/github.md").read_text("utf-8")
    table = text.split("## Every refusal")[1].split("\n## ")[0]
    source = "".join(
        path.read_text("utf-8")
        for path in (ROOT / "reconciler").rglob("*.py")
        if "emulator" not in path.parts
    )
    words = re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)
    assert len(words) >= 7
    for word in words:
        assert f'"{word}"' in source


def test_every_message_that_docs_cure_exists() -> None:
    """A reader who searches the page for a message finds it, and the other way round."""
    text = (ROOT / "docs/github.md").read_text("utf-8").split("## Troubleshooting by message")[1]
    source = " ".join(
        path.read_text("utf-8").replace('"\n', "").replace('f"', '"')
        for path in [*(ROOT / "reconciler").rglob("*.py"), ROOT / "action.yml"]
    ).lower()
    flat = re.sub(r'"\s*"', "", re.sub(r"\s+", " ", source))
    for message in (
        "there is no cloudtruth_api_key here",
        "lacks permission to do this",
        "this pull request's changes are not told apart from drift",
        "there is no github token to comment with",
        "apply does not run on pull requests",
        "python3 is older than 3.11",
    ):
        assert message in text.lower()
        assert message in flat
