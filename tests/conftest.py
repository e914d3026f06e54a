"""What all tests share: no environment variable of the machine, no clock, and whole commands."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.cli.conftest import cloud, file, shell
from tests.installing import checkout, package_index, release
from tests.surroundings import foreign

__all__ = ["checkout", "cloud", "file", "package_index", "release", "shell"]

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
