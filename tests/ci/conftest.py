"""The repository and the services in which `webhooks ci` runs, and GitHub's libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.ci.libraries import GitHubLibraries
from tests.ci.support import World, world
from tests.node import packages


@pytest.fixture(scope="session")
def libraries() -> Iterator[GitHubLibraries]:
    """GitHub's libraries for workflows; they need Node.js."""
    with closing(GitHubLibraries(packages(Path(__file__).parent))) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[World]:
    """A world in which Audit is declared on main."""
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def here(fresh: World) -> World:
    """A world in which Audit is declared on main and live."""
    fresh.apply_main()
    return fresh
