"""What the rest of the program must know about a webhook type: a table, not code.

A kind says which configuration fields exist, which of them are secret, what a complete value
looks like, and which field tells where deliveries go. Everything that treats types differently
asks here, so that a new type is one module with one `Kind` in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


def same(value: str) -> str:
    """Return `value`: the normal form of fields that have no other."""
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a kind's configuration.

    `flag` fields hold true or false, all others text. `shape`, of a secret field, is what a
    complete value looks like: no other value is sent, and one that is read back counts as
    readable when it has this shape. `noun` names such a value in messages. `normal` maps
    text to the form in which two values are compared, `written` to the one in which people write
    it. `default` is what the server fills in.
    `partner` must be there when this field is. `address` marks a secret that is a URL: one without
    a credential in it may be written into a file, and is then shown like any other value.
    """

    name: str
    required: bool = False
    secret: bool = False
    flag: bool = False
    shape: re.Pattern[str] | None = None
    noun: str = "a complete value"
    normal: Callable[[str], str] = same
    written: Callable[[str], str] = same
    default: bool | None = None
    partner: str | None = None
    address: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One webhook type. `destination` names the field that says where deliveries go."""

    type: str
    title: str
    fields: tuple[Field, ...]
    destination: str

    def field(self, name: str) -> Field | None:
        """Return the field called `name`, if the kind has it."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        return None

    @property
    def secret_fields(self) -> frozenset[str]:
        """Return the names of the fields whose values must not be seen."""
        return frozenset(each.name for each in self.fields if each.secret)
