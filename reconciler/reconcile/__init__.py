"""`webhooks reconcile`: rounds that read a commit, plan or apply all organizations, and wait.

CloudTruth does not show which version of a secret it has. A secret whose reference or version
differs from the configuration applied last is sent again. After a restart, that configuration is
the one at the commit in the ref `refs/webhooks/reconciled/ORGANIZATION-ID` of the local clone.
Rounds that only plan compare with that commit, too, and never move the ref: they show what an apply
from this clone would send.

`withhold.py` decides what is not written. Nothing here prints. Planning and execution do not know
that this folder exists.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack
from math import ceil, inf
from typing import Any, Final, NamedTuple

from reconciler.errors import (
    ApiError,
    BlockedError,
    ConfigurationError,
    ExitCode,
    ReconcilerError,
    Terminated,
)
from reconciler.model import Desired, Live, Organization, Webhook
from reconciler.planning.names import missed_organization
from reconciler.planning.plan import Create, Plan, Update
from reconciler.planning.planner import PlanOptions
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.ports import Clock
from reconciler.reconcile.withhold import Suspensions, withheld
from reconciler.render.quote import quote
from reconciler.report import Applied, Failed, Report, RunReport, Skipped, Unconfirmed
from reconciler.source.history import Commit, commit_of
from reconciler.source.secrets import references
from reconciler.workflow.applying import apply_all
from reconciler.workflow.inputs import Checked, Gathered, Inputs, Source, load_all
from reconciler.workflow.revisions import previous_at
from reconciler.workflow.run import Planned, Target, identify, plan_all

_LONGEST_WAIT: Final = 3600.0
"""The maximum number of seconds after which a failed organization is tried again."""
_UNCONFIRMED_WAIT: Final = 60.0
"""The minimum number of seconds until an unconfirmed write is tried again: it may still happen."""
_LONGEST_FIRST_WAIT: Final = 15.0
"""The maximum interval in seconds until there is a clone with a commit."""

_NO_BASE: Final = (
    "{name}: no commit is known that this clone applied, so secrets whose `version` changes before "
    "its next apply are not resent"
)
_NO_REF: Final = (
    "{name}: the clone cannot be written, so a restarted process does not know the last commit"
)


class Schedule(NamedTuple):
    """How to reconcile.

    `read` returns the inputs at the commit of a round; it raises ConfigurationError if there is no
    such commit. `begin` is called before each round. `every` is the interval in seconds, None for a
    single round. Without `apply` the rounds only plan.
    """

    read: Callable[[], Inputs]
    connected: Callable[[Sequence[Target]], AbstractContextManager[tuple[Target, ...]]]
    clock: Clock
    every: float | None = None
    apply: bool = False
    prune: bool = True
    begin: Callable[[], None] = lambda: None


class Round(NamedTuple):
    """The result of a round.

    At most one of `run` and `problem` is set. In `run`, an organization that was planned but not
    applied, as if a guard blocks it, has its plan. `left_out` are the organizations that were left
    out because they failed before, with the seconds until the round that tries them again. `notes`
    are for the log.
    """

    commit: str = ""
    run: RunPlan | RunReport | None = None
    problem: ReconcilerError | None = None
    left_out: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()

    @property
    def organizations(self) -> Sequence[OrganizationResult[Any]]:
        """Return the result of each organization that was planned or applied."""
        return () if self.run is None else self.run.organizations


def rounds(schedule: Schedule) -> Iterator[Round]:
    """Yield the result of each round; the next one begins when its time has come.

    Without an interval there is one. A signal raises Terminated: after a write, once the round is
    shown.
    """
    reconciler = _Reconciler(schedule)
    clock, every = schedule.clock, schedule.every
    wait = _LONGEST_FIRST_WAIT
    while True:
        schedule.begin()
        # The log names the commit also if its files are invalid.
        began, commit = clock.monotonic(), ""
        with ExitStack() as stack:
            try:
                inputs = schedule.read()
                assert inputs.commit is not None
                commit = inputs.commit.id
                wait = inf
                result = reconciler.round(load_all(inputs), commit, stack)
            except ReconcilerError as problem:
                # The clone or the files: the next commit may be good.
                result = Round(problem=problem)
            yield result._replace(commit=commit)
            reconciler.release()
        if every is None:
            return
        # A round that is longer than the interval must not keep the server busy all the time.
        interval = min(every, wait)
        clock.sleep(max(began + interval - clock.monotonic(), interval / 10))


class _Failure(NamedTuple):
    """The failures of an organization since its last success, and when it is tried again.

    `until` is for the same commit, `earliest` for a new one.
    """

    attempts: int = 0
    until: float = 0.0
    earliest: float = 0.0


class _Reconciler:
    """Plans or applies, with what a process remembers between rounds."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule, self._clock = schedule, schedule.clock
        self._bases, self._suspensions = _Bases(applies=schedule.apply), Suspensions()
        self._failures: dict[str, _Failure] = {}  # by declared name
        # By declared id: the name, for the log and the metrics.
        self._names: dict[str, str] = {}
        # What the files declare, and what they did if no note was given yet; the last commit.
        self._declared: Set[str] = frozenset()
        self._commit = ""
        self._connected: Sequence[Target] = ()

    def release(self) -> None:
        """Raise Terminated for a signal since the first write of a round that is now shown."""
        targets, self._connected = self._connected, ()
        # All connections of a run have one handler of signals.
        for target in targets:
            code = None if target.connection is None else target.connection.release()
            if code is not None:
                raise Terminated(code)

    def round(self, sources: Sequence[Source], commit: str, stack: ExitStack) -> Round:
        """Plan or apply the organizations of a commit, except those that failed shortly before.

        They stay connected, and signals are held, until the end of `stack`.
        """
        _require_organizations(sources)
        declared = {source.name for source in sources}
        # The correction of an error should not wait.
        if commit != self._commit:
            self._failures = {
                name: failure._replace(until=failure.earliest)
                for name, failure in self._failures.items()
                if name in declared
            }
        # Those that are gone stay until their note, also if this round raises.
        self._declared |= declared
        self._commit = commit
        left_out = self._left_out()
        shown = {self._names.get(name, name): seconds for name, seconds in left_out.items()}
        if len(left_out) == len(sources):
            return Round(left_out=shown)
        connected = self._schedule.connected(self._targets(sources, left_out))
        self._connected = stack.enter_context(connected)
        targets = [_with_base(target, self._bases) for target in identify(self._connected)]
        run: RunPlan | RunReport
        if self._schedule.apply:
            run = self._apply(targets)
        else:
            run = RunPlan(tuple(planned.result for planned in plan_all(targets)))
        tried: list[Any] = []
        results: Sequence[OrganizationResult[Any]] = run.organizations
        for target, result in zip(targets, results, strict=True):
            self._remember_name(target)
            if target.source.name not in left_out:
                self._record_failure(target.source.name, result)
                # The real name also of an organization that did not answer.
                tried.append(result._replace(name=self._names.get(result.name, result.name)))
        dropped = self._dropped(declared, targets)
        self._declared = declared
        return Round(
            run=run._replace(organizations=tuple(tried)),
            left_out=shown,
            notes=(*dropped, *self._bases.new_notes()),
        )

    def _targets(self, sources: Sequence[Source], left_out: Collection[str]) -> list[Target]:
        """Return the targets of a round.

        Those that are left out are part of it: their keys are protected, and their deletes count.
        """
        options = PlanOptions(prune=self._schedule.prune)
        targets = []
        for source in sources:
            problem = ReconcilerError("failed before") if source.name in left_out else None
            targets.append(Target(source, options=options, problem=problem))
        return targets

    def _dropped(self, declared: Set[str], targets: Sequence[Target]) -> list[str]:
        """Return a note for each organization that no file declares any more."""
        # A file may declare by its id what it declared by its name, and the other way around.
        still_declared = set(declared)
        for target in targets:
            if target.organization is not None:
                still_declared |= {target.organization.id, target.organization.name}
        names = sorted(self._names.get(name, name) for name in self._declared - still_declared)
        gone = "no file declares it any more, so nothing in it is read or changed"
        return [f"{quote(name)}: {gone}" for name in names]

    def _remember_name(self, target: Target) -> None:
        declared = target.source.name
        # The key may also belong to an organization that the file does not name.
        if target.organization is not None and target.organization.id == declared:
            self._names[declared] = target.organization.name

    def _left_out(self) -> dict[str, float]:
        """Return the organizations that are left out, with the seconds until their next round.

        An organization whose server is away delays the others only in rounds that try it.
        """
        now, every = self._clock.monotonic(), self._schedule.every or 1.0
        return {
            name: ceil((failure.until - now) / every) * every
            for name, failure in self._failures.items()
            if failure.until > now
        }

    def _apply(self, targets: Sequence[Target]) -> RunReport:
        """Apply the targets, except what is withheld, and remember what was written."""
        clock, bases, suspensions = self._clock, self._bases, self._suspensions
        planned: list[Planned] = []

        def remember(part: Planned) -> Planned:
            planned.append(part)
            return part

        def withhold(plan: Plan, live: Live, gathered: Gathered) -> Mapping[int, tuple[str, str]]:
            base = bases.get(plan.organization, gathered.checked)
            suspended = suspensions.reasons(plan, gathered.secrets, clock.monotonic())
            earlier = None if base is None else base.applied
            return withheld(plan, live, gathered, earlier=earlier, suspended=suspended)

        report = apply_all(
            targets,
            # Whoever merged the commit has confirmed it.
            confirm=lambda plans: True,
            values=True,
            keep_going=True,  # the next round is for those that fail
            withhold=withhold,
            label=remember,
        )
        results: list[OrganizationResult[Any]] = []
        for part, result in zip(planned, report.organizations, strict=True):
            results.append(_with_plan(result, part.plan))
            if result.value is not None:
                assert part.gathered is not None
                suspensions.record(result.value, part.gathered.secrets, clock.monotonic())
                bases.advance(part.target.checked, result.value)
        return report._replace(organizations=tuple(results))

    def _record_failure(self, name: str, result: OrganizationResult[Any]) -> None:
        """Remember whether an organization failed: one that may recover is tried less often.

        A rejected key needs a person, who should not have to wait after the correction.
        """
        problem, report, earliest = result.problem, result.value, 0.0
        is_away = isinstance(problem, ApiError) and problem.exit_code is not ExitCode.DENIED
        if isinstance(report, Report) and Unconfirmed in map(type, report.outcomes):
            # Each further create could be a duplicate.
            is_away, earliest = True, self._clock.monotonic() + _UNCONFIRMED_WAIT
        if not is_away:
            self._failures.pop(name, None)
            return
        attempts = self._failures.get(name, _Failure()).attempts + 1
        # The exponent is limited only to keep the number small: the wait ends at an hour.
        longest = min(_LONGEST_WAIT, (self._schedule.every or 0.0) * 2 ** min(attempts, 20))
        # With jitter, so that many reconcilers do not return to a server at the same time.
        until = self._clock.monotonic() + self._clock.uniform(longest / 2, longest)
        self._failures[name] = _Failure(attempts, max(until, earliest), earliest)


