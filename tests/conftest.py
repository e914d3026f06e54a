"""What all tests share: nothing of the caller's surroundings reaches them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

_FOREIGN = ("CLOUDTRUTH_", "WEBHOOKS_", "GITHUB_", "CLICOLOR")
_NAMES = ("NO_COLOR", "FORCE_COLOR", "SLACK_BOT_TOKEN", "PAGER_PASSWORD")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person rewrite what golden tests compare with."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


@pytest.fixture(scope="session", autouse=True)
def no_surroundings() -> Iterator[None]:
    """Take settings out of the environment, so that commands start from nothing."""
    taken = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(_FOREIGN) or name in _NAMES
    }
    yield
    os.environ.update(taken)
