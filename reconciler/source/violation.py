"""One objection of the schema to a file, and the names of all there can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.model import Path
from reconciler.values import dataclass

RULES: Final[Mapping[str, str]] = {
    "unknown-key": "Only known keys count; a misspelt one would silently do nothing.",
    "missing-field": "Something that must be there is not, here or in `defaults`.",
    "null-value": "A key without a value says nothing: give it one or delete it.",
    "comment-value": "A `#` after a space starts a comment in YAML: quote the value.",
    "not-text": "Text is needed; quote what YAML reads as a number, true or false.",
    "wrong-type": "Another kind of value is needed here.",
    "empty-text": "Text must not be empty.",
    "text-too-long": "A glob over names has 256 characters at most, one over events 128.",
    "empty-list": "The list needs at least one item.",
    "duplicate-item": "An item is written once in its list.",
    "out-of-range": "The number is too small.",
    "unsupported-version": "1 is the only version of the file's format.",
    "unknown-type": "A webhook is of a type that this version knows.",
    "unknown-state": "`state` is `absent`, or left out.",
    "unknown-event": "Events are those CloudTruth can send, or globs over them.",
    "bad-reference": "A secret is `{env: NAME}` or `{file: PATH}`, either with `version`.",
    "bad-variable-name": "Variables are named with letters, digits and underscores.",
    "bad-url": "A URL is absolute, http or https, without spaces.",
}
"""Every rule of the schema, with a line of help."""


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
