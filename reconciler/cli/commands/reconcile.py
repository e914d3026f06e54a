"""`webhooks reconcile`: plan or apply a commit, once or at intervals."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reconciler import workflow
from reconciler.cli.connection import connected_all, show_problems
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ConfigurationError, ExitCode, UsageError
from reconciler.planning.plan import Plan
from reconciler.planning.resend import resent_references
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.reconcile import Round, Schedule, rounds
from reconciler.render import RENDERERS
from reconciler.render.combined import problems
from reconciler.render.quote import prose, quote
from reconciler.render.rows import one_line
from reconciler.render.words import summary
from reconciler.report import OUTCOMES, Applied, Report, state_of
from reconciler.source.history import commit_at, git_in
from reconciler.source.schemes import is_variable

_DURATION: Final = re.compile(r"(\d{1,6})([smh])")
_ADDRESS: Final = re.compile(r"(?:([^:]+|\[[0-9A-Fa-f:.]+\]):)?([0-9]{1,5})")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_MIN_SECONDS: Final = 10


@command(
    reads=True,
    connects=True,
    options=(
        Option("--rev", group="Reconcile", metavar="REV", required=True,
               help="Read all files from this git revision, never from the working tree."),
        Option("--repository", group="Reconcile", metavar="DIR", default=".",
               help="The clone; paths of files are relative to it. It may be a link that changes."),
        Option("--every", group="Reconcile", metavar="TIME",
               help=f"Repeat at this interval, for example 5m; at least {_MIN_SECONDS}s."),
        Option("--apply", group="Reconcile", is_flag=True,
               help="Apply each time; without it, only report the difference. Needs --every."),
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
    """Reads files, parents, policies and tracked secret files from a commit. It does not fetch: run
    `git fetch` separately. Each file must name its `organization`. With --apply, every commit that
    REV names is applied without confirmation: use a branch whose merges are reviewed, and one
    writer for each organization.

    Examples:
        # show the difference once; exit with 2 if there is one
        webhooks reconcile --rev origin/main
        # report the difference every 5 minutes
        webhooks reconcile --rev origin/main --every 5m
        # apply what is merged
        webhooks reconcile --rev origin/main --every 5m --apply
    """
    interval = None if every is None else _interval(every)
    if interval is None and (apply or metrics_address):
        option = "--apply" if apply else "--metrics-address"
        raise UsageError(f"{option} needs --every", hint="add --every 5m")
    # Not resolved here: the link of git-sync names another worktree in each round.
    directory = session.process.directory / repository
    schedule = Schedule(
        read=lambda: _inputs_at(session, directory, rev),
        connected=lambda targets: connected_all(session, targets),
        clock=session.process.clock,
        every=interval,
        apply=apply,
        prune=not no_prune,
    )
    if interval is None:  # for a job of a scheduler, which reads the exit code
        return _show_once(session, next(rounds(schedule)))
    if metrics_address is None:
        return _repeat(session, schedule, lambda result: None)
    try:
        from reconciler.reconcile.metrics import Metrics, serve  # an extra
    except ModuleNotFoundError:
        raise UsageError(
            "--metrics-address needs prometheus_client",
            hint="install prometheus_client, as with `.[metrics]`",
        ) from None
    metrics = Metrics(schedule.clock, interval, session.settings.deadline.value)
    # Before the first round: without the metrics that were asked for, nothing is written.
    with serve(metrics, *_address(metrics_address)):
        return _repeat(session, schedule._replace(begin=metrics.begin), metrics.record)


def _repeat(session: Session, schedule: Schedule, record: Callable[[Round], None]) -> int:
    """Run rounds until a signal, which raises Terminated."""
    for result in rounds(schedule):
        record(result)
        _show(session, result)
        del result
        # The program collects no garbage during a run, which would grow with each round.
        gc.collect()
    return ExitCode.OK


def _address(text: str) -> tuple[str, int]:
    """Return host and port; this machine without a host. Raises UsageError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise UsageError(
            f"--metrics-address takes PORT or HOST:PORT, not {quote(text)}",
            hint="for example 9464, or 0.0.0.0:9464 for all addresses",
        )
    return (match[1] or "127.0.0.1").strip("[]"), int(match[2])


