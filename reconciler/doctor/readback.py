"""In which form a server shows the secrets it keeps, told from one listing.

No value is revealed: each is only held against the shapes that masks, ciphertexts and complete
values have. What is seen here decides what `plan` can compare (see docs).
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
    LIKELY = "as text that may be the value"
    MASKED = "masked"
    PARTLY = "partly masked"
    ENCRYPTED = "encrypted"
    EMPTY = "empty"
    NULL = "null"
    LEFT_OUT = "left out"
    HIDDEN = "not at all: no configuration is shown"
    OTHER = "in a form that no text has"


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
    """Say for each secret field of each type how it reads back."""
    seen: dict[tuple[str, str], Counter[Form]] = {}
    for webhook in webhooks:
        kind = KINDS.get(webhook.type)
        for field in kind.fields if kind is not None else ():
            form = _form(webhook, field) if field.secret else None
            if form is not None:
                seen.setdefault((webhook.type, field.name), Counter())[form] += 1
    if not seen:
        return (unknown("read-back", "no live webhook shows how secrets read back"),)
    return tuple(
        ok("read-back", f"{kind} {name} is shown {_counted(forms)}{_meaning(forms)}")
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
    return "; a change made elsewhere cannot be seen, and `version` sends it again"
