"""Combine the checks of several organizations: equal ones are shown once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reconciler.checks import Check, Section
from reconciler.render.quote import quote
from reconciler.render.words import shorten

_MOST_NAMES = 10


class Diagnosis(NamedTuple):
    """The sections of an organization. Without valid settings there is none of the server."""

    name: str
    has_settings: bool
    settings: Section
    files: Section
    remote: tuple[Section, ...] = ()

    @property
    def sections(self) -> tuple[Section, ...]:
        """Return all sections in the order in which they are shown."""
        return (self.settings, *self.remote, self.files)


def together(diagnoses: Sequence[Diagnosis]) -> tuple[Section, ...]:
    """Return the sections of all organizations. Those of a single one are not changed.

    A check that differs between organizations counts them. Their names are private.
    """
    if len(diagnoses) == 1:
        return diagnoses[0].sections
    groups: dict[str, dict[Check, dict[str, str | None]]] = {}
    for diagnosis in diagnoses:
        for section in diagnosis.sections:
            checks = groups.setdefault(section.name, {})
            for check in section.checks:
                # Equal but for the private part, which has the organization's own names.
                members = checks.setdefault(check._replace(private=None), {})
                members[quote(diagnosis.name)] = check.private
    # An organization without a connection has no sections of the server.
    order = [
        section.name for section in max((diagnosis.sections for diagnosis in diagnoses), key=len)
    ]
    return tuple(Section(name, _in_order(groups[name], len(diagnoses))) for name in order)


def _in_order(checks: dict[Check, dict[str, str | None]], count: int) -> tuple[Check, ...]:
    """Return combined checks; those with the same name are next to each other."""
    names = list(dict.fromkeys(check.name for check in checks))
    combined = [_combined(check, members, count) for check, members in checks.items()]
    return tuple(sorted(combined, key=lambda check: names.index(check.name)))


def _combined(check: Check, members: dict[str, str | None], count: int) -> Check:
    """Return the check of some of `count` organizations, whose names have private details."""
    detail = check.detail
    texts = list(dict.fromkeys(text for text in members.values() if text is not None))
    if len(members) < count:
        detail += f", in {len(members)} of {count} organizations"
        texts = [name if text is None else f"{name}: {text}" for name, text in members.items()]
    return check._replace(detail=detail, private=shorten(texts, _MOST_NAMES) or None)