def _with_plan(organization: OrganizationResult[Any], plan: Plan | None) -> OrganizationResult[Any]:
    """Return the result of an organization; with its plan if nothing of that was written."""
    problem = organization.problem
    if plan is None or problem is None:
        return organization
    # The guards have judged it again, without what is withheld.
    blocked = problem.findings if isinstance(problem, BlockedError) else plan.blocked
    return organization._replace(value=plan._replace(blocked=blocked))


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


def _with_base(target: Target, bases: _Bases) -> Target:
    """Let the plan compare with what was applied last, so that a rotation is sent."""
    # With the key of another organization, nothing is planned.
    declared = target.checked.desired.organization
    if target.organization is None or missed_organization(target.organization, declared, ()):
        return target
    base = bases.get(target.organization, target.checked)
    if base is None:
        return target
    options = target.options._replace(previous=base.desired, base=base.commit)
    return target._replace(options=options)


class _Base(NamedTuple):
    """The configuration that is compared with, and the commit that had all of it.

    `new` are the names in it that the base before did not have and that were never created.
    """

    desired: Desired
    commit: str
    new: frozenset[str] = frozenset()

    @property
    def applied(self) -> list[Webhook]:
        """Return the declarations without the new ones."""
        return [webhook for webhook in self.desired.webhooks if webhook.name not in self.new]


