"""The result of a run: exit code, and texts for log, annotations, summary and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from reconciler.errors import ExitCode, ReconcilerError
from reconciler.findings import Finding, error, warning
from reconciler.planning.plan import Plan
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, View
from reconciler.render.words import unshown
from reconciler.report import Report

# GitHub discards a step summary over 1 MiB, so stay well below.
_MAIN: Final = View(limit=800_000)
_BESIDE: Final = View(limit=90_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a run, with each text escaped for its destination.

    `outputs` are the outputs of the step, under the names of action.yml. `document` is the plan as
    JSON, None without a plan. `wrote` means that webhooks may have been changed.
    """

    exit_code: ExitCode
    outputs: Mapping[str, str]
    log: str
    annotations: str
    summary: str
    document: str | None = None
    wrote: bool = False


@contextmanager
def attempt(findings: list[Finding], rule: str, what: str) -> Iterator[None]:
    """Run a reporting step; turn its failure into a warning, because writes are not affected."""
    try:
        yield
    except ReconcilerError as problem:
        findings.append(warning(rule, f"{what}: {problem.message}", problem.hint))
    except (Exception, KeyboardInterrupt) as problem:
        findings.append(warning(rule, f"{what}: internal error ({type(problem).__name__})"))


def ended(result: str, findings: Sequence[Finding], *, heading: str) -> Outcome:
    """Return the outcome of a successful run without a plan."""
    return Outcome(
        exit_code=ExitCode.OK,
        outputs=_outputs(result),
        log=f"{_listed('text', findings)}{heading}\n",
        annotations=_annotated(findings),
        summary=f"### {heading}\n{_listed('markdown', findings)}",
    )


def planned(
    result: str, plan: Plan, findings: Sequence[Finding], again: tuple[str, ...] = ()
) -> Outcome:
    """Return the outcome of a run that ends with a plan; `blocked` is a failure.

    `again` has the options with which `webhooks apply` computes the same plan.
    """
    view = View(again=again)
    blocked = result == "blocked"
    return Outcome(
        exit_code=ExitCode.BLOCKED if blocked else ExitCode.OK,
        outputs=_outputs(result, plan, "blocked" if blocked else ""),
        log=_listed("text", findings) + RENDERERS["text"]().render_plan(plan, view),
        annotations=_annotated((*plan.blocked, *plan.relaxed, *plan.notes, *findings)),
        summary=RENDERERS["markdown"]().render_plan(plan, replace(_MAIN, again=again))
        + _listed("markdown", findings),
        document=RENDERERS["json"]().render_plan(plan, view),
    )


def reported(report: Report, findings: Sequence[Finding], *, reason: str) -> Outcome:
    """Return the outcome of a run that applied a plan; one line if the report cannot be shown.

    `reason` is why some operations were not applied, empty if all were.
    """
    plan, text, markdown = report.plan, RENDERERS["text"](), RENDERERS["markdown"]()
    document = None
    try:
        log = _listed("text", findings) + text.render_report(report)
        annotations = _annotated((*plan.notes, *findings))
        summary = markdown.render_report(report, _MAIN) + _listed("markdown", findings)
        document = RENDERERS["json"]().render_plan(plan)
    except Exception as problem:  # the writes are not affected
        log, annotations = f"{unshown(report, problem)}\n", ""
        summary = log
    return Outcome(
        exit_code=report.exit_code,
        outputs=_outputs("failed" if reason else "applied", plan, reason),
        log=log,
        annotations=annotations,
        summary=summary,
        document=document,
        wrote=bool(report.writes),
    )


def failed(
    problem: ReconcilerError,
    findings: Sequence[Finding] = (),
    *,
    plan: Plan | None = None,
    began: bool = True,
) -> Outcome:
    """Return the outcome of a run that failed before anything was written to CloudTruth.

    Without `began` the result is empty, and the workflow's last step reports that it did not run.
    """
    results = {ExitCode.BLOCKED: "blocked", ExitCode.STALE: "refused"}
    result = results.get(problem.exit_code, "failed") if began else ""
    itself = error(problem.code, problem.message, problem.hint)
    text, markdown = RENDERERS["text"](), RENDERERS["markdown"]()
    log = _listed("text", findings) + text.render_error(problem)
    summary = markdown.render_error(problem, _BESIDE) + _listed("markdown", findings)
    if plan is not None:
        log = f"{text.render_plan(plan)}\n{log}"
        summary += f"\n{markdown.render_plan(plan, _MAIN)}"
    return Outcome(
        exit_code=problem.exit_code,
        outputs=_outputs(result, plan, problem.code),
        log=log,
        annotations=_annotated((*(problem.findings or (itself,)), *findings)),
        summary=summary,
        document=RENDERERS["json"]().render_plan(plan) if plan is not None else None,
    )


def _outputs(result: str, plan: Plan | None = None, reason: str = "") -> Mapping[str, str]:
    numbers = [0, 0, 0]
    if plan is not None:
        numbers = [len(each) for each in (plan.creates, plan.updates, plan.deletes)]
    return {
        "result": result,
        "has-changes": str(any(numbers)).lower(),
        **dict(zip(("creates", "updates", "deletes"), map(str, numbers), strict=True)),
        "digest": plan.digest if plan is not None else "",
        "plan-json": "",
        "matrix": "",
        "organizations": "",
        "failure-reason": reason,
    }


def _annotated(findings: Sequence[Finding]) -> str:
    """Return workflow commands for the ten most important findings, and count the rest."""
    return FINDINGS_RENDERERS["github"]().render_findings(tuple(findings)) if findings else ""


def _listed(format: str, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    shown = RENDERERS[format]().render_findings(tuple(findings), _BESIDE)
    return f"\n{shown}" if format == "markdown" else shown
