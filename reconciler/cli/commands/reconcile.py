"""`webhooks reconcile`: plan or apply a commit, once or at intervals."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler import workflow
from reconciler.cli.connection import connected_all, show_problems
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ConfigurationError, ExitCode, UsageError
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.reconcile.loop import Round, Settings, rounds
from reconciler.render import RENDERERS
from reconciler.render.combined import problems
from reconciler.render.quote import prose, quote
from reconciler.render.rows import one_line
from reconciler.report import Applied, Outcome, Report, RunReport, Unconfirmed
from reconciler.source.history import commit_at, git_in

if TYPE_CHECKING:
    from reconciler.ports import Clock
    from reconciler.reconcile.metrics import Metrics

_DURATION: Final = re.compile(r"(\d{1,6})([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_SHORTEST: Final = 10.0
"""The minimum interval in seconds."""


@command(
    reads=True,
    connects=True,
    options=(
        Option("--rev", group="Reconcile", metavar="REV", required=True,
               help="Read all files from this git revision, never from the working tree."),
        Option("--repository", group="Reconcile", metavar="DIR", default=".",
               help="The clone; paths of files are relative to it. It may be a link that changes."),
        Option("--every", group="Reconcile", metavar="TIME",
               help="Repeat at this interval, for example 5m; at least 10s."),
        Option("--apply", group="Reconcile", is_flag=True,
               help="Apply each time; without it, only report the difference."),
        Option("--no-prune", group="Reconcile", is_flag=True,
               help="Do not delete undeclared webhooks."),
        Option("--metrics-address", group="Reconcile", metavar="[HOST:]PORT",
               help="Serve /metrics and /healthz; on this machine only unless a host is given."),
    ),
)  # fmt: skip
def run(
    session: Session,
    rev: str,
    repository: str,
    every: str | None,
    apply: bool,
    no_prune: bool,
    metrics_address: str | None,
) -> int:
    """Reads files, parents, policies and tracked secret files from a commit. It fetches nothing:
    fetch with git beside it. Each file must name its `organization`. With --apply, every commit
    that REV names is written without a confirmation: use a branch whose merges are reviewed, and
    one writer for each organization.

    Examples:
        # show the difference once; exit with 2 if there is one
        webhooks reconcile --rev origin/main
        # report the difference every 5 minutes
        webhooks reconcile --rev origin/main --every 5m
        # apply what is merged
        webhooks reconcile --rev origin/main --every 5m --apply
    """
    interval = None if every is None else _interval(every)
    if apply and interval is None:
        hint = "add --every 5m, or use `webhooks apply`"
        raise UsageError("--apply needs --every", hint=hint)
    directory = session.process.directory / repository

    def connected(
        targets: Sequence[workflow.Target],
    ) -> AbstractContextManager[tuple[workflow.Target, ...]]:
        return connected_all(session, targets)

    settings = Settings(
        read=lambda: _inputs_at(session, directory, rev),
        connected=connected,
        clock=session.process.time(),
        every=interval,
        apply=apply,
        prune=not no_prune,
    )
    if interval is None:
        return _show_once(session, next(rounds(settings)))
    if metrics_address is None:
        return _repeat(session, settings, lambda result: None)
    host, port = _address(metrics_address)
    metrics, serve = _metrics(settings.clock, interval)

    def read() -> workflow.Inputs:
        metrics.begin()
        return _inputs_at(session, directory, rev)

    with serve(metrics, host, port):
        return _repeat(session, settings._replace(read=read), metrics.record)


def _repeat(session: Session, settings: Settings, record: Callable[[Round], None]) -> int:
    """Run rounds until a signal, and return its exit code."""
    for result in rounds(settings):
        record(result)
        _show(session, result)
        if result.stopped is not None:
            return result.stopped
        del result
        # The program collects no garbage during a run, which would grow with each round.
        gc.collect()
    return ExitCode.OK


def _metrics(clock: Clock, every: float) -> tuple[Metrics, Callable[..., Any]]:
    """Return the metrics and their server. Raises UsageError without the extra `metrics`."""
    try:
        from reconciler.reconcile.metrics import Metrics, serve  # an extra
    except ModuleNotFoundError:
        hint = "install prometheus_client, as with `.[metrics]`"
        raise UsageError("--metrics-address needs prometheus_client", hint=hint) from None
    return Metrics(clock, every), serve


def _address(text: str) -> tuple[str, int]:
    """Return host and port; this machine without a host. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise UsageError(
            f"--metrics-address takes PORT or HOST:PORT, not {quote(text)}",
            hint="for example 9464, or 0.0.0.0:9464 for all addresses",
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def _interval(text: str) -> float:
    """Return an interval in seconds. Raises UsageError."""
    match = _DURATION.fullmatch(text)
    seconds = 0.0 if match is None else float(int(match[1]) * _SECONDS[match[2]])
    if seconds < _SHORTEST:
        raise UsageError(
            f"--every takes a time of at least 10s, not {quote(text)}",
            hint="write a number and s, m or h, for example --every 5m",
        )
    return seconds


def _inputs_at(session: Session, directory: Path, rev: str) -> workflow.Inputs:
    """Return the inputs at the commit that `rev` names now. Raises ConfigurationError."""
    # A link that git-sync moves to a new worktree must not change during a round.
    real = Path(os.path.realpath(directory))
    git = git_in(real)
    commit = commit_at(rev, real, git)
    if commit is None:
        raise ConfigurationError(
            f"git finds no commit {quote(rev)} in {quote(str(directory))}",
            hint="fetch it; for a clone of another user, add it to git's `safe.directory`",
        )
    return session.inputs._replace(directory=real, git=git, commit=commit)


def _show_once(session: Session, result: Round) -> int:
    """Print the plan as `webhooks plan` does, and return the exit code."""
    if result.problem is not None:
        raise result.problem
    plan = result.plan or RunPlan(())
    show_problems(session, plan.organizations)
    shown = RENDERERS["text"]().render_run(plan, session.view()._replace(apply_options=None))
    session.show(shown, failed=plan.exit_code is not ExitCode.OK)
    differs = any(each.operations or each.unapplied for each in plan.plans)
    if plan.exit_code is ExitCode.OK and differs:
        return ExitCode.CHANGES
    return plan.exit_code


def _show(session: Session, result: Round) -> None:
    """Print a line for each organization and operation of a round."""
    console = session.console
    if result.problem is not None:
        console.error(result.problem)
    organizations = _organizations(result)
    if any(organization.problem is not None for organization in organizations):
        for problem in problems(organizations):
            console.error(problem)
    now = session.process.time().now().strftime("%Y-%m-%dT%H:%M:%SZ")
    for line in _lines(result):
        console.result(f"{now} {result.commit or '-'} {line}")


def _organizations(result: Round) -> Sequence[OrganizationResult[Any]]:
    run: RunPlan | RunReport | None = result.report or result.plan
    return () if run is None else run.organizations


def _lines(result: Round) -> Iterator[str]:
    yield from result.notes
    if result.problem is not None:
        yield "nothing was written: see the error"
    for name, seconds in result.waiting.items():
        yield f"{quote(name)}: failed before, tried again in {seconds:.0f} s"
    for organization in _organizations(result):
        name, value = quote(organization.name), organization.value
        if value is None:
            yield f"{name}: failed: {prose(str(organization.problem or 'not started'))}"
        elif isinstance(value, Report):
            yield from (f"{name}: {_outcome(outcome)}" for outcome in value.outcomes)
            yield f"{name}: {_state(value)}"
        else:
            yield from (f"{name}: would {one_line(each)}" for each in value.operations)
            changes = len(value.operations)
            state = f"{changes} to change" if changes else "no changes"
            yield f"{name}: {'blocked by a guard, ' if value.blocked else ''}{state}"


def _outcome(outcome: Outcome) -> str:
    operation = one_line(outcome.operation)
    match outcome:
        case Applied():
            return f"{operation}: applied"
        case Unconfirmed():
            return f"{operation}: unconfirmed: {prose(outcome.message)}"
        case _:
            return f"{operation}: {type(outcome).__name__.lower()}: {prose(outcome.message)}"


def _state(report: Report) -> str:
    if report.exit_code is ExitCode.OK:
        return "applied" if report.outcomes else "no changes"
    left = len(report.outcomes) - len(report.applied)
    reason = f": {prose(report.problem)}" if report.problem is not None else ""
    return f"{left} left to change{reason}"
