"""Comments on pull requests: one for each subject, or several where a plan is long.

A plan in several comments approves nothing while it is incomplete: the first is invalidated first
and completed last. The oldest comment of a subject is part 1, the next one part 2, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci.github import Comment, GitHub
from reconciler.ci.marker import Kind, Marker, encode
from reconciler.render.quote import quote

COMMENT_CHARACTERS: Final = 60_000
"""A comment or issue may have 65,536 characters; the rest is room for what GitHub adds."""

MOST_PARTS: Final = 10
"""A plan is shown in at most so many comments."""

_UPDATING: Final = "_This plan is being updated. It approves nothing until that is done._\n"
_UNNEEDED: Final = "_This part of the plan is no longer needed._\n"


def compose(marker: Marker, text: str) -> str:
    """Return the body of a comment or issue."""
    return f"{encode(marker)}\n{text}"


def find(comments: Sequence[Comment], kind: Kind, subject: Marker) -> Sequence[Comment]:
    """Return the comments of a kind about a subject.

    Where the organization tells comments apart, those of exactly that organization go before
    those where one side does not know it.
    """
    same = [each for each in comments if each.marker.kind is kind]
    same = [each for each in same if each.marker.same_subject(subject)]
    exact = [each for each in same if each.marker.organization == subject.organization]
    if subject.label or exact or not same:
        return same if subject.label else exact
    return [each for each in same if each.marker.organization == same[0].marker.organization]


def put(
    github: GitHub,
    number: int,
    found: Sequence[Comment],
    parts: Sequence[tuple[Marker, str]],
    clean: Callable[[str], str],
) -> None:
    """Turn `found`, the existing comments, into `parts`; create those that are missing.

    `clean` removes secrets.
    """
    empty = replace(parts[0][0], digest=None, part=1, total=1, operations=(), resends=())
    surplus = [(empty, _UNNEEDED)] * (len(found) - len(parts))
    first, *others = (clean(compose(*each)) for each in (*parts, *surplus))
    if others and [each.body for each in found[1:]] != others:
        # While the others change, the first one must not vouch for them.
        _write(github, number, found[0] if found else None, clean(compose(empty, _UPDATING)))
        found = find(github.comments(number), Kind.PLAN, empty)
        for index, body in enumerate(others, start=1):
            _write(github, number, found[index] if index < len(found) else None, body)
    _write(github, number, found[0] if found else None, first)


def code_block(text: str, language: str = "sh") -> str:
    """Return text, by default commands, as a block that nothing in it can close."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def inline(text: str) -> str:
    """Return untrusted text as inline code."""
    return f"`{quote(text).replace('`', chr(39))}`"


def _write(github: GitHub, number: int, comment: Comment | None, body: str) -> None:
    if comment is None:
        github.create_comment(number, body)
    elif comment.body != body:
        github.edit_comment(comment.id, body)
