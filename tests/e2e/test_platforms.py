"""First use on each platform: CI also runs this on Windows and macOS.

It uses the running Python, no shell and no POSIX function, and paths with the system's separator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.folders import ROOT, commit, git, write
from tests.waiting import TIMEOUT

SECRETS = {"SLACK_BOT_TOKEN": "xoxb-" + "0123456789-example", "PAGER_PASSWORD": "an example"}
FOLDER = "webhook files"
FILE = os.path.join(FOLDER, "webhooks.yaml")

Webhooks = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def webhooks(tmp_path: Path) -> Webhooks:
    """Runs a command in a repository with the example in a folder."""
    text = (ROOT / "examples" / "webhooks.yaml").read_text("utf-8")
    write(tmp_path, {FILE: text.replace("Deploys", "Déploiements \N{ROCKET}")})
    git(tmp_path, "init", "-q", "--initial-branch=main")
    commit(tmp_path)

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "reconciler", *words], cwd=tmp_path, check=False,
            env={**os.environ, **SECRETS}, capture_output=True, timeout=TIMEOUT,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout + done.stderr).decode()
        return done

    return run


def test_validate_plan_and_apply(webhooks: Webhooks) -> None:
    """A file, a folder and a glob are read; a saved plan is applied; then the plan is empty."""
    for named in (FILE, FOLDER, os.path.join("*", "*.yaml")):
        assert b"Valid: 4 webhooks in" in webhooks("validate", "-f", named).stdout
    plan = webhooks("plan", "-f", FILE, "--local", "--format", "json", "--out", "plan.json")
    names = {each["name"] for each in json.loads(plan.stdout)["organizations"][0]["operations"]}
    assert "Déploiements \N{ROCKET}" in names
    assert b"3 created" in webhooks("apply", "--local", "plan.json", "--yes").stdout
    done = webhooks("apply", "--local", "--yes", "-f", FILE)
    assert b"No changes. 3 webhooks match." in done.stdout


def test_an_error_has_its_position(webhooks: Webhooks, tmp_path: Path) -> None:
    """The path of a position has forward slashes on every platform, as in GitHub's annotations."""
    path = tmp_path / FILE
    path.write_text(path.read_text("utf-8").replace("channel:", "channl:", 1), "utf-8")
    done = webhooks("validate", "-f", FILE, code=3)
    assert f"--> {FOLDER}/webhooks.yaml:" in (done.stdout + done.stderr).decode()


def test_redirected_export_is_a_configuration(webhooks: Webhooks, tmp_path: Path) -> None:
    """What `export > FILE` writes matches the live webhooks."""
    webhooks("apply", "--local", "--yes", "-f", FILE)
    done = webhooks("export", "--local", "--token", "env:SLACK_BOT_TOKEN")
    (tmp_path / "exported.yaml").write_bytes(done.stdout)
    assert b"No changes." in webhooks("plan", "--local", "-f", "exported.yaml").stdout


def test_the_previous_revision(webhooks: Webhooks, tmp_path: Path) -> None:
    """`--base` finds the file at a commit on every platform."""
    webhooks("apply", "--local", "--yes", "-f", FILE)
    path = tmp_path / FILE
    path.write_text(path.read_text("utf-8").replace("#audit", "#audits"), "utf-8")
    done = webhooks("plan", "--local", "-f", FILE, "--base", "HEAD")
    assert b"1 to update" in done.stdout
    assert b"no-base" not in done.stdout + done.stderr


def test_workflows_for_a_file_in_a_folder(webhooks: Webhooks, tmp_path: Path) -> None:
    """The workflows have the path of the file with forward slashes."""
    webhooks("init", "--github", "--commit", "0" * 40, "-f", FILE)
    text = (tmp_path / ".github/workflows/webhooks.yml").read_text("utf-8")
    assert f'default: "{FOLDER}/webhooks.yaml"' in text
