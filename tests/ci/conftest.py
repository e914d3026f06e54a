"""The repository and the services in which `webhooks ci` runs, and GitHub's libraries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.ci.libraries import GitHubLibraries
from tests.ci.organizations import STORIES, Organizations
from tests.ci.support import World, world
from tests.goldens import Golden
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


MakeOrganizations = Callable[..., Organizations]


@pytest.fixture
def organizations(
    tmp_path: Path, request: pytest.FixtureRequest, golden: Golden
) -> Iterator[MakeOrganizations]:
    """Create organizations, with their environments, names and choices of the emulator's variant.

    After the test, what is left in CloudTruth and on GitHub is compared with stories/.
    """
    with ExitStack() as running:
        stories: list[Organizations] = []

        def create(*names: Mapping[str, str], **choices: Any) -> Organizations:
            here = running.enter_context(world(tmp_path, any_key=False, **choices))
            stories.append(Organizations(here, *names))
            return stories[0]

        yield create
        name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-")
        golden.file(STORIES / f"{name}.txt", stories[0].ending())


@pytest.fixture
def three(organizations: MakeOrganizations) -> Organizations:
    """Three organizations in two environments, whose webhooks are live as declared."""
    made = organizations()
    made.live({})
    return made
