"""The repository and the services in which `webhooks ci` runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ci.support import World, world


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
