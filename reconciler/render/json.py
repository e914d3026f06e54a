"""Documents for programs: plans, reports, findings and errors, each with its published schema.

`format_version` changes whenever a document gets another form. Keys come in a
fixed order; text is ASCII, everything else escaped, so that no terminal and no log obeys it.
"""

from __future__ import annotations

from typing import assert_never

from reconciler import __version__
from reconciler.errors import ApiError, ConfigurationError, ReconcilerError, StalePlanError
from reconciler.findings import Finding, Severity, sort_key
from reconciler.planning.document import (
    FORMAT_VERSION,
    Tree,
    change_summary,
    kept_summary,
    plain,
    plan_tree,
    write_json,
)
from reconciler.planning.plan import Plan
from reconciler.render import PLAIN, View
from reconciler.render.words import OUTCOMES, tally
from reconciler.report import Applied, Failed, Outcome, Report, Skipped, Unconfirmed


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Return the document of a plan, complete enough to apply it (schemas/plan.schema.json)."""
    return write_json(plan_tree(plan, __version__))


def render_report(report: Report, view: View = PLAIN) -> str:
    """Return the document of what an apply did (schemas/report.schema.json)."""
    return _document(
        "report",
        {
            "origin": report.plan.origin,
            "organization": {
                "id": report.plan.organization.id,
                "name": report.plan.organization.name,
            },
            "digest": report.plan.digest,
            "exit_code": int(report.exit_code),
            "counts": {
                **tally(report),
                "healed": len(report.healed),
                "unchanged": len(report.plan.matched),
            },
            "outcomes": [_outcome(each) for each in report.outcomes],
            "healed": [
                {"name": each.name, "removed": each.removed, "kept": each.kept}
                for each in report.healed
            ],
            "kept": [
                {**kept_summary(each), "ids": [found.id for found in each.webhooks]}
                for each in report.plan.kept
            ],
            "writes": report.writes,
            "verified": report.verified,
            "stopped": None if report.stopped is None else int(report.stopped),
            "problem": report.problem,
        },
    )


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Return the document of findings, sorted by place (schemas/findings.schema.json)."""
    return _document(
        "findings",
        {
            "counts": {
                f"{severity}s": sum(each.severity is severity for each in findings)
                for severity in Severity
            },
            "findings": plain(tuple(sorted(findings, key=sort_key))),
        },
    )


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Return the document of an error that ended the run (schemas/error.schema.json)."""
    findings = error.findings if isinstance(error, ConfigurationError) else ()
    content: Tree = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
        "findings": plain(tuple(sorted(findings, key=sort_key))),
    }
    if isinstance(error, ApiError):
        content["request"] = {
            "method": error.method,
            "path": error.path,
            "status": error.status,
            "detail": error.detail,
            "fields": [{"path": list(path), "message": message} for path, message in error.fields],
        }
    if isinstance(error, StalePlanError):
        content["differences"] = list(error.differences)
    return _document("error", {"error": content})


def _outcome(outcome: Outcome) -> Tree:
    name, *_ = OUTCOMES[type(outcome)]
    tree = {"outcome": name, **change_summary(outcome.change)}
    match outcome:
        case Applied(id=id_, note=note):
            return {**tree, "id": id_ or tree["id"], "note": note}
        case Failed():
            return {
                **tree,
                "code": outcome.code,
                "message": outcome.message,
                "hint": outcome.hint,
                "fields": [
                    {
                        "path": list(each.path),
                        "message": each.message,
                        "position": plain(each.position),
                    }
                    for each in outcome.fields
                ],
            }
        case Skipped(code=code, message=message):
            return {**tree, "code": code, "message": message}
        case Unconfirmed(message=message):
            return {**tree, "message": message}
        case _:
            assert_never(outcome)


def _document(kind: str, content: Tree) -> str:
    head = {"format_version": FORMAT_VERSION, "kind": kind, "tool_version": __version__}
    return write_json({**head, **content})
