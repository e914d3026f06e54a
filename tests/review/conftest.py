"""The surroundings of command tests, for tests that try to break `apply`."""

from __future__ import annotations

from tests.cli.conftest import cloud, file, shell

__all__ = ["cloud", "file", "shell"]
