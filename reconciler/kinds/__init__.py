"""The webhook types this version knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.kinds import generic, slack
from reconciler.kinds.base import Field, Kind

KINDS: Final[Mapping[str, Kind]] = {
    "slack": slack.KIND,
    "generic": generic.KIND,
}
"""Every known type. A new type is a module in this folder and a line here."""
FIELDS: Final[Mapping[str, Mapping[str, Field]]] = {
    kind.type: {field.name: field for field in kind.fields} for kind in KINDS.values()
}
"""The fields of each type by name."""

__all__ = ["FIELDS", "KINDS", "Field", "Kind"]
