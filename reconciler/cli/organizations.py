"""Run one command for several organizations, one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler import workflow
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.errors import explain, translate
from reconciler.cli.options import Context
from reconciler.cli.session import inputs
from reconciler.errors import (
    AuthenticationError,
    ExitCode,
    Interrupted,
    OrganizationError,
    PermissionDeniedError,
    ReconcilerError,
    RunConfigurationError,
    UsageError,
)
from reconciler.model import Secret, SecretRef
from reconciler.render.quote import quote
from reconciler.settings import Settings
from reconciler.source.load import Parsed
from reconciler.source.text import masked
from reconciler.workflow.inputs import OrganizationFiles, key_of, key_references, organizations
from reconciler.workflow.planning import check_organization

_ONE_ORGANIZATION: Final = "name the files of one organization with -f"
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

    All keys are checked first, and two groups for one organization are refused. An apply checks
    all files, too; it stops at the first organization that fails, unless it has --keep-going, and
    ends with a summary.
    """
    if len(groups) == 1:
        return body(with_own_key(context, groups[0].parsed), **own)
    for option in _SINGLE:
        if own.get(option) is not None:
            raise _several(f"--{option.replace('_', '-')}", groups)
    context.console.json_lines = context.options.get("format") == "json"
    writes = "yes" in own
    stops = writes and not context.options.get("keep_going")
    references = key_references(groups)
    parts = [(_narrowed(context, each, references), each) for each in groups]
    if writes:
        for each, group in parts:
            try:
                workflow.load(inputs(each))
            except RunConfigurationError:
                raise
            except ReconcilerError as problem:
                raise _named(problem, each, group) from None
    refused = _check_keys(parts) if keyed and not context.local else {}
    codes: dict[str | None, ExitCode] = {}
    for each, group in parts:
        name, shown = group.organization, ", ".join(map(quote, group.paths))
        if stops and refused and name not in refused:
            continue  # nothing is written before every key is accepted
        context.console.note(f"{_name(group)}: {shown or 'unreadable files'}")
        try:
            if name in refused:
                workflow.load(inputs(each))  # errors in files come first
                raise refused[name]
            codes[name] = ExitCode(body(each, **own))
        except (Exception, KeyboardInterrupt) as problem:
            ends = isinstance(problem, RunConfigurationError)
            error = problem if ends else _named(problem, each, group)
            codes[name] = explain(error, context)
            if ends:
                break
        if codes[name] >= ExitCode.SIGHUP or (stops and not refused and codes[name]):
            break
    if writes:
        _summarize(context, parts, codes)
    return max(codes.values(), key=_WORST.index)


def _summarize(context: Context, parts: _Parts, codes: Mapping[str | None, ExitCode]) -> None:
    """Print which organizations are applied, and which are not."""
    results: dict[str, list[str]] = {}
    for _, group in parts:
        match codes.get(group.organization):
            case None:
                result = "not started"
            case ExitCode.OK:
                result = "applied"
            case ExitCode.NOT_CONFIRMED:
                result = "not confirmed"
            case ExitCode.PARTIAL:
                result = "incomplete"
            case code:
                result = "failed" if code < ExitCode.SIGHUP else "interrupted"
        results.setdefault(result, []).append(_name(group))
    text = "; ".join(f"{result}: {', '.join(names)}" for result, names in results.items())
    if results.keys() >= {"not started", "failed"} and "keep_going" not in context.options:
        text += "; --keep-going continues with the next organization"
    text = f"Organizations {text}"
    context.console.block(text) if any(codes.values()) else context.console.note(text)


def with_own_key(
    context: Context, parsed: Parsed, name: str = "this command", hint: str = _ONE_ORGANIZATION
) -> Context:
    """Return a context with the key named by the files, if any.

    Raises UsageError for files of several organizations.
    """
    group = only_organization(parsed, name, hint)
    made = context.narrowed(replace(inputs(context), parsed=parsed))
    _use_key(made, group)
    return made


def only_organization(
    parsed: Parsed, name: str, hint: str = _ONE_ORGANIZATION
) -> OrganizationFiles:
    """Return the organization of the files. Raises UsageError for several."""
    groups = organizations(parsed)
    if len(groups) > 1:
        raise _several(name, groups, hint)
    return groups[0]


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
    made = context.narrowed(found, file=group.paths)
    made.section = _name(group)
    return made


def _use_key(context: Context, group: OrganizationFiles) -> None:
    """Set the key of a context to the one that the files of its organization name, if any."""
    if not context.local and (secret := key_of(group, inputs(context))) is not None:
        context.key = (secret, f"api_key in {group.paths[0]}")
    if group.profile is not None:
        context.profile = (group.profile, f"profile in {group.paths[0]}")


def _name(group: OrganizationFiles) -> str:
    return quote(masked(group.organization or "no organization"))


def _named(problem: BaseException, context: Context, group: OrganizationFiles) -> ReconcilerError:
    """Return an error that names the organization, its files and, if it is refused, its key."""
    error, name = translate(problem), _name(group)
    if error.exit_code >= ExitCode.BUG:
        return error
    where = ", ".join(map(quote, group.paths)) or "unreadable files"
    if isinstance(error, AuthenticationError | PermissionDeniedError | OrganizationError):
        source = settings_of(context).key_source
        if group.api_key is not None:
            source = masked(str(group.api_key))
        where += f", key from {source}"
    error.message = f"{name} ({where}): {error.message}"
    # Another organization may have been written.
    before, after = "nothing was written", f"nothing was written to {name}"
    error.message = error.message.replace(before, after)
    error.hint = error.hint and error.hint.replace(before, after)
    return error


def _check_keys(parts: _Parts) -> dict[str | None, ReconcilerError]:
    """Return the errors of missing and refused keys, by organization.

    Webhooks must not contain any of the keys. Raises OrganizationError if two belong to one
    organization.
    """
    refused: dict[str | None, ReconcilerError] = {}
    keys: dict[str | None, tuple[Settings, Secret]] = {}
    for context, group in parts:
        try:
            _use_key(context, group)
            settings = settings_of(context)
            keys[group.organization] = settings, settings.require_key()
        except ReconcilerError as problem:
            refused[group.organization] = problem
    seen: dict[str, OrganizationFiles] = {}
    for context, group in parts:
        context.inputs = replace(inputs(context), api_keys=tuple(key for _, key in keys.values()))
        if group.organization in refused:
            continue
        try:
            with connected(context, keys[group.organization][0]) as connection:
                organization = connection.api.organization()
            check_organization(organization, declared=group.organization)
        except Interrupted:
            raise
        except ReconcilerError as problem:
            refused[group.organization] = problem
            continue
        other = seen.setdefault(organization.id, group)
        if other is not group:
            raise OrganizationError(
                f"{other.paths[0]} and {group.paths[0]} use keys of the same organization, "
                f"{organization.name!r}",
                hint="set the same `organization` in both, or use another key for one of them",
            )
    return refused
