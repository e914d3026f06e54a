"""Every command runs with the oldest dependencies that pyproject.toml allows."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli import main
from tests.emulated.emulator import Emulator
from tests.emulated.variant import Variant
from tests.folders import ROOT
from tests.installing import Release, environment, run
from tests.packaging.test_installed import SECRETS
from tests.served import served

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("package_index")]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MINIMUM_VERSIONS = [re.sub(r">=([\d.]+).*", r"==\1", each) for each in PROJECT["dependencies"]]
COMMANDS = (
    ("validate",), ("init", "--github", "--commit", "0" * 40), ("plan", "--out", "plan.json"),
    ("show", "plan.json"), ("apply", "plan.json", "--yes"), ("status", "--format", "json"),
    ("export",), ("doctor",), ("ci", "plan"), ("check", "-f", "none.yaml"), ("drift",),
    ("reconcile", "--help"),  # it needs a commit
    ("slack", "manifest"), ("schema",), ("render",), ("help", "options"),
    *(("completion", shell) for shell in ("bash", "zsh", "fish")),
)  # fmt: skip

HELP = """
import sys
from reconciler.cli.main import run
from reconciler.cli.console import Process
process = Process.of_this_process()
sys.exit(max(run([*each.split(), "--help"], process) for each in sys.argv[1:]))
"""
"""The help of every command, in one process."""


@pytest.fixture(scope="module")
def program(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's program with exactly the oldest versions."""
    home = tmp_path_factory.mktemp("minimum-versions") / "environment"
    return environment(home, str(release.wheel), *MINIMUM_VERSIONS) / "webhooks"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an emulated CloudTruth."""
    with served(Emulator(behavior=Variant(any_key=True))) as url:
        yield url


def test_every_command_runs(program: Path, server: str, tmp_path: Path) -> None:
    """Webhooks are created over HTTP, one is updated, then the plan is empty."""
    environ = {"CLOUDTRUTH_SERVER_URL": server, "CLOUDTRUTH_API_KEY": "any", **SECRETS}
    file = tmp_path / "webhooks.yaml"
    (tmp_path / "none.yaml").write_text("webhooks: []\n")
    shutil.copy(ROOT / "examples" / "webhooks.yaml", file)

    def webhooks(*words: str) -> subprocess.CompletedProcess[str]:
        return run(program, *words, cwd=tmp_path, **environ)

    for words in COMMANDS:
        done = webhooks(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    every = (" ".join(words) for words in COMMANDS)
    done = run(program.with_name("python"), "-c", HELP, *every, cwd=tmp_path)
    assert (done.returncode, done.stdout.count("Usage: ")) == (0, len(COMMANDS)), done.stderr
    file.write_text(file.read_text("utf-8").replace("username: CloudTruth", "username: Other"))
    for expected in ("updated", "No changes. 3 webhooks match."):
        done = webhooks("apply", "--yes")
        assert (done.returncode, expected in done.stdout) == (0, True), done
    file.write_text("webhooks: [{nam: x, type: slak}]\n")
    assert "did you mean `name`?" in webhooks("validate").stdout
    assert "did you mean `webhooks plan`?" in webhooks("plna").stderr


def test_every_command_is_in_the_list() -> None:
    """A new command must be added to this module."""
    assert {words[0] for words in COMMANDS} == set(main.program().commands)
