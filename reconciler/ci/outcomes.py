"""What became of each reviewed operation, in comments beside the reviews, and what to do next.

settle -> record -> conclude
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from itertools import chain
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.ci.github import GitHub, Pull
from reconciler.ci.marker import (
    MAX_COMMENT_LENGTH,
    RESOLVED,
    Marker,
    MarkerKind,
    Outcome,
    Post,
    Subject,
    find_posts,
)
from reconciler.ci.reviews import MergedReview, NotApproved, history
from reconciler.ci.run import NO_PLANS, JobResult, Run, reporting
from reconciler.errors import (
    RUN_AGAIN,
    ConfigurationError,
    ExitCode,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UsageError,
)
from reconciler.findings import Finding, plural
from reconciler.model import Desired, Value, frozen
from reconciler.planning.plan import Delete, Operation, OperationDigest, Reason, webhook_key
from reconciler.planning.resend import Resend
from reconciler.planning.review import mentions
from reconciler.planning.run import RunPlan
from reconciler.render.markdown import code, code_block
from reconciler.render.quote import prose, quote
from reconciler.render.words import shorten
from reconciler.report import Applied, Report

_MAX_RECORDED: Final = 800
"""The number of settled operations that fit into the comment of a review in progress."""

_REPORT_SECONDS: Final = 60.0
"""Seconds to report a failure after the run's deadline."""

_WebhookField = tuple[str, str]
"""A webhook by its id, or the name of a new one, and a field of its configuration."""
_IsAbout = Callable[[str | None, str], bool]
"""Whether a webhook is meant, given its id, None if it is not live, and its name."""


class UnreviewedRotationError(NotReviewedError, code="rotation-not-reviewed"):
    """A reference or version was changed without an approved plan; the secret was not sent."""


class NothingPlannedError(StalePlanError, code="nothing-planned"):
    """An expected plan may lack a resend, which no later plan shows; nothing was written."""


@frozen
class _Effects:
    """What a run did and left in an organization.

    `applied` has digests, each with whether a run applied it. `differs` returns whether a webhook
    still differs, `written` whether an apply by digest wrote it. `sent` are the fields that were
    sent, by the id of the webhook.
    """

    applied: Mapping[str, bool]
    differs: _IsAbout
    written: _IsAbout
    sent: Mapping[_WebhookField, Value | None]
    desired: Desired


def settle(
    reviews: Sequence[MergedReview], report: Report, desired: Desired, *, by_digest: bool
) -> tuple[MergedReview, ...]:
    """Return the reviews, updated with the operations that a run settled.

    `report` has the plan of all operations pending before the run. A plan that was applied
    `by_digest` includes the reviewed changes of the webhooks that it wrote, with other digests,
    and, if it was applied completely, those of a comment edited after the merge.
    """
    effects = _effects(report, desired, by_digest=by_digest)
    is_complete = by_digest and bool(report.outcomes)
    is_complete = is_complete and len(report.applied) == len(report.outcomes)
    settled: list[MergedReview] = []
    for review in reviews:
        known = dict(review.settled)
        for operation in review.pending:
            applied = _was_applied(review, operation, effects)
            if applied is not None:
                known[operation.digest] = applied
        problem = review.problem
        # What an edited comment had approved is not known, but a complete plan includes it.
        if is_complete and problem is NotApproved.EDITED:
            problem = None
        settled.append(replace(review, settled=known, problem=problem))
    return tuple(settled)


def _effects(report: Report, desired: Desired, *, by_digest: bool) -> _Effects:
    applied: dict[str, bool] = {}
    written: list[OperationDigest] = []
    left: list[OperationDigest] = []
    sent: dict[_WebhookField, Value | None] = {}
    for outcome, digests in zip(report.outcomes, report.plan.digests, strict=True):
        if not isinstance(outcome, Applied):
            left += digests
            continue
        for digest in digests:
            # No run sent a secret that was live before: it may be the old one.
            applied[digest.digest] = digest.resent is None or not outcome.already_made
        sent |= _sent(outcome.operation)
        if by_digest:
            # Only its own digest settles a resend.
            written += [digest for digest in digests if digest.resent is None]
    # A kept webhook has no operation, although its declaration is not applied.
    for kept in report.plan.kept:
        if kept.reason is not Reason.PROTECTED:
            left += [OperationDigest("", webhook.id, webhook.name) for webhook in kept.webhooks]
    return _Effects(
        applied=applied,
        differs=mentions(left),
        written=mentions(written),
        sent=sent,
        desired=desired,
    )


