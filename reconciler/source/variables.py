"""Names for the variables that an exported file refers to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import LiveWebhook, Secret, Unknown
from reconciler.planning.readback import plausible

_LONGEST: Final = 100


def variable_names(webhooks: Sequence[LiveWebhook]) -> dict[tuple[str, str], str]:
    """Return a variable for each secret field, by the id of its webhook and its name.

    There is one for one value, where values are shown and equal. A value that all webhooks of a
    type share is named after the type, else after the first webhook that has it.
    """
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for kind in KINDS.values():
        members = [each for each in webhooks if each.type == kind.type]
        for field in sorted(kind.secret_fields):
            for owner, group in _groups(kind.type, field, members):
                stem = name = _variable(owner, field)
                number = 2
                while name in taken:
                    name, number = f"{stem}_{number}", number + 1
                taken.add(name)
                names.update(((each.id, field), name) for each in group)
    return names


def _groups(
    kind: str, field: str, webhooks: Sequence[LiveWebhook]
) -> Iterator[tuple[str, list[LiveWebhook]]]:
    """Yield webhooks of one type that have the same value, and whom it is named after."""
    shown: list[tuple[LiveWebhook, Secret]] = []
    hidden: list[LiveWebhook] = []
    for each in webhooks:
        configuration = each.configuration
        value = None if isinstance(configuration, Unknown) else configuration.get(field)
        if isinstance(value, Secret) and plausible(value):
            shown.append((each, value))
        else:
            hidden.append(each)
    groups: dict[int, list[LiveWebhook]] = {}
    numbers = Secret.groups(value for _, value in shown)
    for (each, _), number in zip(shown, numbers, strict=True):
        groups.setdefault(number, []).append(each)
    for members in groups.values():
        shared = len(members) > 1 and len(members) == len(webhooks)
        yield (kind if shared else members[0].name), members
    yield from ((each.name, [each]) for each in hidden)


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of a webhook (or of a type) called `owner`.

    It begins with WEBHOOK however long `owner` is, of which the end is kept.
    """
    plain = unicodedata.normalize("NFKD", owner).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_LONGEST:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), field.upper()])
