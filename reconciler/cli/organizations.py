"""Run one command for several organizations, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from reconciler import workflow
from reconciler.cli.connection import connected
from reconciler.cli.errors import handle_error, translate
from reconciler.cli.session import Session
from reconciler.errors import (
    ExitCode,
    Interrupted,
    OrganizationError,
    ReconcilerError,
    RunConfigurationError,
)
from reconciler.model import Secret
from reconciler.render.quote import quote
from reconciler.workflow.inputs import OrganizationFiles
from reconciler.workflow.planning import check_organization

_BY_SEVERITY: Final = (
    ExitCode.OK, ExitCode.CHANGES, ExitCode.NOT_CONFIRMED, ExitCode.STALE, ExitCode.BLOCKED,
    ExitCode.INVALID, ExitCode.DENIED, ExitCode.FAILED, ExitCode.PARTIAL, ExitCode.USAGE,
    ExitCode.BUG, ExitCode.SIGHUP, ExitCode.SIGTERM, ExitCode.SIGINT,
)  # fmt: skip
"""Exit codes, the worst last."""
_RESULTS: Final[Mapping[ExitCode | None, str]] = {
    None: "not started",
    ExitCode.OK: "applied",
    ExitCode.NOT_CONFIRMED: "not confirmed",
    ExitCode.PARTIAL: "incomplete",
    **dict.fromkeys((ExitCode.SIGHUP, ExitCode.SIGTERM, ExitCode.SIGINT), "interrupted"),
}
"""The result of an apply with an exit code; others mean that it failed."""


def run_each(
    session: Session,
    groups: Sequence[OrganizationFiles],
    body: Callable[..., int | None],
    command_options: Mapping[str, Any],
    *,
    needs_key: bool,
) -> int:
    """Run a command for each organization in the files; return the worst exit code.

    All keys are checked first, and files whose keys belong to the same organization are refused. An
    apply checks all files, too; it stops at the first organization that fails, unless it has
    --keep-going, and ends with a summary.
    """
    session.console.json_lines = session.options.get("format") == "json"
    writes = "yes" in command_options
    stops = writes and not session.options.get("keep_going")
    parts = [session.for_organization(each) for each in groups]
    _check_files(parts if writes else ())
    refused = _check_keys(parts) if needs_key and not session.local else {}
    codes: dict[Session, ExitCode] = {}
    for part in parts:
        if stops and refused and part not in refused:
            continue  # nothing is written before every key is accepted
        session.console.info(f"{part.organization_label}: {_files(part)}")
        try:
            with _named(part):
                if part in refused:
                    workflow.load(part.inputs)  # errors in files come first
                    raise refused[part]
                codes[part] = ExitCode(body(part, **command_options) or 0)
        except (Exception, KeyboardInterrupt) as problem:
            codes[part] = handle_error(problem, session.console)
            if isinstance(problem, RunConfigurationError):
                break
        if codes[part] >= ExitCode.SIGHUP or (stops and not refused and codes[part]):
            break
    if writes:
        _summarize(session, parts, codes)
    return max(codes.values(), key=_BY_SEVERITY.index)


def _summarize(
    session: Session, parts: Sequence[Session], codes: Mapping[Session, ExitCode]
) -> None:
    """Print which organizations are applied, and which are not."""
    results: dict[str, list[str]] = {}
    for part in parts:
        result = _RESULTS.get(codes.get(part), "failed")
        results.setdefault(result, []).append(str(part.organization_label))
    text = "; ".join(f"{result}: {', '.join(names)}" for result, names in results.items())
    if results.keys() >= {"not started", "failed"} and "keep_going" not in session.options:
        text += "; --keep-going continues with the next organization"
    text = f"Organizations {text}"
    session.console.write_stderr(text) if any(codes.values()) else session.console.info(text)


def _files(part: Session) -> str:
    return ", ".join(map(quote, part.files)) or "unreadable files"


@contextmanager
def _named(part: Session) -> Iterator[None]:
    """Add the organization and its files to errors.

    Other organizations may already have changed, so the error must name the one that did not.
    """
    try:
        yield
    except RunConfigurationError:
        raise
    except (Exception, KeyboardInterrupt) as problem:
        error = translate(problem)
        error.message = f"{part.organization_label} ({_files(part)}): {error.message}"
        raise error from None


def _check_files(parts: Sequence[Session]) -> None:
    """Raise ConfigurationError for files with errors, which come before errors about keys."""
    for part in parts:
        with _named(part):
            workflow.load(part.inputs)


def _check_keys(parts: Sequence[Session]) -> dict[Session, ReconcilerError]:
    """Check the key of each session; return the errors of missing and refused keys.

    Also adds all keys to each session's inputs, so that webhooks cannot contain them. Raises
    OrganizationError if two belong to one organization.
    """
    refused: dict[Session, ReconcilerError] = {}
    keys: list[Secret] = []
    seen: dict[str, Session] = {}
    for part in parts:
        try:
            keys.append(part.settings.require_key())
            with connected(part) as connection:
                organization = connection.api.organization()
            declared = None if part.group is None else part.group.organization
            check_organization(organization, declared=declared)
        except Interrupted:
            raise
        except ReconcilerError as problem:
            refused[part] = problem
            continue
        other = seen.setdefault(organization.id, part)
        if other is not part:
            _check_files(parts)
            raise OrganizationError(
                f"{other.files[0]} and {part.files[0]} use keys of the same organization, "
                f"{organization.name!r}",
                hint="set the same `organization` in both, or use another key for one of them",
            )
    for part in parts:
        part.inputs = part.inputs._replace(api_keys=tuple(keys))
    return refused