def _sent(operation: Operation) -> Mapping[_WebhookField, Value | None]:
    """Return the fields that an operation sent: always a whole configuration, or none of it.

    So it also sent the secret of a separately reviewed resend.
    """
    if isinstance(operation, Delete) or "configuration" not in operation.sent_fields:
        return {}
    fields = operation.after.configuration.items()
    return {(webhook_key(operation), name): value for name, value in fields}


def _was_applied(
    review: MergedReview, operation: OperationDigest, effects: _Effects
) -> bool | None:
    """Return whether a settled operation was applied, None if it is pending."""
    digest = operation.digest
    if digest in effects.applied:
        return effects.applied[digest]
    if digest in review.replaced:
        return False
    resend = review.resends.get(digest)
    if resend is None:
        # While the webhook still differs, the reviewed operation was not applied.
        webhook = operation.id, operation.name
        if effects.differs(*webhook):
            return None
        return effects.written(*webhook)
    if resend.value is not None and effects.sent.get((resend.id, resend.field)) == resend.value:
        return True
    # The files may no longer declare it: then nothing is left to send.
    return None if _declared(resend, effects.desired) == resend.value else False


def _declared(resend: Resend, desired: Desired) -> Value | None:
    """Return the declared value of a field that a review resends, None if it is not declared."""
    for webhook in desired.webhooks:
        is_named = webhook.id is None and webhook.name == resend.webhook
        if webhook.id == resend.id or is_named:
            return webhook.configuration.get(resend.field)
    return None


class Settled(NamedTuple):
    """An organization of an apply: its reviews before the run and after it, newest first.

    Both are empty if it is not concerned, which means that none of its reviews is pending.
    `live` are the secrets that were live before the run, by the id of the webhook.
    """

    subject: Subject
    before: Sequence[MergedReview] = ()
    after: Sequence[MergedReview] = ()
    by_digest: bool = False
    live: Mapping[str, str] = MappingProxyType({})


def record(run: Run, organizations: Sequence[Settled], digest: str | None) -> None:
    """Post what became of each review that changed, in one comment for each environment.

    The comment of an earlier run keeps what it says about organizations that did not change. It
    confirms the `digest` of a plan that the run applied completely, if it was one.
    """
    github = run.github
    if github is None:
        return
    pending: set[Subject] = set()
    concerned = [organization for organization in organizations if organization.before]
    # All of them have a review for each of the same pull requests.
    reviews = max((organization.before for organization in concerned), key=len, default=())
    # The oldest first: a later comment says that the earlier reviews are settled.
    for index in reversed(range(len(reviews))):
        outcomes = [
            _outcome(run, organization, index, pending, len(concerned))
            for organization in organizations
        ]
        changed = [
            organization.after[index]
            for organization, outcome in zip(organizations, outcomes, strict=True)
            if outcome.text
        ]
        pending |= {outcome.subject for outcome in outcomes if not outcome.complete}
        if changed:
            # One of them is as good as another: they are of the same pull request and setup.
            setup = changed[-1].marker._replace(digest=digest)
            _post(run, github, reviews[index].pull, setup, outcomes)


def _post(run: Run, github: GitHub, pull: Pull, setup: Marker, outcomes: Sequence[Outcome]) -> None:
    """Comment on a pull request, or edit the comment of an earlier run in this environment."""
    marker = setup._replace(kind=MarkerKind.OUTCOME, environment=run.environment)
    if not all(outcome.complete for outcome in outcomes):
        marker = marker._replace(digest=None)
    existing = find_posts(pull.comments, marker)
    if existing:
        outcomes = [_with_earlier_text(outcome, existing[0].marker) for outcome in outcomes]
    marker = marker._replace(outcomes=tuple(outcomes))
    text = _comment_text(outcomes, is_named=bool(run.environment))
    github.comment(pull.number, marker, text, existing)


