"""What to say of keys that are not known, and of those that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from reconciler.kinds import KINDS
from reconciler.model import Path
from reconciler.source.excerpt import is_known
from reconciler.source.merge import INHERITED
from reconciler.source.violation import Violation
from reconciler.source.wording import IN_DEFAULTS, NO_WEBHOOKS, near, ticked


def unknown_keys(value: dict[str, Any], known: Sequence[str], path: Path) -> Iterator[Violation]:
    """Object to each key that is not known."""
    for key in value:
        if key in known or (not path and key.startswith("x-")):
            continue
        yield Violation(
            path=(*path, key),
            rule="unknown-key",
            message=f"unknown key `{key}`" if is_known(key) else "unknown key",
            hint=_better_key(key, INHERITED if path == ("defaults",) else known, path),
            on_key=True,
        )


def _better_key(key: str, known: Sequence[str], path: Path) -> str:
    if meant := near(key, known):
        return f"did you mean `{meant}`?"
    owners = [kind.type for kind in KINDS.values() if kind.field(key) is not None]
    if owners and path[-1:] == ("configuration",):
        return f"`{key}` belongs to webhooks of type {ticked(owners)}"
    if owners and "configuration" in known:
        return f"`{key}` belongs under `configuration`"
    if "state" in known and "type" not in known:
        return f"an entry with `state: absent` takes only {ticked(known)}"
    return f"known here: {ticked(known)}"


def is_misspelt(name: str, value: dict[str, Any]) -> bool:
    """Say whether `value` holds a key that is surely meant to be `name`.

    Such a key is refused as unknown, so that nothing more need be said.
    """
    keys = [key for key in value if not key.startswith("x-")]
    return name not in value and bool(get_close_matches(name, keys, n=1, cutoff=0.75))


def missing(
    value: dict[str, Any], names: Sequence[str], path: Path, *, of_pair: bool
) -> Iterator[Violation]:
    """Object to each of `names` that is not there; `of_pair`: because another one is."""
    for name in names:
        if name in value or is_misspelt(name, value):
            continue
        message = f"`{name}` is missing"
        hint: str | None = None
        if of_pair:
            message = f"{' and '.join(_pair(name))} come together: {message}"
        if path == () and name == "webhooks":
            hint = f"{NO_WEBHOOKS}; move a file of another kind out of this directory"
        elif name in ("type", "event_types", "configuration") or path[-1:] == ("configuration",):
            hint = IN_DEFAULTS
        elif name == "name":
            hint = "write `name: ...`: it says which webhook this is"
        yield Violation(
            path=(*path, name), rule="missing-field", message=message, hint=hint, on_key=True
        )


def _pair(name: str) -> list[str]:
    """Return the fields that come together with `name`, as their kind lists them."""
    for kind in KINDS.values():
        field = kind.field(name)
        if field is not None and field.partner is not None:
            both = (name, field.partner)
            return [f"`{each.name}`" for each in kind.fields if each.name in both]
    return [f"`{name}`"]
