"""The steps of every apply: plan, review, guards, confirmation, execute, report.

`parts.py` decides what may be applied, `executing.py` applies it. One organization is a run with
one element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from reconciler.errors import ConfigurationError, NotConfirmedError, StalePlanError
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import Review, check_digest
from reconciler.planning.run import RunPlan
from reconciler.report import Report, RunReport
from reconciler.source.history import NoBaseError
from reconciler.workflow.connection import Connection
from reconciler.workflow.executing import as_reports, carry_out, without_moves
from reconciler.workflow.inputs import Checked, Gathered, OrganizationFiles, Source
from reconciler.workflow.parts import ApplyOptions, Withhold, parts_to_apply, plan_command
from reconciler.workflow.planning import plan_listed
from reconciler.workflow.revisions import may_be_unsent, possible_bases, previous_at, unsent
from reconciler.workflow.run import Planned, Target, plan_all


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
    withhold: Withhold = lambda plan, live, gathered: {},
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
    options = ApplyOptions(reviewed, expect_digest, allow_deletes, values, keep_going)
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
    with_moves = parts_to_apply(planned, withhold, options)
    parts = without_moves(with_moves)
    to_apply = RunPlan(tuple(part.result for part in parts), digest)
    if to_apply.problems and not keep_going:
        report = _not_started(to_apply, targets[0], options)
        # A delete that waits for the failed organization is still a change.
        run = RunPlan(tuple(part.result for part in with_moves))
        return report._replace(organizations=tuple(as_reports(run)))
    _require_confirmation(to_apply, confirm)
    return carry_out(parts, to_apply, options)


def _not_started(run: RunPlan, target: Target, options: ApplyOptions) -> RunReport:
    """Return the report of a run that writes nothing because an organization has a problem."""
    others = [
        result.name for result in run.organizations if result.value and result.value.operations
    ]
    report = RunReport(tuple(as_reports(run)), run.digest)
    if not others:
        return report
    if target.plan_file is not None:
        return report._replace(finish_command=_with_saved_plan(target, options))
    # A digest covers all organizations, and what a review covers is not what this command applies.
    if options.reviewed:
        return report._replace(plan_command=plan_command(target, organizations=others))
    # The allowed number stays: deletes of an organization that lacks a secret count there, too.
    command = target.checked.inputs.command("apply", "--keep-going")
    return report._replace(finish_command=command)


def _with_saved_plan(target: Target, options: ApplyOptions) -> str:
    """Return the command that applies the other organizations of a saved plan."""
    assert target.plan_file is not None
    inputs = target.checked.inputs
    # The plan has the other options.
    words = tuple(word for word in inputs.apply_options or () if word != "--no-prune")
    of_plan = ("-f", "--organization", "--only", "--base", "--resend-secret")
    allowed = (
        () if options.allow_deletes is None else ("--allow-deletes", str(options.allow_deletes))
    )
    return inputs._replace(apply_options=words).command(
        "apply", *allowed, target.plan_file, "--keep-going", without=of_plan
    )


def _require_confirmation(run: RunPlan, confirm: Callable[[RunPlan], bool]) -> None:
    """Raise NotConfirmedError unless `confirm` returns true. A run without changes needs none."""
    if run.has_operations and not confirm(run):
        raise NotConfirmedError(
            "not confirmed: nothing was written",
            hint="type `yes` to confirm, or use --yes once the plan has been reviewed",
        )


def _require_digest(run: RunPlan, expected: str, planned: Sequence[Planned]) -> None:
    """Raise StalePlanError unless the run has the expected digest or nothing to do."""
    if not run.digest:
        _require_sent(expected, planned)
    elif run.digest != expected:
        deletes = sum(plan.counted_deletes for plan in run.plans)
        command, hint = plan_command(planned[0].target, deletes), None
        # A command that contains a secret cannot be shown.
        step = f"run `{command}`" if command else "plan again"
        if planned[0].target.has_options:
            hint = (
                f"{step}; if the plan is correct, apply it with the new digest (and the "
                "same --base, if any)"
            )
        raise StalePlanError(
            "the plan differs from the reviewed plan; nothing was written",
            differences=(f"reviewed  {expected}", f"now       {run.digest}"),
            hint=hint,
        )


def _require_sent(expected: str, planned: Sequence[Planned]) -> None:
    """Raise StalePlanError if the expected plan may send a secret that the empty plan does not.

    Without its base, the plan of a rotation has nothing to do, like one that is applied.
    """
    hints = (note.hint for part in planned for note in unsent(*_known(part)))
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
    words = ("--base", base, "--expect-digest", expected)
    command = target.checked.inputs.command("apply", *words, without=["--base"])
    if not command:
        return f"if it was not sent yet, add --base {base}"
    return f"if it was not sent yet, run: {command}"


def _base_of(expected: str, planned: Sequence[Planned]) -> str | None:
    """Return the commit with which the run has the expected digest if it is the base, if any.

    Raises NoBaseError if git cannot list the commits that changed the files.
    """
    if not any(may_be_unsent(*_known(part)) for part in planned):
        return None
    for base in possible_bases([part.target.checked for part in planned]):
        with suppress(ConfigurationError):  # it was invalid, so no plan has it as its base
            if _digest_since(base, planned) == expected:
                return base
    return None


def _known(planned: Planned) -> tuple[Gathered, Plan]:
    """Return the files and the plan of an organization, which has no problem."""
    assert planned.gathered is not None
    assert planned.plan is not None
    return planned.gathered, planned.plan


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