def _outcome(
    run: Run, organization: Settled, index: int, pending: set[Subject], count: int
) -> Outcome:
    """Return what became of a review, with a text if it changed; `count` organizations have one.

    `pending` are the organizations with earlier reviews that are pending.
    """
    subject = organization.subject
    if not organization.before:
        return Outcome(subject)
    old, new = organization.before[index], organization.after[index]
    outcome = Outcome(subject, complete=not new.pending, earlier_settled=subject not in pending)
    if new.pending:
        # The resends first: no plan shows whether they were sent. All organizations share the room.
        settled = sorted(new.settled.items(), key=lambda pair: pair[0] not in new.resends)
        outcome = outcome._replace(settled=tuple(settled[: _MAX_RECORDED // count]))
    if old == new:
        return outcome
    text = _outcome_text(new, run.link, by_digest=organization.by_digest)
    for note, names in _unsent(old, new, organization.live).items():
        text += f" Not sent to {shorten(names, 3)}: {code(prose(note))}."
    return outcome._replace(text=text)


def _unsent(
    old: MergedReview, new: MergedReview, live: Mapping[str, str]
) -> Mapping[str, list[str]]:
    """Return the webhooks whose resends a run settled without sending them, by the reason.

    `live` are the reasons of secrets that were live before the run.
    """
    names: dict[str, list[str]] = {}
    for digest, resend in new.resends.items():
        is_settled_now = digest not in old.settled and digest in new.settled
        if is_settled_now and not new.settled[digest] and resend.id in live:
            webhooks = names.setdefault(live[resend.id], [])
            name = code(quote(resend.webhook))
            # A webhook may have several secrets.
            if name not in webhooks:
                webhooks.append(name)
    return names


def _with_earlier_text(outcome: Outcome, earlier: Marker) -> Outcome:
    """Return an outcome with the text of an earlier run, if this run did not change it."""
    # A comment has several organizations, and a later run may change only some of them.
    if not outcome.text:
        for known in earlier.outcomes:
            if known.subject.is_same(outcome.subject):
                return outcome._replace(text=known.text)
    return outcome


def _comment_text(outcomes: Sequence[Outcome], *, is_named: bool) -> str:
    """Return the comment: equal outcomes once, with their organizations.

    Only of a single organization they have no name, unless there are other environments.
    """
    texts: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.text:
            name = outcome.subject.name or outcome.subject.declared
            texts.setdefault(outcome.text, []).append(code(quote(name)))
    if len(outcomes) == 1 and not is_named:
        return "".join(f"{text}\n" for text in texts)
    return "".join(f"- {', '.join(names)}: {text}\n" for text, names in texts.items())


class _State(Enum):
    """What became of the reviewed operations of a webhook, in the order and words of a comment."""

    APPLIED = "applied"
    REPLACED = "replaced by a newer review, see its pull request"
    DONE = "no longer pending"
    LEFT = "left"


def _outcome_text(review: MergedReview, link: str, *, by_digest: bool) -> str:
    """Return the outcome of a review as text."""
    # A change and the resends of a webhook are one operation for a reader.
    webhooks: dict[tuple[str | None, str], list[str]] = {}
    for operation in review.operations:
        webhooks.setdefault((operation.id, operation.name), []).append(operation.digest)
    counts = Counter(_state(review, digests) for digests in webhooks.values())
    # Of a merge without an approved plan no operation is known.
    if counts[_State.APPLIED] or (by_digest and not counts):
        heading = f"**{'Partially applied' if counts[_State.LEFT] else 'Applied'}** by {link}"
    elif counts[_State.LEFT]:
        heading = f"**Not applied** according to {link}"
    else:
        finished = "Replaced" if counts[_State.REPLACED] else "Nothing left to apply"
        heading = f"**{finished}** according to {link}"
    total = f" of {plural(len(webhooks), 'reviewed operation')}"
    counted = [
        f"{counts[state]}{total if state is _State.APPLIED else ''} {state.value}"
        for state in _State
        if counts[state]
    ]
    how = " (this run applied a plan by its digest)" if by_digest else ""
    colon = ": " if counted else ""
    return f"{heading}{colon}{'; '.join(counted)}{how}."


def _state(review: MergedReview, digests: Collection[str]) -> _State:
    if not review.settled.keys() >= set(digests):
        return _State.LEFT
    if any(review.settled[digest] for digest in digests):
        return _State.APPLIED
    return _State.DONE if review.replaced.isdisjoint(digests) else _State.REPLACED


class Ended(NamedTuple):
    """How an apply ended, and what the report of a failure needs.

    `pulls` are the merged pull requests that were read. `pending` is the newest one with a pending
    operation. `organizations` are those of the environment, `subjects` those that failed, `sent`
    those that got another secret. `command` is the one to run next, None if there is none; if it
    applies plans by their digest, these are `offered`.
    """

    result: JobResult
    pulls: Sequence[Pull] = ()
    pending: Pull | None = None
    organizations: Sequence[Subject] = ()
    subjects: tuple[Subject, ...] = ()
    sent: Sequence[Subject] = ()
    has_rotated: bool = False
    command: str | None = None
    offered: RunPlan = NO_PLANS


def conclude(run: Run, ended: Ended) -> JobResult:
    """Report a failure with the command to run next, or that former failures are resolved."""
    ended = _with_command(run, ended)
    result = ended.result
    if run.github is None:
        return result
    if result.exit_code is ExitCode.OK:
        text = f"Resolved: {run.link} left nothing to apply."
        warnings = _resolve_failures(run, run.github, ended, text)
    else:
        warnings = _report_failure(run, run.github, ended)
    return replace(result, findings=[*result.findings, *warnings])


def _with_command(run: Run, ended: Ended) -> Ended:
    """Return the end with the command to run next, and add it to the hint of each problem."""
    result, command = ended.result, ended.command
    problems = _problems(result)
    lead = "then run"
    # A re-run of the same commit cannot fix its files.
    invalid = _invalid(problems)
    if invalid:
        command, lead = _validate_command(run), "to check, run"
    # What has a hint, such as a renamed file, is solved by that: a check of the files is not.
    if any(problem.hint for problem in invalid):
        command = None
    if ended.offered.plans:
        # After the merge no pull request is left in which a new plan could be reviewed.
        lead = "open a new pull request, or apply this plan"
    if command is None:
        return ended._replace(command=None)
    for problem in dict.fromkeys(problems):
        # On GitHub no user typed a command that could be run again.
        hint = problem.hint or ""
        if RUN_AGAIN in hint and not ended.offered.plans:
            problem.hint = hint.replace(RUN_AGAIN, f"run: {command}")
        else:
            problem.hint = f"{hint}; {lead}: {command}" if hint else command
    return ended._replace(command=command)


def _invalid(problems: Iterable[ReconcilerError]) -> list[ReconcilerError]:
    """Return the problems of the files; that of an input gets a hint."""
    invalid = [problem for problem in problems if problem.code == ConfigurationError.code]
    for problem in invalid:
        if any(finding.rule == "unknown-resend" for finding in problem.findings):
            problem.hint = "start a new run with the right `resend-secret`"
    return invalid


def _problems(result: JobResult) -> list[ReconcilerError]:
    """Return the problems of the run and of its organizations, whether or not it shows them."""
    failed = [result.problem]
    if result.report is not None:
        failed += [organization.problem for organization in result.report.organizations]
    return [problem for problem in failed if problem is not None]


def _validate_command(run: Run) -> str:
    """Return the command that checks the files with the settings of the workflow."""
    options = [("--allow-secret", reference) for reference in run.inputs.allow_secrets]
    options += [("--policy", path) for path in run.inputs.policies]
    options += [("-f", path) for path in run.paths]
    return shlex.join(["webhooks", "validate", "--strict", *chain.from_iterable(options)])


def _resolve_failures(
    run: Run, github: GitHub, ended: Ended, text: str, *, kept: Collection[str] = ()
) -> list[Finding]:
    """Close the issues of resolved failures, and replace the text of comments about them.

    Those with the codes `kept` stay.
    """
    warnings: list[Finding] = []

    def is_resolved(post: Post) -> bool:
        return post.marker.code not in kept and _is_resolved(run, post, ended)

    with reporting(warnings, "could not close an issue"):
        issues = github.open_issues()
        not_run = [issue for issue in issues if run.is_not_run(issue, "apply")]
        resolved = [issue for issue in issues if is_resolved(issue)]
        github.close_issues([*resolved, *not_run], text)
    with reporting(warnings, "could not edit a comment"):
        for post in chain.from_iterable(pull.comments for pull in ended.pulls):
            if is_resolved(post):
                # With this code, the next failure is a new comment, which notifies.
                marker = post.marker._replace(code=RESOLVED)
                github.comment(post.number, marker, f"{text}\n", [post])
    return warnings


def _is_resolved(run: Run, post: Post, ended: Ended) -> bool:
    """Return whether this run resolves or replaces the failure that a comment or issue reports.

    Also one of another environment, if all of its failed organizations have moved to this one.
    """
    if not run.is_failure(post):
        return False
    if post.marker.environment != run.environment and not _all_in(post, ended.organizations):
        return False
    if post.marker.code != UnreviewedRotationError.code:
        return True
    # A later plan does not show an unsent secret: nothing left to apply does not mean that it was.
    # The failure does not name the webhooks; only a run that was given its plan sends all of them.
    return run.expect_digest is not None and _all_in(post, ended.sent)


def _all_in(post: Post, organizations: Sequence[Subject]) -> bool:
    """Return whether the organizations of a failure are known, and all among these."""
    failed = post.marker.subjects
    return bool(failed) and all(any(map(subject.is_same, organizations)) for subject in failed)


def _report_failure(run: Run, github: GitHub, ended: Ended) -> list[Finding]:
    """Comment on the newest pull request with pending operations, else on the newest one.

    If there is none, or it cannot be commented on, open an issue: once for each code. An existing
    comment or issue is updated, which sends no notification.
    """
    warnings: list[Finding] = []
    reason = ended.result.reason
    if ended.has_rotated:
        reason = UnreviewedRotationError.code
    marker = run.marker(MarkerKind.FAILURE)._replace(code=reason, subjects=ended.subjects)
    text = _failure_text(run, ended)
    # A run with a report lists whatever is left, so an earlier reason and its command are outdated.
    if ended.result.report is not None:
        replaced = f"Replaced: {run.link} failed for another reason, `{reason}`."
        kept = (reason, UnreviewedRotationError.code)
        warnings += _resolve_failures(run, github, ended, replaced, kept=kept)
    # The deadline of the run may be what failed.
    github.extend_deadline(_REPORT_SECONDS)
    with reporting(warnings, "could not comment on the pull request"):
        pull = ended.pending or next(iter(ended.pulls), None) or _newest_merged(run, github)
        if pull is not None:
            github.comment(pull.number, marker, text, find_posts(pull.comments, marker))
            return warnings
    github.extend_deadline(_REPORT_SECONDS)
    with reporting(warnings, "could not open or update the failure issue"):
        title = run.title(f"apply failed ({reason})")
        github.issue(title, marker, text, find_posts(github.open_issues(), marker))
    return warnings


def _failure_text(run: Run, ended: Ended) -> str:
    """Return why nothing or not everything was applied, and what to do next, as Markdown."""
    result = ended.result
    head = "" if result.problems else f"### Failed: `{result.reason}`\n\n"
    end = f"\nThis is not retried automatically. See {run.link}."
    if ended.command is not None:
        doing = "continue"
        if ended.offered.plans:
            doing = "apply the plan above"
        elif result.reason == ConfigurationError.code:
            doing = "check"
        end += f" To {doing}:\n\n{code_block(ended.command)}\n"
    # The command must be complete: the report gets what room is left.
    room = MAX_COMMENT_LENGTH - len(head) - len(end)
    text = result.render("markdown", room)
    if ended.command is not None:
        text = text.replace(ended.command, "the command below")
    return head + text + end


def _newest_merged(run: Run, github: GitHub) -> Pull | None:
    """Return the newest merged pull request with its comments, if possible of this checkout."""
    pulls, _ = github.merged_pulls(run.branch)
    commits: Collection[str] = ()
    # Without the history, a comment on the newest one is better than none.
    with suppress(UsageError):
        commits = history(run)
    contained = [pull for pull in pulls if pull.merge_commit in commits]
    for pull in contained or pulls:
        return pull._replace(comments=github.comments(pull.number))
    return None
