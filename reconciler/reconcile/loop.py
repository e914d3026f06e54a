"""The rounds of a reconciler: each reads a commit, plans or applies all organizations, waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from reconciler.errors import (
    ApiError,
    ConfigurationError,
    ExitCode,
    Interrupted,
    ReconcilerError,
)
from reconciler.planning.plan import OrganizationResult, RunPlan
from reconciler.planning.planner import PlanOptions
from reconciler.ports import Clock
from reconciler.reconcile.bases import Bases
from reconciler.reconcile.withhold import Suspensions, withheld
from reconciler.report import RunReport
from reconciler.workflow.applying import apply_all
from reconciler.workflow.inputs import Inputs, Source, load_all
from reconciler.workflow.run import Target, identify, plan_all

_LONGEST_WAIT: Final = 3600.0
"""The maximum number of seconds after which a failed organization is tried again."""


class Settings(NamedTuple):
    """How to reconcile.

    `read` returns the inputs at the commit of a round; it raises ConfigurationError if there is no
    such commit. `every` is the interval in seconds, None for a single round. Without `apply` the
    rounds only plan.
    """

    read: Callable[[], Inputs]
    connected: Callable[[Sequence[Target]], AbstractContextManager[tuple[Target, ...]]]
    clock: Clock
    every: float | None = None
    apply: bool = False
    prune: bool = True


class Round(NamedTuple):
    """The result of a round.

    At most one of `run` and `problem` is set. `waiting` are the organizations that were left out
    because they failed before, with the seconds until they are tried again. `notes` are for the
    log.
    """

    commit: str = ""
    run: RunPlan | RunReport | None = None
    problem: ReconcilerError | None = None
    waiting: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()
    stopped: ExitCode | None = None

    @property
    def organizations(self) -> Sequence[OrganizationResult[Any]]:
        """Return the result of each organization that was planned or applied."""
        return () if self.run is None else self.run.organizations


class _Failure(NamedTuple):
    """How often an organization failed since its last success, and when it is tried again."""

    attempts: int = 0
    until: float = 0.0


class _State(NamedTuple):
    """What a process remembers between rounds; failures by declared name."""

    bases: Bases
    suspensions: Suspensions
    failures: dict[str, _Failure]


def rounds(settings: Settings) -> Iterator[Round]:
    """Yield the result of each round; the next one begins when its time has come.

    Without an interval there is one. After a signal during an apply, the round of the signal is the
    last one; in a wait or while reading, a signal raises Interrupted.
    """
    state = _State(Bases(), Suspensions(), {})
    clock, every = settings.clock, settings.every
    while True:
        # The log names the commit also if its files are invalid.
        began, commit = clock.monotonic(), ""
        try:
            inputs = settings.read()
            assert inputs.commit is not None
            commit = inputs.commit.id
            result = _round(settings, state, load_all(inputs))
        except Interrupted:
            raise
        except ReconcilerError as problem:
            # The clone or the files: the next commit may be good.
            result = Round(problem=problem)
        yield result._replace(commit=commit)
        if every is None or result.stopped is not None:
            return
        # A round that is longer than the interval must not keep the server busy all the time.
        clock.sleep(max(began + every - clock.monotonic(), every / 10))


def _round(settings: Settings, state: _State, sources: Sequence[Source]) -> Round:
    _require_organizations(sources)
    # An organization whose server is away does not delay the others.
    waiting: dict[str, float] = {}
    for source in sources:
        failure = state.failures.get(source.name, _Failure())
        seconds = failure.until - settings.clock.monotonic()
        if seconds > 0:
            waiting[source.name] = seconds
    options = PlanOptions(prune=settings.prune)
    due = [Target(source, options=options) for source in sources if source.name not in waiting]
    if not due:
        return Round(waiting=waiting)
    with settings.connected(due) as connected:
        targets = identify(connected)
        if settings.apply:
            result = _apply(settings, state, targets)
        else:
            planned = plan_all(targets)
            result = Round(run=RunPlan(tuple(plan.result for plan in planned)))
    for target, organization in zip(targets, result.organizations, strict=True):
        _record_failure(settings, state, target.source.name, organization.problem)
    return result._replace(waiting=waiting)


def _require_organizations(sources: Sequence[Source]) -> None:
    """Raise ConfigurationError for a file without an organization.

    With the key of another organization, everything would look as if it were missing.
    """
    for source in sources:
        parsed = source.files.inputs.parsed
        for document in parsed.documents if parsed is not None else ():
            if document.data.get("organization") is None:
                raise ConfigurationError(
                    f"{document.file} names no organization",
                    hint="set `organization` in the file: a reconciler must not depend on its key",
                )


def _apply(settings: Settings, state: _State, targets: Sequence[Target]) -> Round:
    """Apply the targets, except what is withheld, and remember what was written."""
    clock, bases, suspensions = settings.clock, state.bases, state.suspensions
    ready = [_with_base(target, bases) for target in targets]
    report = apply_all(
        ready,
        # Whoever merged the commit has confirmed it.
        confirm=lambda plans: True,
        values=True,
        keep_going=True,  # the next round is for those that fail
        withhold=lambda plan, live, gathered: withheld(
            plan,
            live,
            gathered,
            base=bases.get(plan.organization, gathered.checked),
            suspended=suspensions.reasons(plan, clock.monotonic()),
        ),
    )
    for target, organization in zip(ready, report.organizations, strict=True):
        if organization.value is not None:
            suspensions.record(organization.value, clock.monotonic())
            bases.advance(target.checked, organization.value)
    # All connections of a run have one handler of signals.
    signals = [target.connection.signal() for target in ready if target.connection is not None]
    return Round(run=report, notes=bases.new_notes(), stopped=next(iter(signals), None))


def _with_base(target: Target, bases: Bases) -> Target:
    """Let the plan compare with what was applied last, so that a rotation is sent."""
    if target.organization is None:
        return target
    base = bases.get(target.organization, target.checked)
    if base is None:
        return target
    options = target.options._replace(previous=base.desired, base=base.commit)
    return target._replace(options=options)


def _record_failure(
    settings: Settings, state: _State, name: str, problem: ReconcilerError | None
) -> None:
    """Remember whether an organization failed: one that may recover is tried less often.

    A rejected key needs a person, who should not have to wait after the correction.
    """
    every, clock = settings.every or 0.0, settings.clock
    if not isinstance(problem, ApiError) or problem.exit_code is ExitCode.DENIED:
        state.failures.pop(name, None)
        return
    attempts = state.failures.get(name, _Failure()).attempts + 1
    # The exponent is limited only to keep the number small: the wait ends at an hour.
    longest = min(_LONGEST_WAIT, every * 2 ** min(attempts, 20))
    # With jitter, so that many reconcilers do not return to a server at the same time.
    until = clock.monotonic() + clock.uniform(longest / 2, longest)
    state.failures[name] = _Failure(attempts, until)
