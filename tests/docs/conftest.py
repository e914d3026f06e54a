"""Whole commands inside a test, and CloudTruths to talk to."""

from __future__ import annotations

from tests.cli.conftest import cloud, shell

__all__ = ["cloud", "shell"]
