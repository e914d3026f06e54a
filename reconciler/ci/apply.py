"""Apply the reviewed operations of merged pull requests, always from the tip of the branch.

If merged changes are not applied, the run comments on the newest affected pull request, or opens an
issue, with the command to run next.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Final

from reconciler.ci import reviews
from reconciler.ci.github import GitHub, GitHubError, Pull
from reconciler.ci.marker import COMMENT_CHARACTERS, MarkerKind, Post, find
from reconciler.ci.matrix import input_matcher
from reconciler.ci.plan import check, files_only
from reconciler.ci.run import JobResult, Run, reporting
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
from reconciler.ports import WebhookReader
from reconciler.render.markdown import code_block
from reconciler.render.quote import quote
from reconciler.render.words import plural, shorten
from reconciler.report import Applied, Report, Skipped
from reconciler.workflow import Checked, Connection, Gathered, gather, previous
from reconciler.workflow import apply as apply_plan
from reconciler.workflow import plan as make_plan
from reconciler.workflow.planning import changed_fields

_RESOLVED: Final = "resolved"
"""The code in the marker of a failure that was resolved."""

_REPORT_SECONDS: Final = 60.0
"""Seconds to report a failure after the run's deadline."""


class _NotTheTipError(StalePlanError, code="not-the-tip"):
    """The branch has newer files than the checkout; nothing was written."""


class _UnreviewedRotationError(NotReviewedError, code="rotation-not-reviewed"):
    """A reference or version was changed without an approved plan; the secret was not sent."""


def apply(run: Run) -> JobResult:
    """Apply the reviewed operations, and record the outcome on each pull request."""
    if run.pull is not None or run.merge_queue is not None:
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run apply on pushes to the applied branch; run plan on these events",
        )
    attempt = _Attempt(run)
    try:
        return attempt.run()
    except (ReconcilerError, KeyboardInterrupt) as problem:
        return attempt.stopped(problem)


