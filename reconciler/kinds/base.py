"""The description of a webhook type, as data.

What all types have in common reads this table, and `scripts/schema.py` generates the definitions of
the schema from it: a new type is one module with one `Kind`. Only what a single service needs names
its type, such as the checks of Slack's tokens and channels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Field(NamedTuple):
    """One field of a kind's configuration: text, unless it `is_boolean`."""

    name: str
    description: str
    """For editors: one paragraph of Markdown."""
    title: str = ""
    """For editors."""
    example: str = ""
    """For editors; of a secret the name of a variable, unless it is a URL."""
    required: bool = False
    secret: bool = False
    is_boolean: bool = False
    secret_pattern: re.Pattern[str] | None = None
    """The pattern of a complete secret. Only such a value is sent, and only such a value that is
    read back is readable."""
    schema_pattern: str = ""
    """The schema's pattern for text, with the same meaning in Python and ECMAScript. The URL in a
    variable has to match it, too."""
    max_length: int | None = None
    """The maximum number of characters."""
    noun: str = "a complete value"
    """What a valid value is, for messages."""
    normalize: Callable[[str], str] = str
    """Returns the form of a text for comparison."""
    display: Callable[[str], str] = str
    """Returns the form of a text for display."""
    default: bool | None = None
    """The server's default."""
    partner: str | None = None
    """The name of a field: each of the two requires the other."""
    is_url: bool = False
    """A secret that is a URL. Without a credential it may be written into a file, and is then shown
    like any other value."""
    checks_certificate: bool = False
    """A flag: with false, the certificate of the receiver is not verified."""
    may_be_hidden: bool = False
    """Whether a server may hide the field although it is not secret: a live value that does not
    match `schema_pattern` is unknown, not different."""
    rule: str = "bad-value"
    """The rule of the error for text that does not match."""
    hint: str = "correct the value"
    """The hint of that error."""


@dataclass(frozen=True, kw_only=True)  # without slots, because a property is cached
class Kind:
    """One webhook type."""

    type: str
    title: str
    """For editors."""
    description: str
    """For editors: one paragraph of Markdown."""
    fields: tuple[Field, ...]
    destination_field: str
    """The name of the field with the destination."""
    example: str = "Deploys"
    """For editors: the name of a webhook."""

    @cached_property
    def destination(self) -> Field:
        """The field with the destination."""
        (destination,) = (field for field in self.fields if field.name == self.destination_field)
        return destination

    @cached_property
    def secret_fields(self) -> frozenset[str]:
        """The names of the secret fields."""
        return frozenset(field.name for field in self.fields if field.secret)
