"""Runs whole commands, as the tests of the command line do."""

from tests.cli.conftest import cloud, file, shell  # noqa: F401 - fixtures
