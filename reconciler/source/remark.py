"""What a check of declared data has to say, before it is given its place in a file.

Checks work on plain data and know paths; turning paths into lines is dear and is done once, for
what is really reported.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.findings import Severity
from reconciler.model import Path


class Remark(NamedTuple):
    """What is wrong with a value: a rule of docs/rules.md, how bad it is, and advice."""

    rule: str
    severity: Severity
    message: str
    hint: str | None = None


class Spot(NamedTuple):
    """A value in a file, or with `key` the key that introduces it. `path` starts at the root."""

    file: str
    path: Path
    key: bool = False


class Problem(NamedTuple):
    """A remark and the spot where the user can mend it; `related` explains it further."""

    remark: Remark
    spot: Spot
    related: tuple[tuple[str, Spot], ...] = ()


def error(rule: str, message: str, hint: str | None = None) -> Remark:
    """Return a remark that stops the run."""
    return Remark(rule, Severity.ERROR, message, hint)


def note(rule: str, message: str, hint: str | None = None) -> Remark:
    """Return a remark that only informs."""
    return Remark(rule, Severity.NOTE, message, hint)


def warning(rule: str, message: str, hint: str | None = None) -> Remark:
    """Return a remark that does not stop the run, unless it is to be strict."""
    return Remark(rule, Severity.WARNING, message, hint)
