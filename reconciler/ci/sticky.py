"""One comment for one subject on one pull request, edited when there is more to say.

Its first line is the marker, then comes a status (what became of the plan, if something did), then
the plan. The oldest comment of a subject is the one; should two runs have written one each at the
same time, the younger is emptied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconciler.ci.github import Comment, GitHub, GitHubError
from reconciler.ci.limits import COMMENT_CHARACTERS, cut_characters
from reconciler.ci.marker import Marker, encode

_STATUS: Final = "<!-- status -->"
_STATUS_CHARACTERS: Final = 2_000
_STATUS_END: Final = "<!-- /status -->"
_CUT: Final = "_Cut to fit: the run's summary has more._"
_REPLACED: Final = "_This plan is replaced by an older comment that is kept up to date._\n"


def compose(marker: Marker, text: str) -> str:
    """Return a comment's body within GitHub's limit; the marker is always whole."""
    return f"{encode(marker)}\n{cut_characters(text, room(marker), notice=_CUT)}"


def room(marker: Marker) -> int:
    """Return how many characters a text may have beside the marker and a later status."""
    return COMMENT_CHARACTERS - len(encode(marker)) - _STATUS_CHARACTERS


def with_status(body: str, status: str) -> str:
    """Return `body` with `status`, a line or a few, above the plan in place of the one before."""
    line, _, rest = body.partition("\n")
    rest = rest.replace("\r\n", "\n")
    if rest.startswith(_STATUS):
        _, end, after = rest.partition(f"{_STATUS_END}\n")
        rest = (after if end else rest.removeprefix(_STATUS)).lstrip("\n")
    text = f"{_STATUS}\n\n{status.strip()}\n\n{_STATUS_END}\n\n{rest}"
    return f"{line}\n{cut_characters(text, COMMENT_CHARACTERS - len(line) - 1, notice=_CUT)}"


def find(github: GitHub, number: int, subject: Marker) -> Comment | None:
    """Return the comment about `subject` on a pull request, None if there is none."""
    return next(iter(_matching(github.comments(number), subject)), None)


def put(github: GitHub, number: int, marker: Marker, text: str, *, create: bool) -> bool:
    """Write the comment about the marker's subject; say whether there is one now.

    Without `create` an existing comment is edited and none is begun.
    """
    body = compose(marker, text)
    found = _matching(github.comments(number), marker)
    if found:
        if found[0].body != body:
            github.edit_comment(found[0].id, body)
        for surplus in found[1:]:
            github.edit_comment(surplus.id, _REPLACED)
        return True
    if not create:
        return False
    try:
        github.create_comment(number, body)
    except GitHubError as problem:
        if not problem.ambiguous or find(github, number, marker) is None:
            raise
    return True


def _matching(comments: Sequence[Comment], subject: Marker) -> Sequence[Comment]:
    """Return the comments of a subject: one, or several that were written at the same time.

    Where the organization tells comments apart, one of exactly that organization goes before one
    in which either side does not know it.
    """
    same = [each for each in comments if each.marker.same_subject(subject)]
    exact = [each for each in same if each.marker.organization == subject.organization]
    return same if subject.label else exact or same[:1]
