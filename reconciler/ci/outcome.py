"""What a run leaves behind: its exit code, and texts for log, annotations, summary and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reconciler.errors import ConfigurationError, ExitCode, ReconcilerError
from reconciler.findings import Finding, Severity
from reconciler.planning.plan import Plan
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, View
from reconciler.render.words import unshown
from reconciler.report import Report

SUMMARY_BYTES: Final = 1_000_000
"""A step summary over 1 MiB is dropped whole, so it must never come near."""

_CUT: Final = "_Cut to fit: the log and the plan as JSON have more._"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What later steps of a workflow may read.

    `result` is one of: validated, planned, no-changes, applied, converged, drift, no-drift,
    skipped, blocked, refused, failed; empty if the run could not begin. `digest` and
    `failure_reason` are empty where there is none; `plan_json` is the path of the plan document.
    """

    result: str
    creates: int = 0
    updates: int = 0
    deletes: int = 0
    digest: str = ""
    plan_json: str = ""
    failure_reason: str = ""

    def values(self) -> Mapping[str, str]:
        """Return the outputs under the names of action.yml."""
        return {
            "result": self.result,
            "has-changes": str(self.creates + self.updates + self.deletes > 0).lower(),
            "creates": str(self.creates),
            "updates": str(self.updates),
            "deletes": str(self.deletes),
            "digest": self.digest,
            "plan-json": self.plan_json,
            "failure-reason": self.failure_reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All of it, as text that is safe where it goes.

    `document` is the plan as JSON, None where there is no plan. `wrote` says whether something may
    have been changed at CloudTruth.
    """

    exit_code: ExitCode
    outputs: Outputs
    log: str
    annotations: str
    summary: str
    document: str | None = None
    wrote: bool = False


def note(rule: str, message: str, *, hint: str | None = None, warn: bool = False) -> Finding:
    """Make a remark about the run itself."""
    severity = Severity.WARNING if warn else Severity.NOTE
    return Finding(rule=rule, severity=severity, message=message, hint=hint)


def ended(result: str, findings: Sequence[Finding], *, heading: str) -> Outcome:
    """Make the outcome of a run without a plan that went well."""
    return Outcome(
        exit_code=ExitCode.OK,
        outputs=Outputs(result=result),
        log=_text(findings) + f"{heading}\n",
        annotations=annotated(findings),
        summary=summary(f"### {heading}\n", findings),
    )


def planned(
    result: str,
    plan: Plan,
    findings: Sequence[Finding],
    *,
    exit_code: ExitCode = ExitCode.OK,
    reason: str = "",
) -> Outcome:
    """Make the outcome of a run that ends with a plan."""
    return Outcome(
        exit_code=exit_code,
        outputs=counted(result, plan, reason),
        log=_text(findings) + RENDERERS["text"]().render_plan(plan),
        annotations=annotated((*plan.blocked, *plan.relaxed, *plan.notes, *findings)),
        summary=summary(plan_markdown(plan), findings),
        document=RENDERERS["json"]().render_plan(plan),
    )


def reported(result: str, report: Report, findings: Sequence[Finding], *, reason: str) -> Outcome:
    """Make the outcome of a run that carried a plan out; what cannot be shown is one line."""

    def shown(render: Callable[[], str], *, needed: bool = True) -> str:
        try:
            return render()
        except Exception as problem:  # what is done is done
            return f"{unshown(report, problem)}\n" if needed else ""

    return Outcome(
        exit_code=report.exit_code,
        outputs=counted(result, report.plan, reason),
        log=shown(lambda: _text(findings) + RENDERERS["text"]().render_report(report)),
        annotations=shown(lambda: annotated((*report.plan.notes, *findings)), needed=False),
        summary=shown(lambda: summary(_report_markdown(report), findings)),
        document=shown(lambda: RENDERERS["json"]().render_plan(report.plan), needed=False) or None,
        wrote=bool(report.writes),
    )


def failed(
    problem: ReconcilerError,
    findings: Sequence[Finding] = (),
    *,
    plan: Plan | None = None,
    result: str | None = None,
) -> Outcome:
    """Make the outcome of a run that could not go on; nothing was written to CloudTruth."""
    if result is None:
        results = {ExitCode.BLOCKED: "blocked", ExitCode.STALE: "refused"}
        result = results.get(problem.exit_code, "failed")
    outputs = Outputs(result=result, failure_reason=problem.code)
    log = _text(findings) + RENDERERS["text"]().render_error(problem)
    markdown = RENDERERS["markdown"]().render_error(problem)
    document = None
    if plan is not None:
        outputs = counted(outputs.result, plan, problem.code)
        log = RENDERERS["text"]().render_plan(plan) + "\n" + log
        document = RENDERERS["json"]().render_plan(plan)
    said = summary(markdown, findings)
    if plan is not None:
        room = SUMMARY_BYTES - len(said.encode()) - 100
        said = f"{said}\n{plan_markdown(plan, limit=max(room, 1000))}"
    inner = problem.findings if isinstance(problem, ConfigurationError) else ()
    itself = Finding(
        rule=problem.code, severity=Severity.ERROR, message=problem.message, hint=problem.hint
    )
    return Outcome(
        exit_code=problem.exit_code,
        outputs=outputs,
        log=log,
        annotations=annotated((*(inner or (itself,)), *findings)),
        summary=cut_bytes(said, SUMMARY_BYTES, notice=_CUT),
        document=document,
    )


def counted(result: str, plan: Plan, reason: str = "") -> Outputs:
    """Return the outputs of a run with a plan."""
    return Outputs(
        result=result,
        creates=len(plan.creates),
        updates=len(plan.updates),
        deletes=len(plan.deletes),
        digest=plan.digest,
        failure_reason=reason,
    )


def annotated(findings: Sequence[Finding]) -> str:
    """Return workflow commands for the ten most useful findings, and how many more there are."""
    return FINDINGS_RENDERERS["github"]().render_findings(tuple(findings)) if findings else ""


def summary(markdown: str, findings: Sequence[Finding]) -> str:
    """Return a step summary, findings last, within the bytes that GitHub takes."""
    if findings:
        view = View(limit=SUMMARY_BYTES // 10)
        listed = RENDERERS["markdown"]().render_findings(tuple(findings), view)
        markdown = f"{markdown}\n{listed}"
    return cut_bytes(markdown, SUMMARY_BYTES, notice=_CUT)


def plan_markdown(plan: Plan, *, limit: int = SUMMARY_BYTES * 8 // 10) -> str:
    """Return the plan as Markdown in at most `limit` bytes."""
    return RENDERERS["markdown"]().render_plan(plan, View(limit=limit, measure=_bytes))


def _report_markdown(report: Report) -> str:
    view = View(limit=SUMMARY_BYTES * 8 // 10, measure=_bytes)
    return RENDERERS["markdown"]().render_report(report, view)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _text(findings: Sequence[Finding]) -> str:
    return RENDERERS["text"]().render_findings(tuple(findings)) if findings else ""


def with_document(outcome: Outcome, path: str) -> Outcome:
    """Return the outcome with the place where its document was written."""
    return replace(outcome, outputs=replace(outcome.outputs, plan_json=path))


def format_outputs(values: Mapping[str, str], *, delimiter: str) -> str:
    """Return the text for `$GITHUB_OUTPUT`.

    `delimiter` is a fresh random word. Raises ValueError for a value that contains it, as such a
    value could set any output.
    """
    lines: list[str] = []
    for name, value in values.items():
        if delimiter in value or delimiter in name:
            raise ValueError("the delimiter occurs in an output")
        lines.append(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
    return "".join(lines)


def cut_bytes(text: str, limit: int, *, notice: str) -> str:
    """Return `text`, or its first whole lines and `notice`, in at most `limit` bytes of UTF-8."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    room = limit - len(notice.encode("utf-8")) - 2
    if room <= 0:
        return notice.encode("utf-8")[: max(limit, 0)].decode("utf-8", "ignore")
    end = raw.rfind(b"\n", 0, room + 1)  # a line end is never part of a longer character
    return raw[: max(end, 0)].decode("utf-8") + f"\n{notice}\n"
