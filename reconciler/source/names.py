"""Which webhook names are fit to be declared.

A name is shown to reviewers, matched by globs and compared with what the server stores. A name
that can deceive a reader is refused; one that a server may well store differently, or that a
reader may confuse with another, is remarked on.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from reconciler.findings import Finding, error, warning

# Embeddings, overrides and isolates: they make the shown order differ from the stored one.
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_plain(name: str) -> bool:
    """Say, quickly, that there is surely nothing to remark on."""
    return name.isascii() and name.isprintable() and name != "" and name == name.strip()


def remarks(name: str) -> tuple[Finding, ...]:
    """Return everything that is wrong with `name`, taken alone."""
    if is_plain(name):
        return ()
    if not name.strip():
        return (error("empty-name", "the name is empty", "give it a name"),)
    bad = sorted(
        {char for char in name if char in _BIDI_CONTROLS or unicodedata.category(char) in _REFUSED}
    )
    if bad:
        return (
            error(
                "unsafe-name",
                f"the name holds {listed(bad)}, which no reader can see",
                "leave control, line separator, surrogate and text direction characters out",
            ),
        )
    found: list[Finding] = []
    if name != name.strip():
        found.append(
            warning(
                "spaces-around-name",
                "the name begins or ends with a space, which a server may strip",
                "remove the space",
            )
        )
    invisible = sorted({char for char in name if unicodedata.category(char) == "Cf"})
    if invisible:
        found.append(
            warning(
                "invisible-characters",
                f"the name holds {listed(invisible)}, which no reader can see",
                "remove it, unless an emoji needs it",
            )
        )
    if not unicodedata.is_normalized("NFC", name):
        found.append(
            warning(
                "name-not-normalized",
                "the name is not in Unicode's composed form (NFC), which a server may change",
                "write accented letters as one character",
            )
        )
    return tuple(found)


def listed(characters: list[str]) -> str:
    """Return the code points of at most five characters."""
    return ", ".join(f"U+{ord(char):04X}" for char in characters[:5])
