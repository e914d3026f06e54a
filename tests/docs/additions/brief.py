"""Results as a number: the example format of the checklist."""

from __future__ import annotations

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding
from reconciler.planning.run import DriftReport, RunPlan
from reconciler.render import PLAIN, View
from reconciler.report import RunReport


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render the number of findings."""
    return f"{len(findings)} found\n"


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Render that the run failed."""
    return "failed\n"


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Render the number of planned operations."""
    return f"{sum(len(plan.operations) for plan in run.plans)} planned\n"


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Render the number of applied operations."""
    return f"{sum(len(report.outcomes) for report in run.reports)} applied\n"


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Render the number of drifted webhooks."""
    return f"{sum(len(drift.drifted) for drift in report.drifts)} drifted\n"
