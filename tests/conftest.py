"""What all tests share: no environment variable of the machine, no clock, and whole commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.cli.conftest import cloud, file, shell
from tests.surroundings import fetching, foreign

__all__ = ["cloud", "file", "shell"]

# The same examples everywhere, and no look at the clock: neither how long an example takes nor how
# long one takes to be made. `--hypothesis-profile default` tries others.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person rewrite what golden tests compare with, or run more cases."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--all-canaries", action="store_true", help="run all cases of tests/secrecy")


@pytest.fixture(scope="session", autouse=True)
def no_surroundings() -> Iterator[None]:
    """Take what is foreign out of the environment, so that commands start from nothing."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if foreign(name)}
    yield
    os.environ.update(taken)


@pytest.fixture(scope="session")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Leave out what installs packages where there is no index to take them from."""
    folder = tmp_path_factory.mktemp("index")
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "click")
    done = subprocess.run(command, cwd=folder, env=fetching(), capture_output=True, check=False)
    if done.returncode:
        pytest.skip("pip reaches no package index from here")
