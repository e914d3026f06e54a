"""Globs of `--only` that select nothing: a misspelt one must not look like "nothing to do"."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reconciler.findings import Finding, Severity
from reconciler.model import Desired, Live
from reconciler.planning.globs import Globs


def idle(only: tuple[str, ...], desired: Desired, live: Live) -> Iterator[Finding]:
    """Warn of each glob that matches no name, live, declared or earlier."""
    if not only:
        return
    names = {each.name for each in live.webhooks}
    names.update(each.name for each in desired.webhooks)
    names.update(each.name for each in desired.absent)
    names.update(old for each in desired.webhooks for old in each.previously)
    yield from _unmatched(only, names, "no webhook, declared or live")


def idle_on_live(only: tuple[str, ...], live: Live) -> Iterator[Finding]:
    """Warn of each glob that matches no live name, where no file is read."""
    yield from _unmatched(only, {each.name for each in live.webhooks}, "no live webhook")


def _unmatched(only: tuple[str, ...], names: Collection[str], nothing: str) -> Iterator[Finding]:
    for glob in dict.fromkeys(only):
        if not any(map(Globs((glob,)).match, names)):
            yield Finding(
                rule="only-matches-nothing",
                severity=Severity.WARNING,
                message=f"--only {glob!r} names {nothing}",
                hint="names are matched whole and by case (`team-*`, not `team`); "
                "`webhooks status` lists them",
            )
