"""How the server shows secrets: whole, masked, encrypted, or not at all.

No value is revealed: each is matched against the shapes of masks, ciphertexts and complete values.
The result decides what `plan` can compare (docs/secrets.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from reconciler.checks import Check, ok, unknown
from reconciler.kinds import KINDS, Field
from reconciler.model import LiveValue, LiveWebhook, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.render.words import plural


class Form(StrEnum):
    """How a secret reads back."""

    PLAIN = "whole"
    LIKELY = "possibly whole"
    MASKED = "masked"
    PARTLY = "partly masked"
    ENCRYPTED = "encrypted"
    EMPTY = "empty"
    NULL = "null"
    LEFT_OUT = "omitted"
    HIDDEN = "not shown, like the whole configuration"
    OTHER = "not text"


_MASK: Final = re.compile(
    r"\s*(?:[*\u2022\u25cf\u2219\u00b7\u2026]+|[xX]{8,})\s*|\[?(?i:redacted|masked|hidden)\]?"
)
_PARTS: Final = re.compile(r".*(?:[*\u2022\u25cf\u2219\u00b7]{3}|[xX]{8}|\u2026).*", re.DOTALL)
_EMPTY: Final = re.compile(r"\s*")


def form_of(value: LiveValue | Unknown, field: Field) -> Form:
    """Return the form in which `value` of a secret `field` is shown."""
    if value is None:
        return Form.NULL
    if not isinstance(value, Secret):
        return Form.OTHER
    if value.matches(_EMPTY):
        return Form.EMPTY
    if plausible(value):
        whole = field.shape is not None and value.matches(field.shape)
        return Form.PLAIN if whole else Form.LIKELY
    if value.matches(_MASK):
        return Form.MASKED
    return Form.PARTLY if value.matches(_PARTS) else Form.ENCRYPTED


def read_back(webhooks: Iterable[LiveWebhook]) -> tuple[Check, ...]:
    """Return one check for each secret field of each type."""
    seen: dict[tuple[str, str], Counter[Form]] = {}
    for webhook in webhooks:
        kind = KINDS.get(webhook.type)
        for field in kind.fields if kind is not None else ():
            form = _form(webhook, field) if field.secret else None
            if form is not None:
                seen.setdefault((webhook.type, field.name), Counter())[form] += 1
    if not seen:
        return (unknown("read-back", "no live webhook has secrets"),)
    return tuple(
        ok("read-back", f"{kind} {name}: {_counted(forms)}{_meaning(forms)}")
        for (kind, name), forms in sorted(seen.items())
    )


def _form(webhook: LiveWebhook, field: Field) -> Form | None:
    """Return None where a field that may be missing is missing."""
    shown = webhook.configuration
    if isinstance(shown, Unknown):
        return Form.HIDDEN
    if field.name in shown:
        return form_of(shown[field.name], field)
    expected = field.required or (field.partner is not None and field.partner in shown)
    return Form.LEFT_OUT if expected else None


def _counted(forms: Counter[Form]) -> str:
    ranked = sorted(forms.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{form} ({plural(count, 'webhook')})" for form, count in ranked)


def _meaning(forms: Counter[Form]) -> str:
    if set(forms) <= {Form.PLAIN, Form.LIKELY}:
        return ""
    return "; a change made elsewhere cannot be detected"
