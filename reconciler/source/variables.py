"""Names for the variables that an exported file refers to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import LiveWebhook, Secret, Unknown
from reconciler.planning.readback import plausible


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """An environment variable that a file refers to, and the secret fields it stands for."""

    name: str
    uses: tuple[tuple[str, str], ...]


class Variables:
    """Gives each secret a variable: one for one value, where values are shown and equal.

    A value that all webhooks of a type share is named after the type, else after the first webhook
    that has it.
    """

    def __init__(self, webhooks: Sequence[LiveWebhook]) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._uses: dict[str, list[tuple[str, str]]] = {}
        for kind in KINDS.values():
            of_kind = [each for each in webhooks if each.type == kind.type]
            for name in sorted(kind.secret_fields):
                self._group(kind.type, name, of_kind)

    def _group(self, kind: str, name: str, webhooks: Sequence[LiveWebhook]) -> None:
        shown: list[tuple[LiveWebhook, Secret]] = []
        alone: list[LiveWebhook] = []
        for each in webhooks:
            value = (
                None if isinstance(each.configuration, Unknown) else each.configuration.get(name)
            )
            if isinstance(value, Secret) and plausible(value):
                shown.append((each, value))
            else:
                alone.append(each)
        groups: dict[int, list[LiveWebhook]] = {}
        numbers = Secret.groups(value for _, value in shown)
        for (each, _), number in zip(shown, numbers, strict=True):
            groups.setdefault(number, []).append(each)
        for members in groups.values():
            shared = len(members) > 1 and len(members) == len(webhooks)
            self._take(kind if shared else members[0].name, name, members)
        for each in alone:
            self._take(each.name, name, [each])

    def _take(self, owner: str, name: str, members: Sequence[LiveWebhook]) -> None:
        stem = variable_name(owner, name)
        taken, number = stem, 2
        while taken in self._uses:
            taken, number = f"{stem}_{number}", number + 1
        self._uses[taken] = []
        for each in members:
            self._names[each.id, name] = taken

    def refer(self, webhook: LiveWebhook, name: str) -> str:
        """Return the variable for a field of a webhook, and remember that it is used."""
        variable = self._names[webhook.id, name]
        self._uses[variable].append((webhook.name, name))
        return variable

    def used(self) -> tuple[Variable, ...]:
        """Return the variables that were referred to, by name."""
        return tuple(
            Variable(name=name, uses=tuple(uses))
            for name, uses in sorted(self._uses.items())
            if uses
        )


_LONGEST: Final = 100


def variable_name(owner: str, name: str) -> str:
    """Return a variable's name for a field of a webhook (or of a type) called `owner`.

    It begins with WEBHOOK however long `owner` is, of which the end is kept.
    """
    plain = unicodedata.normalize("NFKD", owner).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_LONGEST:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), name.upper()])
