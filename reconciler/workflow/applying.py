"""The steps of every apply: plan, review, guards, confirmation, execute, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from reconciler.errors import (
    BlockedError,
    NotConfirmedError,
    NotReviewedError,
    StalePlanError,
    UnresolvedSecretsError,
)
from reconciler.execute.execute import execute
from reconciler.findings import Severity, note, warning
from reconciler.planning.guards import guard
from reconciler.planning.plan import Delete, Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import Review, approve_all, check_digest, compare_with_review
from reconciler.render.rows import one_line
from reconciler.report import NOT_REVIEWED, Failed, Outcome, Report, Skipped
from reconciler.source.load import Loaded
from reconciler.workflow.connection import Connection
from reconciler.workflow.inputs import Checked, Gathered, gather, located
from reconciler.workflow.planning import plan_of_live


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
    if isinstance(review, str):
        check_digest(review)
    gathered = gather(checked, connection.key, writing=True)
    known = review if isinstance(review, Review) else None
    complete_plan, live = plan_of_live(
        gathered, connection.api, options=options, writing=True, review=known
    )
    made, skipped = complete_plan, dict[int, str]()
    command = shlex.join(["webhooks", "plan", *(checked.inputs.apply_options or ())])
    if isinstance(review, str):
        if made.digest and made.digest != review:
            raise StalePlanError(
                "the plan differs from the reviewed plan; nothing was written",
                differences=(f"reviewed  {review}", f"now       {made.digest}"),
                hint=f"run `{command}`; if the plan is right, apply with its digest, "
                "and with the same --base if it was made with one",
            )
        known = approve_all(made)
    if known is not None:
        # The caller records the resends of `options.reviewed`, so that each is sent once.
        repeats = not options.reviewed
        made, skipped = _reviewed(complete_plan, known, command, values=values, repeats=repeats)
        made = made._replace(blocked=tuple(guard(made, options.allow_deletes)))
    _require_secrets(made, gathered)
    if made.blocked:
        message = "the plan is blocked: nothing was written"
        raise BlockedError(message, findings=made.blocked, hint=f"run `{command}` to see the plan")
    if made.operations and not confirm(made):
        raise NotConfirmedError(
            "not confirmed: nothing was written",
            hint="type `yes` to confirm, or use --yes once the plan has been reviewed",
        )
    with connection.stop as stop:
        report = execute(
            made,
            gathered.secrets,
            connection.api,
            clock=connection.clock,
            workers=connection.workers,
            stop=stop,
            watcher=connection.watcher,
            reviewed=review is not None,
            planned=live.webhooks,
        )
    report = _completed(report, complete_plan, skipped)
    if isinstance(review, str):
        is_suggested = checked.inputs.apply_options is not None
        report = report._replace(plan_command=command if is_suggested else "")
    with suppress(Exception):  # positions are for display only
        placed = tuple(_placed(each, checked.loaded) for each in report.outcomes)
        return report._replace(outcomes=placed)
    return report


def _reviewed(
    made: Plan, review: Review, command: str, *, values: bool, repeats: bool
) -> tuple[Plan, dict[int, str]]:
    """Return the reviewed part of a plan, and why the rest is skipped, by index in the plan.

    `repeats` means that each apply of the review plans its resends. Raises StalePlanError,
    NotReviewedError; `command` shows the plan.
    """
    found = compare_with_review(made, review, allow_value_changes=values)
    if found.stale:
        raise StalePlanError(
            "the plan has changed since it was reviewed; nothing was written",
            differences=[one_line(each) for each in found.stale],
            hint=f"run `{command}`, and have the new plan reviewed",
        )
    left_out = [f"{one_line(made.operations[at])}: {why}" for at, why in found.unreviewed.items()]
    if left_out and not found.reviewed:
        raise NotReviewedError(
            "none of the remaining operations was reviewed; nothing was written",
            differences=left_out,
            hint=f"run `{command}`, and have the new plan reviewed",
        )
    agreed = made.select(found.reviewed)
    notes = [warning(NOT_REVIEWED, f"not applied: {each}") for each in left_out]
    not_shown = set(made.not_shown)
    if repeats and any((each.webhook, each.field) in not_shown for each in review.resends):
        resent = "every apply of this review resends its secrets, because CloudTruth does not show "
        notes.append(note("resent-each-time", f"{resent}whether they were sent"))
    return agreed._replace(notes=(*agreed.notes, *notes)), found.unreviewed


def _require_secrets(made: Plan, gathered: Gathered) -> None:
    """Raise UnresolvedSecretsError if the plan sends a secret that has no value."""
    missing = {use.reference for use in made.secrets} - frozenset(gathered.secrets)
    if not missing:
        return
    names = {str(each._replace(version=None)) for each in missing}
    unresolved = [
        (ref, each)
        for ref, found in gathered.problems.items()
        for each in found
        if ref in missing and each.severity is Severity.ERROR
    ]
    raise UnresolvedSecretsError(
        f"nothing was written: secrets to send are not available: {', '.join(sorted(names))}",
        findings=located(unresolved, gathered.checked),
        hint="set them, then run the same command again",
    )


def _completed(report: Report, complete_plan: Plan, skipped: Mapping[int, str]) -> Report:
    """Return the report of the complete plan, with excluded operations as skipped."""
    if not skipped:
        return report
    done = iter(report.outcomes)
    outcomes = tuple(
        Skipped(operation=each, code=NOT_REVIEWED, message=skipped[index])
        if index in skipped
        else next(done)
        for index, each in enumerate(complete_plan.operations)
    )
    return report._replace(plan=complete_plan, outcomes=outcomes)


def _placed(outcome: Outcome, declared: Loaded) -> Outcome:
    """Add the declaring positions to the server's messages about fields."""
    if not isinstance(outcome, Failed) or isinstance(outcome.operation, Delete):
        return outcome
    webhook = outcome.operation.after
    at = ("webhooks", webhook.index)
    fields = tuple(
        each._replace(position=declared.position(declared.place(webhook.file, (*at, *each.path))))
        for each in outcome.fields
    )
    return replace(outcome, fields=fields)
