"""The language server and the validators, once for all tests; both need Node.js."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.language_server import LanguageServer
from tests.node import packages

SCHEMA = Path(__file__).parents[2] / "schemas/webhooks.schema.json"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with the packages of package-lock.json."""
    return packages(Path(__file__).parent)


@pytest.fixture(scope="session")
def editor(tools: Path) -> Iterator[LanguageServer]:
    """A running language server."""
    server = LanguageServer(tools, SCHEMA, SCHEMA.parents[1] / "examples")
    yield server
    server.close()