def _interval(text: str) -> float:
    """Return an interval in seconds. Raises UsageError."""
    match = _DURATION.fullmatch(text)
    seconds = 0 if match is None else int(match[1]) * _SECONDS[match[2]]
    if seconds < _MIN_SECONDS:
        raise UsageError(
            f"--every takes a time of at least {_MIN_SECONDS}s, not {quote(text)}",
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
        missing, hint = f"no commit {quote(rev)}", "fetch it, or correct --rev"
        if not real.is_dir():
            missing, hint = "no folder", "clone the repository there, or correct --repository"
        elif git(["rev-parse", "--git-dir"]) is None:
            missing = "no repository that git can read"
            hint = "clone it there; if another user did, add it to git's `safe.directory`"
        where = quote(str(directory))
        if directory.is_symlink():
            where += f", a link to {quote(str(real))}"
        raise ConfigurationError(f"{missing} in {where}", hint=hint)
    return session.inputs._replace(directory=real, git=git, commit=commit)


def _show_once(session: Session, result: Round) -> int:
    """Print the plan as `webhooks plan` does, and return the exit code."""
    if result.problem is not None:
        raise result.problem
    assert isinstance(result.run, RunPlan)
    if any(plan.not_shown for plan in result.run.plans):
        for note in result.notes:
            session.console.message("note", note)
    show_problems(session, result.organizations)
    shown = RENDERERS["text"]().render_run(result.run, session.view()._replace(apply_options=None))
    session.show(shown, failed=result.run.exit_code is not ExitCode.OK)
    return result.run.detailed_exit_code


def _show(session: Session, result: Round) -> None:
    """Print a line for each organization and operation of a round.

    Errors go to standard error with their help; the log on standard output is one line each.
    """
    console = session.console
    if result.problem is not None:
        console.error(result.problem)
    for problem in problems(result.organizations):
        console.error(problem)
    # All lines of a round have one time, by which a log can be grouped.
    now = session.process.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    for line in _lines(result):
        console.result(f"{now} {result.commit or '-'} {line}")


def _lines(result: Round) -> Iterator[str]:
    yield from result.notes
    if result.problem is not None:
        yield "nothing was written: see the error"
    for name, seconds in result.left_out.items():
        yield f"{quote(name)}: failed before, next try in {seconds:.0f} s"
    for organization in result.organizations:
        for line in _organization_lines(organization):
            yield f"{quote(organization.name)}: {line}"


def _organization_lines(organization: OrganizationResult[Any]) -> Iterator[str]:
    """Yield a line for each operation, and the state of the organization."""
    match organization.value:
        case Report() as report:
            yield from _report_lines(report)
            state = str(state_of(organization))
            if report.problem:
                state += f": {prose(report.problem)}"
            yield state
        case Plan() as plan:
            yield from (f"would {one_line(operation)}" for operation in plan.operations)
            yield from _unwritten_lines(plan)
            if plan.blocked:
                yield "blocked by a guard"
            yield summary(plan)
    if organization.value is None or organization.problem is not None:
        yield f"failed: {prose(str(organization.problem or 'not started'))}"


def _report_lines(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        text = f"{one_line(outcome.operation)}: {OUTCOMES[type(outcome)]}"
        if not isinstance(outcome, Applied):
            text += f": {prose(outcome.message)}"
        yield text
    # After an update of its source, a variable still has the value before the rotation.
    applied = [outcome.operation for outcome in report.outcomes if isinstance(outcome, Applied)]
    for reference in filter(is_variable, resent_references(applied)):
        text = "sent with its value at the start of this process; if you set it later, restart"
        yield f"{reference}: {text} and increment `version`"
    yield from _unwritten_lines(report.plan)


def _unwritten_lines(plan: Plan) -> Iterator[str]:
    """Yield a line for each webhook and secret that no round writes by itself."""
    yield from map(one_line, plan.unapplied)
    for use in plan.not_equal:
        unequal = f"{use.field} of {use.webhook} is not the value of {use.reference}"
        yield f"{prose(unequal)}, but possibly encrypted; to send it, increment `version`"
