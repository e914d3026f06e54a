"""JSON documents for programs: plans, reports, findings and errors, each with a published schema.

`format_version` changes with every incompatible change of a document. Keys are in a fixed order.
Text is ASCII, with everything else escaped, so that terminals and logs interpret nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, Severity, sort_key
from reconciler.planning.plan import Kept, Plan
from reconciler.planning.run import (
    Drifted,
    DriftReport,
    LiveStatus,
    OrganizationDrift,
    OrganizationResult,
    RunPlan,
    WebhookStatus,
)
from reconciler.planning.tree import (
    Tree,
    checksum,
    error_tree,
    failed_tree,
    head,
    operation_summary,
    plain,
    run_tree,
    write_json,
)
from reconciler.render import PLAIN, View
from reconciler.render.drift import drift_commands, rename_note, shown_diffs
from reconciler.render.outcomes import tally
from reconciler.render.words import unblocking
from reconciler.report import (
    OUTCOMES,
    Check,
    Checklist,
    Outcome,
    Report,
    RunReport,
    State,
    Status,
    state_of,
)


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Return the plans of a run as JSON (schemas/plan.schema.json), as `plan --out` saves them."""
    # `--allow-deletes` takes the number of all deletes of a run.
    total = sum(plan.counted_deletes for plan in run.plans)
    extra = [_unblock(result.value, view, total) for result in run.organizations]
    tree = run_tree(run, extra)
    return write_json({**tree, "checksum": checksum(tree)})


def _unblock(plan: Plan | None, view: View, total: int) -> Tree:
    if plan is None:
        return {}
    edits = unblocking(plan, view, total)
    shown = [{"purpose": purpose, "text": text} for purpose, text in edits]
    if not shown:
        return {}
    return {"unblock": shown}


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Return the document of an apply's report (schemas/report.schema.json)."""
    # A program that reads the states needs no rules for combinations of keys.
    states = [state_of(result) for result in run.organizations]
    organizations: list[Tree] = []
    confirmed = run.confirmed or [0] * len(states)
    for state, result, changes in zip(states, run.organizations, confirmed, strict=True):
        tree = failed_tree(result) if result.value is None else _report(result.value)
        # What the text counts as failed or not started.
        if result.value is None and changes:
            tree["changes"] = changes
        organizations.append({"files": list(result.files), "state": str(state), **tree})
    return _document(
        "report",
        {
            "exit_code": int(run.exit_code),
            "digest": run.digest,
            "stopped": plain(run.stopped),
            "totals": {
                "organizations": len(states),
                **{str(state).replace(" ", "_"): states.count(state) for state in State},
            },
            "organizations": organizations,
        },
    )


def _report(report: Report) -> Tree:
    plan = report.plan
    return {
        "origin": plan.origin,
        "organization": {"id": plan.organization.id, "name": plan.organization.name},
        "digest": plan.digest,
        "exit_code": int(report.exit_code),
        "counts": {
            # All of the keys, also with zeros, so that no program has to supply a default.
            **tally(report),
            "duplicates_removed": len(report.duplicates_removed),
            "unchanged": len(plan.matched),
        },
        "outcomes": [_outcome(outcome) for outcome in report.outcomes],
        "duplicates_removed": plain(report.duplicates_removed),
        "kept": list(map(_kept, plan.kept)),
        "writes": report.writes,
        "verified": report.verified,
        "stopped": plain(report.stopped),
        "problem": report.problem,
    }


def _kept(kept: Kept) -> Tree:
    shown: Tree = {"name": kept.name, **plain(kept)}
    # The name is that of all of them, so only their ids are listed.
    webhooks = shown.pop("webhooks")
    return {**shown, "ids": [webhook["id"] for webhook in webhooks]}


def _outcome(outcome: Outcome) -> Tree:
    summary = operation_summary(outcome.operation)
    # That it was already made is in its note, and the exit code follows from the error's code.
    omitted = ("operation", "already_made", "exit_code")
    shown = {key: plain(value) for key, value in outcome._asdict().items() if key not in omitted}
    # The id of a created webhook is in its outcome only.
    return {
        "outcome": OUTCOMES[type(outcome)],
        **summary,
        **shown,
        "id": shown.get("id") or summary["id"],
    }


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Return the document of findings, sorted by position (schemas/findings.schema.json)."""
    counts = {
        f"{severity}s": sum(finding.severity is severity for finding in findings)
        for severity in Severity
    }
    rows = [plain(finding) for finding in sorted(findings, key=sort_key)]
    organizations = [
        {"organization": organization, "files": list(files)}
        for organization, files in view.organizations
    ]
    content = {"counts": counts, "organizations": organizations, "findings": rows}
    return _document("findings", content)


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Return the document of an error that ended the run (schemas/error.schema.json)."""
    return _document("error", {"error": error_tree(error)})


