"""What the rest of the program must know about a webhook type: a table, not code.

A kind lists its configuration fields, which of them are secret, what a complete value looks like,
and which field holds the destination. Everything that treats types differently reads it from here,
and `scripts/schema.py` writes the schema's definitions from it, so a new type is one module with
one `Kind` in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a kind's configuration.

    `flag` fields hold true or false, all others text. `shape` is what a complete secret looks
    like: nothing else is sent, and a value that is read back counts as readable if it has this
    shape. `pattern` is what the schema requires of text that is no secret, in a form that Python
    and ECMAScript read alike. `noun` names such a value in messages. `normal` maps text to the form
    in which two values are compared, `written` to the form in which people write it. `default` is
    what the server fills in. A field with a `partner` requires it, and the other way round.
    `address` marks
    a secret that is a URL: one without a credential may be written into a file, and is then shown
    like any other value.

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
    """One webhook type. `destination` names the field that says where deliveries go.

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
        """Return the field called `name`, if the kind has it."""
        return next((each for each in self.fields if each.name == name), None)

    @property
    def secret_fields(self) -> frozenset[str]:
        """Return the names of the fields whose values must not be seen."""
        return frozenset(each.name for each in self.fields if each.secret)
