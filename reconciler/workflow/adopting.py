"""Bringing what is live under git, and looking at what is live."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import ConfigurationError, SelectionError
from reconciler.findings import Finding
from reconciler.model import Live
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.planner import plan as make_plan
from reconciler.planning.selection import idle_on_live
from reconciler.planning.status import Status, statuses
from reconciler.ports import WebhookReader
from reconciler.source.desired import declare
from reconciler.source.export import Export, export
from reconciler.source.files import SourceFile, Sources
from reconciler.workflow.inputs import Checked, gather
from reconciler.workflow.planning import guard_organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An export, the listing it was made from, and warnings about what was asked for."""

    live: Live
    export: Export
    notes: tuple[Finding, ...] = ()


def read_live(reader: WebhookReader, organization: str | None = None) -> Live:
    """Return everything that is live. Raises OrganizationError, ApiError."""
    found = reader.organization()
    guard_organization(found, asked=organization)
    return Live(origin=reader.origin, organization=found, webhooks=reader.list())


def export_live(live: Live, *, only: tuple[str, ...] = ()) -> Exported:
    """Write what is live as a file, `only` what is named so.

    Raises SelectionError if that is nothing at all: an empty file in place of a good one would
    look like a success.
    """
    notes = tuple(idle_on_live(only, live))
    if only and len(notes) == len(set(only)):
        raise SelectionError(
            f"--only selects none of {len(live.webhooks)} live webhooks: nothing is exported",
            hint=notes[0].hint,
        )
    return Exported(live=live, export=export(live, only=only), notes=notes)


def check_export(exported: Exported) -> Plan:
    """Read an export as a file and plan it against what it was made from.

    Raises ConfigurationError where the file would not be accepted.
    """
    source = SourceFile(file="export", raw=exported.export.text.encode())
    declared = declare(Sources(files=(source,)))
    if declared.desired is None:
        raise ConfigurationError("the export is not a valid file", findings=declared.findings)
    return make_plan(declared.desired, exported.live, {}, PlanOptions())


def status(live: Live, checked: Checked | None) -> tuple[Status, ...]:
    """Return the management status of each webhook, live or missing; without files, unchecked.

    Raises ConfigurationError where declarations do not fit the live webhooks.
    """
    if checked is None:
        return statuses(live, None)
    secrets = gather(checked).secrets
    return statuses(live, make_plan(checked.desired, live, secrets, PlanOptions()))


__all__ = ["Exported", "check_export", "export_live", "read_live", "status"]