def render_statuses(statuses: Sequence[OrganizationResult[LiveStatus]], view: View = PLAIN) -> str:
    """Return the document of the live webhooks (schemas/status.schema.json)."""
    organizations: list[Tree] = []
    for result in statuses:
        tree = failed_tree(result) if result.value is None else _status(result.value, view)
        organizations.append({"files": list(result.files), **tree})
    return _document("status", {"organizations": organizations})


def _status(status: LiveStatus, view: View) -> Tree:
    return {
        "organization": {"id": status.organization.id, "name": status.organization.name},
        "counts": {
            # A declared webhook that is not live is in the list, too, without an id.
            "live": status.selected_count,
            "failing": len(status.failing),
        },
        "drift": None if status.plan is None else sum(status.drift.values()),
        "not_applied": None if status.plan is None else status.not_applied,
        "webhooks": [_webhook_status(webhook) for webhook in view.selected(status.webhooks)],
        "not_compared": [] if status.plan is None else plain(status.plan.not_compared),
        "not_equal": [] if status.plan is None else plain(status.plan.not_equal),
    }


def _webhook_status(status: WebhookStatus) -> Tree:
    webhook = plain(status.webhook)
    return {
        "id": status.webhook.id or None,
        "name": webhook["name"],
        "type": webhook["type"],
        "state": str(status.management),
        "destination": webhook["destination"],
        "event_types": webhook["event_types"],
        "position": plain(status.position),
        # Nothing is known about the deliveries of a webhook that is not live.
        "delivery": str(status.webhook.delivery) if status.webhook.id else None,
        "last_run": webhook["last_run"],
        "last_error": plain(status.webhook.last_error),
    }


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Return the document of a drift report (schemas/drift.schema.json)."""
    return _document(
        "drift",
        {
            "unknown": report.unknown or None,
            "organizations": [
                _organization_drift(report, result, view) for result in report.organizations
            ],
            "diffs": plain(shown_diffs(report, view)),
            "accepted": report.accepted,
        },
    )


def _organization_drift(
    report: DriftReport, organization: OrganizationResult[OrganizationDrift], view: View
) -> Tree:
    drift, problem = organization.value, organization.problem
    shown: Tree = {
        "name": organization.name,
        "files": list(organization.files),
        "error": None if problem is None else error_tree(problem),
    }
    # All keys, so that a program reads an organization that failed like any other.
    if drift is None:
        empty = ("drifted", "unapplied", "not_applied", "waiting", "not_equal")
        return {**shown, **{name: [] for name in empty}}
    operations = [
        {**operation_summary(operation), **plain(operation)} for operation in drift.plan.operations
    ]

    def drifted(webhook: Drifted) -> Tree:
        # For each organization, because a program may act on one of them only.
        ways = drift_commands(report, [organization], webhook, view)
        is_accepted = report.is_accepted(webhook)
        return {
            "operations": [operations[index] for index in webhook.operations],
            "revert": ways.revert,
            "accept": None if ways.why_not else ways.accept or None,
            "refusal": ways.why_not or None,
            "files": list(webhook.files),
            "note": rename_note(drift.plan, webhook, is_accepted=is_accepted) or None,
        }

    return {
        **shown,
        "drifted": list(map(drifted, drift.drifted)),
        "unapplied": list(map(_kept, drift.unapplied)),
        "not_applied": [operations[change.operation] for change in drift.not_applied],
        "waiting": [operations[change.operation] for change in (*drift.waiting, *drift.merged)],
        "not_equal": plain(drift.not_equal),
    }


def render_checks(checklist: Checklist, view: View = PLAIN) -> str:
    """Return the document of a checklist, without private details (schemas/checks.schema.json)."""
    return _document(
        "checks",
        {
            "command": checklist.command,
            "exit_code": int(checklist.exit_code),
            "counts": {str(status): checklist.count(status) for status in Status},
            "sections": [
                {"name": section.name, "checks": list(map(_check, section.checks))}
                for section in checklist.sections
            ],
            "notes": list(checklist.notes),
        },
    )


def _check(check: Check) -> Tree:
    shown: Tree = plain(check)
    del shown["private"]  # private details are shown on the screen only
    return shown


def _document(kind: str, content: Tree) -> str:
    return write_json({**head(kind), **content})
