"""Results as a number: the toy format of the checklist."""

from __future__ import annotations

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding
from reconciler.planning.plan import Plan
from reconciler.render import PLAIN, View
from reconciler.report import Report


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Show how many there are."""
    return f"{len(findings)} found\n"


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Show that the run could not go on."""
    return "failed\n"


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Show how much would be done."""
    return f"{len(plan.operations)} planned\n"


def render_report(report: Report, view: View = PLAIN) -> str:
    """Show how much was done."""
    return f"{len(report.outcomes)} carried out\n"
