"""Applying what was reviewed on merged pull requests, always from the tip of the branch.

Every run that ends without applying what was merged leaves a comment on the newest pull request
concerned, or an issue, with the command that leads on.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from reconciler.ci.comments import COMMENT_CHARACTERS, code_block, compose, find
from reconciler.ci.github import GitHubError
from reconciler.ci.marker import Kind
from reconciler.ci.outcome import Outcome, failed, note, planned, reported
from reconciler.ci.plan import check, files_only, mark, only_checked
from reconciler.ci.reviews import (
    Merged,
    NoReview,
    Seen,
    combined,
    look,
    record,
    settle,
    told_of,
)
from reconciler.ci.run import Access, Job, MergeGroup, PullRequest, Reviewing, Run
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
from reconciler.findings import Finding
from reconciler.model import Scheme, SecretRef
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import Review, judge
from reconciler.render import RENDERERS, View
from reconciler.render.quote import quote
from reconciler.report import NOT_REVIEWED, Applied, Report
from reconciler.source.files import DEFAULT_FILE
from reconciler.source.history import covered
from reconciler.workflow import Checked, Connection, Inputs
from reconciler.workflow import apply as carry_out
from reconciler.workflow import plan as make_plan

_MOST_DIFFERENCES = 20
_MOST_REMARKS = 10
_TELLING = 60.0
"""Seconds for telling of a failure, after the time of the run is used up."""


class NotTheTipError(StalePlanError):
    """The branch has newer files than the checkout; nothing was written."""

    code = "not-the-tip"


def apply(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Apply what was reviewed, and record on each pull request what became of its plan."""
    if isinstance(run.event, PullRequest | MergeGroup):
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run it on pushes to the branch that is applied; on these events run plan",
        )
    attempt = _Attempt(job, run, inputs, access)
    try:
        return attempt.carry_out()
    except ReconcilerError as problem:
        return attempt.failed(problem)
    except KeyboardInterrupt:
        return attempt.failed(
            Interrupted("stopped by a signal: nothing was written", signal_exit=ExitCode.SIGINT)
        )


