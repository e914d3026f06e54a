"""The archives of a release, built once, and environments in which packages are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environment import download_environment
from tests.folders import ROOT, tracked
from tests.waiting import TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The archives of a release."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tracked files to a folder without untracked files."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def release(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Build the sdist and the wheel from it, with the command of the release workflow."""
    out = tmp_path_factory.mktemp("dist")
    done = run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout, cwd=out
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Release(sdist=sdist, wheel=wheel)


@pytest.fixture(scope="session")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip tests that install packages where no package index can be reached."""
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "click")
    if run(*command, cwd=tmp_path_factory.mktemp("index")).returncode:
        pytest.skip("pip cannot reach a package index from here")


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program that may fetch packages."""
    # The program that runs here is a copy, so coverage does not measure it.
    left = ("PYTHON", "COVERAGE")
    kept = {key: value for key, value in download_environment().items() if not key.startswith(left)}
    return subprocess.run(
        command, cwd=cwd, env={**kept, **environ}, capture_output=True, text=True,
        timeout=TIMEOUT, check=False,
    )  # fmt: skip


def tool(name: str) -> str:
    """Return a program that installs others; skip the test if it is not installed."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    found = shutil.which(name, path=beside)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def environment(home: Path, *packages: str | Path, python: str = sys.executable) -> Path:
    """Create a virtual environment with these packages; return its folder of programs."""
    for words in (
        ("venv", "--python", python, home),
        ("pip", "install", "--python", home, *packages),
        ("pip", "check", "--python", home),
    ):
        done = run(tool("uv"), *words, cwd=home.parent)
        assert done.returncode == 0, done.stderr
    return home / ("Scripts" if os.name == "nt" else "bin")
