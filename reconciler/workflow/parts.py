"""What a run applies in each organization: what was reviewed, may be written, and can be sent.

All decisions are made before the first write. What is not applied has a reason: an operation is
skipped, or its organization is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from reconciler.errors import (
    RUN_AGAIN,
    BlockedError,
    MaintenanceError,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
)
from reconciler.findings import Severity, note, warning
from reconciler.model import Live
from reconciler.planning.plan import Create, Kept, Operation, Plan, Update
from reconciler.planning.review import Review, approve_all, compare_with_review, values_apart
from reconciler.planning.run import OrganizationResult
from reconciler.render.quote import command_line, prose, repeated
from reconciler.render.rows import one_line
from reconciler.render.words import values_left_out
from reconciler.report import NOT_REVIEWED
from reconciler.workflow.connection import Connection
from reconciler.workflow.inputs import Gathered, located
from reconciler.workflow.planning import committed_hosts
from reconciler.workflow.run import Move, Planned, Target, judged

_ALLOW_DELETES: Final = "--allow-deletes"
_ORGANIZATION: Final = "--organization"

_Reasons: TypeAlias = Mapping[int, tuple[str, str]]
"""Code and reason of operations that are not applied, by index in the complete plan."""
Withhold: TypeAlias = Callable[[Plan, Live, Gathered], _Reasons]
"""Returns the operations of a plan that must not be applied."""


class ApplyOptions(NamedTuple):
    """How a run is applied, as for `apply_all`; `reviewed` means by a review or a digest."""

    reviewed: bool
    expect_digest: str | None
    allow_deletes: int | None
    values: bool
    keep_going: bool


class Ready(NamedTuple):
    """What an apply does in one organization: `plan` is the part of its `complete` plan to apply.

    `skipped` are the reasons for the other operations, `moves` those of webhooks that it deletes.
    """

    planned: Planned
    connection: Connection
    gathered: Gathered
    live: Live
    complete: Plan
    plan: Plan
    skipped: _Reasons = MappingProxyType({})
    moves: Sequence[Move] = ()

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

    def without(self, reasons: _Reasons) -> Ready:
        """Return the same without more operations."""
        if not reasons:
            return self
        skipped = {**self.skipped, **reasons}
        applied = [index for index in range(len(self.complete.operations)) if index not in skipped]
        plan = self.complete.select(applied)
        shown = self.plan
        plan = plan._replace(notes=shown.notes, values=shown.values, blocked=shown.blocked)
        return self._replace(plan=plan, skipped=skipped)


Part: TypeAlias = Ready | Planned
"""What is applied in an organization, or an organization with the problem that refuses it."""


def parts_to_apply(
    planned: Sequence[Planned], withhold: Withhold, options: ApplyOptions
) -> list[Part]:
    """Return what is applied in each organization, or why nothing is."""
    parts = [_prepared(organization, withhold, options) for organization in planned]
    parts = _require_reviewed(parts)
    return _judged(parts, options)


def plan_command(target: Target, deletes: int = 0, organizations: Sequence[str] = ()) -> str:
    """Return the command that shows the plan, limited to `organizations` if there are any.

    If the run allows a number of deletes, the command allows that of `deletes`, if there are any.
    Empty if no command is suggested, as on GitHub, where a comment has the plan, or if none can be
    shown.
    """
    inputs = target.checked.inputs
    # The number of this run may be that of another plan, which would block the shown one.
    without, words = [_ALLOW_DELETES], []
    if deletes and _ALLOW_DELETES in (inputs.apply_options or ()):
        words += [_ALLOW_DELETES, str(deletes)]
    if organizations:
        # Those of this run may be globs, which also match the others.
        without.append(_ORGANIZATION)
        words += repeated(_ORGANIZATION, organizations)
    return inputs.command("plan", *words, without=without)


def _prepared(planned: Planned, withhold: Withhold, options: ApplyOptions) -> Part:
    """Return the part of a plan that is reviewed and not withheld, or why none is applied."""
    if planned.problem is not None:
        return planned
    connection, gathered = planned.target.connection, planned.gathered
    live, complete = planned.live, planned.plan
    assert connection is not None
    assert gathered is not None
    assert live is not None
    assert complete is not None
    if live.organization.maintenance and complete.operations:
        problem = MaintenanceError(
            f"organization {live.organization.name!r} is in maintenance: nothing can be changed",
            hint="try again after the maintenance; `webhooks plan` still works",
        )
        return planned._replace(problem=problem)
    review = planned.target.review
    if options.expect_digest is not None:
        review = approve_all(complete)
    if review is not None and not options.values:
        complete = values_apart(complete, cache(partial(committed_hosts, gathered)))
    # `complete` stays for the report, which lists also what is skipped.
    part = Ready(planned, connection, gathered, live, complete, plan=complete)
    if review is not None:
        try:
            part = _reviewed(part, review, options)
        except ReconcilerError as problem:
            return planned._replace(problem=problem)
    withheld = withhold(complete, live, gathered)
    return part.without(withheld)


def _reviewed(part: Ready, review: Review, options: ApplyOptions) -> Ready:
    """Return the reviewed part of a plan. Raises StalePlanError."""
    command, complete = plan_command(part.target), part.complete
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


def _require_reviewed(parts: Sequence[Part]) -> list[Part]:
    """Return the same; if nothing is applied, refuse each that has operations without a review."""
    if any(isinstance(part, Ready) and part.plan.operations for part in parts):
        return list(parts)
    return [_require_one_reviewed(part) if isinstance(part, Ready) else part for part in parts]


def _require_one_reviewed(part: Ready) -> Part:
    unreviewed = part.unreviewed
    if not unreviewed:
        return part
    values = values_left_out([part.plan])
    command, hint = plan_command(part.target), "see the reasons"
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
    return part.planned._replace(problem=problem)


def _judged(parts: Sequence[Part], options: ApplyOptions) -> list[Part]:
    """Return the same; refuse each organization that is blocked or lacks a secret.

    The guards are judged on what would be applied.
    """
    # Skipped deletes do not count. Those of organizations that are not applied can come later.
    planned = [
        part.planned._replace(plan=part.plan) if isinstance(part, Ready) else part for part in parts
    ]
    guarded = judged(planned, options.allow_deletes, keep_going=options.keep_going)
    result: list[Part] = []
    for part, organization in zip(parts, guarded, strict=True):
        if isinstance(part, Ready):
            assert organization.plan is not None
            part = part._replace(plan=organization.plan)
            problem = _missing_secrets(part) or _blocked(part)
            if problem is not None:
                part = part.planned._replace(problem=problem)
        result.append(part)
    return result


def _blocked(part: Ready) -> BlockedError | None:
    if not part.plan.blocked:
        return None
    command = plan_command(part.target)
    if part.target.plan_file is not None:
        redacted = part.target.checked.inputs.redacted
        command = command_line(["webhooks", "show", part.target.plan_file], redacted)
    return BlockedError(
        "the plan is blocked: nothing was written",
        findings=part.plan.blocked,
        hint=f"run `{command}` to see the plan" if command else None,
    )


def _missing_secrets(part: Ready) -> UnresolvedSecretsError | None:
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