class _Bases:
    """The base of each organization, by its id."""

    def __init__(self, *, applies: bool) -> None:
        self._applies = applies
        self._bases: dict[str, _Base] = {}
        self._refs: dict[str, str] = {}
        # Each note is for the log of one round.
        self._known_notes: set[str] = set()
        self._new_notes: list[str] = []

    def get(self, organization: Organization, checked: Checked) -> _Base | None:
        """Return the base of an organization, from the ref at first; None without one."""
        base = self._bases.get(organization.id)
        if base is not None and (
            self._applies or base.commit == _commit_in_ref(organization, checked)
        ):
            return base
        # Beside a process that only plans, another one may apply from the same clone.
        base = _base_in_ref(organization, checked)
        if base is not None:
            self._bases[organization.id] = base
            self._refs[organization.id] = base.commit
        elif references(checked.desired.webhooks):
            self._note(_NO_BASE, organization)
        return base

    def advance(self, checked: Checked, report: Report) -> None:
        """Record what was applied of a commit.

        A webhook with an operation that is not done keeps its earlier declaration, so that its
        secrets are sent in a later round, and those of the others are not sent twice.
        """
        organization, commit = report.plan.organization, checked.inputs.commit
        assert commit is not None
        base = self._bases.get(organization.id)
        pending = _Pending.of(report, checked.desired)
        kept = [] if base is None else list(filter(pending.has, base.desired.webhooks))
        webhooks = (*_without(kept, checked.desired.webhooks, pending), *kept)
        # A restarted process has only the ref, so it waits for each change of a declaration.
        is_complete = report.problem is None and _declares(checked.desired, kept)
        reached = commit.id if is_complete or base is None else base.commit
        self._bases[organization.id] = _Base(
            checked.desired._replace(webhooks=webhooks), reached, _never_created(base, report)
        )
        if is_complete and self._refs.get(organization.id) != commit.id:
            self._move_ref(organization, commit)

    def _move_ref(self, organization: Organization, commit: Commit) -> None:
        if commit.git(["update-ref", _ref(organization.id), commit.id]) is not None:
            self._refs[organization.id] = commit.id
        # If git-sync has removed the worktree since, the next round moves it from the new one.
        elif commit_of(commit.id, commit.git) is not None:
            self._note(_NO_REF, organization)

    def new_notes(self) -> tuple[str, ...]:
        """Return the notes since the last call."""
        notes, self._new_notes = tuple(self._new_notes), []
        return notes

    def _note(self, text: str, organization: Organization) -> None:
        note = text.format(name=quote(organization.name))
        if note not in self._known_notes:
            self._known_notes.add(note)
            self._new_notes.append(note)


