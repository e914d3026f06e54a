"""What all files of a run must say alike: the organization, and the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.findings import Finding, Place, Related, error
from reconciler.source.literals import masked


def check(files: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Yield every place that contradicts the first one to speak. Takes data of any shape."""
    organization: tuple[str, Place] | None = None
    for spot, name in _organizations(files):
        if organization is None:
            organization = (name, spot)
        elif name != organization[0]:
            yield error(
                "organizations-differ",
                f"organization {masked(name)!r} is not {masked(organization[0])!r}",
                "one run serves one organization: write the same name or id everywhere",
                spot,
                (Related(message="the other organization", place=organization[1]),),
            )
    limit: tuple[object, Place] | None = None
    for file, data in files.items():
        limits = data.get("limits")
        if isinstance(limits, dict) and "max_deletes" in limits:
            spot = Place(file, ("limits", "max_deletes"))
            if limit is None:
                limit = (limits["max_deletes"], spot)
            elif limits["max_deletes"] != limit[0]:
                yield error(
                    "limits-differ",
                    "two files set different values of `max_deletes`",
                    "the limit holds for the whole run: keep it in one file",
                    spot,
                    (Related(message="the other value", place=limit[1]),),
                )


def organization(files: Mapping[str, dict[str, Any]]) -> str | None:
    """Return the organization that the files, which agree, name."""
    return next((name for _, name in _organizations(files)), None)


def _organizations(files: Mapping[str, dict[str, Any]]) -> Iterator[tuple[Place, str]]:
    """Yield what names the organization: the root keys first, then single webhooks."""
    for file, data in files.items():
        name = data.get("organization")
        if isinstance(name, str):
            yield Place(file, ("organization",)), name
    for file, data in files.items():
        webhooks = data.get("webhooks")
        for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
            if isinstance(webhook, dict) and isinstance(webhook.get("organization"), str):
                spot = Place(file, ("webhooks", index, "organization"))
                yield spot, webhook["organization"]
