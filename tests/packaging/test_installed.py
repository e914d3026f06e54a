"""The wheel works with every available Python, installed in every documented way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import __version__
from tests.folders import ROOT
from tests.installing import Release, environment, run, tool

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("package_index")]

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SECRETS = {"SLACK_BOT_TOKEN": "xoxb-" + "0123456789-example", "PAGER_PASSWORD": "example"}
VERSION = f"webhooks {__version__}\n"


def python(version: str) -> str:
    """Return an interpreter of that version; skip the test if it is not installed."""
    name = f"python{version}"
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    for found in (shutil.which(name), *map(str, pyenv)):
        if found is None:
            continue
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([found, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return found
    pytest.skip(f"no Python {version} here")


@pytest.mark.parametrize("version", PYTHONS)
def test_a_clean_environment_works(release: Release, tmp_path: Path, version: str) -> None:
    """The scripts and the module run; the example is applied, then the plan is empty."""
    # pip installs in `test_the_first_command_of_the_readme`
    program = environment(tmp_path / "environment", release.wheel, python=python(version))
    for command in (
        [program / "webhooks"],
        [program / "cloudtruth-webhooks"],
        [program / "python", "-m", "reconciler"],
    ):
        assert run(*command, "--version", cwd=tmp_path).stdout == VERSION
        assert "\nFix: " in run(*command, "help", "unknown-key", cwd=tmp_path).stdout
    shutil.copy(ROOT / "examples" / "webhooks.yaml", tmp_path)
    for expected in ("3 created", "No changes. 3 webhooks match."):
        applied = run(
            program / "python", "-W", "error", "-m", "reconciler", "apply", "--local", "--yes",
            cwd=tmp_path, **SECRETS,
        )  # fmt: skip
        assert applied.returncode == 0, applied.stderr
        assert expected in applied.stdout
    assert run(program / "webhooks", "schema", cwd=tmp_path).stdout.startswith("{")


def pipx_home(folder: Path) -> dict[str, str]:
    """Return variables that keep all files of pipx in a folder."""
    names = {"PIPX_HOME": "home", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man"}
    return {name: str(folder / "pipx" / part) for name, part in names.items()}


SENTENCE = re.search(
    r"Other ways to run it: (.*?`)\. ", (ROOT / "README.md").read_text("utf-8"), re.S
)
OTHER_WAYS = re.findall(r"`(.+?)`", SENTENCE[1]) if SENTENCE else []


@pytest.mark.parametrize("command", OTHER_WAYS)
def test_the_other_ways_of_the_readme(checkout: Path, tmp_path: Path, command: str) -> None:
    """Each command works as written, in a clone."""
    name, *words = command.split()
    if name == "python":
        done = run(sys.executable, *words, "--version", cwd=checkout)
    elif name == "pipx":
        environ = pipx_home(tmp_path)
        assert run(tool(name), *words, cwd=checkout, **environ).returncode == 0
        done = run(Path(environ["PIPX_BIN_DIR"]) / "webhooks", "--version", cwd=tmp_path)
    else:
        done = run(tool(name), *words, "--version", cwd=checkout)
    assert done.stdout == VERSION, done.stderr


def test_the_first_command_of_the_readme(checkout: Path) -> None:
    """The command works as written in a new clone; then the plan is empty."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"<!-- first command -->\s*```sh\n(.*?)```", text, re.S)
    assert found is not None
    older = Path(python(f"3.{sys.version_info.minor}")).parent
    path = f"{older}{os.pathsep}{os.environ['PATH']}"
    *_, last = found[1].split("&&")
    for command, expected in ((found[1], "3 created"), (last, "No changes. 3 webhooks match.")):
        done = run("bash", "-c", command, cwd=checkout, PATH=path)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
