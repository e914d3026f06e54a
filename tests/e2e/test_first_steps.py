"""What a newcomer does first, as the README tells it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess

import pytest

from tests.e2e.conftest import SECRETS, User
from tests.folders import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def newcomer(user: User) -> User:
    """Somebody with the example and its variables."""
    shutil.copytree(ROOT / "examples", user.directory / "examples")
    user.environ.update(SECRETS)
    return user


EXAMPLE = ("-f", "examples/webhooks.yaml", "--local")


def test_apply_twice(newcomer: User) -> None:
    """The first apply creates, the second finds nothing to do and writes nothing."""
    first = newcomer.webhooks("apply", *EXAMPLE, "--yes")
    assert first.returncode == 0
    assert "3 created" in first.stdout
    assert "LOCAL" in first.stderr
    second = newcomer.webhooks("apply", *EXAMPLE, "--yes")
    assert second.returncode == 0
    assert "No changes. 3 webhooks match." in second.stdout
    with sqlite3.connect(newcomer.directory / ".webhooks-local/webhooks.db") as database:
        methods = [row[0] for row in database.execute("SELECT method FROM log ORDER BY seq")]
    database.close()
    assert methods.count("POST") == 3
    assert set(methods) == {"GET", "POST"}


def test_default_file(newcomer: User) -> None:
    """Without -f it is webhooks.yaml."""
    assert newcomer.webhooks("plan", "--local").returncode == 3
    shutil.copy(newcomer.directory / "examples/webhooks.yaml", newcomer.directory)
    done = newcomer.webhooks("plan", "--local")
    assert done.returncode == 0
    assert "webhooks.yaml:" in done.stdout


def test_schemas_are_in_the_wheel(newcomer: User) -> None:
    """The installed program has its schemas with it."""
    for name in ("webhooks", "plan", "report"):
        done = newcomer.webhooks("schema", name)
        assert done.returncode == 0
        assert json.loads(done.stdout)["$schema"]


@pytest.mark.parametrize("redirected", ["/dev/full", "closed"])
def test_output_that_goes_nowhere(newcomer: User, redirected: str) -> None:
    """Neither a full disk nor a reader that leaves changes the exit code; all is applied."""
    target = f"> {redirected}" if redirected.startswith("/") else "| true"
    done = subprocess.run(
        [
            "bash",
            "-c",
            "set -o pipefail; webhooks apply -f examples/webhooks.yaml --local --yes " + target,
        ],
        cwd=newcomer.directory,
        env=newcomer.surroundings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert ("error: applied 3 of 3 changes: 3 created" in done.stderr) is (redirected != "closed")
    assert "Exception" not in done.stderr
    assert newcomer.webhooks("plan", *EXAMPLE, "--detailed-exitcode").returncode == 0
