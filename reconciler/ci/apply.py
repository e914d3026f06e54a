"""Apply the reviewed operations of merged pull requests, always from the tip of the branch.

If merged changes are not applied, the run comments on the newest affected pull request, or opens an
issue, with the command to run next.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Final

from reconciler.ci import reviews
from reconciler.ci.github import GitHub, GitHubError
from reconciler.ci.marker import COMMENT_CHARACTERS, Marker, MarkerKind, Post, find
from reconciler.ci.matrix import input_matcher
from reconciler.ci.plan import check, files_only, files_only_reason
from reconciler.ci.result import JobResult, failed, reporting
from reconciler.ci.run import MergeGroup, PullRequest, Reviewing, Run
from reconciler.errors import (
    BlockedError,
    ConfigurationError,
    CredentialError,
    ExitCode,
    Interrupted,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.findings import Finding, warning
from reconciler.model import Desired
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import resends
from reconciler.planning.review import Review, compare_with_review
from reconciler.render import View, markdown
from reconciler.render.quote import prose, quote
from reconciler.render.words import plural, shorten
from reconciler.report import NOT_REVIEWED, Applied, Report
from reconciler.workflow import Checked, Connection, gather, previous
from reconciler.workflow import apply as apply_plan
from reconciler.workflow import plan as make_plan
from reconciler.workflow.planning import changed_secrets, unverifiable_secrets

_THIRD: Final = View(limit=COMMENT_CHARACTERS // 3)
_RESOLVED: Final = "resolved"
"""The code in the marker of a failure that was resolved."""

_REPORT_SECONDS: Final = 60.0
"""Seconds to report a failure after the run's deadline."""


class _NotTheTipError(StalePlanError):
    """The branch has newer files than the checkout; nothing was written."""

    code = "not-the-tip"


class _UnreviewedRotationError(NotReviewedError, code="rotation-not-reviewed"):
    """A reference or version was changed without an approved plan; the secret was not sent."""


def apply(run: Run) -> JobResult:
    """Apply the reviewed operations, and record the outcome on each pull request."""
    if isinstance(run.event, PullRequest | MergeGroup):
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run apply on pushes to the applied branch; run plan on these events",
        )
    attempted = _Attempt(run)
    try:
        return attempted.run()
    except (ReconcilerError, KeyboardInterrupt) as problem:
        return attempted.report_error(problem)


