"""Run one command for several organizations, one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler import workflow
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.errors import explain
from reconciler.cli.options import Context
from reconciler.cli.session import inputs
from reconciler.errors import ExitCode, OrganizationError, ReconcilerError, UsageError
from reconciler.model import Secret, SecretRef
from reconciler.render.quote import quote
from reconciler.source.load import Parsed
from reconciler.source.text import masked
from reconciler.workflow.inputs import OrganizationFiles, key_of, organizations
from reconciler.workflow.planning import check_organization

_ONE_ORGANIZATION: Final = "pass the files of one organization"
_Parts = list[tuple[Context, OrganizationFiles]]

_SINGLE: Final = ("out", "report", "expect_digest")
"""Options that apply to a single plan."""
_WORST: Final = (
    ExitCode.OK, ExitCode.CHANGES, ExitCode.NOT_CONFIRMED, ExitCode.STALE, ExitCode.BLOCKED,
    ExitCode.INVALID, ExitCode.DENIED, ExitCode.FAILED, ExitCode.PARTIAL, ExitCode.USAGE,
    ExitCode.BUG, ExitCode.SIGHUP, ExitCode.SIGTERM, ExitCode.SIGINT,
)  # fmt: skip
"""Exit codes, the worst last."""


def run_each(
    context: Context,
    groups: tuple[OrganizationFiles, ...],
    body: Callable[..., int],
    own: Mapping[str, Any],
    *,
    keyed: bool,
) -> int:
    """Run a command for each organization of its files; return the worst exit code.

    An apply stops at the first organization that fails, unless it has --keep-going. Before its
    first write, all files and keys are checked, and two groups for one organization are refused.
    """
    if len(groups) == 1:
        return body(with_own_key(context, groups[0].parsed), **own)
    for name in _SINGLE:
        if own.get(name) is not None:
            raise _several(f"--{name.replace('_', '-')}", groups)
    writes = "yes" in own
    references = frozenset(each.api_key for each in groups if each.api_key is not None)
    parts = [(_narrowed(context, each, references), each) for each in groups]
    if writes:
        for each, _ in parts:
            workflow.load(inputs(each))
    if keyed and not context.local:
        keys = _keys(parts, required=writes)
        for each, _ in parts:
            each.inputs = replace(inputs(each), api_keys=keys)
        if writes:
            _check_keys(parts)
    codes: list[ExitCode] = []
    for each, group in parts:
        named = quote(masked(group.organization or "no organization"))
        paths = ", ".join(map(quote, group.paths)) or "unreadable files"
        context.console.note(f"{named}: {paths}")
        try:
            if keyed:
                _use_key(each, group)
            codes.append(ExitCode(body(each, **own)))
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


def with_own_key(
    context: Context, parsed: Parsed, name: str = "this command", hint: str = _ONE_ORGANIZATION
) -> Context:
    """Return a context with the key named by the files, if any.

    Raises UsageError for files of several organizations.
    """
    groups = organizations(parsed)
    if len(groups) > 1:
        raise _several(name, groups, hint)
    made = context.narrowed(replace(inputs(context), parsed=parsed))
    _use_key(made, groups[0])
    return made


def _several(
    name: str, groups: tuple[OrganizationFiles, ...], hint: str = _ONE_ORGANIZATION
) -> UsageError:
    names = ", ".join(quote(masked(each.organization or "none")) for each in groups)
    message = f"{name} works with one organization, but the files declare several: {names}"
    return UsageError(message, hint=hint)


def _narrowed(
    context: Context, group: OrganizationFiles, key_references: frozenset[SecretRef]
) -> Context:
    """Return a context with the files of one organization."""
    found = replace(
        inputs(context), paths=group.paths, parsed=group.parsed, key_references=key_references
    )
    return context.narrowed(found, file=group.paths)


def _use_key(context: Context, group: OrganizationFiles) -> None:
    """Set the key of a context to the one that the files of its organization name, if any."""
    if not context.local and (secret := key_of(group, inputs(context))) is not None:
        context.key = (secret, f"api_key in {group.paths[0]}")
    if group.profile is not None:
        context.profile = (group.profile, f"profile in {group.paths[0]}")


def _keys(parts: _Parts, *, required: bool) -> tuple[Secret, ...]:
    """Return the keys of all organizations; the section of one reports a missing key."""
    keys = []
    for context, group in parts:
        try:
            _use_key(context, group)
            keys.append(settings_of(context).require_key())
        except ReconcilerError:
            if required:
                raise
    return tuple(keys)


def _check_keys(parts: _Parts) -> None:
    """Raise OrganizationError, before any write, if a key belongs to another organization."""
    seen: dict[str, OrganizationFiles] = {}
    for context, group in parts:
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
