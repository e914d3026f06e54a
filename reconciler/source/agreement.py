"""What all files of a run must say alike: the organization, and the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.source.literals import masked
from reconciler.source.remark import Problem, Spot, error


def check(files: Mapping[str, dict[str, Any]]) -> Iterator[Problem]:
    """Yield every place that contradicts the first one to speak. Takes data of any shape."""
    organization: tuple[str, Spot] | None = None
    for spot, name in _organizations(files):
        if organization is None:
            organization = (name, spot)
        elif name != organization[0]:
            yield Problem(
                error(
                    "organizations-differ",
                    f"organization {masked(name)!r} is not {masked(organization[0])!r}",
                    "one run serves one organization: write the same name or id everywhere",
                ),
                spot,
                (("the other organization", organization[1]),),
            )
    limit: tuple[object, Spot] | None = None
    for file, data in files.items():
        limits = data.get("limits")
        if isinstance(limits, dict) and "max_deletes" in limits:
            spot = Spot(file, ("limits", "max_deletes"))
            if limit is None:
                limit = (limits["max_deletes"], spot)
            elif limits["max_deletes"] != limit[0]:
                yield Problem(
                    error(
                        "limits-differ",
                        "two files set different values of `max_deletes`",
                        "the limit holds for the whole run: keep it in one file",
                    ),
                    spot,
                    (("the other value", limit[1]),),
                )


def organization(files: Mapping[str, dict[str, Any]]) -> str | None:
    """Return the organization that the files, which agree, name."""
    return next((name for _, name in _organizations(files)), None)


def _organizations(files: Mapping[str, dict[str, Any]]) -> Iterator[tuple[Spot, str]]:
    """Yield what names the organization: the root keys first, then single webhooks."""
    for file, data in files.items():
        name = data.get("organization")
        if isinstance(name, str):
            yield Spot(file, ("organization",)), name
    for file, data in files.items():
        webhooks = data.get("webhooks")
        for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
            if isinstance(webhook, dict) and isinstance(webhook.get("organization"), str):
                spot = Spot(file, ("webhooks", index, "organization"))
                yield spot, webhook["organization"]
