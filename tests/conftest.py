"""Options and fixtures of all tests: fixed examples, a clean environment, complete commands."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests.cli.conftest import cloud, file, server, shell
from tests.environment import is_removed
from tests.goldens import Golden
from tests.installing import checkout, package_index, release

__all__ = ["checkout", "cloud", "file", "package_index", "release", "server", "shell"]

# Use the same examples everywhere, without a deadline for running or generating an example.
# `--hypothesis-profile default` tries others.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options that rewrite golden files and run more cases."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--all-canaries", action="store_true", help="run all cases of tests/secrecy")


def pytest_configure(config: pytest.Config) -> None:
    """Stop the coverage that pytest-cov starts in a worker and forgets: it ignores `no_cover`."""
    while hasattr(config, "workerinput") and Coverage.current() is not None:
        Coverage.current().stop()


@pytest.hookimpl(trylast=True)  # after the plugin of hypothesis has added its marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage in tests that are slow or try many inputs: they take half as long."""
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("hypothesis"):
            item.add_marker("no_cover")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare outputs with golden texts, or write these with `--update-golden`."""
    return Golden(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Remove variables of this machine, so that commands start from a known environment."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if is_removed(name)}
    yield
    os.environ.update(taken)
