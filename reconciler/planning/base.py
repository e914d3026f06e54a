"""A plan against the declaration before: which change is this one's, which is drift."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.findings import Finding, Severity
from reconciler.model import Desired, Pattern
from reconciler.planning.changes import Attribution, Change, Update
from reconciler.planning.digest import Shown, operations


def attribute(
    changes: tuple[Change, ...], before: tuple[Change, ...], shown: Shown
) -> tuple[Change, ...]:
    """Label each change: drift if the declaration before would make it too."""
    drifting = {_identity(change, shown) for change in before}
    return tuple(
        replace(
            change,
            attribution=Attribution.DRIFT
            if _identity(change, shown) in drifting
            else Attribution.THIS_CHANGE,
        )
        for change in changes
    )


def _identity(change: Change, shown: Shown) -> object:
    found = operations(change, shown)
    if not found and isinstance(change, Update):
        return (change.before.id, tuple(each.path for each in change.fields))
    return found


def relaxed(base: Desired, now: Desired) -> tuple[Finding, ...]:
    """Name the policy lines that permit more than before."""
    found: list[Finding] = []

    def say(rule: str, message: str) -> None:
        found.append(Finding(rule=rule, severity=Severity.WARNING, message=message))

    old, new = base.policy, now.policy
    for name in sorted(_globs(old.protect) - _globs(new.protect)):
        say("relaxed-protect", f"protect no longer covers {name!r}")
    for name in sorted(_globs(old.ignore) - _globs(new.ignore)):
        say("relaxed-ignore", f"ignore no longer covers {name!r}")
    old_scopes = {scope.file: scope for scope in old.scopes}
    for scope in new.scopes:
        was = old_scopes.get(scope.file)
        if was is None:
            continue
        if scope.prune and not was.prune:
            say("relaxed-prune", f"{scope.file} now deletes what it does not declare")
        for glob in sorted(set(scope.globs) - set(was.globs)):
            say("relaxed-scope", f"{scope.file} is now responsible for {glob!r} too")
    if old.max_deletes is not None and (
        new.max_deletes is None or new.max_deletes > old.max_deletes
    ):
        limit = "no limit of its own" if new.max_deletes is None else str(new.max_deletes)
        say("relaxed-limits", f"limits.max_deletes goes from {old.max_deletes} to {limit}")
    elif old.max_deletes is None and new.max_deletes is not None:
        say("relaxed-limits", f"limits.max_deletes is now {new.max_deletes}")
    if base.organization is not None and now.organization is None:
        say("relaxed-organization", "the guard on the organization is gone")
    return tuple(found)


def _globs(patterns: Iterable[Pattern]) -> set[str]:
    return {pattern.glob for pattern in patterns}
