"""Carrying a plan out: all of it with consent, or what was reviewed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from reconciler.errors import (
    BlockedError,
    NotConfirmedError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.execute.executor import execute
from reconciler.findings import Finding, Severity
from reconciler.model import Secret, SecretRef
from reconciler.planning.changes import Delete
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import Review
from reconciler.ports import WebhookAPI
from reconciler.report import Failed, Report, Skipped
from reconciler.source.desired import Declared, place
from reconciler.workflow.connecting import Engine
from reconciler.workflow.inputs import Checked
from reconciler.workflow.planning import plan
from reconciler.workflow.reviewing import agreed, completed, expected

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def carry_out(
    made: Plan,
    secrets: Mapping[SecretRef, Secret],
    api: WebhookAPI,
    engine: Engine,
    *,
    reviewed: bool,
) -> Report:
    """Write what a plan has, while signals end the run in order."""
    with engine.stop as stop:
        return execute(
            made,
            secrets,
            api,
            clock=engine.clock,
            workers=engine.workers,
            stop=stop,
            watcher=engine.watcher,
            reviewed=reviewed,
        )


def apply(
    checked: Checked,
    api: WebhookAPI,
    engine: Engine,
    *,
    options: PlanOptions,
    confirm: Callable[[Plan], bool],
    api_key: Secret | None = None,
    review: Review | str | None = None,
    values: bool = False,
) -> Report:
    """Make live equal to what is declared, if `confirm` says so to the plan.

    With `review` only what it has is applied: the rest of the plan is skipped, and nothing at all
    is written if it has something else of a webhook. A digest is the review of the whole plan,
    which must have that digest or be empty. `values` lets changes through that only the value of a
    secret makes, which no review can have.

    Raises what `plan` raises, StalePlanError, UnresolvedSecretsError, BlockedError,
    NotConfirmedError: in each case nothing was written.
    """
    if isinstance(review, str):
        check_digest(review)
    known = review if isinstance(review, Review) else None
    planned = plan(checked, api, options=options, api_key=api_key, writing=True, review=known)
    made = planned.plan
    skipped: Mapping[int, Skipped] = {}
    if review is not None:
        review = expected(made, review) if isinstance(review, str) else review
        made, skipped = agreed(made, review, values=values)
        made = replace(made, blocked=made.held_back(options.allow_deletes))
    available = planned.gathered.secrets
    _require(made, available, planned.gathered.problems)
    _refuse_blocked(made.blocked)
    if made.changes and not confirm(made):
        raise NotConfirmedError("not confirmed: nothing was written", hint=_YES)
    report = carry_out(made, available, api, engine, reviewed=review is not None)
    report = completed(report, planned.plan, skipped)
    with suppress(Exception):  # places are for display; a report without them is as true
        return placed(report, checked.declared)
    return report


_YES: Final = "answer with the whole word yes, or give --yes once the plan has been reviewed"


def check_digest(text: str) -> None:
    """Refuse what cannot be a plan's digest. Raises UsageError."""
    if not _DIGEST.fullmatch(text):
        raise UsageError(
            "the expected digest is empty or malformed",
            hint="copy the whole of it from the plan: sha256: and 64 digits from 0 to f",
        )


def placed(report: Report, declared: Declared) -> Report:
    """Give what the server said of single fields the places where those are declared."""

    def locate(outcome: Failed) -> Failed:
        if isinstance(outcome.change, Delete):
            return outcome
        webhook = outcome.change.after
        fields = tuple(
            each if each.position else replace(each, position=place(declared, webhook, each.path))
            for each in outcome.fields
        )
        return replace(outcome, fields=fields)

    outcomes = tuple(
        locate(each) if isinstance(each, Failed) and each.fields else each
        for each in report.outcomes
    )
    return replace(report, outcomes=outcomes)


def _require(
    made: Plan,
    available: Mapping[SecretRef, Secret],
    problems: Mapping[SecretRef, tuple[Finding, ...]],
) -> None:
    """Stop unless every secret that the plan sends is at hand; of no other it matters."""
    missing = {use.reference for use in made.secrets} - frozenset(available)
    if not missing:
        return
    names = {str(replace(each, version=None)) for each in missing}
    raise UnresolvedSecretsError(
        f"secrets that are to be sent are not at hand: {', '.join(sorted(names))}",
        findings=tuple(
            each
            for ref, found in problems.items()
            for each in found
            if ref in missing and each.severity is Severity.ERROR
        ),
        hint="nothing was written; give them, then run the same command again",
    )


def _refuse_blocked(blocked: tuple[Finding, ...]) -> None:
    if blocked:
        reasons = "; ".join(each.message for each in blocked)
        # The last one is the gravest, and its way on lifts them all.
        hint = f"`webhooks plan` shows which; {blocked[-1].hint}"
        raise BlockedError(f"nothing was written: {reasons}", hint=hint)
