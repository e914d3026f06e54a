"""The marker: a hidden first line of a comment or issue, the only part that later runs read.

It identifies the subject of the text and the operations in it. A line whose content is not
exactly what `encode` writes is not a marker, and a comment without a marker is not a review. The
marker keeps plan and apply consistent; it is not a security boundary: anyone who can edit comments
can edit it.

The fields are JSON. The lists are compressed, because most of their texts occur many times: a
rotation in 60 organizations has the same 30 names in each of them.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from reconciler.planning.plan import OperationDigest
from reconciler.planning.resend import Resend, read_resend
from reconciler.planning.review import operation_digest
from reconciler.planning.tree import plain

MAX_BODY: Final = 65_536
"""GitHub's maximum number of characters in a comment or issue."""
MAX_COMMENT_LENGTH: Final = MAX_BODY - 1_536
"""The maximum length of a text for one. The label above it needs some of the rest."""

_FORMAT: Final = 5
_LINE: Final = re.compile(r"<!-- cloudtruth-webhooks (\{[^\r\n]*\}) ?([A-Za-z0-9+/=]*) -->")
_MALFORMED: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    zlib.error,
)
"""What reading the content of another line may raise."""
_MAX_UNPACKED: Final = 10_000_000
"""The maximum size of the lists of a marker in bytes."""


class MarkerKind(StrEnum):
    """The kind of a comment or issue."""

    PLAN = "plan"  # the plan of a pull request, or one part of it
    OUTCOME = "outcome"  # the outcome of a pull request's plan
    FAILURE = "failure"  # why a run did not apply what was merged
    DRIFT = "drift"  # the drift issue


class Subject(NamedTuple):
    """An organization: its server, id and name, and the name or id that the files declare.

    Each is empty while it is not known: the first three until the key is used, and if that fails.
    """

    origin: str = ""
    id: str = ""
    name: str = ""
    declared: str = ""

    def is_same(self, other: Subject) -> bool:
        """Return whether both are the same organization, as far as that is known."""
        if self.id and other.id:
            return (self.id, self.origin) == (other.id, other.origin)
        return self.declared == other.declared or not self._names.isdisjoint(other._names)

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(filter(None, (self.id, self.name, self.declared)))


class ShownOperation(NamedTuple):
    """An operation that a comment shows; `resend` if the digest is about the resend of a field."""

    subject: Subject
    digest: OperationDigest
    resend: Resend | None = None


class Outcome(NamedTuple):
    """What became of the plan of a pull request in one organization; `text` is the result.

    `complete` means that no operation is pending, `earlier_settled` that none is pending of the
    pull requests merged before. Otherwise `settled` has the digests of operations that are no
    longer pending, each with whether a run applied it.
    """

    subject: Subject
    text: str = ""
    complete: bool = True
    earlier_settled: bool = True
    settled: tuple[tuple[str, bool], ...] = ()


