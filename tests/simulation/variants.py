"""The server variants that histories meet, and the names under which they store webhooks."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

from reconciler.model import Webhook
from tests.emulated.variant import (
    ErrorShape,
    EventOrder,
    Hash,
    ReadBack,
    Uniqueness,
    Variant,
)

NAME_MAX = 12  # characters, where names are limited


def draw_variant(draw: random.Random, *, odd_names: bool) -> Variant:
    """Draw a server variant; with `odd_names` one that may store names in another form."""

    def seldom(value: Any, otherwise: Any) -> Any:
        return value if draw.random() < 0.15 else otherwise

    size = draw.choice((1000, 1000, 5, 3, 2))
    patch = seldom(False, True)
    secret = ("token", "password", *seldom(("url",), ()))
    return Variant(
        read_back=draw.choice(tuple(ReadBack)) if draw.random() < 0.5 else ReadBack.PLAIN,
        secret_fields=secret,
        default_keys=draw.random() < 0.3,
        unique_names=draw.choice(tuple(Uniqueness)) if draw.random() < 0.4 else Uniqueness.NONE,
        unique_shape=draw.choice(tuple(ErrorShape)),
        unique_status=draw.choice((400, 400, 409)),
        error_shape=draw.choice(tuple(ErrorShape)),
        methods=(
            *(("PUT",) if not patch or seldom(False, True) else ()),
            *(("PATCH",) if patch else ()),
            "DELETE",
        ),
        merges=draw.choice((False, True)),
        type_change=seldom(False, True),
        drop_unknown_keys=seldom(True, False),
        organization_required=draw.random() < 0.5,
        page_size=min(size, 100),
        max_page_size=size,
        ordered=draw.choice((True, True, False)),
        empty_next=draw.choice((False, True)),
        counts=draw.random() >= (0.4 if size < 10 else 0.15),
        event_order=draw.choice(tuple(EventOrder)),
        event_dedupe=draw.random() < 0.5,
        channel_hash=draw.choice(tuple(Hash)),
        lower_channels=seldom(True, False),
        lower_names=odd_names and draw.random() < 0.4,
        trim_names=not odd_names or draw.random() < 0.7,
        composed_names=odd_names and draw.random() < 0.4,
        name_max=NAME_MAX if odd_names and draw.random() < 0.3 else None,
        stale_list_reads=draw.choice((0, 0, 0, 0, 0, 1, 2)),
        stale_list_seconds=draw.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.9)),
    )


def stored_name(name: str, variant: Variant) -> str | None:
    """Return the name under which a server stores a webhook, None if it rejects the name."""
    if variant.trim_names:
        name = name.strip()
    if variant.lower_names:
        name = name.lower()
    if variant.composed_names:
        name = unicodedata.normalize("NFC", name)
    return None if variant.name_max is not None and len(name) > variant.name_max else name


def merges_configuration(variant: Variant) -> bool:
    """Return whether keys of a configuration that are not sent are kept."""
    return variant.patches and variant.merges


def can_store(webhook: Webhook, variant: Variant) -> bool:
    """Return whether the server can store a webhook exactly as declared."""
    channel = webhook.configuration.get("channel", "")
    lowered = variant.lower_channels and isinstance(channel, str) and channel != channel.lower()
    return stored_name(webhook.name, variant) == webhook.name and not lowered


def can_change_type(variant: Variant) -> bool:
    """Return whether the server can change the type of a webhook completely."""
    return variant.type_change and not merges_configuration(variant)
