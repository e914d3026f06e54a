"""The plan of a pull request as comments.

A plan that spans several comments counts as reviewed only once all of them are written: the first
comment is invalidated first and completed last. The oldest comment of a subject is part 1, the next
one part 2, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconciler.ci.github import GitHub, Pull
from reconciler.ci.marker import (
    COMMENT_CHARACTERS,
    Marker,
    MarkerKind,
    Post,
    ShownOperation,
    Subject,
    encode,
    find,
)
from reconciler.ci.run import Run, reporting
from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, note
from reconciler.planning.plan import Plan, RunPlan
from reconciler.planning.review import Resend, resends
from reconciler.render import View
from reconciler.render.markdown import Members, code, paged_run, render_error
from reconciler.render.quote import quote

_MAX_PARTS: Final = 10
"""The maximum number of comments for a plan."""

_UPDATING: Final = "_Updating this plan. Merging applies nothing until the update is complete._\n"
_UNNEEDED: Final = "_This part of the plan is no longer needed._\n"


def parts_of(
    result: RunPlan, run: Run, pull: Pull, subjects: Sequence[Subject]
) -> list[tuple[Marker, str]]:
    """Return the comments for the plans, each with its operations."""
    # Measured with the largest numbers, so that no marker is longer than expected.
    marker = run.marker(MarkerKind.PLAN)._replace(
        digest=result.digest, part=_MAX_PARTS, total=_MAX_PARTS, subjects=tuple(subjects)
    )
    empty_size = len(encode(marker))
    # Nothing applies the other branch, so the comment must approve nothing.
    if run.applied_branch not in ("", pull.branch):
        marker = marker._replace(digest=None)

    def marker_for(members: Members) -> Marker:
        operations: list[ShownOperation] = []
        for number, index in members:
            plan = result.organizations[number].value
            assert plan is not None
            operations += _shown(subjects[number], plan, index)
        return marker._replace(operations=tuple(operations))

    pages = paged_run(
        result,
        limit=COMMENT_CHARACTERS - empty_size,
        max_pages=_MAX_PARTS,
        extra=lambda members: len(encode(marker_for(members))) - empty_size,
        foot=_foot(result, run, pull),
    )
    return [
        (marker_for(members)._replace(part=number, total=len(pages)), text)
        for number, (text, members) in enumerate(pages, start=1)
    ]


def _foot(result: RunPlan, run: Run, pull: Pull) -> str:
    """Return what merging the pull request does, and where the plan comes from."""
    effect = ""
    if run.applied_branch not in ("", pull.branch):
        branch, applied = code(quote(pull.branch)), code(quote(run.applied_branch))
        effect = f"This pull request targets {branch}, but only {applied} is applied. "
    elif any(plan.blocked for plan in result.plans):
        where = " in a blocked organization" if len(result.plans) > 1 else ""
        effect = f"Until this is fixed, merging applies nothing{where}. "
        effect += "After a merge, apply comments with the command that allows this plan once. "
    elif result.digest:
        effect = "Merging applies exactly the changes shown here and rejects any others. "
    # Operations without a digest differ only in values of secrets, which no review covers.
    elif any(plan.operations for plan in result.plans):
        effect = "Merging does not send these secrets: increment their `version`. "
    return f"{effect}Commit {pull.head[:12]} · [run]({run.url})"


def _shown(subject: Subject, plan: Plan, index: int) -> list[ShownOperation]:
    """Return the digests of an operation; the last ones are those of its resends."""
    digests = plan.digests[index]
    resent = resends((plan.operations[index],))
    by_digest: list[Resend | None] = [*[None] * (len(digests) - len(resent)), *resent]
    return [
        ShownOperation(subject, digest, resend)
        for digest, resend in zip(digests, by_digest, strict=True)
    ]


def invalidate(run: Run, problem: ReconcilerError) -> list[Finding]:
    """Invalidate the plan of an earlier commit, because this commit has no plan.

    If that fails, return a warning, so that the original problem is still reported.
    """
    pull = run.pull
    # Without secrets the token is read-only, too, and cannot edit a comment.
    if pull is None or run.no_secrets_reason is not None:
        return []
    text = render_error(problem, View(limit=COMMENT_CHARACTERS // 2))
    text += f"\nMerging applies nothing. Commit {pull.head[:12]} · [run]({run.url})\n"
    findings = list[Finding]()
    with reporting(findings, "could not edit the comment"):
        # A marker without a digest approves nothing.
        findings += comment(run, pull, [(run.marker(MarkerKind.PLAN), text)], create=False)
    return findings


def comment(
    run: Run, pull: Pull, parts: list[tuple[Marker, str]], *, create: bool
) -> list[Finding]:
    """Write the comments, or return the reason for not changing them."""
    if run.commenting == "false":
        return []
    # Without a comment nothing would be reviewed, which must not go unnoticed.
    message = "there is no GitHub token to comment with"
    github = run.require_github(message, "set comment to false")
    existing = find(github.comments(pull.number), parts[0][0])
    if existing or create or run.commenting == "true":
        # The event is from the start of the job; the merge freezes the plan.
        now = github.pull(pull.number)
        # A run for an older commit must not replace the plan of a newer one.
        if not now.is_open or now.head != pull.head:
            why = "the pull request is closed or has a newer commit, so its plan is not changed"
            return [note("review-frozen", why)]
        write_comments(github, pull.number, existing, parts)
    return []


def write_comments(
    github: GitHub, number: int, existing: Sequence[Post], parts: Sequence[tuple[Marker, str]]
) -> None:
    """Replace the text of the existing comments with `parts`; create missing comments."""
    empty = parts[0][0]._replace(digest=None, part=1, total=1, operations=())
    others = [*parts[1:], *[(empty, _UNNEEDED)] * (len(existing) - len(parts))]
    bodies = [github.body(marker, text) for marker, text in others]
    if others and [post.body for post in existing[1:]] != bodies:
        # While the other comments change, the first one must not approve them.
        existing = [github.comment(number, empty, _UPDATING, existing), *existing[1:]]
        for index, (marker, text) in enumerate(others, start=1):
            github.comment(number, marker, text, existing[index:])
    github.comment(number, *parts[0], existing)
