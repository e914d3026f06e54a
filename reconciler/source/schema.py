"""The judge: what the JSON Schema says about a file.

It is slow (loading it alone takes as long as reading 4,000 webhooks), so a file that the strict
parser understands never comes here. `judge` is pure and knows paths; `finding` gives a violation
its place in a file. No value of a field that may be secret is ever quoted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from reconciler.findings import Finding, Severity
from reconciler.model import Path
from reconciler.source.branches import Explainer
from reconciler.source.document import Document
from reconciler.source.excerpt import excerpt
from reconciler.source.keys import is_misspelt
from reconciler.source.locate import comment_after, locate
from reconciler.source.schema_file import schema_text
from reconciler.source.values import duplicates
from reconciler.source.violation import RULES, Violation
from reconciler.source.wording import IN_DEFAULTS

if TYPE_CHECKING:
    from jsonschema import Draft7Validator, ValidationError

__all__ = ["FILE", "RULES", "Violation", "explain", "finding", "judge"]

FILE: Final = ""
"""The definition of a whole file, as its author writes it."""


def judge(data: Any, definition: str = FILE) -> list[Violation]:
    """Hold plain data against a definition of the schema.

    `definition` names an entry of `$defs`: `slackWebhook` and `genericWebhook` are webhooks as
    they are after `defaults` are merged into them.
    """
    default_type = _default_type(data) if definition == FILE else None
    validator = _validator(definition)
    explainer = Explainer(_schema()["$defs"], default_type)
    return explainer.explain(validator.iter_errors(data))


def explain(document: Document, doubted: Sequence[int] | None = None) -> tuple[Finding, ...]:
    """Say all that the schema finds wrong with a file as its author wrote it.

    Beside that: a webhook without a type, where `defaults` name none. A schema cannot say so.
    Of the webhooks only those of `doubted` are judged, if it is given: a slip in one of thousands
    is then as quickly explained as in one of ten.
    """
    if _is_webhook(document.data):
        return (finding(document, _BARE),)
    violations = _judge_doubted(document.data, doubted)
    if _default_type(document.data) is None:
        violations += [
            Violation(
                path=("webhooks", index, "type"),
                rule="missing-field",
                message="`type` is missing",
                hint=IN_DEFAULTS,
                on_key=True,
            )
            for index, webhook in _present(document.data)
            if "type" not in webhook and not is_misspelt("type", webhook)
        ]
    return tuple(finding(document, each) for each in violations)


def _judge_doubted(data: dict[str, Any], doubted: Sequence[int] | None) -> list[Violation]:
    webhooks = data.get("webhooks")
    if doubted is None or not isinstance(webhooks, list):
        return judge(data)
    found: list[Violation] = []
    for violation in judge({**data, "webhooks": [webhooks[index] for index in doubted]}):
        match violation.path:
            case ("webhooks", int(index), *rest):
                path: Path = ("webhooks", doubted[index], *rest)
                found.append(replace(violation, path=path))
            case _:
                found.append(violation)
    return found


def finding(document: Document, violation: Violation) -> Finding:
    """Give a violation, whose path starts at the file's root, its place."""
    path, rule = violation.path, violation.rule
    message, hint = violation.message, violation.hint
    if rule == "null-value":
        comment = comment_after(document.text, path)
        if comment is not None and comment[1:2].strip():
            rule = "comment-value"
            message = f"{message}: in YAML a `#` after a space starts a comment"
            hint = _quoted(path)
    position = locate(document.text, document.file, path, key=violation.on_key)
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        position=position,
        hint=hint,
        excerpt=excerpt(document.text, position),
    )


def _quoted(path: Path) -> str:
    """Return the advice to quote what became a comment."""
    last = path[-1]
    return f'put the text in quotes: `{"-" if isinstance(last, int) else f"{last}:"} "#..."`'


_BARE: Final = Violation(
    path=("name",),
    rule="missing-field",
    message="`webhooks` is missing: a single webhook makes up the file",
    hint="begin the file with `webhooks:`, and below it the webhook with `- name: ...`",
    on_key=True,
)


def _is_webhook(data: Any) -> bool:
    """Say whether a file is one webhook, as it is copied from the API's documentation."""
    return "webhooks" not in data and {"name", "type", "event_types"} <= data.keys()


def _default_type(data: Any) -> object:
    defaults = data.get("defaults") if isinstance(data, dict) else None
    return defaults.get("type") if isinstance(defaults, dict) else None


def _present(data: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    webhooks = data.get("webhooks")
    return [
        (index, webhook)
        for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else ())
        if isinstance(webhook, dict) and webhook.get("state") != "absent"
    ]


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text("webhooks.schema.json"))
    return schema


@cache
def _validator(definition: str) -> Draft7Validator:
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend

    schema = _schema()
    if definition != FILE:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    judge: type[Draft7Validator] = extend(  # type: ignore[no-untyped-call]
        Draft7Validator, {"uniqueItems": _unique_items}
    )
    return judge(schema)


def _unique_items(
    validator: Draft7Validator, wanted: object, items: object, schema: object
) -> Iterator[ValidationError]:
    """Check `uniqueItems` in one pass: the library compares mappings with each other."""
    from jsonschema import ValidationError

    if isinstance(items, list) and any(duplicates(items, ())):
        yield ValidationError("duplicate items")
