"""`webhooks ci` on GitHub: the event, the comment, the review, the drift issue.

Each command is a function from a `Run` (the task and its connections) to a `JobResult` (the output
to print and write). Nothing here prints, exits or reads the process environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from reconciler.errors import ExitCode, InternalError, Interrupted, ReconcilerError
from reconciler.findings import Finding, error
from reconciler.model import frozen
from reconciler.planning.run import DriftReport, OrganizationResult, RunPlan
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, Renderer, View
from reconciler.render.combined import combine, problems
from reconciler.render.outcomes import fallback_summary
from reconciler.report import RunReport

_SUMMARY: Final = 900_000
"""The maximum size of a step summary in bytes. GitHub discards one over 1 MiB."""
NO_PLANS: Final = RunPlan(())
"""The plans of a run that made none."""


@frozen
class JobResult:
    """The result of a run.

    The texts show `findings` and what the run ended with: `problem`, the error because of which it
    failed; `report`, after an apply; `plan`; or only `heading`. If a report is incomplete,
    `remaining` are the plans that can be applied by their digest. `drift` is shown instead of the
    plans, with commands if there are `apply_options`, so far as they have no secret that is
    `redacted`. `status` is the output `result` if these do not determine it; it is empty for a run
    that did not start. `file_options` name the files in commands. `extra_outputs` are additional
    outputs.
    """

    status: str | None = None
    findings: Sequence[Finding] = ()
    heading: str = ""
    plan: RunPlan = NO_PLANS
    report: RunReport | None = None
    remaining: RunPlan = NO_PLANS
    drift: DriftReport | None = None
    apply_options: tuple[str, ...] | None = None
    redacted: Callable[[str], str] = str
    file_options: tuple[str, ...] = ()
    problem: ReconcilerError | None = None
    extra_outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[ReconcilerError]:
        """Return the error of the run and those of organizations; with several, it names them."""
        ended: RunReport | RunPlan = self.report or self.plan
        results: Sequence[OrganizationResult[Any]] = ended.organizations
        failed = problems(results)
        if len(results) == 1:
            failed = [result.problem for result in results if result.problem is not None]
        if self.problem is not None:
            failed.insert(0, self.problem)
        return failed

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the step."""
        ended = self.problem or self.report
        if ended is not None:
            return ended.exit_code
        if self.status is None:
            return self.plan.exit_code
        # A blocked plan is drift like any other.
        for problem in self.problems:
            return problem.exit_code
        return ExitCode.OK

    @property
    def result(self) -> str:
        """Return the output `result`."""
        if self.exit_code is not ExitCode.OK and self.status is None:
            results = {ExitCode.BLOCKED: "blocked", ExitCode.STALE: "refused"}
            return results.get(self.exit_code, "failed")
        if self.status is not None:
            return self.status
        if self.report is None:
            return "planned" if self.plan.has_operations else "no-changes"
        return "applied" if self.report.writes else "converged"

    @property
    def reason(self) -> str:
        """Return a stable identifier of why the run failed; empty if it did not."""
        for problem in self.problems:
            return problem.code
        if self.exit_code is ExitCode.OK:
            return ""
        if self.report is not None and self.report.stopped is not None:
            return Interrupted.code
        if self.exit_code is ExitCode.BUG:
            return InternalError.code
        return "blocked" if self.report is None else "apply-incomplete"

    @property
    def outputs(self) -> Mapping[str, str]:
        """Return the outputs of the step, under the names of action.yml."""
        plans = self.plan.plans
        counts = dict.fromkeys(("creates", "updates", "deletes"), "")
        if plans:
            for kind in counts:
                counts[kind] = str(sum(len(getattr(plan, kind)) for plan in plans))
        return {
            "result": self.result,
            "has-changes": str(self.plan.has_operations).lower(),
            **counts,
            "digest": self.plan.digest,
            "failure-reason": self.reason,
            "plan-json": "",
            "matrix": "",
            **self.extra_outputs,
        }

    @property
    def annotations(self) -> str:
        """Return workflow commands for the ten most important findings, and count the rest."""
        findings: list[Finding] = []
        for problem in self.problems:
            itself = error(problem.code, problem.message, problem.hint)
            findings += problem.findings or (itself,)
        if not findings:
            plan = combine(self.plan).plan
            if not self.report:
                findings += plan.blocked + plan.relaxed
            findings += plan.notes
        return FINDINGS_RENDERERS["github"]()((*findings, *self.findings))

    def render(self, format: str, limit: int = _SUMMARY) -> str:
        """Return the result as `text` for the log, or as `markdown` of at most `limit` bytes.

        A report that cannot be shown is one line: the writes are not affected.
        """
        renderer, failed = RENDERERS[format](), self.problems
        # Problems and a report get at most a third each, so that there is room for the plans.
        third = limit // 3
        above = [
            renderer.render_error(problem, View(limit=third // len(failed))) for problem in failed
        ]
        above += self._shown_report(renderer, View(limit=third, apply_options=None))
        below: list[str] = []
        if self.heading:
            below.append(f"{'### ' if format == 'markdown' else ''}{self.heading}\n")
        if self.findings:
            below.append(renderer.render_findings(tuple(self.findings), View(limit=limit // 9)))
        room = limit - sum(len(part.encode("utf-8", "replace")) + 1 for part in (*above, *below))
        view = View(
            limit=room,
            is_posted=format == "markdown",
            apply_options=self.apply_options,
            connection=self.file_options,
            redacted=self.redacted,
        )
        parts = [*above, *self._shown_plans(renderer, view), *below]
        # A log ends with the result, a summary starts with it.
        return "\n".join(parts if format == "markdown" else reversed(parts))

    def _shown_report(self, renderer: Renderer, view: View) -> list[str]:
        if self.report is None or not self.report.reports:
            return []
        # If nothing was applied, the offered plans are all that there is.
        if self.remaining.plans and not self.report.has_operations:
            return []
        try:
            return [renderer.render_run_report(self.report, view)]
        except Exception as problem:  # the writes must be reported, whatever a name contains
            return [f"{fallback_summary(self.report, problem)}\n"]

    def _shown_plans(self, renderer: Renderer, view: View) -> list[str]:
        """Return the drift or the plans; after an apply those that can still be applied."""
        if self.drift is not None and self.drift.drifts:
            return [renderer.render_drift(self.drift, view)]
        plans = self.plan if self.report is None else self.remaining
        if plans.plans:
            return [renderer.render_run(plans, view)]
        return []