class _Attempt:
    """One attempt to apply, with the reviews, plan and report that it has so far."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._subject = run.marker(MarkerKind.PLAN)
        self._merges: reviews.Merges | None = None
        self._reviews: tuple[reviews.Merged, ...] = ()
        self._plan: Plan | None = None
        self._offered: Plan | None = None  # the plan that the next command applies by its digest
        self._report: Report | None = None
        self._findings: list[Finding] = []
        self._rotated: tuple[str, ...] = ()
        self._by_review = run.expect_digest is None and run.reviewing is not Reviewing.IGNORE
        self._next_step = "then run", run.rerun_command

    def run(self) -> JobResult:
        """Apply the plan, or raise the error that prevents it."""
        run = self._run
        if run.connect is not None or run.github is not None:
            self._read_reviews()
        checked = check(run, writing=True)
        why = files_only_reason(run)
        if why is not None:
            if self._is_set_up():
                message = f"nothing was applied: {run.key_variable} is not set"
                raise CredentialError(message, hint=why.hint)
            return files_only(checked, why, result="skipped")
        self._require_tip(checked)
        with run.connected() as connection:
            return self._apply(checked, connection)

    def _is_set_up(self) -> bool:
        """Return whether a plan was made with a key before, so that a missing key is an error.

        Before the keys are set, the run passes, and only checks the files.
        """
        run, merges = self._run, self._merges or ()
        kinds = {each.marker.kind for _, comments in merges for each in comments}
        return MarkerKind.PLAN in kinds or bool(run.expect_digest or run.earlier_label)

    def report_error(self, problem: ReconcilerError | KeyboardInterrupt) -> JobResult:
        """Report why the run ended early, with the next command."""
        if isinstance(problem, KeyboardInterrupt):
            stopped = "stopped by a signal: nothing was written"
            problem = Interrupted(stopped, signal_exit=ExitCode.SIGINT)
        if self._report is not None:  # a signal after the writes, which must be reported
            why = "a signal stopped the run before it posted the outcome on the pull request"
            self._findings.append(warning("not-reported", why, "re-run the job"))
            return self._ended(self._report)
        lead_in, command = self._next_step
        if isinstance(problem, ConfigurationError) and not isinstance(
            problem, UnresolvedSecretsError
        ):
            inputs = self._run.inputs
            options = [("--allow-secret", each) for each in inputs.allow_secrets]
            options += [("--policy", each) for each in inputs.policies]
            options += [("-f", each) for each in self._run.paths]
            words = ["webhooks", "validate", "--strict", *chain.from_iterable(options)]
            command = shlex.join(words)
        if command is not None:
            problem.hint = f"{problem.hint}; {lead_in}: {command}" if problem.hint else command
        text = markdown.render_error(problem, _THIRD)
        self._report_failure(problem.code, text, command)
        return failed(problem, self._findings, plan=self._offered or self._plan)

    def _read_reviews(self) -> None:
        try:
            self._merges = reviews.merged_reviews(self._run, self._run.branch)
        except (GitHubError, UsageError):
            if self._by_review:
                raise
            self._merges = ()
        self._reviews = self._read(self._merges)

    def _read(self, merges: reviews.Merges) -> tuple[reviews.Merged, ...]:
        return reviews.read_reviews(merges, self._subject, self._run.inputs.directory)

    def _require_tip(self, checked: Checked) -> None:
        """Raise an error if the files are not those of the branch's newest commit."""
        run, github = self._run, self._run.github
        head = (run.inputs.git(["rev-parse", "HEAD"]) or b"").decode("ascii").strip()
        if github is None or not head:
            return
        try:
            changed = github.changed_files(head, run.branch)
        except GitHubError:
            if self._by_review:
                raise
            return
        if changed is None or any(map(input_matcher(run, checked.loaded), run.relative(changed))):
            raise _NotTheTipError(
                f"this checkout of {head[:12]} does not have the newest files of {run.branch}; "
                "nothing was written",
                hint="the run for the newest commit applies the change; if it did not start, "
                "re-run this job",
            )

    def _apply(self, checked: Checked, connection: Connection) -> JobResult:
        run, api = self._run, connection.api
        self._subject, self._reviews, merged = reviews.collect(run, self._merges or (), api)
        review: Review | str | None = run.expect_digest
        options = PlanOptions(allow_deletes=run.allow_deletes, resend=run.resend)
        if self._by_review:
            review = merged if run.reviewing is Reviewing.REQUIRE else None
            options = options._replace(reviewed=merged.resends)
        before = None if run.expect_digest else self._before(checked)
        if run.reviewing is not Reviewing.REQUIRE:
            options = options._replace(previous=before)  # sends changed references
        try:
            report = apply_plan(
                checked, connection, options=options, confirm=lambda plan: True, review=review
            )
        except (StalePlanError, BlockedError, UnresolvedSecretsError) as problem:
            made = make_plan(gather(checked, connection.key), api, options=options)
            self._settle(made, frozenset(), merged, checked)
            if not isinstance(problem, UnresolvedSecretsError):
                self._rotated = self._unreviewed_rotations(before, checked, connection, made)
                unsent = {*self._rotated, *(each.webhook for each in resends(made.operations))}
                command = self._offer(checked, connection, options, unsent)
                self._next_step = "or apply this plan", command
            raise
        self._report, made = report, report.plan
        outcomes = zip(report.outcomes, made.digests, strict=True)
        applied = [found for outcome, found in outcomes if isinstance(outcome, Applied)]
        digests = frozenset(each.digest for found in applied for each in found)
        self._settle(made, digests, merged, checked)
        self._rotated = self._unreviewed_rotations(before, checked, connection, made)
        command, advice = run.rerun_command, None
        if report.needs_review or self._rotated:
            command = self._offer(checked, connection, options, self._rotated)
            advice = f"to apply the remaining plan: {command}" if self._offered else None
        if report.needs_review:
            left = plural(len(report.outcomes) - len(report.applied), "operation")
            why = f"{left} not applied for lack of a review"
            self._findings.append(warning(NOT_REVIEWED, why, advice))
        result = self._ended(report)
        if self._rotated:
            result = self._with_unsent(result, report, advice)
        if result.exit_code is ExitCode.OK:
            self._resolve_failures()
        else:
            text = markdown.render_report(report, _THIRD)
            if result.problem is not None:
                text = f"{markdown.render_error(result.problem, _THIRD)}\n{text}"
            heading = f"### Apply incomplete: `{result.reason}`"
            self._report_failure(result.reason, f"{heading}\n\n{text}", command)
        return result

    def _unreviewed_rotations(
        self, before: Desired | None, checked: Checked, connection: Connection, made: Plan
    ) -> tuple[str, ...]:
        """Return the webhooks whose secrets this push changes without an approved plan.

        CloudTruth does not show them, so no later plan contains them. `before` is the configuration
        before the push, None if it is unknown.
        """
        if not self._by_review or before is None:
            return ()
        approved = {
            (each.webhook, each.field, each.value)
            for review in self._reviews
            for each in review.resends.values()
        }
        secrets = gather(checked, connection.key).secrets
        changed = changed_secrets(before, checked.desired, unverifiable_secrets(made, secrets))
        fields = [(each.name, name, each.configuration[name]) for each, name in changed]
        return tuple(sorted({each[0] for each in fields if each not in approved}))

    def _before(self, checked: Checked) -> Desired | None:
        """Return the configuration before the push; None if it is unknown or was invalid."""
        base = self._run.base_commit
        with suppress(ConfigurationError):
            return previous((base,), checked) if base else None
        return None

    def _with_unsent(self, result: JobResult, report: Report, advice: str | None) -> JobResult:
        """Return the result of a run that did not send secrets that this push changes."""
        names = shorten([quote(each) for each in self._rotated], 3)
        problem = _UnreviewedRotationError(
            f"this push changes a reference or `version` of {names} without an approved plan, "
            "so this run did not send the secret, and no later plan shows it",
            hint=advice,
        )
        written = ExitCode.PARTIAL if report.writes else ExitCode.STALE
        problem.exit_code = report.exit_code or written
        return replace(result, result="failed", problem=problem, reason=problem.code)

    def _ended(self, report: Report) -> JobResult:
        """Return the result. It shares the list of findings, so later warnings are included."""
        result, code = "applied" if report.plan.operations else "converged", ""
        if report.exit_code is not ExitCode.OK:
            result, code = "failed", NOT_REVIEWED if report.needs_review else "apply-incomplete"
        return JobResult(
            result=result,
            findings=self._findings,
            plan=report.plan,
            report=report,
            remaining=self._offered,
            reason=code,
        )

    def _settle(
        self, made: Plan, applied: frozenset[str], review: Review, checked: Checked
    ) -> None:
        """Record the plan, what was applied, and the outcome of each review."""
        self._plan, before = made, self._reviews
        if self._by_review and made.operations:
            self._findings += reviews.unapproved(before)
            if self._run.reviewing is Reviewing.WARN:
                self._findings += reviews.unreviewed(
                    made, compare_with_review(made, review, allow_value_changes=False)
                )
        by_digest = self._run.expect_digest is not None
        self._reviews = reviews.settle(before, made, applied, checked.desired, by_digest=by_digest)
        with reporting(self._findings, "could not post the outcome on the pull request"):
            reviews.record(self._run, before, self._reviews, applied)

    def _resolve_failures(self) -> None:
        """Close the issues of resolved failures, and replace the text of comments about them."""
        github = self._run.github
        if github is None:
            return

        def resolved(posts: Iterable[Post]) -> list[Post]:
            return [
                each
                for each in posts
                if each.marker.kind is MarkerKind.FAILURE and each.marker.code != _RESOLVED
                if each.marker.same_subject(self._subject)
                # A later plan does not show an unsent secret: only an apply by digest sends it.
                if each.marker.code != _UnreviewedRotationError.code or self._run.expect_digest
            ]

        text = f"Resolved: {self._run.link} found nothing left to apply."
        with reporting(self._findings, "could not close an issue"):
            github.close_issues(resolved(github.open_issues()), text)
        with reporting(self._findings, "could not edit a comment"):
            for each in chain.from_iterable(resolved(it.comments) for it in self._reviews):
                # With this code, the next failure is a new comment, which notifies.
                marker = replace(each.marker, code=_RESOLVED)
                github.comment(each.number, marker, f"{text}\n", [each])

    def _report_failure(self, code: str, text: str, command: str | None) -> None:
        """Comment on the newest affected pull request, or open an issue: once for each code.

        An existing comment or issue is updated, which sends no notification.
        """
        github = self._run.github
        if github is None:
            return
        for each in self._findings:
            if each.rule == "no-review":
                text += f"- {markdown.code(prose(each.message))}\n"
        end = f"\nThis is not retried automatically. See {self._run.link}."
        if command is not None:
            doing = "continue" if self._offered is None else "apply the plan above"
            end += f" To {doing}:\n\n{markdown.code_block(command)}\n"
        if self._offered is not None:
            room = COMMENT_CHARACTERS - len(text) - len(end)
            view = View(limit=room, apply_options=None)
            text += "\n" + markdown.render_plan(self._offered, view)
        text += end
        code = _UnreviewedRotationError.code if self._rotated else code
        marker = replace(self._subject, kind=MarkerKind.FAILURE, code=code)
        commented = False
        github.extend_deadline(_REPORT_SECONDS)
        with reporting(self._findings, "could not comment on the pull request"):
            commented = self._commented(github, marker, text)
        if not commented:
            github.extend_deadline(_REPORT_SECONDS)
            with reporting(self._findings, "could not open or update the failure issue"):
                title = self._run.title(f"apply failed ({code})")
                github.issue(title, marker, text, find(github.open_issues(), marker))

    def _commented(self, github: GitHub, marker: Marker, text: str) -> bool:
        """Comment on the newest pull request with pending operations, else on the newest one.

        Return false if there is none.
        """
        found = self._reviews
        if self._merges is None:  # the newest merged one, without git's history
            pulls = github.merged_pulls(self._run.branch)[:1]
            merges = [(pull, github.comments(pull.number)) for pull in pulls]
            found = self._read(merges)
        for each in (*(each for each in found if each.pending), *found):
            github.comment(each.number, marker, text, find(each.comments, marker))
            return True
        return False

    def _offer(
        self,
        checked: Checked,
        connection: Connection,
        options: PlanOptions,
        unsent: Iterable[str] = (),
    ) -> str | None:
        """Return the command that applies the pending operations; None if no digest covers them.

        `self._offered` is then their plan. The command passes --resend-secret for each pending
        resend: the run's, and those of the webhooks in `unsent`, whose reviewed resends were not
        sent.
        """
        resend = tuple(sorted({*self._run.resend, *unsent}))
        options = options._replace(reviewed=(), resend=resend)
        try:
            made = make_plan(gather(checked, connection.key), connection.api, options=options)
        except (ReconcilerError, KeyboardInterrupt):  # the writes must still be reported
            return self._run.rerun_command
        if not made.digest:
            return None
        self._offered = made
        return self._run.digest_command(made, resend)
