"""The shell and the servers of the command line's tests."""

from tests.cli.conftest import cloud, file, shell

__all__ = ["cloud", "file", "shell"]
