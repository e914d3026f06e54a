"""Apply the reviewed operations of merged pull requests, always from the tip of the branch.

If merged changes are not applied, the run comments on the newest affected pull request, or opens an
issue, with the command to run next.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci import reviews
from reconciler.ci.github import GitHub, GitHubError
from reconciler.ci.marker import COMMENT_CHARACTERS, Marker, MarkerKind, find
from reconciler.ci.matrix import files_of
from reconciler.ci.outcome import Outcome, attempt, failed, planned, reported
from reconciler.ci.plan import check, files_only, only_checked
from reconciler.ci.run import MergeGroup, PullRequest, Reviewing, Run
from reconciler.errors import (
    BlockedError,
    ConfigurationError,
    CredentialError,
    ExitCode,
    Interrupted,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.findings import Finding, note, warning
from reconciler.model import Scheme, SecretRef
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import Review, judge
from reconciler.render import RENDERERS, View
from reconciler.render.markdown import code_block
from reconciler.render.quote import quote
from reconciler.report import NOT_REVIEWED, Applied, Report
from reconciler.source.files import covered
from reconciler.workflow import Checked, Connection, gather
from reconciler.workflow import apply as apply_plan
from reconciler.workflow import plan as make_plan

_MOST_DIFFERENCES: Final = 20
_MOST_NOTES: Final = 10
_HALF: Final = View(limit=COMMENT_CHARACTERS // 2)
_REPORT_SECONDS: Final = 60.0
"""Seconds to report a failure after the run's deadline."""


class _NotTheTipError(StalePlanError):
    """The branch has newer files than the checkout; nothing was written."""

    code = "not-the-tip"


def apply(run: Run) -> Outcome:
    """Apply the reviewed operations, and record the outcome on each pull request."""
    if isinstance(run.event, PullRequest | MergeGroup):
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run apply on pushes to the applied branch; run plan on these events",
        )
    attempted = _Attempt(run)
    try:
        return attempted.carry_out()
    except ReconcilerError as problem:
        return attempted.give_up(problem)
    except KeyboardInterrupt:
        stopped = "stopped by a signal: nothing was written"
        return attempted.give_up(Interrupted(stopped, signal_exit=ExitCode.SIGINT))


