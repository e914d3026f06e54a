"""Carrying a plan out: one made now, or one that was reviewed and saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Final

from reconciler.errors import (
    BlockedError,
    NotConfirmedError,
    StalePlanError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.execute.executor import execute
from reconciler.findings import Finding, Severity
from reconciler.model import Secret, SecretRef
from reconciler.planning.changes import Delete
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.ports import Clock, Stop, Watcher, WebhookAPI, Workers
from reconciler.report import Failed, Report
from reconciler.source.desired import Declared, place
from reconciler.source.secrets import references
from reconciler.values import dataclass
from reconciler.workflow.inputs import Checked, Inputs, require_list, resolve
from reconciler.workflow.planning import guard_organization, plan, refuse_maintenance

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What carrying out a plan needs beside the API.

    `stop` is entered around the writes alone: before them a signal simply ends the run.
    """

    clock: Clock
    workers: Workers
    stop: AbstractContextManager[Stop]
    watcher: Watcher

    def run(
        self, made: Plan, secrets: Mapping[SecretRef, Secret], api: WebhookAPI, *, reviewed: bool
    ) -> Report:
        """Carry a plan out."""
        with self.stop as stop:
            return execute(
                made,
                secrets,
                api,
                clock=self.clock,
                workers=self.workers,
                stop=stop,
                watcher=self.watcher,
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
    expect_digest: str | None = None,
) -> Report:
    """Make live equal to what is declared, if `confirm` says so to the plan.

    With `expect_digest` the plan must be the one that was reviewed, or empty. Raises what `plan`
    raises, StalePlanError, UnresolvedSecretsError, BlockedError, NotConfirmedError: in each case
    nothing was written.
    """
    if expect_digest is not None:
        check_digest(expect_digest)
    planned = plan(checked, api, options=options, api_key=api_key, writing=True)
    made = planned.plan
    _expect(made, expect_digest)
    available = planned.gathered.secrets
    _require(made, available, planned.gathered.problems)
    _refuse_blocked(made.blocked, "webhooks plan")
    if made.changes and not confirm(made):
        raise NotConfirmedError("not confirmed: nothing was written", hint=_YES)
    report = engine.run(made, available, api, reviewed=expect_digest is not None)
    with suppress(Exception):  # places are for display; a report without them is as true
        return placed(report, checked.declared)
    return report


def apply_saved(
    made: Plan,
    inputs: Inputs,
    api: WebhookAPI,
    engine: Engine,
    *,
    confirm: Callable[[Plan], bool],
    api_key: Secret | None = None,
    allow_deletes: int | None = None,
    expect_digest: str | None = None,
) -> Report:
    """Carry out exactly a saved plan, or what is left of it.

    Raises StalePlanError if it was made for another server or organization, or if what it is based
    on has changed; otherwise as `apply`.
    """
    if expect_digest is not None:
        check_digest(expect_digest)
    _expect(made, expect_digest)
    organization = api.organization()
    guard_organization(organization, asked=inputs.organization)
    if (api.origin, organization.id) != (made.origin, made.organization.id):
        raise StalePlanError(
            "the plan was made for another server or organization",
            differences=(
                f"plan  {made.organization.name} at {made.origin}",
                f"now   {organization.name} at {api.origin}",
            ),
            hint="plan again with the key and the server that you mean",
        )
    refuse_maintenance(organization)
    # More than are sent by PATCH: a server that only replaces webhooks whole needs them all.
    changed = [each.after for each in made.changes if not isinstance(each, Delete)]
    require_list(references(changed), inputs, writing=True)
    found = resolve(changed, inputs, {}, api_key)
    _require(made, found.secrets, found.problems)
    _refuse_blocked(made.held_back(allow_deletes), "webhooks show")
    if made.changes and not confirm(made):
        raise NotConfirmedError("not confirmed: nothing was written", hint=_YES)
    return engine.run(made, found.secrets, api, reviewed=True)


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


def _expect(made: Plan, digest: str | None) -> None:
    if digest is not None and made.changes and made.digest != digest:
        raise StalePlanError(
            "what would be done now is not what was reviewed",
            differences=(f"reviewed  {digest}", f"now       {made.digest}"),
            hint="look at `webhooks plan`, and apply with its digest if it is what you want",
        )


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


def _refuse_blocked(blocked: tuple[Finding, ...], look: str) -> None:
    if blocked:
        reasons = "; ".join(each.message for each in blocked)
        # The last one is the gravest, and its way on lifts them all.
        hint = f"`{look}` shows which; {blocked[-1].hint}"
        raise BlockedError(f"nothing was written: {reasons}", hint=hint)
