"""The steps of every apply: plan, review, guards, confirmation, execute, report.

One organization is a run with one element.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from reconciler.errors import (
    RUN_AGAIN,
    BlockedError,
    ConfigurationError,
    ExitCode,
    InternalError,
    MaintenanceError,
    NotConfirmedError,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
)
from reconciler.execute.execute import execute
from reconciler.findings import Place, Severity, note, warning
from reconciler.model import Live, Webhook
from reconciler.planning.guards import guard_all, max_later_deletes
from reconciler.planning.plan import (
    Create,
    Delete,
    Kept,
    Operation,
    OperationDigest,
    Plan,
    Reason,
    Update,
)
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import (
    Review,
    approve_all,
    check_digest,
    compare_with_review,
    values_apart,
    values_sent,
)
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.ports import Stop
from reconciler.render.quote import prose, without_option
from reconciler.render.rows import one_line
from reconciler.render.words import values_left_out
from reconciler.report import (
    DENIED,
    NOT_REVIEWED,
    Applied,
    Failed,
    Outcome,
    Report,
    RunReport,
    Skipped,
    exit_code_of,
)
from reconciler.source.history import NoBaseError
from reconciler.source.load import Loaded
from reconciler.workflow.connection import Connection
from reconciler.workflow.inputs import Checked, Gathered, OrganizationFiles, Source, located
from reconciler.workflow.planning import committed_hosts, plan_listed
from reconciler.workflow.revisions import NOT_SENT, may_be_unsent, possible_bases, previous_at
from reconciler.workflow.run import Planned, Target, key_source_of, plan_all, with_key_source

_ALLOW_DELETES: Final = "--allow-deletes"
_ORGANIZATION: Final = "--organization"

_Reasons: TypeAlias = Mapping[int, tuple[str, str]]
"""Code and reason of operations that are not applied, by index in the complete plan."""
_Withhold: TypeAlias = Callable[[Plan, Live, Gathered], _Reasons]
"""Returns the operations of a plan that must not be applied."""


class _Options(NamedTuple):
    """How a run is applied, as for `apply_all`; `reviewed` means by a review or a digest."""

    reviewed: bool
    expect_digest: str | None
    allow_deletes: int | None
    values: bool
    keep_going: bool


class _Refused(NamedTuple):
    """An organization that is not applied, and why."""

    planned: Planned
    problem: ReconcilerError

    @property
    def result(self) -> OrganizationResult[Plan]:
        """Return the result without a plan to apply."""
        return self.planned.result._replace(value=None, problem=self.problem)


class _Ready(NamedTuple):
    """What an apply does in one organization: `plan` is the part of its `complete` plan to apply.

    `skipped` are the reasons for the other operations.
    """

    planned: Planned
    connection: Connection
    gathered: Gathered
    live: Live
    complete: Plan
    plan: Plan
    skipped: _Reasons = MappingProxyType({})

    @property
    def target(self) -> Target:
        """Return the organization with its files."""
        return self.planned.target

    @property
    def result(self) -> OrganizationResult[Plan]:
        """Return the result with the plan to apply."""
        return self.planned.result._replace(value=self.plan)

    @property
    def unreviewed(self) -> list[tuple[str, str]]:
        """Return the webhooks of operations that lack a review, with the reasons."""
        operations = [
            (self.complete.operations[index], reason)
            for index, (code, reason) in self.skipped.items()
            if code == NOT_REVIEWED
        ]
        return [
            (operation.name, f"{one_line(operation)}: {reason}") for operation, reason in operations
        ]

    def without(self, reasons: _Reasons) -> _Ready:
        """Return the same without more operations."""
        skipped = {**self.skipped, **reasons}
        applied = [index for index in range(len(self.complete.operations)) if index not in skipped]
        plan = self.complete.select(applied)
        shown = self.plan
        plan = plan._replace(notes=shown.notes, values=shown.values, blocked=shown.blocked)
        return self._replace(plan=plan, skipped=skipped)


_Part: TypeAlias = _Ready | _Refused

_Declarations: TypeAlias = Mapping[str, Mapping[str, _Part]]
"""The organizations of declared webhooks, by name and file."""


def apply(
    checked: Checked,
    connection: Connection,
    *,
    options: PlanOptions,
    confirm: Callable[[Plan], bool],
    review: Review | str | None = None,
    values: bool = False,
) -> Report:
    """Make the live webhooks match the files, if `confirm` returns true for the plan.

    With `review` only reviewed operations are applied: the others are skipped, and nothing is
    written if the review has a different operation for a webhook. If `review` is a digest, the plan
    must have that digest or be empty. `values` allows operations in which only the value of a
    secret differs, which no review can include.

    Raises the errors of `plan`, StalePlanError, UnresolvedSecretsError, BlockedError,
    NotConfirmedError: in each case nothing was written.
    """
    known = review if isinstance(review, Review) else None
    files = OrganizationFiles(
        organization=checked.desired.organization,
        inputs=checked.inputs,
        paths=tuple(checked.loaded.documents),
    )
    target = Target(
        source=Source(files, checked),
        connection=connection,
        options=options,
        review=known,
    )
    report = apply_all(
        [target],
        confirm=lambda run: confirm(run.plans[0]),
        allow_deletes=options.allow_deletes,
        expect_digest=review if isinstance(review, str) else None,
        values=values,
    )
    (result,) = report.organizations
    if result.problem is not None:
        raise result.problem
    assert result.value is not None
    return result.value


def apply_all(
    targets: Sequence[Target],
    *,
    confirm: Callable[[RunPlan], bool],
    allow_deletes: int | None = None,
    expect_digest: str | None = None,
    values: bool = False,
    keep_going: bool = False,
    withhold: _Withhold = lambda plan, live, gathered: {},
    label: Callable[[Planned], Planned] = lambda planned: planned,
) -> RunReport:
    """Apply all targets one after another, if `confirm` returns true for what will be applied.

    Everything that can stop an organization is known before the first write: its key, missing
    secrets, guards, a stale review. Then nothing is written, unless `keep_going` continues with the
    others; so it does after a failed organization. `confirm` is not called if nothing changes.
    `expect_digest` is the digest of the complete run; `allow_deletes` is as for `plan_all`,
    `values` as for `apply`. Operations that `withhold` returns are skipped with its reason. `label`
    changes what the plans call drift.

    Raises the errors of `plan_all`; NotConfirmedError, and StalePlanError for another digest: in
    both cases nothing was written.
    """
    # A mistyped digest is found before any request.
    if expect_digest is not None:
        check_digest(expect_digest)
    reviewed = expect_digest is not None or any(target.review is not None for target in targets)
    options = _Options(reviewed, expect_digest, allow_deletes, values, keep_going)
    planned = plan_all(targets, allow_deletes=allow_deletes, writing=True, reviewed=reviewed)
    planned = tuple(map(label, planned))
    complete = RunPlan(tuple(organization.result for organization in planned))
    digest = complete.digest
    if expect_digest is not None:
        # The digest covers all organizations, so one without a plan stops the others.
        if complete.problems:
            return _not_started(complete, targets[0], options)
        _require_digest(complete, expect_digest, planned)
    # First all of them: nothing is written while another organization may stop the run.
    parts = [_prepared(organization, withhold, options) for organization in planned]
    parts = _require_reviewed(parts)
    parts = _judged(parts, options)
    parts = _without_moves(parts)
    to_apply = RunPlan(tuple(part.result for part in parts), digest)
    if to_apply.problems and not keep_going:
        return _not_started(to_apply, targets[0], options)
    _require_confirmation(to_apply, confirm)
    return _carry_out(parts, to_apply, options)


def _not_started(run: RunPlan, target: Target, options: _Options) -> RunReport:
    """Return the report of a run that writes nothing because an organization has a problem."""
    others = [
        result.name for result in run.organizations if result.value and result.value.operations
    ]
    report = RunReport(tuple(_as_reports(run)), run.digest)
    if not others:
        return report
    # A digest covers all organizations, and what a review covers is not what this command applies.
    if options.reviewed:
        return report._replace(plan_command=_plan_command(target, organizations=others))
    words = target.checked.inputs.apply_options
    if words is None:
        return report
    # The allowed number stays: deletes of an organization that lacks a secret count there, too.
    return report._replace(finish_command=shlex.join(["webhooks", "apply", *words, "--keep-going"]))


def _require_confirmation(run: RunPlan, confirm: Callable[[RunPlan], bool]) -> None:
    """Raise NotConfirmedError unless `confirm` returns true. A run without changes needs none."""
    if run.has_operations and not confirm(run):
        raise NotConfirmedError(
            "not confirmed: nothing was written",
            hint="type `yes` to confirm, or use --yes once the plan has been reviewed",
        )


def _as_reports(run: RunPlan) -> Iterator[OrganizationResult[Report]]:
    """Yield the problems of a run; the other organizations were not started, or are unchanged."""
    for result in run.organizations:
        plan = result.value
        report = None
        # With notes, something lacks a review.
        if plan is not None and not (plan.operations or plan.unapplied or plan.notes):
            report = Report(plan)
        yield OrganizationResult(result.name, result.files, report, result.problem)


def _prepared(planned: Planned, withhold: _Withhold, options: _Options) -> _Part:
    """Return the part of a plan that is reviewed and not withheld, or why none is applied."""
    if planned.problem is not None:
        return _Refused(planned, planned.problem)
    connection, gathered = planned.target.connection, planned.gathered
    live, complete = planned.live, planned.plan
    assert connection is not None
    assert gathered is not None
    assert live is not None
    assert complete is not None
    if live.organization.maintenance:
        problem = MaintenanceError(
            f"organization {live.organization.name!r} is in maintenance: nothing can be changed",
            hint="try again after the maintenance; `webhooks plan` still works",
        )
        return _Refused(planned, problem)
    review = planned.target.review
    if options.expect_digest is not None:
        review = approve_all(complete)
    if review is not None and not options.values:
        complete = values_apart(complete, cache(partial(committed_hosts, gathered)))
    # `complete` stays for the report, which lists also what is skipped.
    part = _Ready(planned, connection, gathered, live, complete, plan=complete)
    if review is not None:
        try:
            part = _reviewed(part, review, options)
        except ReconcilerError as problem:
            return _Refused(planned, problem)
    withheld = withhold(complete, live, gathered)
    return part.without(withheld) if withheld else part


def _reviewed(part: _Ready, review: Review, options: _Options) -> _Ready:
    """Return the reviewed part of a plan. Raises StalePlanError."""
    command, complete = _plan_command(part.target), part.complete
    comparison = compare_with_review(
        complete, review, allow_value_changes=options.values, names_base=bool(command)
    )
    if comparison.stale:
        hint = "the review shows other operations for these webhooks"
        if command:
            hint += f": run `{command}`, and have the new plan reviewed"
        differences = [f"now: {_with_destination(stale)}" for stale in comparison.stale]
        raise StalePlanError.since_review(differences, hint)
    # Operations on webhooks that the review does not mention: another change was merged since.
    notes = [
        warning(NOT_REVIEWED, f"not applied: {one_line(complete.operations[index])}: {reason}")
        for index, reason in comparison.unreviewed.items()
    ]
    # The caller records the resends of `options.reviewed`, so that each is sent once.
    repeats = not part.target.options.reviewed
    not_shown = complete.fields_not_shown
    if repeats and any((resend.id, resend.field) in not_shown for resend in review.resends):
        resent = "every apply of this review resends its secrets, because CloudTruth does not show "
        notes.append(note("resent-each-time", f"{resent}whether they were sent"))
    left_out = tuple(
        operation
        for index, operation in enumerate(complete.operations)
        if index in comparison.values and isinstance(operation, Update)
    )
    plan = complete._replace(notes=(*complete.notes, *notes), values=left_out)
    skipped = {index: (NOT_REVIEWED, why) for index, why in comparison.unreviewed.items()}
    return part._replace(plan=plan).without(skipped)


def _with_destination(stale: Operation | Kept) -> str:
    """Return a stale operation with the live destination, which may be all that has changed."""
    match stale:
        case Create():
            return one_line(stale)
        case Kept():
            live = stale.webhooks[0]
        case _:
            live = stale.before
    return f"{one_line(stale)}, currently {prose(live.destination)}"


def _require_reviewed(parts: Sequence[_Part]) -> list[_Part]:
    """Return the same; if nothing is applied, refuse each that has operations without a review."""
    if any(isinstance(part, _Ready) and part.plan.operations for part in parts):
        return list(parts)
    return [_require_one_reviewed(part) if isinstance(part, _Ready) else part for part in parts]


def _require_one_reviewed(part: _Ready) -> _Part:
    unreviewed = part.unreviewed
    if not unreviewed:
        return part
    values = values_left_out([part.plan])
    command, hint = _plan_command(part.target), "see the reasons"
    # Another plan shows the same of them.
    if command and len(part.plan.values) < len(unreviewed):
        hint += f", or run `{command}` and have the new plan reviewed"
    # `webhooks ci` has no such option.
    if values and command:
        hint += f"; --yes also sends: {values}"
    problem = NotReviewedError(
        "none of the remaining operations was reviewed; nothing was written",
        reasons=unreviewed,
        hint=hint,
    )
    return _Refused(part.planned, problem)


def _plan_command(target: Target, deletes: int = 0, organizations: Sequence[str] = ()) -> str:
    """Return the command that shows the plan, limited to `organizations` if there are any.

    If the run allows a number of deletes, the command allows that of `deletes`, if there are any.
    Empty if no command is suggested, as on GitHub, where a comment has the plan.
    """
    options = target.checked.inputs.apply_options
    if options is None:
        return ""
    # The number of this run may be that of another plan, which would block the shown one.
    words = without_option(_ALLOW_DELETES, options)
    if deletes and len(words) < len(options):
        words += [_ALLOW_DELETES, str(deletes)]
    if organizations:
        # Those of this run may be globs, which also match the others.
        words = without_option(_ORGANIZATION, words)
        words += [word for name in organizations for word in (_ORGANIZATION, name)]
    return shlex.join(["webhooks", "plan", *words])


def _judged(parts: Sequence[_Part], options: _Options) -> list[_Part]:
    """Return the same; refuse each organization that is blocked or lacks a secret.

    The guards are judged on what would be applied.
    """
    # Skipped deletes do not count. Those of organizations that are not applied can come later.
    plans = [part.plan for part in parts if isinstance(part, _Ready)]
    later_deletes = sum(
        max_later_deletes(part.planned.target.max_deletes, part.planned.plan)
        for part in parts
        if isinstance(part, _Refused)
    )
    findings = guard_all(
        plans,
        options.allow_deletes,
        later_deletes=later_deletes,
        keep_going=options.keep_going,
        has_option=all(part.planned.target.has_options for part in parts),
    )
    blocked = iter(findings)
    judged: list[_Part] = []
    for part in parts:
        if isinstance(part, _Ready):
            part = part._replace(plan=part.plan._replace(blocked=next(blocked)))
            problem = _missing_secrets(part) or _blocked(part)
            if problem is not None:
                judged.append(_Refused(part.planned, problem))
                continue
        judged.append(part)
    return judged


def _blocked(part: _Ready) -> BlockedError | None:
    if not part.plan.blocked:
        return None
    command = _plan_command(part.target)
    return BlockedError(
        "the plan is blocked: nothing was written",
        findings=part.plan.blocked,
        hint=f"run `{command}` to see the plan" if command else None,
    )


def _missing_secrets(part: _Ready) -> UnresolvedSecretsError | None:
    """Return the problem of a plan that sends a secret without a value."""
    gathered = part.gathered
    # Only what is sent needs a value: an unchanged webhook may have a secret that is not set here.
    missing = {use.reference for use in part.plan.secrets} - frozenset(gathered.secrets)
    if not missing:
        return None
    # A variable has no version, so each is named once.
    names = {str(reference.unversioned) for reference in missing}
    unresolved = [
        (reference, finding)
        for reference, findings in gathered.problems.items()
        for finding in findings
        if reference in missing and finding.severity is Severity.ERROR
    ]
    return UnresolvedSecretsError(
        f"required secrets are not available: {', '.join(sorted(names))}; nothing was written",
        findings=located(unresolved, gathered.checked),
        hint=f"set them, then {RUN_AGAIN}",
    )


def _without_moves(parts: Sequence[_Part]) -> list[_Part]:
    """Return the same, without deletes of webhooks that may move to one that does not create them.

    Its own files declare them, so until it is applied, they could be live nowhere.
    """
    declared = _by_name_and_file(
        (part, webhook) for part in parts for webhook in _not_created(part)
    )
    return [_without_moved(part, declared) if isinstance(part, _Ready) else part for part in parts]


def _not_created(part: _Part) -> Sequence[Webhook]:
    """Return the webhooks of an organization that is not applied, or whose creates are skipped."""
    if isinstance(part, _Refused):
        return part.planned.target.checked.desired.webhooks
    skipped = (part.complete.operations[index] for index in part.skipped)
    return [operation.after for operation in skipped if isinstance(operation, Create)]


def _by_name_and_file(declarations: Iterable[tuple[_Part, Webhook]]) -> _Declarations:
    declared: defaultdict[str, dict[str, _Part]] = defaultdict(dict)
    for part, webhook in declarations:
        file = webhook.position.file if webhook.position else webhook.file
        declared[webhook.name][file] = part
    return declared


def _moved(part: _Ready, declared: _Declarations) -> Iterator[tuple[int, _Part]]:
    """Yield the deletes of webhooks that others declare, by index in the complete plan."""
    loaded = part.target.checked.loaded
    for index, operation in enumerate(part.complete.operations):
        if index in part.skipped or not isinstance(operation, Delete):
            continue
        if operation.reason is Reason.DUPLICATE:
            continue
        for file, other in declared.get(operation.name, {}).items():
            # What a shared file declares did not move.
            if file not in loaded.documents and file not in loaded.parents:
                yield index, other


def _without_moved(part: _Ready, declared: _Declarations) -> _Ready:
    reasons: dict[int, tuple[str, str]] = {}
    for index, other in _moved(part, declared):
        name = other.planned.result.name
        reason = f"{name} declares it, but has not created it: it could be live nowhere"
        reasons.setdefault(index, ("after-failure", reason))
    return part.without(reasons) if reasons else part


def _creates_first(parts: Iterable[_Part]) -> list[_Ready]:
    """Return the organizations that are applied, each after those that create what it deletes.

    Otherwise they keep their order.
    """
    ready = [part for part in parts if isinstance(part, _Ready)]
    created = _by_name_and_file(
        (part, create.after) for part in ready for create in part.plan.creates
    )
    ordered: list[_Ready] = []
    visited: set[int] = set()

    def visit(part: _Ready) -> None:
        # In a circle, some delete comes first in any order.
        if id(part) in visited:
            return
        visited.add(id(part))
        for _, other in _moved(part, created):
            assert isinstance(other, _Ready)
            visit(other)
        ordered.append(part)

    for part in ready:
        visit(part)
    return ordered


def _failed_creates(part: _Ready, result: OrganizationResult[Report]) -> Iterator[Webhook]:
    """Yield the webhooks that may not be live after an organization was applied."""
    applied = result.value.applied if result.value is not None else ()
    created = {outcome.operation.name for outcome in applied}
    for create in part.plan.creates:
        if create.name not in created:
            yield create.after


def _require_digest(run: RunPlan, expected: str, planned: Sequence[Planned]) -> None:
    """Raise StalePlanError unless the run has the expected digest or nothing to do."""
    if not run.digest:
        _require_sent(run, expected, planned)
    elif run.digest != expected:
        deletes = sum(plan.counted_deletes for plan in run.plans)
        command, hint = _plan_command(planned[0].target, deletes), None
        if command:
            hint = (
                f"run `{command}`; if the plan is correct, apply it with the new digest (and the "
                "same --base, if any)"
            )
        raise StalePlanError(
            "the plan differs from the reviewed plan; nothing was written",
            differences=(f"reviewed  {expected}", f"now       {run.digest}"),
            hint=hint,
        )


def _require_sent(run: RunPlan, expected: str, planned: Sequence[Planned]) -> None:
    """Raise StalePlanError if the expected plan may send a secret that the empty plan does not.

    Without its base, the plan of a rotation has nothing to do, like one that is applied.
    """
    # On GitHub, comments show what was applied.
    if not planned[0].target.has_options:
        return
    hints = (note.hint for plan in run.plans for note in plan.notes if note.rule == NOT_SENT)
    hint = next(hints, None) or _with_its_base(expected, planned)
    if hint is not None:
        raise StalePlanError(
            "the expected plan may have sent a secret that this plan does not; nothing was written",
            hint=hint,
        )


def _with_its_base(expected: str, planned: Sequence[Planned]) -> str | None:
    """Return how to apply the expected plan with its base; None if that is not to be expected."""
    target = planned[0].target
    try:
        base = _base_of(expected, planned)
    except NoBaseError as reason:
        # A base that was passed is that of the expected plan, so far as anyone can know.
        if target.options.previous is not None:
            return None
        return (
            "add its --base or --resend-secret; without one, it is applied. Its base cannot be "
            f"found here: {reason}"
        )
    if base is None:
        return None
    options = without_option("--base", target.checked.inputs.apply_options or ())
    words = ["webhooks", "apply", *options, "--base", base, "--expect-digest", expected]
    return f"if it was not sent yet, run: {shlex.join(words)}"


def _base_of(expected: str, planned: Sequence[Planned]) -> str | None:
    """Return the commit with which the run has the expected digest if it is the base, if any.

    Raises NoBaseError if git cannot list the commits that changed the files.
    """
    if not any(map(_may_be_unsent, planned)):
        return None
    for base in possible_bases([part.target.checked for part in planned]):
        with suppress(ConfigurationError):  # it was invalid, so no plan has it as its base
            if _digest_since(base, planned) == expected:
                return base
    return None


def _may_be_unsent(planned: Planned) -> bool:
    assert planned.plan is not None
    assert planned.gathered is not None
    return may_be_unsent(planned.gathered, planned.plan)


def _digest_since(base: str, planned: Sequence[Planned]) -> str:
    """Return the digest of the run with a commit as its base. Raises ConfigurationError."""
    results = []
    for part in planned:
        assert part.gathered is not None
        assert part.live is not None
        previous = previous_at(base, part.target.checked).desired
        options = part.target.options._replace(previous=previous)
        plan = plan_listed(part.gathered, part.live, options)
        results.append(part.result._replace(value=plan))
    return RunPlan(tuple(results)).digest


def _carry_out(parts: Sequence[_Part], run: RunPlan, options: _Options) -> RunReport:
    """Apply the organizations, and report them in the order of the files.

    A signal, an internal error and, unless `keep_going`, a failure end the run.
    """
    results = list(_as_reports(run))
    indexes = {id(part.planned): index for index, part in enumerate(parts)}
    ready = _creates_first(parts)
    if not ready:
        return RunReport(tuple(results), run.digest)
    is_ended = False
    not_created: list[tuple[_Part, Webhook]] = []
    # One handler for the run: a signal between two organizations must not be forgotten.
    with ready[0].connection.stop as stop:
        for number, part in enumerate(ready, start=1):
            index = indexes[id(part.planned)]
            part = _without_moved(part, _by_name_and_file(not_created))
            # After the end, only an organization that nothing is written to is still reported.
            if is_ended and part.plan.operations:
                continue
            if part.plan.operations:
                part.connection.watcher.applying(results[index].name, number, len(parts))
            results[index] = _applied(part, results[index], stop, options, len(parts))
            not_created += [(part, webhook) for webhook in _failed_creates(part, results[index])]
            is_signal = stop.requested() is not None
            is_ended = is_ended or is_signal or _ends_run(results[index], options)
        stopped = stop.requested()
    # A signal after the last write changes nothing: the run is complete.
    if all(exit_code_of(result) is ExitCode.OK for result in results):
        stopped = None
    target = ready[0].target
    return RunReport(
        tuple(results),
        run.digest,
        stopped,
        plan_command=_plan_command(target),
        finish_command=_finish_command(target, options),
        confirmed=tuple(
            0 if result.value is None else len(result.value.operations)
            for result in run.organizations
        ),
    )


def _finish_command(target: Target, options: _Options) -> str:
    """Return the command that applies what is left, if the same one does not."""
    words = target.checked.inputs.apply_options or ()
    # After a commit, --base HEAD is another revision, and what is left of a rotation is not sent.
    if "--base" in words and not options.reviewed:
        return shlex.join(["webhooks", "apply", *words])
    return ""


def _ends_run(result: OrganizationResult[Report], options: _Options) -> bool:
    """Return whether no further organization is applied after this one."""
    code = exit_code_of(result)
    report = result.value
    # What lacks a review was known and shown before the first write.
    lacks_review = report is not None and report.problem is None and report.needs_review
    if code is ExitCode.OK or lacks_review:
        return False
    return code is ExitCode.BUG or not options.keep_going


def _applied(
    part: _Ready, result: OrganizationResult[Report], stop: Stop, options: _Options, count: int
) -> OrganizationResult[Report]:
    """Apply one of `count` organizations, and return its report or its problem."""
    try:
        return result._replace(value=_apply_one(part, stop, options))
    except ReconcilerError as problem:
        return result._replace(problem=with_key_source(problem, part.target))
    except Exception as error:
        if count == 1:
            raise
        # The report of the organizations that were written must not be lost.
        return result._replace(problem=InternalError.of(error))


def _apply_one(part: _Ready, stop: Stop, options: _Options) -> Report:
    """Apply one organization. Raises the errors of `execute`, and of an unreachable server."""
    connection = part.connection
    # An organization before this one may have found out that the server is gone.
    unreachable = connection.unreachable()
    if unreachable is not None and part.plan.operations:
        raise unreachable
    report = execute(
        part.plan,
        part.gathered.secrets,
        connection.api,
        clock=connection.clock,
        workers=connection.workers,
        stop=stop,
        watcher=connection.watcher,
        reviewed=options.reviewed,
        planned=part.live.webhooks,
    )
    report = report._replace(
        outcomes=tuple(_with_key_source(outcome, part.target) for outcome in report.outcomes)
    )
    # Hundreds of organizations would otherwise keep a connection each until the end.
    connection.disconnect()
    if options.reviewed:
        outcomes = map(_with_values, report.outcomes, part.plan.digests)
        report = report._replace(outcomes=tuple(outcomes))
    report = _completed(report, part)
    has_deleted = any(isinstance(outcome.operation, Delete) for outcome in report.applied)
    if options.expect_digest is not None or (options.allow_deletes is not None and has_deleted):
        # What is left has another digest and fewer deletes, so the same command may be refused.
        report = report._replace(needs_plan=True)
    with suppress(Exception):  # positions are for display only
        loaded = part.target.checked.loaded
        placed = tuple(_placed(outcome, loaded) for outcome in report.outcomes)
        return report._replace(outcomes=placed)
    return report


def _with_key_source(outcome: Outcome, target: Target) -> Outcome:
    """Add the source of the key to a failure that is about the key."""
    source = key_source_of(target)
    if isinstance(outcome, Failed) and outcome.code in DENIED and source is not None:
        return outcome._replace(message=f"{outcome.message} (key from {source})")
    return outcome


def _completed(report: Report, part: _Ready) -> Report:
    """Return the report of the complete plan, with excluded operations as skipped."""
    if not part.skipped:
        return report
    applied = iter(report.outcomes)
    outcomes: list[Outcome] = []
    for index, operation in enumerate(part.complete.operations):
        if index in part.skipped:
            code, message = part.skipped[index]
            outcomes.append(Skipped(operation=operation, code=code, message=message))
        else:
            outcomes.append(next(applied))
    return report._replace(plan=part.complete, outcomes=tuple(outcomes))


def _with_values(outcome: Outcome, digests: Sequence[OperationDigest]) -> Outcome:
    """Add a note about other values of secrets, which a reviewed change of other fields carries."""
    # Without a digest, the values are all that is sent: `--yes` allowed them.
    if not isinstance(outcome, Applied) or outcome.already_made or not digests:
        return outcome
    names = values_sent(outcome.operation)
    if not names:
        return outcome
    return outcome.with_note(f"also sent: {' and '.join(names)}, which differed from the live one")


def _placed(outcome: Outcome, declared: Loaded) -> Outcome:
    """Add the declaring positions to the server's messages about fields."""
    # A delete sends no fields.
    if not isinstance(outcome, Failed) or isinstance(outcome.operation, Delete):
        return outcome
    webhook = outcome.operation.after
    fields = []
    for field in outcome.fields:
        place = Place(webhook.file, ("webhooks", webhook.index, *field.path))
        fields.append(field._replace(position=declared.position(place)))
    return outcome._replace(fields=tuple(fields))
