"""The marker: a hidden first line of a comment or issue, the only part that later runs read.

It identifies the subject of the text and the operations in it. A line that is not exactly what
`encode` writes is not a marker, and a comment without a marker is not a review. The marker keeps
plan and apply consistent; it is not a security boundary: anyone who can edit comments can edit it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from reconciler.planning.document import plain
from reconciler.planning.plan import OperationDigest, Plan
from reconciler.planning.resend import Resend
from reconciler.planning.review import read_resend

COMMENT_CHARACTERS: Final = 60_000
"""The maximum length of a comment or issue. GitHub allows 65,536 characters."""

_FORMAT: Final = 3
_LINE: Final = re.compile(r"<!-- cloudtruth-webhooks (\{[^\r\n]*\}) -->")


class MarkerKind(StrEnum):
    """The kind of a comment or issue."""

    PLAN = "plan"  # the plan of a pull request, or one part of it
    OUTCOME = "outcome"  # the outcome of a pull request's plan
    FAILURE = "failure"  # why a run did not apply what was merged
    DRIFT = "drift"  # the drift issue


class Marker(NamedTuple):
    """The metadata of a comment or issue.

    If `label` is empty, `organization` (an id) and `file` identify the subject; each is empty while
    it is not known.

    For a plan: `digest` is None if no plan was made and empty if it has no operations; comment
    `part` of `total` shows `operations`, and `resends` are the secrets that are resent, by digest.
    For an outcome: `settled` has the digests of operations that are no longer pending, each with
    whether a run applied it; `complete` means that none is left, `earlier_settled` that none is
    left of the pull requests merged before. `code` is the code of a failure. `failing` has the
    webhooks whose deliveries fail, by id, with the time of the first failure.
    """

    kind: MarkerKind
    label: str = ""
    file: str = ""
    organization: str = ""
    origin: str = ""
    digest: str | None = None
    part: int = 1
    total: int = 1
    operations: tuple[OperationDigest, ...] = ()
    resends: tuple[tuple[str, Resend], ...] = ()
    settled: tuple[tuple[str, bool], ...] = ()
    complete: bool = False
    earlier_settled: bool = False
    code: str = ""
    failing: tuple[tuple[str, str], ...] = ()

    def same_subject(self, other: Marker) -> bool:
        """Return whether both are about the same webhooks.

        Without a label, an unset organization matches any organization: a plan that failed before
        the organization was known replaces the comment of an earlier plan.
        """
        if self.label or other.label:
            return self.label == other.label
        known = {self.organization, other.organization} - {""}
        return self.file == other.file and len(known) <= 1

    def for_plan(self, plan: Plan) -> Marker:
        """Return the marker with the plan's organization, origin and digest."""
        return self._replace(
            organization=plan.organization.id, origin=plan.origin, digest=plan.digest
        )


class Post(NamedTuple):
    """A comment of this workflow on issue or pull request `number`, or an open issue itself.

    `id` is the id of the comment, 0 for an issue. `updated` is the time of the last edit. Only an
    issue has a `title`.
    """

    number: int
    id: int
    body: str
    marker: Marker
    updated: str
    title: str = ""


NOT_RUN: Final = Marker(kind=MarkerKind.FAILURE, code="not-run")
"""The marker in webhooks.yml: a job failed before its command started. The title has the label."""


def find(posts: Sequence[Post], marker: Marker) -> Sequence[Post]:
    """Return the comments or issues of a marker's kind about its subject.

    For failures, only those with the same code. Without a label, only those of the marker's
    organization or, if no match has it, those of the organization of the oldest match.
    """
    same = [
        each
        for each in posts
        if (each.marker.kind, each.marker.code) == (marker.kind, marker.code)
        if each.marker.same_subject(marker)
    ]
    known = [each.marker.organization for each in same]
    mine = marker.organization if marker.organization in known else next(iter(known), "")
    return [each for each in same if marker.label or each.marker.organization == mine]


def encode(marker: Marker) -> str:
    """Return the marker's line, without a line break and without default values.

    It cannot end its HTML comment early, and cannot mention a user.
    """
    defaults, values = Marker._field_defaults, marker._asdict()
    changed = {name: each for name, each in values.items() if each != defaults.get(name)}
    content: dict[str, Any] = {"v": _FORMAT, **changed}
    if marker.resends:
        content["resends"] = [(digest, plain(each)) for digest, each in marker.resends]
    text = json.dumps(content, separators=(",", ":"))
    text = re.sub(r"[<>&@#\x7f]|(?<=-)-", lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"<!-- cloudtruth-webhooks {text} -->"


def decode(body: str) -> Marker | None:
    """Return the marker in the first line of `body`; None if there is no valid one."""
    line = body.split("\n", 1)[0].rstrip("\r")
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        content = json.loads(match[1])
        del content["v"]
        found = Marker(**{name: _READ.get(name, str)(value) for name, value in content.items()})
        return found if encode(found) == line else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": MarkerKind,
    "part": int,
    "total": int,
    "operations": lambda rows: tuple(
        OperationDigest(digest=str(digest), id=id_ and str(id_), name=str(name))
        for digest, id_, name in rows
    ),
    "resends": lambda rows: tuple((str(digest), read_resend(tree)) for digest, tree in rows),
    "settled": lambda rows: tuple((str(digest), bool(applied)) for digest, applied in rows),
    "complete": bool,
    "earlier_settled": bool,
    "failing": lambda rows: tuple((str(id_), str(since)) for id_, since in rows),
}
"""Converters for marker fields. `decode` re-encodes the result: a changed value does not match."""
