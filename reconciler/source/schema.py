"""The judge: what the JSON Schema says about a file, explained for the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reconciler.findings import Finding
from reconciler.model import Path
from reconciler.source.document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One way in which data breaks the schema.

    `path` leads to the offending value (or to where a missing one should be); `on_key` says that
    the key is meant, not the value.
    """

    path: Path
    rule: str
    message: str
    hint: str | None = None
    on_key: bool = False


def judge(data: Any, definition: str = "") -> list[Violation]:
    """Hold plain data against a definition of the schema.

    `definition` names an entry of `$defs` (`slackWebhook`, `genericWebhook`: complete webhooks);
    empty means a whole file.
    """
    raise NotImplementedError


def explain(document: Document) -> tuple[Finding, ...]:
    """Say all that the schema finds wrong with a file as its author wrote it."""
    raise NotImplementedError


def finding(document: Document, violation: Violation, base: Path = ()) -> Finding:
    """Give a violation, whose path starts at `base`, its place in the file."""
    raise NotImplementedError


def findings(document: Document, violations: Iterable[Violation]) -> tuple[Finding, ...]:
    """Give each violation its place."""
    return tuple(finding(document, each) for each in violations)
