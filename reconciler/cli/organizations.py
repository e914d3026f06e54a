"""Run one command for several organizations, one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from reconciler import workflow
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.errors import explain
from reconciler.cli.options import Context
from reconciler.cli.session import inputs
from reconciler.errors import ExitCode, OrganizationError, UsageError
from reconciler.render.quote import quote
from reconciler.workflow.organizations import OrganizationFiles, key_of, organizations
from reconciler.workflow.planning import check_organization

_SINGLE: Final = ("out", "report", "expect_digest")
"""Options that apply to a single plan."""
_WORST: Final = (
    ExitCode.OK, ExitCode.CHANGES, ExitCode.NOT_CONFIRMED, ExitCode.STALE, ExitCode.BLOCKED,
    ExitCode.INVALID, ExitCode.DENIED, ExitCode.FAILED, ExitCode.PARTIAL, ExitCode.USAGE,
    ExitCode.BUG, ExitCode.SIGHUP, ExitCode.SIGTERM, ExitCode.SIGINT,
)  # fmt: skip
"""Exit codes, the worst last."""


def run_each(
    context: Context, body: Callable[..., int], own: Mapping[str, Any], *, keyed: bool
) -> int:
    """Run a command for each organization of its files; return the worst exit code.

    An apply stops at the first organization that fails, unless it has --keep-going. Before its
    first write, every key is checked, and two groups for one organization are refused.
    """
    found = inputs(context)
    groups = organizations(found)
    if not groups:
        return body(context, **own)
    if len(groups) == 1:
        (group,) = groups
        own_key = keyed and (group.api_key or group.profile)
        return body(_narrowed(context, group, found) if own_key else context, **own)
    for name in _SINGLE:
        if own.get(name) is not None:
            option = f"--{name.replace('_', '-')}"
            hint = "pass the files of one organization"
            raise _several(f"{option} works with one organization", groups, hint)
    writes = "yes" in own
    if writes and not context.local:
        _check_keys([_narrowed(context, each, found) for each in groups], groups)
    codes: list[ExitCode] = []
    for group in groups:
        named = quote(group.organization or "no organization")
        context.console.note(f"{named}: {', '.join(map(quote, group.paths))}")
        try:
            narrowed = _narrowed(context, group, found, keyed=keyed)
            codes.append(ExitCode(body(narrowed, **own)))
        except Exception as problem:
            codes.append(explain(problem, context))
        stopped = codes[-1] >= ExitCode.SIGHUP
        if stopped or (writes and codes[-1] and not context.options.get("keep_going")):
            left = len(groups) - len(codes)
            if left:
                context.console.message(
                    "note", f"{left} more not started; use --keep-going to continue after a failure"
                )
            break
    return max(codes, key=_WORST.index)


def with_own_key(context: Context) -> Context:
    """Return a context with the key named by the files, if any.

    Raises UsageError for files of several organizations.
    """
    found = inputs(context)
    groups = organizations(found)
    if len(groups) > 1:
        hint = "run a job for each, see docs/organizations.md"
        raise _several("a job can have only one organization", groups, hint)
    return _narrowed(context, groups[0], found) if groups else context


def _several(limit: str, groups: tuple[OrganizationFiles, ...], hint: str) -> UsageError:
    names = ", ".join(quote(each.organization or "none") for each in groups)
    return UsageError(f"{limit}, but the files declare several: {names}", hint=hint)


def _narrowed(
    context: Context, group: OrganizationFiles, found: workflow.Inputs, *, keyed: bool = True
) -> Context:
    key = None
    if keyed and not context.local and (secret := key_of(group, found)) is not None:
        key = (secret, f"api_key in {group.paths[0]}")
    options: dict[str, Any] = {"file": group.paths}
    if group.profile is not None and "profile" not in context.command_line:
        options["profile"] = group.profile
    return context.narrowed(key, **options)


def _check_keys(contexts: list[Context], groups: tuple[OrganizationFiles, ...]) -> None:
    """Raise OrganizationError, before any write, if a key belongs to another organization."""
    seen: dict[str, OrganizationFiles] = {}
    for context, group in zip(contexts, groups, strict=True):
        with connected(context, settings_of(context)) as connection:
            organization = connection.api.organization()
        check_organization(organization, declared=group.organization)
        other = seen.setdefault(organization.id, group)
        if other is not group:
            raise OrganizationError(
                f"{other.paths[0]} and {group.paths[0]} use keys of one organization, "
                f"{organization.name!r}",
                hint="set the same `organization` in both, or use another key for one of them",
            )
