"""Strict YAML: bytes in, a plain tree or findings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file, read.

    `text` is the file without byte order mark and with `\\n` line ends. `data` holds only dict
    (with text keys), list, str, bool, int, float and None; parts that the file shares through
    aliases are shared here too, so treat it as read-only. `lines` has the first line (from 1) of
    each item of the root's `webhooks`.
    """

    file: str
    text: str
    data: dict[str, Any]
    lines: list[int]


def load(raw: bytes, file: str) -> Document | tuple[Finding, ...]:
    """Read one file, or say everything that is wrong with it as YAML. Never raises."""
    raise NotImplementedError
