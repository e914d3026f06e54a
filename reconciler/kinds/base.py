"""The description of a webhook type, as data.

A kind lists its configuration fields, which of them are secret, the pattern of a complete value,
and the field with the destination. All code that distinguishes types uses it, and
`scripts/schema.py` generates the schema's definitions from it, so a new type is one module with one
`Kind`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a kind's configuration.

    `flag` fields hold true or false, all others text. `shape` is the pattern of a complete secret:
    other values are not sent, and a value that is read back is readable if it matches. `pattern` is
    the schema's pattern for text that is not secret, with the same meaning in Python and
    ECMAScript. `noun` names such a value in messages. `normal` maps text to the form for
    comparison, `written` to the form for display. `default` is the server's default. A field and
    its `partner` require each other. `address` marks a secret that is a URL: without a credential
    it may be written into a file, and is then shown like any other value.

    `title`, `description` (one paragraph of Markdown) and `example` are for editors. The example
    of a secret is the name of a variable, unless it is an address.
    """

    name: str
    description: str
    title: str = ""
    example: str = ""
    required: bool = False
    secret: bool = False
    flag: bool = False
    shape: re.Pattern[str] | None = None
    pattern: str = ""
    noun: str = "a complete value"
    normal: Callable[[str], str] = str
    written: Callable[[str], str] = str
    default: bool | None = None
    partner: str | None = None
    address: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One webhook type. `destination` is the field with the destination of deliveries.

    `title`, `description` (one paragraph of Markdown) and `example`, the name of a webhook, are for
    editors.
    """

    type: str
    title: str
    description: str
    fields: tuple[Field, ...]
    destination: str
    example: str = "Deploys"

    def field(self, name: str) -> Field | None:
        """Return the field `name`, None if the kind does not have it."""
        return next((each for each in self.fields if each.name == name), None)

    @property
    def secret_fields(self) -> frozenset[str]:
        """Return the names of the secret fields."""
        return frozenset(each.name for each in self.fields if each.secret)
