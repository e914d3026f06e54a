"""The pull requests behind a push: found with their plan comments, and told what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from reconciler.ci import sticky
from reconciler.ci.event import Push
from reconciler.ci.github import Comment, GitHub, GitHubError
from reconciler.ci.job import Access, Run
from reconciler.ci.marker import Marker
from reconciler.ci.outcome import note
from reconciler.errors import UsageError
from reconciler.findings import Finding

MOST_COMMITS: Final = 250
"""Of a push so many commits are looked up, the last ones."""

Reviewed: TypeAlias = tuple[tuple[int, Comment | None], ...]
"""Each merged pull request, and its plan comment if it has one."""


def find_reviews(run: Run, access: Access, *, subject: Marker, needed: bool) -> Reviewed:
    """Find the pull requests that the push merged, and what each of them showed.

    Where that is not `needed` it is for telling them only, and may fail.
    """
    if access.github is None:
        if needed:
            raise UsageError(
                "there is no GitHub token to find the reviewed plans with",
                hint="pass github-token, or give the digest of the plan in expect-digest",
            )
        return ()
    try:
        return _merged(run, access.github, subject=subject)
    except GitHubError:
        if needed:
            raise
        return ()


def tell(access: Access, reviewed: Reviewed, status: str) -> Sequence[Finding]:
    """Say on the pull requests what became of their plans. That it fails undoes nothing."""
    comments = [found for _, found in reviewed if found is not None]
    try:
        for comment in comments:
            assert access.github is not None
            text = sticky.with_status(comment.body, access.clean(status))
            access.github.edit_comment(comment.id, text)
    except GitHubError as problem:
        why = f"the comments could not be edited: {problem.message}"
        return (note("comment-not-edited", why, hint=problem.hint, warn=True),)
    except Exception as problem:
        why = f"the comments could not be edited: internal error ({type(problem).__name__})"
        return (note("comment-not-edited", why, warn=True),)
    return ()


def _merged(run: Run, github: GitHub, *, subject: Marker) -> Reviewed:
    push = run.event if isinstance(run.event, Push) else None
    commits = push.commits if push is not None else (run.commit,)
    branch = push.branch if push is not None else run.branch
    numbers: dict[int, None] = {}
    for commit in commits[-MOST_COMMITS:]:
        numbers.update(dict.fromkeys(github.merged_pulls(commit, branch=branch)))
    return tuple((number, sticky.find(github, number, subject)) for number in numbers)