class _Attempt:
    """One run, with what it found out so far."""

    def __init__(self, job: Job, run: Run, inputs: Inputs, access: Access) -> None:
        self._job = job
        self._run = run
        self._inputs = inputs
        self._access = access
        self._subject = mark(Kind.PLAN, job, run, inputs)
        self._seen: Seen | None = None
        self._reviews: tuple[Merged, ...] = ()
        self._plan: Plan | None = None
        self._findings: tuple[Finding, ...] = ()
        self._command: str | None = None
        self._by_review = job.expect_digest is None and job.reviewing is not Reviewing.IGNORE

    def carry_out(self) -> Outcome:
        """Apply, or raise the error that prevents it."""
        access = self._access
        if access.connect is not None or access.github is not None:
            self._look()
        checked = check(self._inputs, writing=True)
        why = only_checked(self._run, access, instead="nothing was applied")
        if why is not None:
            if any(each.left for each in self._reviews):
                raise CredentialError(why.message, hint=why.hint)
            return files_only(checked, why, result="skipped")
        self._require_tip(checked)
        assert access.connect is not None
        with access.connect() as connection:
            return self._apply(checked, connection)

    def failed(self, problem: ReconcilerError) -> Outcome:
        """Tell of an error before the first write, and return its outcome."""
        command = self._command or self._again(problem)
        if command is not None:
            way = "or apply this plan" if self._command else "then run"
            problem.hint = f"{problem.hint}; {way}: {command}" if problem.hint else command
        view = View(limit=COMMENT_CHARACTERS // 2)
        text = RENDERERS["markdown"]().render_error(problem, view)
        if isinstance(problem, StalePlanError):
            shown = (each[:500] for each in problem.differences[:_MOST_DIFFERENCES])
            text += f"\n{code_block(chr(10).join(shown), 'text')}\n"
        told = self._tell(problem.code, text, command)
        return failed(problem, (*self._findings, *told), plan=self._plan)

    def _look(self) -> None:
        try:
            self._seen = look(self._run, self._access, self._run.branch)
        except (GitHubError, UsageError):
            if self._by_review:
                raise
            self._seen = Seen()
        self._reviews = self._seen.reviews(self._subject)

    def _require_tip(self, checked: Checked) -> None:
        """Refuse to apply files that are not those of the branch's newest commit."""
        github, git = self._access.github, self._access.git
        head = (git(["rev-parse", "HEAD"]) or b"").decode("ascii").strip()
        if github is None or not head:
            return
        try:
            tip = github.tip(self._run.branch)
            changed = () if tip == head else github.changed(head, tip)
        except GitHubError:
            if self._by_review:
                raise
            return
        reads = [
            covered(each, self._access.directory) for each in self._inputs.paths or (DEFAULT_FILE,)
        ]
        named = set(checked.declared.documents) | {
            value.name
            for webhook in checked.desired.webhooks
            for value in webhook.configuration.values()
            if isinstance(value, SecretRef) and value.scheme is Scheme.FILE
        }
        prefix = (git(["rev-parse", "--show-prefix"]) or b"").decode().strip()
        if changed is not None:
            names = [each.removeprefix(prefix) for each in changed]
            if not any(each in named or any(read(each) for read in reads) for each in names):
                return
        raise NotTheTipError(
            f"{self._run.branch} has other files than this checkout of {head[:12]}; "
            "nothing was written",
            differences=(f"checked out  {head}", f"{self._run.branch}  {tip}"),
            hint="the run of the newer commit applies it; if there is none, run this one again",
        )

    def _apply(self, checked: Checked, connection: Connection) -> Outcome:
        job, api = self._job, connection.api
        organization = api.organization().id
        self._subject = replace(self._subject, organization=organization, origin=api.origin)
        self._reviews = (self._seen or Seen()).reviews(self._subject)
        merged = combined(self._reviews, origin=api.origin, organization=organization)
        review: Review | str | None = job.expect_digest
        if self._by_review and job.reviewing is Reviewing.REQUIRE:
            review = merged
        options = PlanOptions(allow_deletes=job.allow_deletes, resend=job.resend)
        if self._by_review:
            options = replace(options, reviewed=merged.resends)
        made = make_plan(checked, api, options=options, api_key=connection.key, writing=True).plan
        self._plan = made
        self._findings = self._remarks(made, merged)
        try:
            if not made.changes and not made.unapplied:
                told = self._record(made, frozenset(), checked) + self._close_issues()
                return planned("converged", made, (*self._findings, *told))
            report = carry_out(
                checked,
                connection,
                options=options,
                confirm=lambda plan: True,
                review=review,
            )
        except (StalePlanError, BlockedError) as problem:
            self._findings += self._record(made, frozenset(), checked)
            blocked = isinstance(problem, BlockedError)
            self._command = self._by_digest(made, checked, connection, options, blocked=blocked)
            raise
        return self._reported(report, checked, connection, options)

    def _reported(
        self, report: Report, checked: Checked, connection: Connection, options: PlanOptions
    ) -> Outcome:
        applied = frozenset(
            operation.digest
            for outcome, found in zip(report.outcomes, report.plan.operations, strict=True)
            if isinstance(outcome, Applied)
            for operation in found
        )
        told = self._record(report.plan, applied, checked)
        if report.exit_code is ExitCode.OK:
            told += self._close_issues()
            return reported("applied", report, (*self._findings, *told), reason="")
        code, command = "apply-incomplete", self._rerun()
        if report.needs_review:
            code = NOT_REVIEWED
            command = self._by_digest(None, checked, connection, options, blocked=False)
        view = View(limit=COMMENT_CHARACTERS // 2)
        text = RENDERERS["markdown"]().render_report(report, view)
        told += self._tell(code, f"### Not all was applied: `{code}`\n\n{text}", command)
        return reported("failed", report, (*self._findings, *told), reason=code)

    def _remarks(self, made: Plan, review: Review) -> tuple[Finding, ...]:
        """Return which pull requests approve nothing, and what is applied without a review."""
        if not self._by_review or not made.changes:
            return ()
        found = [
            note("no-review", f"pull request {each.number} approves nothing: {each.problem}")
            for place, each in enumerate(self._reviews[:_MOST_REMARKS])
            if each.problem is not None and (place == 0 or each.problem is not NoReview.NO_COMMENT)
        ]
        if self._job.reviewing is Reviewing.WARN:
            judgement = judge(made, review, values=False)
            found += [
                note("not-reviewed", f"{quote(each.name)}: applied without a review", warn=True)
                for place, each in enumerate(made.changes)
                if place not in judgement.reviewed
            ]
        return tuple(found)

    def _record(self, made: Plan, applied: frozenset[str], checked: Checked) -> tuple[Finding, ...]:
        """Record what became of the reviews. A failure of that undoes nothing."""
        after = settle(self._reviews, made, applied, checked.desired)
        before, self._reviews = self._reviews, after
        github = self._access.github
        if github is None:
            return ()
        link, clean = self._run.link, self._access.clean
        return _attempted(
            "outcome-not-commented",
            "the outcome could not be commented",
            lambda: record(github, self._subject, before, after, link, clean),
        )

    def _close_issues(self) -> tuple[Finding, ...]:
        """Close the issues of failures that are over."""
        github = self._access.github
        if github is None:
            return ()

        def close() -> None:
            for issue in github.open_issues():
                if issue.marker.kind is Kind.FAILURE and issue.marker.same_subject(self._subject):
                    text = f"Over, as {self._run.link} found: nothing is left to apply."
                    github.close_issue(issue.number, text)

        return _attempted("issue-not-closed", "an issue could not be closed", close)

    def _tell(self, code: str, text: str, command: str | None) -> tuple[Finding, ...]:
        """Comment on the newest pull request concerned, or open an issue: once for each code.

        What is there already is brought up to date, which notifies nobody.
        """
        github = self._access.github
        if github is None:
            return ()
        github.extend(_TELLING)
        text = f"{text}\nNothing more happens by itself. See {self._run.link}."
        if command is not None:
            text += f" To go on:\n\n{code_block(command)}\n"
        marker = replace(self._subject, kind=Kind.FAILURE, code=code)
        body = self._access.clean(compose(marker, text))
        problem: GitHubError | None = None
        try:
            seen = self._seen
            if seen is None:  # the newest one that was merged, whatever git knows
                pulls = github.merged_pulls(self._run.branch)[:1]
                seen = Seen(
                    pulls=pulls,
                    comments=tuple(each for pull in pulls for each in github.comments(pull.number)),
                )
            number = told_of(self._reviews or seen.reviews(self._subject))
            if number is not None:
                same = find(seen.of(number), Kind.FAILURE, marker)
                same = [each for each in same if each.marker.code == code]
                if not same:
                    github.create_comment(number, body)
                elif same[0].body != body:
                    github.edit_comment(same[0].id, body)
                return ()
        except GitHubError as first:
            problem = first
            github.extend(_TELLING)
        try:
            title = f"CloudTruth webhooks are not applied: {code}"
            for issue in github.open_issues():
                same_code = (issue.marker.kind, issue.marker.code) == (Kind.FAILURE, code)
                if same_code and issue.marker.same_subject(marker):
                    github.edit_issue(issue.number, title, body)
                    return ()
            github.open_issue(title, body)
        except GitHubError as second:
            problem = problem or second
            why = f"this could be told neither on a pull request nor in an issue: {problem.message}"
            return (note("not-told", why, hint=problem.hint, warn=True),)
        return ()

    def _again(self, problem: ReconcilerError) -> str | None:
        """Return the command that leads on from an error, None where its hint is all there is."""
        if isinstance(problem, ConfigurationError) and not isinstance(
            problem, UnresolvedSecretsError
        ):
            paths = self._inputs.paths or (DEFAULT_FILE,)
            named = " ".join(f"-f {shlex.quote(each)}" for each in paths)
            return f"webhooks validate --strict {named}"
        if isinstance(problem, StalePlanError) and not isinstance(problem, NotTheTipError):
            return None
        return self._rerun()

    def _rerun(self) -> str | None:
        run = self._run
        return f"gh run rerun {run.id} --repo {run.repository}" if run.id else None

    def _by_digest(
        self,
        made: Plan | None,
        checked: Checked,
        connection: Connection,
        options: PlanOptions,
        *,
        blocked: bool,
    ) -> str | None:
        """Return the command that applies what is pending now; None if no digest covers it.

        What reviews resend is named in it, and planned so.
        """
        found = made.changes if made is not None else ()
        again = sorted({*self._job.resend, *map(_name, resends(found))})
        if made is None or options.reviewed:
            options = replace(options, reviewed=(), resend=tuple(again))
            try:
                made = make_plan(checked, connection.api, options=options).plan
            except ReconcilerError:
                return self._rerun()
        if not made.digest:
            return None
        return by_digest(
            self._run,
            made,
            resend=again,
            allow_deletes=made.counted_deletes if blocked else self._job.allow_deletes,
        )


def _attempted(rule: str, what: str, do: Callable[[], None]) -> tuple[Finding, ...]:
    """Do what is for people only: a failure of it is a warning, as it undoes nothing."""
    try:
        do()
    except ReconcilerError as problem:
        return (note(rule, f"{what}: {problem.message}", hint=problem.hint, warn=True),)
    except (Exception, KeyboardInterrupt) as problem:
        return (note(rule, f"{what}: internal error ({type(problem).__name__})", warn=True),)
    return ()


def by_digest(
    run: Run,
    made: Plan,
    *,
    workflow: str = "",
    resend: Sequence[str] = (),
    allow_deletes: int | None = None,
) -> str:
    """Return the command that applies exactly this plan: the apply workflow, started by hand."""
    workflow = workflow or run.workflow
    if not workflow or not run.branch:
        words = ["webhooks", "apply", "--yes", "--expect-digest", made.digest]
        words += [word for each in resend for word in ("--resend-secret", each)]
        words += ["--allow-deletes", str(allow_deletes)] if allow_deletes is not None else []
        return shlex.join(words)
    words = ["gh", "workflow", "run", workflow, "--repo", run.repository, "--ref", run.branch]
    words += ["-f", f"digest={made.digest}"]
    if resend:
        words += ["-f", "resend-secret=" + "\n".join(resend)]
    if allow_deletes is not None:
        words += ["-f", f"allow-deletes={allow_deletes}"]
    return shlex.join(words)


def _name(resend: Resend) -> str:
    """Return what --resend-secret calls a resend."""
    value = resend.value
    if isinstance(value, SecretRef) and value.scheme is not Scheme.LITERAL:
        return f"{value.scheme}:{value.name}"
    return resend.webhook