class _Attempt:
    """One run and its state."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._subject = run.marker(MarkerKind.PLAN)
        self._merges: reviews.Merges | None = None
        self._reviews: tuple[reviews.Merged, ...] = ()
        self._plan: Plan | None = None
        self._findings: list[Finding] = []
        self._by_review = run.expect_digest is None and run.reviewing is not Reviewing.IGNORE

    def carry_out(self) -> Outcome:
        """Apply, or raise the error that prevents it."""
        run = self._run
        if run.connect is not None or run.github is not None:
            self._read_reviews()
        checked = check(run, writing=True)
        why = only_checked(run, instead="nothing was applied")
        if why is not None:
            if any(each.left for each in self._reviews):
                raise CredentialError(why.message, hint=why.hint)
            return files_only(checked, why, result="skipped")
        self._require_tip(checked)
        with run.connected() as connection:
            return self._apply(checked, connection)

    def give_up(self, problem: ReconcilerError, by_digest: str | None = None) -> Outcome:
        """Report an error raised before the first write, with the next command.

        `by_digest` is the command that applies the plan as it is now.
        """
        command = by_digest or self._again(problem)
        if command is not None:
            way = "or apply this plan" if by_digest else "then run"
            problem.hint = f"{problem.hint}; {way}: {command}" if problem.hint else command
        text = RENDERERS["markdown"]().render_error(problem, _HALF)
        if isinstance(problem, StalePlanError):
            shown = (each[:500] for each in problem.differences[:_MOST_DIFFERENCES])
            text += f"\n{code_block(chr(10).join(shown), 'text')}\n"
        self._report_failure(problem.code, text, command)
        return failed(problem, self._findings, plan=self._plan)

    def _again(self, problem: ReconcilerError) -> str | None:
        """Return the command to run after an error, None if there is only a hint."""
        if isinstance(problem, ConfigurationError) and not isinstance(
            problem, UnresolvedSecretsError
        ):
            named = " ".join(f"-f {shlex.quote(each)}" for each in self._run.paths)
            return f"webhooks validate --strict {named}"
        if isinstance(problem, StalePlanError) and not isinstance(problem, _NotTheTipError):
            return None
        return self._run.again

    def _read_reviews(self) -> None:
        try:
            self._merges = reviews.merged_reviews(self._run, self._run.branch)
        except (GitHubError, UsageError):
            if self._by_review:
                raise
            self._merges = ()
        self._reviews = reviews.read_reviews(self._merges, self._subject)

    def _require_tip(self, checked: Checked) -> None:
        """Raise an error if the files are not those of the branch's newest commit."""
        run, git = self._run, self._run.inputs.git
        head = (git(["rev-parse", "HEAD"]) or b"").decode("ascii").strip()
        if run.github is None or not head:
            return
        try:
            tip = run.github.tip(run.branch)
            changed = () if tip == head else run.github.changed(head, tip)
        except GitHubError:
            if self._by_review:
                raise
            return
        named = files_of(checked.declared)
        reads = [named.__contains__, *(covered(each, run.inputs.directory) for each in run.paths)]
        if changed is not None:
            names = run.relative(changed)
            if not any(read(each) for each in names for read in reads):
                return
        raise _NotTheTipError(
            f"{run.branch} and this checkout of {head[:12]} have different files; nothing "
            "was written",
            differences=(f"checked out  {head}", f"{run.branch}  {tip}"),
            hint="the newer commit's run applies the change; if there is none, re-run this job",
        )

    def _apply(self, checked: Checked, connection: Connection) -> Outcome:
        run, api = self._run, connection.api
        organization = api.organization().id
        self._subject = replace(self._subject, organization=organization, origin=api.origin)
        self._reviews = reviews.read_reviews(self._merges or (), self._subject)
        merged = reviews.combined(self._reviews, self._subject)
        review: Review | str | None = run.expect_digest
        if self._by_review and run.reviewing is Reviewing.REQUIRE:
            review = merged
        options = PlanOptions(allow_deletes=run.allow_deletes, resend=run.resend)
        if self._by_review:
            options = replace(options, reviewed=merged.resends)
        try:
            report = apply_plan(
                checked, connection, options=options, confirm=lambda plan: True, review=review
            )
        except (StalePlanError, BlockedError, UnresolvedSecretsError) as problem:
            made = make_plan(gather(checked, connection.key), api, options=options)
            self._settle(made, frozenset(), merged, checked)
            command = None
            if not isinstance(problem, UnresolvedSecretsError):
                unsent = resends(made.operations)
                command = self._by_digest(checked, connection, options, unsent=unsent)
            return self.give_up(problem, command)
        made = report.plan
        self._settle(made, _applied(report), merged, checked)
        if report.exit_code is ExitCode.OK:
            self._close_issues()
            if not made.operations:
                return planned("converged", made, self._findings, run.options())
            return reported(report, self._findings, reason="")
        code, command = "apply-incomplete", run.again
        if report.needs_review:
            code, command = NOT_REVIEWED, self._by_digest(checked, connection, options)
        text = RENDERERS["markdown"]().render_report(report, _HALF)
        self._report_failure(code, f"### Apply incomplete: `{code}`\n\n{text}", command)
        return reported(report, self._findings, reason=code)

    def _settle(
        self, made: Plan, applied: frozenset[str], review: Review, checked: Checked
    ) -> None:
        """Record the plan, what was applied, and the outcome of each review."""
        self._plan, before = made, self._reviews
        self._findings += self._notes(made, review)
        self._reviews = reviews.settle(before, made, applied, checked.desired)
        github, link = self._run.github, self._run.link
        if github is not None:
            what = "could not post the outcome on the pull request"
            with attempt(self._findings, "outcome-not-commented", what):
                reviews.record(github, link, self._subject, before, self._reviews)

    def _notes(self, made: Plan, review: Review) -> list[Finding]:
        """Return findings for pull requests that approve nothing and for unreviewed operations."""
        if not self._by_review or not made.operations:
            return []
        found = [
            note("no-review", f"pull request {each.number} has no approved plan: {each.problem}")
            for place, each in enumerate(self._reviews[:_MOST_NOTES])
            if each.problem is not None
            and (place == 0 or each.problem is not reviews.NoReview.NO_COMMENT)
        ]
        if self._run.reviewing is Reviewing.WARN:
            judgment = judge(made, review, values=False)
            found += [
                warning("not-reviewed", f"{quote(each.name)}: applied without a review")
                for place, each in enumerate(made.operations)
                if place not in judgment.reviewed
            ]
        return found

    def _close_issues(self) -> None:
        """Close the issues of resolved failures."""
        github, link = self._run.github, self._run.link
        if github is None:
            return
        with attempt(self._findings, "issue-not-closed", "could not close an issue"):
            for issue in github.open_issues():
                if issue.marker.kind is MarkerKind.FAILURE and issue.marker.same_subject(
                    self._subject
                ):
                    text = f"Resolved: {link} found nothing left to apply."
                    github.close_issue(issue.number, text)

    def _report_failure(self, code: str, text: str, command: str | None) -> None:
        """Comment on the newest affected pull request, or open an issue: once for each code.

        An existing comment or issue is updated, which sends no notification.
        """
        github = self._run.github
        if github is None:
            return
        text = f"{text}\nThis is not retried automatically. See {self._run.link}."
        if command is not None:
            text += f" To continue:\n\n{code_block(command)}\n"
        marker = replace(self._subject, kind=MarkerKind.FAILURE, code=code)
        what = "could not report this on a pull request or in an issue"
        with attempt(self._findings, "failure-not-reported", what):
            problem = None
            github.extend(_REPORT_SECONDS)
            try:
                if self._commented(github, marker, text):
                    return
            except GitHubError as first:
                problem = first
                github.extend(_REPORT_SECONDS)
            try:
                title = self._run.title(f"the files are not applied ({code})")
                github.issue(title, marker, text, find(github.open_issues(), marker))
            except GitHubError as second:
                raise problem or second from None

    def _commented(self, github: GitHub, marker: Marker, text: str) -> bool:
        """Comment on the newest unsettled pull request, if any."""
        found = self._reviews
        if self._merges is None:  # the newest merged one, without git's history
            pulls = github.merged_pulls(self._run.branch)[:1]
            merges = [(pull, github.comments(pull.number)) for pull in pulls]
            found = reviews.read_reviews(merges, self._subject)
        for each in (*(each for each in found if each.left), *found):
            old = next(iter(find(each.comments, marker)), None)
            github.comment(each.number, marker, text, old)
            return True
        return False

    def _by_digest(
        self,
        checked: Checked,
        connection: Connection,
        options: PlanOptions,
        *,
        unsent: Sequence[Resend] = (),
    ) -> str | None:
        """Return the command that applies the pending operations; None if no digest covers them.

        It passes --resend-secret for each pending resend: the run's, and those of reviews that
        were not sent.
        """
        again = sorted({*self._run.resend, *map(_name, unsent)})
        options = replace(options, reviewed=(), resend=tuple(again))
        try:
            made = make_plan(gather(checked), connection.api, options=options)
        except (ReconcilerError, KeyboardInterrupt):  # the writes must still be reported
            return self._run.again
        return by_digest(self._run, made, resend=again) if made.digest else None