class _Attempt:
    """One attempt to apply, with what it has found so far, which is also reported after an error.

    `_merged` are the merged pull requests, `_pulls` the newest of them with their comments, as far
    as they could be read. `_command` is the command to run next, None if there is none. If it
    applies a plan by its digest, that plan is `_offered`.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._by_review = run.expect_digest is None and run.reviewing != "ignore"
        # An apply without a review continues without GitHub.
        self._ignored = () if self._by_review else (GitHubError, UsageError)
        self._merged: Sequence[Pull] = ()
        self._pulls: Sequence[Pull] = ()
        self._subject = run.marker(MarkerKind.PLAN)
        self._reviews: tuple[reviews.Merged, ...] = ()
        self._rotated: tuple[str, ...] = ()
        self._plan: Plan | None = None
        self._offered: Plan | None = None
        self._command = run.rerun_command
        self._report: Report | None = None
        self._findings: list[Finding] = []

    def run(self) -> JobResult:
        """Apply the plan, or raise the error that prevents it."""
        run = self._run
        if run.missing_key is None or run.github is not None:
            with suppress(*self._ignored):
                self._merged = reviews.merged_pulls(run, run.branch)
                self._pulls = reviews.with_comments(run, self._merged, [self._subject])
            self._reviews = reviews.read_reviews(run, self._pulls, self._subject)
        checked = check(run, writing=True)
        if (why := run.files_only_reason) is not None:
            # Before the keys are set, the run only checks the files. Later it needs them.
            posts = chain.from_iterable(each.comments for each in self._pulls)
            was_planned = any(each.marker.kind is MarkerKind.PLAN for each in posts)
            if was_planned or run.expect_digest or run.earlier_label:
                message = f"nothing was applied: {run.missing_key} is not set"
                raise CredentialError(message, hint=why.hint)
            return files_only(checked, why, status="skipped")
        with suppress(*self._ignored):
            self._require_tip(checked)
        with run.connect() as connection:
            self._apply(checked, connection)
            return self._published(self._result())

    def stopped(self, problem: ReconcilerError | KeyboardInterrupt) -> JobResult:
        """Report why the run failed, with the next command."""
        if isinstance(problem, KeyboardInterrupt):
            message = "stopped by a signal: nothing was written"
            problem = Interrupted(message, signal_exit=ExitCode.SIGINT)
        if self._report is not None and not isinstance(problem, NotReviewedError):
            # A signal after the writes, which must be reported.
            why = "a signal stopped the run before it posted the outcome on the pull request"
            self._findings.append(warning("not-reported", why, "re-run the job"))
            return self._result()
        if problem.code == ConfigurationError.code:
            inputs = self._run.inputs
            options = [("--allow-secret", each) for each in inputs.allow_secrets]
            options += [("--policy", each) for each in inputs.policies]
            options += [("-f", each) for each in self._run.paths]
            words = ["webhooks", "validate", "--strict", *chain.from_iterable(options)]
            self._command = shlex.join(words)
        if self._command is not None:
            lead_in = "then run" if self._offered is None else "or apply this plan"
            lead_in = f"{problem.hint}; {lead_in}: " if problem.hint else ""
            problem.hint = f"{lead_in}{self._command}"
        return self._published(self._result(problem))

    def _require_tip(self, checked: Checked) -> None:
        """Raise an error if the files are not those of the branch's newest commit."""
        run = self._run
        head = (run.inputs.git(["rev-parse", "HEAD"]) or b"").decode("ascii").strip()
        if run.github is None or not head:
            return
        changed = run.github.changed_files(head, run.branch)
        if changed is None or any(map(input_matcher(run, checked.loaded), run.relative(changed))):
            raise _NotTheTipError(
                f"this checkout of {head[:12]} does not have the newest files of {run.branch}; "
                "nothing was written",
                hint="the run for the newest commit applies the change; if it did not start, "
                "re-run this job",
            )

    def _apply(self, checked: Checked, connection: Connection) -> None:
        """Apply the reviewed operations. Raises NotReviewedError if others are left."""
        run, api = self._run, connection.api
        self._subject = reviews.subject_of(run, api)
        pulls: Sequence[Pull] = ()
        with suppress(*self._ignored):
            # Outcomes for another organization may have ended the search too early.
            pulls = reviews.with_comments(run, self._merged, [self._subject], self._pulls)
            self._pulls = pulls
        self._reviews, merged = reviews.collect(run, pulls, self._subject)
        gathered = gather(checked, connection.key, writing=True)
        before = None
        if run.base_commit and not run.expect_digest:
            with suppress(ConfigurationError):  # it is unknown or was invalid
                before = previous((run.base_commit,), checked)
        is_required = run.reviewing == "require"
        options = PlanOptions(
            allow_deletes=run.allow_deletes,
            resend=run.resend,
            reviewed=merged.resends if self._by_review else (),
            previous=None if is_required else before,  # sends changed references
        )
        refused: ReconcilerError | None = None
        try:
            report = self._report = apply_plan(
                checked,
                connection,
                options=options,
                confirm=lambda plan: True,
                review=run.expect_digest or (merged if is_required else None),
            )
        except (StalePlanError, BlockedError, UnresolvedSecretsError) as problem:
            refused, made = problem, make_plan(gathered, api, options=options)
            skip = partial(Skipped, code=problem.code, message=problem.message)
            skipped = tuple(skip(operation=each) for each in made.operations)
            report = Report(plan=made, outcomes=skipped)
        self._plan = report.plan
        self._settle(report, merged, checked.desired)
        if not isinstance(refused, UnresolvedSecretsError):
            self._rotated = self._unreviewed_rotations(before, gathered, report.plan)
            # The rest of an apply by digest that broke off has another digest.
            broke_off = run.expect_digest is not None and not report.complete
            if refused is not None or report.needs_review or self._rotated or broke_off:
                rest = (it.operation for it in report.outcomes if not isinstance(it, Applied))
                unsent = {*self._rotated, *(each.webhook for each in resends(rest))}
                self._offer(gathered, api, options, unsent)
        if refused is not None:
            raise refused
        if self._rotated or report.needs_review:
            raise self._not_reviewed(report)

    def _settle(self, report: Report, review: Review, desired: Desired) -> None:
        """Record and post the outcome of each review."""
        made, before = report.plan, self._reviews
        if self._by_review and made.operations:
            self._findings += reviews.unapproved(before)
            if self._run.reviewing == "warn":
                comparison = compare_with_review(made, review, allow_value_changes=False)
                self._findings += reviews.unreviewed(made, comparison)
        self._reviews = reviews.settle(self._run, before, report, desired)
        with reporting(self._findings, "could not post the outcome on the pull request"):
            reviews.record(self._run, before, self._reviews, report)

    def _unreviewed_rotations(
        self, before: Desired | None, gathered: Gathered, made: Plan
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
        found = {
            webhook.name
            for webhook, name in changed_fields(before, gathered, made)
            if (webhook.name, name, webhook.configuration[name]) not in approved
        }
        return tuple(sorted(found))

    def _offer(
        self, gathered: Gathered, api: WebhookReader, options: PlanOptions, unsent: Iterable[str]
    ) -> None:
        """Plan the pending operations, for a command that applies them by their digest.

        The command passes --resend-secret for each pending resend: the run's, and those of the
        webhooks in `unsent`, whose resends were not sent.
        """
        resend = tuple(sorted({*self._run.resend, *unsent}))
        with suppress(ReconcilerError, KeyboardInterrupt):  # the writes must still be reported
            made = make_plan(gathered, api, options=options._replace(reviewed=(), resend=resend))
            self._command = self._run.digest_command(made, resend)
            self._offered = made if self._command is not None else None

    def _not_reviewed(self, report: Report) -> NotReviewedError:
        """Return why a run fails that applied all reviewed operations."""
        if self._rotated:
            names = shorten([quote(each) for each in self._rotated], 3)
            problem: NotReviewedError = _UnreviewedRotationError(
                f"this push changes a reference or `version` of {names} without an approved plan, "
                "so this run did not send the secret, and no later plan shows it",
                hint="increment its `version` in a pull request",
            )
        else:
            left = plural(len(report.outcomes) - len(report.applied), "operation")
            message, hint = f"{left} not applied for lack of a review", "have the rest reviewed"
            problem = NotReviewedError(message, hint=hint)
        written = ExitCode.PARTIAL if report.writes else ExitCode.STALE
        problem.exit_code = report.exit_code or written
        return problem

    def _result(self, problem: ReconcilerError | None = None) -> JobResult:
        return JobResult(
            problem=problem,
            findings=self._findings,  # shared: later warnings are included
            plan=self._offered or self._plan if self._report is None else self._report.plan,
            report=self._report,
            remaining=self._offered,
        )

    def _published(self, result: JobResult) -> JobResult:
        """Report a failure, or mark earlier ones as resolved. Return the result."""
        github = self._run.github
        if github is not None and result.exit_code is ExitCode.OK:
            self._resolve_failures(github)
        elif github is not None:
            self._report_failure(github, result)
        return result

    def _resolve_failures(self, github: GitHub) -> None:
        """Close the issues of resolved failures, and replace the text of comments about them."""

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
            issues = github.open_issues()
            not_run = [issue for issue in issues if self._run.is_not_run(issue, "apply")]
            github.close_issues([*resolved(issues), *not_run], text)
        with reporting(self._findings, "could not edit a comment"):
            for each in chain.from_iterable(resolved(it.comments) for it in self._pulls):
                # With this code, the next failure is a new comment, which notifies.
                marker = each.marker._replace(code=_RESOLVED)
                github.comment(each.number, marker, f"{text}\n", [each])

    def _report_failure(self, github: GitHub, result: JobResult) -> None:
        """Comment on the newest pull request with pending operations, else on the newest one.

        If there is none, or it cannot be commented on, open an issue: once for each code. An
        existing comment or issue is updated, which sends no notification.
        """
        code = _UnreviewedRotationError.code if self._rotated else result.reason
        marker = self._subject._replace(kind=MarkerKind.FAILURE, code=code)
        text = self._failure_text(result)
        github.extend_deadline(_REPORT_SECONDS)
        with reporting(self._findings, "could not comment on the pull request"):
            found = [each.pull for each in self._reviews if each.pending] or self._pulls
            if not found:  # for example, without git's history
                newest = github.merged_pulls(self._run.branch)[:1]
                found = [each._replace(comments=github.comments(each.number)) for each in newest]
            for each in found[:1]:
                github.comment(each.number, marker, text, find(each.comments, marker))
                return
        github.extend_deadline(_REPORT_SECONDS)
        with reporting(self._findings, "could not open or update the failure issue"):
            title = self._run.title(f"apply failed ({code})")
            github.issue(title, marker, text, find(github.open_issues(), marker))

    def _failure_text(self, result: JobResult) -> str:
        """Return why nothing or not everything was applied, and what to do next, as Markdown."""
        head = "" if result.problem is not None else f"### Failed: `{result.reason}`\n\n"
        end = f"\nThis is not retried automatically. See {self._run.link}."
        if self._command is not None:
            doing = "continue" if self._offered is None else "apply the plan above"
            end += f" To {doing}:\n\n{code_block(self._command)}\n"
        room = COMMENT_CHARACTERS - len(head) - len(end)
        return head + result.render("markdown", room) + end
