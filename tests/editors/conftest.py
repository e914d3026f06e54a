"""The language server and the validators, once for all tests; both need Node.js."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.language_server import LanguageServer, node_tools

SCHEMA = Path(__file__).parents[2] / "schemas/webhooks.schema.json"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with the packages of package-lock.json."""
    try:
        return node_tools()
    except FileNotFoundError as missing:
        pytest.skip(f"{missing} is not installed: editor tests need Node.js with npm")
    except ConnectionError as unreachable:
        pytest.skip(str(unreachable))


@pytest.fixture(scope="session")
def editor(tools: Path) -> Iterator[LanguageServer]:
    """A running language server."""
    server = LanguageServer(tools, SCHEMA, SCHEMA.parents[1] / "examples")
    yield server
    server.close()
