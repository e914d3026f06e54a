"""The description of a webhook type, as data.

A kind lists its configuration fields, which of them are secret, the pattern of a complete value,
and the field with the destination. All code that distinguishes types uses it, and
`scripts/schema.py` generates the schema's definitions from it, so a new type is one module with one
`Kind`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Field(NamedTuple):
    """One field of a kind's configuration.

    `is_boolean` fields hold true or false, all others text. `secret_pattern` is the pattern of a
    complete secret: other values are not sent, and a value that is read back is readable if it
    matches. `schema_pattern` is the schema's pattern for text, with the same meaning in Python and
    ECMAScript; the URL in a variable has to match it, too. `rule` and `hint` are those of the error
    for other text. `max_length` is the maximum number of characters. `noun` names a valid value in
    messages. `normalize` maps text to the form for comparison, `display` to the form
    for display. `default` is the server's default. A field and its `partner` require each other.
    `is_url` marks a secret that is a URL: without a credential it may be written into a file, and
    is then shown like any other value. A server may hide a field that is not secret if it is
    `may_be_hidden`: a live value that does not match `schema_pattern` is unknown, not different.

    `title`, `description` (one paragraph of Markdown) and `example` are for editors. The example
    of a secret is the name of a variable, unless it is a URL.
    """

    name: str
    description: str
    title: str = ""
    example: str = ""
    required: bool = False
    secret: bool = False
    is_boolean: bool = False
    secret_pattern: re.Pattern[str] | None = None
    schema_pattern: str = ""
    max_length: int | None = None
    noun: str = "a complete value"
    normalize: Callable[[str], str] = str
    display: Callable[[str], str] = str
    default: bool | None = None
    partner: str | None = None
    is_url: bool = False
    may_be_hidden: bool = False
    rule: str = "bad-value"
    hint: str = "correct the value"


class Kind(NamedTuple):
    """One webhook type. `destination_field` is the name of the field with the destination.

    `title`, `description` (one paragraph of Markdown) and `example`, the name of a webhook, are for
    editors.
    """

    type: str
    title: str
    description: str
    fields: tuple[Field, ...]
    destination_field: str
    example: str = "Deploys"

    def field(self, name: str) -> Field | None:
        """Return the field `name`, None if the kind does not have it."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def secret_fields(self) -> frozenset[str]:
        """Return the names of the secret fields."""
        return frozenset(field.name for field in self.fields if field.secret)
