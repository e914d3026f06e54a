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
from reconciler.planning.plan import Plan
from reconciler.planning.resend import Resend, resends
from reconciler.planning.run import RunPlan
from reconciler.render import View
from reconciler.render.markdown import Members, code, paged_run, render_error
from reconciler.render.quote import quote

_MAX_PARTS: Final = 10
"""The maximum number of comments for a plan."""

_UPDATING: Final = "_Updating this plan. Merging applies nothing until the update is complete._\n"
_UNNEEDED: Final = "_This part of the plan is no longer needed._\n"


def parts_of(
    result: RunPlan, run: Run, pull: Pull, declared: Sequence[Subject]
) -> list[tuple[Marker, str]]:
    """Return the comments for the plans, each with its operations."""
    subjects = [
        subject
        if plan is None
        else Subject(plan.origin, plan.organization.id, plan.organization.name, subject.declared)
        for subject, plan in zip(
            declared, (each.value for each in result.organizations), strict=True
        )
    ]
    marker = run.marker(MarkerKind.PLAN)._replace(
        digest=result.digest, part=_MAX_PARTS, total=_MAX_PARTS, subjects=tuple(subjects)
    )
    foot = f"Commit {pull.head[:12]} · [run]({run.url})"

    def marker_for(members: Members) -> Marker:
        return marker._replace(
            operations=tuple(
                shown
                for number, place in members
                for shown in _shown(subjects[number], result.organizations[number].value, place)
            ),
        )

    empty_size = len(encode(marker))
    if run.applied_branch not in ("", pull.branch):
        marker = marker._replace(digest=None)
        here, there = code(quote(pull.branch)), code(quote(run.applied_branch))
        foot = f"This pull request targets {here}, but only {there} is applied. {foot}"
    elif any(plan.blocked for plan in result.plans):
        where = " in a blocked organization" if len(result.plans) > 1 else ""
        way = "After a merge, apply comments with the command that allows this plan once."
        foot = f"Until this is fixed, merging applies nothing{where}. {way} {foot}"
    elif result.digest:
        foot = f"Merging applies exactly the changes shown here and rejects any others. {foot}"
    elif any(plan.operations for plan in result.plans):
        foot = f"Merging does not send these secrets: increment their `version`. {foot}"
    pages = paged_run(
        result,
        limit=COMMENT_CHARACTERS - empty_size,
        max_pages=_MAX_PARTS,
        extra=lambda members: len(encode(marker_for(members))) - empty_size,
        foot=foot,
    )
    return [
        (marker_for(members)._replace(part=number, total=len(pages)), text)
        for number, (text, members) in enumerate(pages, start=1)
    ]


def _shown(subject: Subject, plan: Plan | None, place: int) -> list[ShownOperation]:
    """Return the digests of the operation at index `place`."""
    if plan is None:
        return []
    resent = dict(_resends(plan, place))
    return [
        ShownOperation(subject, digest, resent.get(digest.digest)) for digest in plan.digests[place]
    ]


def _resends(made: Plan, place: int) -> Sequence[tuple[str, Resend]]:
    """Return the resends of the operation at index `place`, each with its digest."""
    sent = resends((made.operations[place],))
    # They are the last digests of an operation, in this order.
    digests = [each.digest for each in made.digests[place]]
    return list(zip(digests[len(digests) - len(sent) :], sent, strict=True))


def invalidate(run: Run, problem: ReconcilerError) -> list[Finding]:
    """Invalidate the plan of an earlier commit, because this commit has no plan.

    If that fails, return a warning, so that the original problem is still reported.
    """
    pull = run.pull
    if pull is None or run.no_secrets_reason is not None:
        return []
    text = render_error(problem, View(limit=COMMENT_CHARACTERS // 2))
    text += f"\nMerging applies nothing. Commit {pull.head[:12]} · [run]({run.url})\n"
    findings = list[Finding]()
    with reporting(findings, "could not edit the comment"):
        findings += comment(run, pull, [(run.marker(MarkerKind.PLAN), text)], create=False)
    return findings


def comment(
    run: Run, pull: Pull, parts: list[tuple[Marker, str]], *, create: bool
) -> list[Finding]:
    """Write the comments, or return the reason for not changing them."""
    if run.commenting == "false":
        return []
    message = "there is no GitHub token to comment with"
    github = run.require_github(message, "set comment to false")
    found = find(github.comments(pull.number), parts[0][0])
    if found or create or run.commenting == "true":
        now = github.pull(pull.number)
        if not now.is_open or now.head != pull.head:
            why = "the pull request is closed or has a newer commit, so its plan is not changed"
            return [note("review-frozen", why)]
        write_comments(github, pull.number, found, parts)
    return []


def write_comments(
    github: GitHub, number: int, found: Sequence[Post], parts: Sequence[tuple[Marker, str]]
) -> None:
    """Replace the text of the comments in `found` with `parts`; create missing comments."""
    empty = parts[0][0]._replace(digest=None, part=1, total=1, operations=())
    others = [*parts[1:], *[(empty, _UNNEEDED)] * (len(found) - len(parts))]
    if others and [each.body for each in found[1:]] != [github.body(*each) for each in others]:
        # While the other comments change, the first one must not approve them.
        github.comment(number, empty, _UPDATING, found)
        found = find(github.comments(number), empty)
        for index, (marker, text) in enumerate(others, start=1):
            github.comment(number, marker, text, found[index:])
    github.comment(number, *parts[0], found)
