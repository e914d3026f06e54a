"""JSON documents for programs: plans, reports, findings and errors, each with a published schema.

`format_version` changes with every incompatible change of a document. Keys are in a fixed order.
Text is ASCII, with everything else escaped, so that terminals and logs interpret nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from reconciler import __version__
from reconciler.checks import Checklist, Section, Status
from reconciler.errors import ApiError, ReconcilerError, StalePlanError
from reconciler.findings import Finding, Severity, sort_key
from reconciler.planning.document import (
    FORMAT_VERSION,
    Tree,
    checksum,
    operation_summary,
    plain,
    plan_tree,
    write_json,
)
from reconciler.planning.plan import Kept, Plan
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render import PLAIN, LiveStatus, View
from reconciler.render.words import tally, unblocking
from reconciler.report import Outcome, Report


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Return the plan as JSON (schemas/plan.schema.json). `plan --out` saves one to apply later."""
    tree = plan_tree(plan, __version__)
    if edits := [{"purpose": purpose, "text": text} for purpose, text in unblocking(plan, view)]:
        tree["unblock"] = edits
        tree["checksum"] = checksum(tree)
    return write_json(tree)


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Return a document for each plan, each on a line if there are several."""
    return _stream([render_plan(plan, view) for plan in run.plans])


def _stream(documents: Sequence[str]) -> str:
    if len(documents) == 1:
        return documents[0]
    # JSON strings have no line ends.
    return "".join("".join(map(str.strip, text.splitlines())) + "\n" for text in documents)


def render_report(report: Report, view: View = PLAIN) -> str:
    """Return the document of an apply's report (schemas/report.schema.json)."""
    plan = report.plan
    return _document(
        "report",
        {
            "origin": plan.origin,
            "organization": {"id": plan.organization.id, "name": plan.organization.name},
            "digest": plan.digest,
            "exit_code": int(report.exit_code),
            "counts": {
                **tally(report),
                "duplicates_removed": len(report.duplicates_removed),
                "unchanged": len(plan.matched),
            },
            "outcomes": [_outcome(each) for each in report.outcomes],
            "duplicates_removed": plain(report.duplicates_removed),
            "kept": [_kept(each) for each in plan.kept],
            "writes": report.writes,
            "verified": report.verified,
            "stopped": None if report.stopped is None else int(report.stopped),
            "problem": report.problem,
        },
    )


def _kept(kept: Kept) -> Tree:
    shown: Tree = {"name": kept.name, **plain(kept)}
    webhooks = shown.pop("webhooks")
    return {**shown, "ids": [each["id"] for each in webhooks]}


def _outcome(outcome: Outcome) -> Tree:
    name = type(outcome).__name__.lower()
    summary = operation_summary(outcome.operation)
    shown = {each.name: plain(getattr(outcome, each.name)) for each in fields(outcome)}
    del shown["operation"]
    return {"outcome": name, **summary, **shown, "id": shown.get("id") or summary["id"]}


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Return the document of findings, sorted by position (schemas/findings.schema.json)."""
    counts = {
        f"{severity}s": sum(each.severity is severity for each in findings) for severity in Severity
    }
    rows = [plain(each) for each in sorted(findings, key=sort_key)]
    organizations = [
        {"organization": organization, "files": list(files)}
        for organization, files in view.organizations
    ]
    content = {"counts": counts, "organizations": organizations, "findings": rows}
    return _document("findings", content)


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Return the document of an error that ended the run (schemas/error.schema.json)."""
    content: Tree = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
        "findings": [plain(each) for each in sorted(error.findings, key=sort_key)],
    }
    if isinstance(error, ApiError):
        named = ("method", "path", "status", "detail")
        content["request"] = {
            **{name: getattr(error, name) for name in named},
            "fields": [{"path": list(path), "message": message} for path, message in error.fields],
        }
    if isinstance(error, StalePlanError):
        content["differences"] = list(error.differences)
    return _document("error", {"error": content})


def render_status(status: LiveStatus, view: View = PLAIN) -> str:
    """Return the document of the live webhooks (schemas/status.schema.json)."""
    return _document(
        "status",
        {
            "organization": {"id": status.organization.id, "name": status.organization.name},
            "counts": {
                "live": sum(webhook.id is not None for webhook in status.webhooks),
                "failing": len(status.failing),
            },
            "drift": None if status.drift is None else sum(status.drift.values()),
            "webhooks": [plain(webhook) for webhook in status.shown],
            "not_compared": [] if status.plan is None else plain(status.plan.not_compared),
        },
    )


def render_statuses(statuses: Sequence[OrganizationResult[LiveStatus]], view: View = PLAIN) -> str:
    """Return a document for the status of each organization."""
    found = [each.value for each in statuses if each.value is not None]
    return _stream([render_status(status, view) for status in found])


def render_checks(checklist: Checklist, view: View = PLAIN) -> str:
    """Return the document of a checklist, without private details (schemas/checks.schema.json)."""
    return _document(
        "checks",
        {
            "command": checklist.command,
            "exit_code": int(checklist.exit_code),
            "counts": {str(status): checklist.count(status) for status in Status},
            "sections": [_section(each) for each in checklist.sections],
            "notes": list(checklist.notes),
        },
    )


def _section(section: Section) -> Tree:
    shown: Tree = plain(section)
    for check in shown["checks"]:
        del check["private"]  # private details are shown on the screen only
    return shown


def _document(kind: str, content: Tree) -> str:
    head = {"format_version": FORMAT_VERSION, "kind": kind, "tool_version": __version__}
    return write_json({**head, **content})