class _Pending(NamedTuple):
    """The webhooks that are not as declared: their present and former names and their ids.

    `done` are the ids of those that are: a pinned webhook may share the name of a pending one.
    """

    names: frozenset[str | None]
    done: frozenset[str]

    @classmethod
    def of(cls, report: Report, desired: Desired) -> _Pending:
        """Return what an apply of a configuration left."""
        # A webhook that the plan keeps for a reason may be live under another name.
        unapplied = {kept.position for kept in report.plan.unapplied}
        names: set[str | None] = {
            webhook.name for webhook in desired.webhooks if webhook.position in unapplied
        }
        for kept in report.plan.unapplied:
            for webhook in kept.webhooks:
                names |= {webhook.name, webhook.id}
        updated = {
            outcome.operation.before.id
            for outcome in report.applied
            if isinstance(outcome.operation, Update)
        }
        for outcome in report.outcomes:
            if isinstance(outcome, Applied):
                continue
            operation = outcome.operation
            names.add(operation.name)
            if isinstance(operation, Update):
                before = operation.before
                names |= {before.name, before.id, *operation.after.previously}
        return cls(frozenset(names), frozenset(updated.union(report.plan.matched)))

    def has(self, webhook: Webhook) -> bool:
        """Return whether a declaration is pending."""
        if webhook.id in self.done:
            return False
        return not self.names.isdisjoint({webhook.name, webhook.id})


def _without(
    kept: Iterable[Webhook], declared: Iterable[Webhook], pending: _Pending
) -> Iterator[Webhook]:
    """Yield the declarations of a commit, except pending ones of which an earlier one is kept.

    A pending one without an earlier one stays: its next version must look changed.
    """
    known = {name for webhook in kept for name in (webhook.name, webhook.id) if name}
    for webhook in declared:
        is_known = not known.isdisjoint({webhook.name, webhook.id, *webhook.previously})
        if not (is_known and pending.has(webhook)):
            yield webhook


def _declares(desired: Desired, webhooks: Iterable[Webhook]) -> bool:
    """Return whether a configuration has all of these declarations, unchanged."""
    declared = {(webhook.name, webhook.id): webhook for webhook in desired.webhooks}
    return all(declared.get((webhook.name, webhook.id)) == webhook for webhook in webhooks)


def _never_created(base: _Base | None, report: Report) -> frozenset[str]:
    """Return the names that are new to a base, and whose webhooks are not live."""
    if base is None:
        return frozenset()
    # An unconfirmed create may be live, so a script may rename it.
    names = {
        outcome.operation.name
        for outcome in report.outcomes
        if isinstance(outcome, Failed | Skipped) and isinstance(outcome.operation, Create)
    }
    return frozenset(names.difference(webhook.name for webhook in base.applied))


def _ref(organization: str) -> str:
    # git refuses a name that would lead out of this folder.
    return f"refs/webhooks/reconciled/{organization}"


def _commit_in_ref(organization: Organization, checked: Checked) -> str | None:
    return commit_of(_ref(organization.id), checked.inputs.git)


def _base_in_ref(organization: Organization, checked: Checked) -> _Base | None:
    commit = _commit_in_ref(organization, checked)
    if commit is None:
        return None
    try:
        return _Base(previous_at(commit, checked).desired, commit)
    except ConfigurationError:  # the files were invalid, or the clone is too shallow
        return None
