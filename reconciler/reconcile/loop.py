"""The rounds of a reconciler: each reads a commit, plans or applies all organizations, waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ExitCode,
    Interrupted,
    PermissionDeniedError,
    ReconcilerError,
)
from reconciler.planning.planner import PlanOptions
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.ports import Clock
from reconciler.reconcile.bases import Bases
from reconciler.reconcile.withhold import Suspensions, with_dependents, withheld_creates
from reconciler.render.quote import quote
from reconciler.report import RunReport
from reconciler.workflow.applying import apply_all
from reconciler.workflow.inputs import Inputs, Source, load_all
from reconciler.workflow.run import Planned, Target, identify, plan_all

_LONGEST_WAIT: Final = 3600.0
"""The maximum number of seconds after which a failed organization is tried again."""

Connected: TypeAlias = Callable[[Sequence[Target]], AbstractContextManager[tuple[Target, ...]]]


class Settings(NamedTuple):
    """How to reconcile.

    `read` returns the inputs at the commit of a round; it raises ConfigurationError if there is no
    such commit. `every` is the interval in seconds, None for a single round. Without `apply` the
    rounds only plan.
    """

    read: Callable[[], Inputs]
    connected: Connected
    clock: Clock
    every: float | None = None
    apply: bool = False
    prune: bool = True


class Round(NamedTuple):
    """The result of a round.

    Exactly one of `plan`, `report` and `problem` is set. `suspended` counts the operations that are
    suspended, by organization id. `waiting` are the organizations that were left out because they
    failed before, with the seconds until they are tried again. `notes` are for the log.
    """

    commit: str = ""
    plan: RunPlan | None = None
    report: RunReport | None = None
    problem: ReconcilerError | None = None
    suspended: Mapping[str, int] = {}
    waiting: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()
    stopped: ExitCode | None = None


@dataclass
class _Failures:
    """How often an organization failed since its last success, and when it is tried again."""

    count: int = 0
    until: float = 0.0


@dataclass
class _State:
    """What a process remembers between rounds; organizations by id, failures by declared name."""

    bases: Bases = field(default_factory=Bases)
    suspensions: Suspensions = field(default_factory=Suspensions)
    failures: dict[str, _Failures] = field(default_factory=dict)
    without_base: set[str] = field(default_factory=set)


def rounds(settings: Settings) -> Iterator[Round]:
    """Yield the result of each round; the next one begins when its time has come.

    Without an interval there is one. After a signal during an apply, the round of the signal is the
    last one; in a wait or while reading, a signal raises Interrupted.
    """
    state, clock, every = _State(), settings.clock, settings.every
    while True:
        began = clock.monotonic()
        result = _attempt_round(settings, state)
        yield result
        if every is None or result.stopped is not None:
            return
        # A round that is longer than the interval must not keep the server busy all the time.
        clock.sleep(max(began + every - clock.monotonic(), every / 10))


def _attempt_round(settings: Settings, state: _State) -> Round:
    commit = ""
    try:
        inputs = settings.read()
        assert inputs.commit is not None
        commit = inputs.commit.id
        return _round(settings, state, load_all(inputs))._replace(commit=commit)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return Round(commit=commit, problem=problem)


def _round(settings: Settings, state: _State, sources: Sequence[Source]) -> Round:
    _require_organizations(sources)
    now = settings.clock.monotonic()
    waiting = {
        source.name: failures.until - now
        for source in sources
        if (failures := state.failures.get(source.name)) is not None and failures.until > now
    }
    targets = [Target(source) for source in sources if source.name not in waiting]
    if not targets:
        return Round(plan=RunPlan(()), waiting=waiting)
    with settings.connected(targets) as connected:
        targets = list(identify(connected))
        if settings.apply:
            result = _apply(settings, state, targets)
        else:
            options = PlanOptions(prune=settings.prune)
            planned = plan_all([target._replace(options=options) for target in targets])
            result = Round(plan=RunPlan(tuple(each.result for each in planned)))
    _record_failures(settings, state, targets, result)
    return result._replace(waiting=waiting)


def _require_organizations(sources: Sequence[Source]) -> None:
    """Raise ConfigurationError for a file without an organization.

    With the key of another organization, everything would look as if it were missing.
    """
    for source in sources:
        parsed = source.files.inputs.parsed
        for document in parsed.documents if parsed is not None else ():
            if not isinstance(document.data.get("organization"), str):
                raise ConfigurationError(
                    f"{document.file} names no organization",
                    hint="set `organization` in the file: a reconciler must not depend on its key",
                )


def _apply(settings: Settings, state: _State, targets: Sequence[Target]) -> Round:
    """Apply the targets, except what is withheld, and remember what was written."""
    clock, suspended = settings.clock, dict[str, int]()
    notes = _find_bases(state, targets)
    ready = [_with_base(target, settings, state) for target in targets]

    def withhold(planned: Planned) -> Mapping[int, str]:
        assert planned.plan is not None
        organization = planned.plan.organization.id
        reasons = state.suspensions.reasons(planned.plan, clock.monotonic())
        suspended[organization] = len(reasons)
        creates = withheld_creates(planned, planned.target.options.previous)
        return with_dependents(planned.plan, creates | reasons)

    report = apply_all(
        ready, confirm=lambda plans: True, values=True, keep_going=True, withhold=withhold
    )
    for target, result in zip(ready, report.organizations, strict=True):
        if result.value is None or target.organization is None:
            continue
        state.suspensions.record(result.value, clock.monotonic())
        if not state.bases.advance(target.organization.id, target.checked, result.value):
            notes.append(_NO_REF.format(name=quote(target.organization.name)))
    signal = _signal(ready, report)
    return Round(report=report, suspended=suspended, notes=tuple(notes), stopped=signal)


def _find_bases(state: _State, targets: Sequence[Target]) -> list[str]:
    """Read the base of each organization, and return a note for each that has none."""
    notes: list[str] = []
    for target in targets:
        organization = target.organization
        if organization is None or organization.id in state.without_base:
            continue
        if state.bases.get(organization.id, target.checked) is None:
            state.without_base.add(organization.id)
            notes.append(_NO_BASE.format(name=quote(organization.name)))
    return notes


def _with_base(target: Target, settings: Settings, state: _State) -> Target:
    options = PlanOptions(prune=settings.prune)
    organization = target.organization
    if organization is not None:
        base = state.bases.get(organization.id, target.checked)
        if base is not None:
            options = options._replace(previous=base.desired, base=base.commit)
    return target._replace(options=options)


_NO_BASE: Final = (
    "{name}: no earlier commit is known, so secrets whose `version` changed before are not resent"
)
_NO_REF: Final = (
    "{name}: the clone cannot be written, so a restarted process does not know the last commit"
)


def _signal(targets: Sequence[Target], report: RunReport) -> ExitCode | None:
    """Return the exit code of a signal, which a complete report does not have."""
    signals = [each.connection.signal() for each in targets if each.connection is not None]
    reports = (each.stopped for each in report.reports)
    return next((code for code in (report.stopped, *signals, *reports) if code is not None), None)


def _record_failures(
    settings: Settings, state: _State, targets: Sequence[Target], result: Round
) -> None:
    """Remember which organizations failed: those of the server are tried again less often."""
    clock, every = settings.clock, settings.every
    results: Sequence[OrganizationResult[Any]] = ()
    if result.report is not None:
        results = result.report.organizations
    elif result.plan is not None:
        results = result.plan.organizations
    for target, organization in zip(targets, results, strict=True):
        name = target.source.name
        if every is None or not _is_passing(organization.problem):
            state.failures.pop(name, None)
            continue
        failures = state.failures.setdefault(name, _Failures())
        failures.count += 1
        longest = min(_LONGEST_WAIT, every * 2 ** min(failures.count, 20))
        # With jitter, so that many reconcilers do not return to a server at the same time.
        failures.until = clock.monotonic() + clock.uniform(longest / 2, longest)


def _is_passing(problem: ReconcilerError | None) -> bool:
    """Return whether an error is one of the server or the network, which may pass."""
    denied = AuthenticationError | PermissionDeniedError
    return isinstance(problem, ApiError) and not isinstance(problem, denied)
