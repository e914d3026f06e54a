"""What a review lets through of a plan, and how the rest is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.errors import NotReviewedError, StalePlanError
from reconciler.findings import Finding, Severity
from reconciler.planning.changes import Change, Kept
from reconciler.planning.plan import Plan
from reconciler.planning.review import Judgement, Review, judge, review_of
from reconciler.render.describe import change_row, kept_row
from reconciler.report import NOT_REVIEWED, Report, Skipped


def expected(made: Plan, digest: str) -> Review:
    """Return the review of the whole plan, which must be the one with that digest."""
    if made.digest and made.digest != digest:
        raise StalePlanError(
            "the plan is not the one that was reviewed; nothing was written",
            differences=(f"reviewed  {digest}", f"now       {made.digest}"),
            hint="look at `webhooks plan`, and apply with its digest if it is what you want",
        )
    return review_of(made)


def agreed(made: Plan, review: Review, *, values: bool) -> tuple[Plan, dict[int, Skipped]]:
    """Return what a review has of a plan, and what becomes of the rest."""
    found = judge(made, review, values=values)
    if found.stale:
        raise StalePlanError(
            "the plan has changed since it was reviewed; nothing was written",
            differences=[_shown(each) for each in found.stale],
            hint="look at `webhooks plan`, and have the new plan reviewed",
        )
    skipped = {
        index: Skipped(change=made.changes[index], code=NOT_REVIEWED, message=str(why))
        for index, why in found.unreviewed.items()
    }
    if skipped and not found.reviewed:
        raise NotReviewedError(
            "nothing that is left to do was reviewed; nothing was written",
            differences=[f"{_shown(each.change)}: {each.message}" for each in skipped.values()],
            hint="look at `webhooks plan`, and have the new plan reviewed",
        )
    return _noted(made.only(found.reviewed), found, made, review), skipped


def _noted(agreed: Plan, found: Judgement, whole: Plan, review: Review) -> Plan:
    """Add to a plan what is left out of it, and what is sent each time."""
    notes = [
        Finding(
            rule=NOT_REVIEWED,
            severity=Severity.WARNING,
            message=f"not applied: {_shown(whole.changes[index])}: {why}",
        )
        for index, why in found.unreviewed.items()
    ]
    if review.resends and agreed.changes:
        notes.append(
            Finding(
                rule="resent-each-time",
                severity=Severity.NOTE,
                message="this review sends secrets again, and each apply of it does: "
                "live cannot show that it is done",
            )
        )
    return replace(agreed, notes=(*agreed.notes, *notes))


def _shown(change: Change | Kept) -> str:
    """Return a change in one line."""
    if isinstance(change, Kept):
        row = kept_row(change)
        return f"keep {row.name} ({row.why})"
    row = change_row(change)
    verb = {"+": "create", "-": "delete"}.get(row.sign, "update")
    fields = [
        f"{each.label} {' '.join(f'{atom.lead}{atom.text}' for atom in each.atoms)}"
        for each in row.fields
    ]
    return f"{verb} {row.name}" + (f" ({'; '.join(fields)})" if fields else "")


def completed(report: Report, whole: Plan, skipped: Mapping[int, Skipped]) -> Report:
    """Return the report of the whole plan: what was left out was skipped."""
    if not skipped:
        return report
    done = iter(report.outcomes)
    outcomes = tuple(
        skipped[index] if index in skipped else next(done) for index in range(len(whole.changes))
    )
    return replace(report, plan=whole, outcomes=outcomes)