def _applied(report: Report) -> frozenset[str]:
    """Return the digests of what a run applied."""
    outcomes = zip(report.outcomes, report.plan.digests, strict=True)
    return frozenset(
        each.digest for outcome, found in outcomes if isinstance(outcome, Applied) for each in found
    )


def by_digest(run: Run, made: Plan, *, workflow: str = "", resend: Sequence[str] = ()) -> str:
    """Return the command that starts the apply workflow by hand for exactly this plan.

    It includes the number of deletes, if a guard blocks the plan.
    """
    workflow = workflow or run.workflow
    allowed = made.counted_deletes if made.blocked else run.allow_deletes
    if not workflow or not run.branch:
        words = ["webhooks", "apply", "--yes", "--expect-digest", made.digest]
        return shlex.join([*words, *run.options(resend, allowed)])
    given = [f"digest={made.digest}"]
    given += [f"organization={run.label}"] if run.label else []
    given += ["resend-secret=" + "\n".join(resend)] if resend else []
    given += [f"allow-deletes={allowed}"] if allowed is not None else []
    words = ["gh", "workflow", "run", workflow, "--repo", run.repository, "--ref", run.branch]
    return shlex.join(words + [word for each in given for word in ("-f", each)])


def _name(resend: Resend) -> str:
    """Return the value of --resend-secret for a resend."""
    value = resend.value
    if isinstance(value, SecretRef) and value.scheme is not Scheme.LITERAL:
        return f"{value.scheme}:{value.name}"
    return resend.webhook
