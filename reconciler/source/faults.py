"""What the reader says of a file that is YAML and still cannot be taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.findings import Finding, Position, Severity

MAX_DEPTH: Final = 32

FAULTS: Final[Mapping[str, tuple[str, str | None]]] = {
    "empty-document": (
        "the file is empty",
        "to declare that there are no webhooks, write `webhooks: []`",
    ),
    "root-not-mapping": (
        "the file must be a mapping, with keys such as `webhooks:`",
        "put the list of webhooks under `webhooks:`",
    ),
    "several-documents": ("a second document starts here", "put it into a file of its own"),
    "key-not-text": ("a key must be text", "put it in quotes"),
    "number-too-large": (
        "this number is too large to be kept exact",
        "put it in quotes if it is text",
    ),
    "tag": (
        "a tag (`!`) stands here, and files have none",
        "put the text in quotes if the `!` belongs to it; a secret is written `{env: NAME}`",
    ),
    "too-deep": (
        f"nested more than {MAX_DEPTH} levels deep",
        "flatten it; what an alias stands for counts too",
    ),
    "unknown-alias": (
        "no anchor of this name stands above",
        'put the text in quotes if it is no alias, as in `"*_deleted"`',
    ),
    "alias-cycle": (
        "this alias would make a value contain itself",
        "write out what is meant, without the alias",
    ),
    "alias-expansion": (
        "aliases make the file grow without measure",
        "write the values out, or use fewer levels of aliases",
    ),
    "merge": (
        "`<<` takes a mapping or a list of mappings, once in each mapping",
        "merge several with a list: `<<: [*one, *two]`",
    ),
    "yaml-syntax": (
        "nothing of this kind may follow the `|` or `>` of a text block",
        "start the text on the next line",
    ),
}
"""Message and advice for each rule."""


def fault(rule: str, position: Position) -> Finding:
    """Return the error that `rule` is broken at `position`."""
    message, hint = FAULTS[rule]
    return Finding(
        rule=rule, severity=Severity.ERROR, message=message, position=position, hint=hint
    )
