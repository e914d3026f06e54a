"""The YAML parser, and the faults that it and its reader report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

PARSER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser if PyYAML includes it, else the pure one, which is about 20 times slower."""

MAX_DEPTH: Final = 32
"""The maximum depth of mappings and lists in a file."""

FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "empty-document": ("the file is empty", "if there are no webhooks, write `webhooks: []`"),
    "root-not-mapping": ("the file must be a mapping", "put the webhooks under `webhooks:`"),
    "several-documents": ("a second document starts here", "put it into a separate file"),
    "key-not-text": ("a key must be text", "put it in quotes; `{{ ... }}` is not rendered"),
    "number-too-large": ("this number is too large to be exact", "put it in quotes if it is text"),
    "tag": (
        "YAML tags (`!`) are not supported",
        "put the text in quotes if the `!` is part of it; write a secret as `{env: NAME}`",
    ),
    "too-deep": (f"nested more than {MAX_DEPTH} levels deep", "use fewer levels"),
    "unknown-alias": ("undefined YAML alias", 'quote it if it is text, as in `"*_deleted"`'),
    "alias-expansion": (
        "the file is too large or too deep after its aliases are expanded",
        "write the values out, or use fewer levels of aliases",
    ),
    "merge": (
        "`<<` takes a mapping or a list of mappings, once in each mapping",
        "merge several with a list: `<<: [*one, *two]`",
    ),
}
"""The message and hint for each rule of the parser."""
