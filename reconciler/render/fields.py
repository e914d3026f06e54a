"""What there is to say about one field that changes, harmless already and not yet laid out.

Text and Markdown differ in how a line looks and where it breaks, so a line is made of atoms.
Every string in an `Atom` is safe to print; a secret appears as three stars, a URL as scheme and
host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from reconciler.kinds.events import compress
from reconciler.model import Path, Secret, SecretRef, Unknown
from reconciler.planning.changes import (
    FieldChange,
    KeyLost,
    SecretCause,
    SecretChange,
    SetChange,
    ValueChange,
)
from reconciler.render.quote import quote
from reconciler.render.words import reference

_BREAK = re.compile(r"(?<!\d) ")

_CAUSES = {
    SecretCause.DIFFERS: "",
    SecretCause.ADDED: "",
    SecretCause.DESTINATION: "destination changed",
    SecretCause.REFERENCE_CHANGED: "reference changed",
    SecretCause.VERSION_CHANGED: "version changed",
    SecretCause.REQUESTED: "as requested",
}


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece of a line that is never broken. `gap` goes before it unless it starts a line.

    `sign` is `+` for what comes, `-` for what goes. `lead` says so in a line that shows both; a
    format that gives each a line of its own leaves it out.
    """

    text: str
    gap: str = " "
    sign: str = ""
    lead: str = ""


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field that changes."""

    label: str
    atoms: tuple[Atom, ...]


def words(sentence: str) -> tuple[str, ...]:
    """Return a sentence in pieces that may stand on different lines; numbers keep their noun."""
    return tuple(_BREAK.split(sentence))


def field_line(change: FieldChange) -> FieldLine:
    """Describe one field that changes."""
    name = label(change.path)
    match change:
        case ValueChange(before=before, after=after):
            atoms = (Atom(value(before), sign="-"), Atom(value(after), sign="+", lead="-> "))
            return FieldLine(name, atoms)
        case SetChange():
            return FieldLine(name, tuple(_set_atoms(change)))
        case SecretChange():
            return FieldLine(name, tuple(_secret_atoms(change)))
        case KeyLost():
            return FieldLine(f"- {name}", tuple(map(Atom, words("live, not declared: lost"))))
        case _:
            assert_never(change)


def value(of: str | bool | Unknown | None) -> str:
    """Return a plain field's value for display."""
    match of:
        case None:
            return "(not set)"
        case Unknown():
            return "(not shown)"
        case bool():
            return "true" if of else "false"
        case _:
            return quote(of)


def label(path: Path) -> str:
    """Return the name of a field, `configuration` left out."""
    shown = path[1:] if path[0] == "configuration" and len(path) > 1 else path
    return quote(".".join(str(part) for part in shown))


def _set_atoms(change: SetChange) -> Iterator[Atom]:
    for sign, members in (("+", change.added), ("-", change.removed)):
        shown = [quote(each) for each in compress(members)]
        for index, each in enumerate(shown):
            comma = "," if index < len(shown) - 1 else ""
            if index == 0:
                yield Atom(f"{each}{comma}", gap="   ", sign=sign, lead=f"{sign} ")
            else:
                yield Atom(f"{each}{comma}", sign=sign)
    yield Atom(f"({change.unchanged} unchanged)", gap="   ")


def _secret_atoms(change: SecretChange) -> Iterator[Atom]:
    if change.cause is SecretCause.ADDED:
        yield Atom("(not set)", sign="-")
    else:
        yield Atom(quote(change.before or "***"), sign="-")
        yield Atom("(before)", sign="-")
    after = "***" if isinstance(change.after, SecretRef) else shortened(change.after)
    yield Atom(after, sign="+", lead="-> ")
    yield Atom("(after)", sign="+")
    if isinstance(change.after, SecretRef):
        yield Atom(reference(change.after), gap="   ")
        if change.destination:
            yield Atom(f"-> {quote(change.destination)}")
    if _CAUSES[change.cause]:
        yield Atom(f"({_CAUSES[change.cause]})", gap="   ")


def shortened(url: str) -> str:
    """Return scheme and host of a URL: its path may itself be the credential."""
    origin = Secret(url).origin()
    return "***" if origin is None else quote(f"{origin}/***")