class Marker(NamedTuple):
    """The metadata of a comment or issue.

    It names its setup: `label`, or without one the paths of the configuration; outcomes and
    failures belong to one GitHub `environment`, too, if there are several.

    For a plan: `digest` is None if no plan was made and empty if it has no operations; comment
    `part` of `total` shows `operations`; `subjects` are the organizations that were planned, and
    those without an id could not be; `head` is the commit. For a failure: `code`, the `subjects`
    that it concerns, as `operations` the webhooks whose secrets were not sent, and as `head` the
    commit before the push if the run did not find out which secrets it has to send. For an outcome:
    `outcomes`. `failing` has the webhooks whose deliveries fail, by id, with the time of the first
    failure.
    """

    kind: MarkerKind
    label: str = ""
    file: str = ""
    environment: str = ""
    digest: str | None = None
    part: int = 1
    total: int = 1
    subjects: tuple[Subject, ...] = ()
    operations: tuple[ShownOperation, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    code: str = ""
    failing: tuple[tuple[str, str], ...] = ()
    head: str = ""

    @property
    def setup(self) -> str:
        """Return what identifies the setup, in any of its environments."""
        return self.label or f"\n{self.file}"

    def is_same_setup(self, other: Marker) -> bool:
        """Return whether both are about the same setup and environment."""
        return (self.setup, self.environment) == (other.setup, other.environment)


class Post(NamedTuple):
    """A comment or issue of this workflow.

    `number` is that of its issue or pull request, `id` its own. Only issues have a `title`.
    """

    number: int
    id: int
    body: str
    marker: Marker
    updated: str
    title: str = ""

    @property
    def text(self) -> str:
        """Return the text below the marker and its label."""
        _, _, text = self.body.partition("\n")
        return text.removeprefix(heading(self.marker))


RESOLVED: Final = "resolved"
"""The code in the marker of a failure that was resolved, and of a plan in a replaced comment."""

NOT_RUN: Final = Marker(kind=MarkerKind.FAILURE, code="not-run")
"""The marker in webhooks.yml: a job failed before its command started. The title names it."""


def heading(marker: Marker) -> str:
    """Return the label of a setup above a text, if it has one."""
    return f"**`{marker.label}`**\n\n" if marker.label else ""


def find_posts(posts: Sequence[Post], marker: Marker) -> Sequence[Post]:
    """Return the posts whose kind, code and setup are those of `marker`."""
    kind = marker.kind, marker.code
    return [
        post
        for post in posts
        if (post.marker.kind, post.marker.code) == kind and post.marker.is_same_setup(marker)
    ]


def encode(marker: Marker, clean: Callable[[str], str] = str) -> str:
    """Return the marker's line, without a line break and without default values.

    It cannot end its HTML comment early, and cannot mention a user. `clean` removes secrets.
    """
    # Nothing finds a secret in the packed text.
    fields, lists = map(clean, _content(marker))
    packed = ""
    if lists:
        packed = f" {b64encode(zlib.compress(lists.encode(), 9)).decode()}"
    return f"<!-- cloudtruth-webhooks {fields}{packed} -->"


def decode(body: str) -> Marker | None:
    """Return the marker in the first line of `body`; None if there is no valid one."""
    # A comment that was edited in a browser has CRLF.
    line = body.split("\n", 1)[0].rstrip("\r")
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        # An edited marker could have a text of any length.
        unpacked = zlib.decompressobj().decompress(b64decode(match[2]), _MAX_UNPACKED)
        content = match[1], unpacked.decode()
        marker = _read(*content)
        # A value that was changed is not encoded in the same way. The packed text may differ: each
        # version of zlib has its own.
        return marker if _content(marker) == content else None
    # Anyone can write a comment: whatever is wrong with its first line, it is no marker.
    except _MALFORMED:
        return None


def _content(marker: Marker) -> tuple[str, str]:
    """Return the fields of a marker as JSON, and its lists, empty if all of them are."""
    # Columns of equal texts are short when they are packed.
    operations = [*zip(*map(_row, marker.operations), strict=True)]
    lists = [marker.subjects, operations, marker.outcomes, marker.failing]
    fields = {"v": _FORMAT}
    for name, value in marker._asdict().items():
        if not isinstance(value, tuple) and value != Marker._field_defaults.get(name):
            fields[name] = value
    text = _json(fields)
    text = re.sub(r"[<>&@#\x7f]|(?<=-)-", lambda match: f"\\u{ord(match[0]):04x}", text)
    return text, _json(lists) if any(lists) else ""


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _row(shown: ShownOperation) -> list[Any]:
    """Return an operation as plain data."""
    resend = None
    if shown.resend is not None:
        resend = plain(shown.resend)
        del resend["id"]  # that of the operation
    digest = shown.digest
    return [*shown.subject, digest.content, digest.id, digest.name, resend]


def _read(fields: str, lists: str) -> Marker:
    """Return the marker with this content.

    Other JSON than that of `_content` raises any of the exceptions that `decode` catches.
    """
    values = json.loads(fields)
    # Not compared: with another version, the content is not the one that `_content` returns.
    del values["v"]
    readers: dict[str, Callable[[Any], Any]] = {
        "kind": MarkerKind,
        "part": int,
        "total": int,
        "head": _commit,
    }
    marker = Marker(**{name: readers.get(name, str)(value) for name, value in values.items()})
    if not lists:
        return marker
    subjects, operations, outcomes, failing = json.loads(lists)
    return marker._replace(
        subjects=tuple(map(_subject, subjects)),
        operations=tuple(map(_operation, zip(*operations, strict=True))),
        outcomes=tuple(map(_outcome, outcomes)),
        failing=tuple((str(id_), str(time)) for id_, time in failing),
    )


def _commit(text: str) -> str:
    """Return the id of a commit. Raises ValueError for another text, which git could misread."""
    if not re.fullmatch(r"[0-9a-f]+", text):
        raise ValueError("not a commit")
    return text


def _subject(row: Iterable[Any]) -> Subject:
    return Subject(*map(str, row))


def _operation(row: Iterable[Any]) -> ShownOperation:
    *subject, content, id_, name, tree = row
    if id_ is not None:
        id_ = str(id_)
    digest = operation_digest(str(content), id_, str(name))
    resend = tree and read_resend({**tree, "id": id_ or ""})
    return ShownOperation(_subject(subject), digest, resend)


def _outcome(row: Iterable[Any]) -> Outcome:
    subject, text, complete, earlier, pairs = row
    settled = tuple((str(digest), bool(applied)) for digest, applied in pairs)
    return Outcome(_subject(subject), str(text), bool(complete), bool(earlier), settled)
