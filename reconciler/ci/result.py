"""The result of a run: exit code, and texts for log, annotations, summary and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from reconciler.errors import ExitCode, ReconcilerError
from reconciler.findings import Finding, error, warning
from reconciler.planning.plan import Plan
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, View
from reconciler.render.words import fallback_summary
from reconciler.report import NOT_REVIEWED, Report

_SUMMARY: Final = 900_000
"""The maximum size of a step summary in bytes. GitHub discards one over 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a run.

    `result` is the output of that name, empty for a run that did not start. The texts show
    `findings` and what the run ended with: `problem`, the error before the first write; `report`,
    after an apply; `plan`; or only `heading`. If a report is incomplete, `remaining` is the plan
    that can be applied by its digest. `extra_outputs` are additional outputs.
    """

    result: str
    findings: Sequence[Finding] = ()
    heading: str = ""
    plan: Plan | None = None
    report: Report | None = None
    remaining: Plan | None = None
    problem: ReconcilerError | None = None
    extra_outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the step."""
        ended = self.problem or self.report
        if ended is not None:
            return ended.exit_code
        return ExitCode.BLOCKED if self.result == "blocked" else ExitCode.OK

    @property
    def reason(self) -> str:
        """Return a stable identifier of why the run failed; empty if it did not."""
        if self.problem is not None:
            return self.problem.code
        if self.report is None or self.report.exit_code is ExitCode.OK:
            return self.result if self.result == "blocked" else ""
        return NOT_REVIEWED if self.report.needs_review else "apply-incomplete"

    @property
    def outputs(self) -> Mapping[str, str]:
        """Return the outputs of the step, under the names of action.yml."""
        plan = self.plan
        changes = (plan.creates, plan.updates, plan.deletes) if plan is not None else ((), (), ())
        creates, updates, deletes = (str(len(each)) for each in changes)
        return {
            "result": self.result,
            "has-changes": str(any(changes)).lower(),
            "creates": creates,
            "updates": updates,
            "deletes": deletes,
            "digest": plan.digest if plan is not None else "",
            "failure-reason": self.reason,
            "plan-json": "",
            "matrix": "",
            "organizations": "",
            **self.extra_outputs,
        }

    @property
    def annotations(self) -> str:
        """Return workflow commands for the ten most important findings, and count the rest."""
        found: tuple[Finding, ...] = ()
        if self.problem is not None:
            itself = error(self.problem.code, self.problem.message, self.problem.hint)
            found = self.problem.findings or (itself,)
        elif self.plan is not None:
            found = self.plan.notes
            if self.report is None:
                found = (*self.plan.blocked, *self.plan.relaxed, *found)
        return FINDINGS_RENDERERS["github"]().render_findings((*found, *self.findings))

    def render(self, format: str, limit: int = _SUMMARY) -> str:
        """Return the result as `text` for the log, or as `markdown` of at most `limit` bytes.

        A report that cannot be shown is one line: the writes are not affected.
        """
        renderer, parts, third = RENDERERS[format](), list[str](), View(limit=limit // 3)
        if self.problem is not None:
            parts.append(renderer.render_error(self.problem, third))
        if self.report is not None:
            try:
                parts.append(renderer.render_report(self.report, third))
            except Exception as problem:
                parts.append(f"{fallback_summary(self.report, problem)}\n")
        place = len(parts)
        if self.heading:
            parts.append(f"{'### ' if format == 'markdown' else ''}{self.heading}\n")
        if self.findings:
            parts.append(renderer.render_findings(tuple(self.findings), View(limit=limit // 9)))
        shown = self.plan if self.report is None else self.remaining
        if shown is not None:
            room = limit - sum(len(each.encode("utf-8", "replace")) + 1 for each in parts)
            view = View(limit=room, apply_options=None)
            parts.insert(place, renderer.render_plan(shown, view))
        # A log ends with the result, a summary starts with it.
        return "\n".join(parts if format == "markdown" else reversed(parts))


def failed(
    problem: ReconcilerError, findings: Sequence[Finding] = (), *, plan: Plan | None = None
) -> JobResult:
    """Return the result of a run that failed before anything was written to CloudTruth."""
    results = {ExitCode.BLOCKED: "blocked", ExitCode.STALE: "refused"}
    result = results.get(problem.exit_code, "failed")
    return JobResult(result=result, findings=findings, plan=plan, problem=problem)


@contextmanager
def reporting(findings: list[Finding], what: str) -> Iterator[None]:
    """Turn an error while the block writes to GitHub into a warning: webhooks are not affected."""
    try:
        yield
    except ReconcilerError as problem:
        findings.append(warning("not-reported", f"{what}: {problem.message}", problem.hint))
    except (Exception, KeyboardInterrupt) as problem:
        name = type(problem).__name__
        findings.append(warning("not-reported", f"{what}: internal error ({name})"))
