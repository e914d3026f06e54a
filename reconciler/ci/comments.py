"""Comments and issues of this workflow: one for each subject, or several where a plan is long.

A plan in several comments approves nothing while it is incomplete: the first is invalidated first
and completed last. The oldest comment of a subject is part 1, the next one part 2, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci.github import GitHub, Post
from reconciler.ci.marker import Kind, Marker, encode
from reconciler.ci.run import Run
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


def find(posts: Sequence[Post], marker: Marker) -> Sequence[Post]:
    """Return the comments or issues of a marker's kind about its subject.

    Of failures only those with the same code. Where the organization tells comments apart, those
    of exactly that organization go before those where one side does not know it.
    """
    same = [
        each
        for each in posts
        if each.marker.kind is marker.kind and each.marker.same_subject(marker)
        if marker.kind is not Kind.FAILURE or each.marker.code == marker.code
    ]
    exact = [each for each in same if each.marker.organization == marker.organization]
    if marker.label or exact or not same:
        return same if marker.label else exact
    return [each for each in same if each.marker.organization == same[0].marker.organization]


def put(
    github: GitHub,
    number: int,
    found: Sequence[Post],
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
        updating = clean(compose(empty, _UPDATING))
        github.comment(number, updating, found[0] if found else None)
        found = find(github.comments(number), empty)
        for index, body in enumerate(others, start=1):
            github.comment(number, body, found[index] if index < len(found) else None)
    github.comment(number, first, found[0] if found else None)


def keep_issue(
    run: Run, github: GitHub, mine: Sequence[Post], marker: Marker, title: str, text: str
) -> None:
    """Open an issue, or bring the first of `mine` up to date if more than its run differs."""
    body = run.clean(compose(marker, text))
    old = mine[0] if mine else None
    if old is None or _but_for_the_run(old.body, old.marker) != _but_for_the_run(body, marker):
        github.issue(title, body, old)


def _but_for_the_run(body: str, marker: Marker) -> str:
    return body.replace(marker.run, "") if marker.run else body


def code_block(text: str, language: str = "sh") -> str:
    """Return text, by default commands, as a block that nothing in it can close."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def inline(text: str) -> str:
    """Return untrusted text as inline code."""
    return f"`{quote(text).replace('`', chr(39))}`"
