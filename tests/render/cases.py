"""Plans of one organization, and their renderings."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from reconciler.kinds import EVENT_TYPES
from reconciler.model import Organization, SecretRef, Webhook
from reconciler.planning.guards import guard_all
from reconciler.planning.plan import Counts, Create, Delete, Operation, Plan, SecretUse, Snapshot
from reconciler.planning.readback import declared_destination, snapshot
from reconciler.planning.review import digests, plan_digest
from reconciler.planning.run import RunPlan
from reconciler.render import PLAIN, RENDERERS, View
from reconciler.report import Report, RunReport
from tests.planning import builders


def slack(
    name: str, *, channel: str = "#deploys", events: Iterable[str] = EVENT_TYPES[:2], line: int = 4
) -> Webhook:
    return builders.slack(name, channel=channel, events=events, line=line)


def live(name: str) -> Snapshot:
    return snapshot(builders.live_slack(name, "7"))


def render_plan(plan: Plan, view: View = PLAIN, form: str = "text") -> str:
    """Render the plan of one organization."""
    return RENDERERS[form]().render_run(RunPlan.of(plan), view)


def render_report(report: Report, view: View = PLAIN, form: str = "text") -> str:
    """Render the report of one organization."""
    return RENDERERS[form]().render_run_report(RunReport.of(report), view)


def plan(
    *operations: Operation,
    origin: str = "https://api.cloudtruth.io",
    organization: Organization = builders.ACME,
    **more: object,
) -> Plan:
    """Return a plan of `changes` with their digests and secrets."""
    parts = tuple(digests(operation, {}) for operation in operations)
    base = Plan(
        origin=origin,
        organization=organization,
        operations=operations,
        digests=parts,
        secrets=tuple(
            SecretUse(reference=ref, webhook=each.name, field=field,
                      destination=declared_destination(each.after))
            for each in operations
            if not isinstance(each, Delete) and "configuration" in each.sent_fields
            for field, ref in sorted(each.after.configuration.items())
            if isinstance(ref, SecretRef)
        ),
        digest=plan_digest(origin, organization.id, chain.from_iterable(parts)),
        counts=Counts(live=12, in_scope=9, files=2),
    )  # fmt: skip
    made = base._replace(**more)  # type: ignore[arg-type]
    return made._replace(blocked=guard_all([made])[0])


CREATE = Create(after=slack("Deploys"))
