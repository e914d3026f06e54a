"""What would be done: the files held against one complete listing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reconciler.errors import (
    ConfigurationError,
    MaintenanceError,
    OrganizationError,
    StalePlanError,
)
from reconciler.findings import has_errors, sort_key
from reconciler.model import Desired, Live, LiveWebhook, Organization, Secret
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.planner import plan as make_plan
from reconciler.planning.review import Review
from reconciler.ports import WebhookReader
from reconciler.settings.resolve import LOCAL_SERVER
from reconciler.source.desired import strict
from reconciler.workflow.inputs import Checked, Gathered, gather
from reconciler.workflow.rotation import destinations, unsent

_ASKED: Final = "say another one with --organization or WEBHOOKS_ORGANIZATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and the secrets it was made with."""

    plan: Plan
    gathered: Gathered


def plan(
    checked: Checked,
    reader: WebhookReader,
    *,
    options: PlanOptions,
    api_key: Secret | None = None,
    writing: bool = False,
    review: Review | None = None,
) -> Planned:
    """Return what apply would do. Nothing here can write.

    `writing` refuses an organization in maintenance. With `review` its resends are planned, too.
    Raises OrganizationError, MaintenanceError, StalePlanError for a review of another
    organization, ApiError, ConfigurationError.
    """
    organization = reader.organization()
    if reader.origin != LOCAL_SERVER:  # which stands for any organization
        asked = checked.inputs.organization
        guard_organization(organization, declared=checked.desired.organization, asked=asked)
    if review is not None:
        _refuse_elsewhere(review, reader.origin, organization)
        options = replace(options, reviewed=review.resends)
    if writing:
        refuse_maintenance(organization)
    gathered = gather(checked, api_key, writing=writing)
    webhooks = _with_pinned(checked.desired, reader)
    live = Live(origin=reader.origin, organization=organization, webhooks=webhooks)
    shown = destinations(checked.desired, gathered.secrets, checked.inputs)
    made = make_plan(checked.desired, live, gathered.secrets, replace(options, shown=shown))
    more = list(gathered.doubtful)
    if options.base is None and review is None:
        note = unsent(checked, made, gathered.secrets)
        more += [note] if note is not None else []
    if more:
        made = replace(made, notes=tuple(sorted((*made.notes, *more), key=sort_key)))
    if checked.inputs.strict and has_errors(strict(made.notes)):
        raise ConfigurationError("warnings count as errors", findings=strict(made.notes))
    return Planned(plan=made, gathered=gathered)


def _with_pinned(desired: Desired, reader: WebhookReader) -> tuple[LiveWebhook, ...]:
    """List what is live, and ask for each declared id that the list does not show.

    It is gone, or has slipped between two pages: only asking by id can tell.
    """
    listing = reader.list()
    listed = {each.id for each in listing}
    pinned = [each.id for each in desired.webhooks] + [each.id for each in desired.absent]
    missing = sorted({each for each in pinned if each and each not in listed})
    found = (reader.get(each) for each in missing)
    return (*listing, *(each for each in found if each is not None))


def guard_organization(
    organization: Organization, *, declared: str | None = None, asked: str | None = None
) -> None:
    """Refuse a key of another organization than is declared or asked for, by name or id."""
    wanted = ((declared, "correct `organization`"), (asked, _ASKED))
    for each, otherwise in wanted:
        if each is not None and each not in (organization.id, organization.name):
            raise OrganizationError(
                f"the API key belongs to organization {organization.name!r}, not to {each!r}",
                hint=f"use a key of that organization, or {otherwise}",
            )


def _refuse_elsewhere(review: Review, origin: str, organization: Organization) -> None:
    if (review.origin, review.organization) != (origin, organization.id):
        raise StalePlanError(
            "the plan was made for another server or organization",
            differences=(
                f"plan  {review.organization} at {review.origin}",
                f"now   {organization.id} at {origin}",
            ),
            hint="plan again with the key and the server that you mean",
        )


def refuse_maintenance(organization: Organization) -> None:
    """Refuse to write while CloudTruth itself works on the organization."""
    if organization.maintenance:
        raise MaintenanceError(
            f"organization {organization.name!r} is in maintenance: nothing can be changed",
            hint="try again when CloudTruth has finished; plan works meanwhile",
        )
