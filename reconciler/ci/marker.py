"""The marker: a hidden first line of a comment or issue, the only part that later runs read.

It identifies the subject of the text and the operations in it. A line that is not exactly what
`encode` writes is not a marker, and a comment without a marker is not a review. The marker keeps
plan and apply consistent; it is not a security boundary: anyone who can edit comments can edit it.

Most texts of a marker occur many times: a rotation in 60 organizations has the same 30 names in
each of them. So rows contain the index of a text in one table, and equal operations are one row
with the ids of their webhooks.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from reconciler.planning.plan import OperationDigest
from reconciler.planning.resend import Resend, read_resend
from reconciler.planning.review import operation_digest
from reconciler.planning.tree import plain

MAX_COMMENT_LENGTH: Final = 64_000
"""The maximum length of a comment or issue. GitHub allows 65,536 characters."""

_FORMAT: Final = 4
_ID_CHARACTERS: Final = 22  # 16 bytes in Base64, without padding
_LINE: Final = re.compile(r"<!-- cloudtruth-webhooks (\{[^\r\n]*\}) -->")


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
    those without an id could not be; `head` is the commit, and `earlier` the digest that was shown
    for it before, if there is none now. For a failure: `code`, the `subjects` that it concerns, as
    `operations` the webhooks whose secrets were not sent, and as `head` the commit before the push
    if the run did not find out which secrets it has to send. For an outcome: `outcomes`. `failing`
    has the webhooks whose deliveries fail, by id, with the time of the first failure.
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
    earlier: str | None = None

    @property
    def shown_digest(self) -> str | None:
        """Return the digest of the last plan that the comment showed for its commit."""
        return self.earlier if self.digest is None else self.digest

    @property
    def setup(self) -> str:
        """Return what identifies the setup, in any of its environments."""
        return self.label or f"\n{self.file}"

    def is_same_setup(self, other: Marker) -> bool:
        """Return whether both are about the same setup and environment."""
        return (self.setup, self.environment) == (other.setup, other.environment)


class Post(NamedTuple):
    """A comment or issue of this workflow.

    `number` is that of its issue or pull request. `id` is that of a comment, 0 for an issue. Only
    issues have a `title`.
    """

    number: int
    id: int
    body: str
    marker: Marker
    updated: str
    title: str = ""


RESOLVED: Final = "resolved"
"""The code in the marker of a failure that was resolved, and of a plan in a replaced comment."""

NOT_RUN: Final = Marker(kind=MarkerKind.FAILURE, code="not-run")
"""The marker in webhooks.yml: a job failed before its command started. The title names it."""


def find_posts(posts: Sequence[Post], marker: Marker) -> Sequence[Post]:
    """Return the posts whose kind, code and setup are those of `marker`."""
    kind = marker.kind, marker.code
    return [
        post
        for post in posts
        if (post.marker.kind, post.marker.code) == kind and post.marker.is_same_setup(marker)
    ]


class _Texts(dict[str, int]):
    """The table of a marker: the index of each text. What is looked up is added."""

    def index(self, text: str) -> int:
        """Return the index of a text."""
        return self.setdefault(text, len(self))

    def subject(self, subject: Subject) -> int:
        """Return the index of an organization."""
        fields = [self.index(subject.origin), *subject[1:]]
        return self.index(json.dumps(fields, separators=(",", ":")))

    def operations(self, operations: Iterable[ShownOperation]) -> tuple[list[Any], ...]:
        """Return a row for each group of equal operations."""
        groups: dict[tuple[str, str, Resend | None, bool], list[ShownOperation]] = {}
        for shown in operations:
            digest = shown.digest
            # The id is that of the operation.
            resend = shown.resend and shown.resend._replace(id="")
            # Of a row, either all operations have an id or none has: those that create a webhook.
            key = (digest.name, digest.content, resend, digest.id is None)
            groups.setdefault(key, []).append(shown)
        rows: list[list[Any]] = []
        for (name, content, resend, _), members in groups.items():
            organizations = _packed_numbers([self.subject(shown.subject) for shown in members])
            ids = [shown.digest.id for shown in members if shown.digest.id is not None]
            row: list[Any] = [self.index(name), content, self.index(organizations)]
            row.append(self.index(_packed_ids(ids)))
            if resend is not None:
                tree = plain(resend)
                del tree["id"]
                row.append(self.index(json.dumps(tree)))
            rows.append(row)
        return tuple(rows)

    def outcome(self, outcome: Outcome) -> list[Any]:
        """Return the row of an outcome."""
        flags = [outcome.complete, outcome.earlier_settled]
        return [self.subject(outcome.subject), self.index(outcome.text), *flags, outcome.settled]


def _packed_numbers(numbers: Sequence[int]) -> str:
    """Return numbers as a text in which a sequence is a range, as in `0-59,61`."""
    # In a run over many organizations, most rows list a sequence of them.
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, limits)) for limits in ranges)


def _unpacked_numbers(text: str, end: int) -> list[int]:
    """Return the numbers, all less than `end`: a range of an edited marker may be of any length.

    Raises ValueError.
    """
    numbers: list[int] = []
    for limits in text.split(","):
        first, _, last = limits.partition("-")
        if int(last or first) >= end:
            raise ValueError("not an index")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _packed_ids(ids: Sequence[str]) -> str:
    """Return ids as a text: of CloudTruth's UUIDs 22 characters each; empty without ids."""
    try:
        if all(str(UUID(id_)) == id_ for id_ in ids):
            return "".join(b64encode(UUID(id_).bytes).decode()[:_ID_CHARACTERS] for id_ in ids)
    except ValueError:  # of another server
        pass
    return json.dumps(ids)


def _unpacked_ids(text: str) -> list[str]:
    if text.startswith("["):
        return list(map(str, json.loads(text)))
    starts = range(0, len(text), _ID_CHARACTERS)
    packed = [text[start : start + _ID_CHARACTERS] for start in starts]
    return [str(UUID(bytes=b64decode(f"{characters}=="))) for characters in packed]


def encode(marker: Marker) -> str:
    """Return the marker's line, without a line break and without default values.

    It cannot end its HTML comment early, and cannot mention a user.
    """
    # Each of these three adds to the table, so their order is a part of the format.
    texts = _Texts()
    subjects = _packed_numbers([texts.subject(subject) for subject in marker.subjects])
    operations = texts.operations(marker.operations)
    outcomes = tuple(texts.outcome(outcome) for outcome in marker.outcomes)
    values = {
        **marker._asdict(),
        "subjects": subjects,
        "operations": operations,
        "outcomes": outcomes,
    }
    defaults = {**Marker._field_defaults, "subjects": ""}
    content = {name: value for name, value in values.items() if value != defaults.get(name)}
    if texts:
        content["texts"] = list(texts)
    text = json.dumps({"v": _FORMAT, **content}, separators=(",", ":"))
    text = re.sub(r"[<>&@#\x7f]|(?<=-)-", lambda match: f"\\u{ord(match[0]):04x}", text)
    return f"<!-- cloudtruth-webhooks {text} -->"


def decode(body: str) -> Marker | None:
    """Return the marker in the first line of `body`; None if there is no valid one."""
    # A comment that was edited in a browser has CRLF.
    line = body.split("\n", 1)[0].rstrip("\r")
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        content = json.loads(match[1])
        # Not compared: with another version, the line is not the one that `encode` returns below.
        del content["v"]
        marker = _read(content, [str(text) for text in content.pop("texts", ())])
        # A value that was changed is not encoded in the same way.
        return marker if encode(marker) == line else None
    # Anyone can write a comment: whatever is wrong with its first line, it is no marker.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _read(fields: dict[str, Any], texts: Sequence[str]) -> Marker:
    """Return the marker of decoded JSON.

    Other JSON than that of `encode` raises any of the exceptions that `decode` catches.
    """

    def subject(index: int) -> Subject:
        origin, *names = json.loads(texts[index])
        return Subject(texts[origin], *map(str, names))

    def operations(rows: Iterable[Sequence[Any]]) -> tuple[ShownOperation, ...]:
        shown: list[ShownOperation] = []
        for name, content, packed_organizations, packed_ids, *resends in rows:
            tree = json.loads(texts[resends[0]]) if resends else None
            organizations = _unpacked_numbers(texts[packed_organizations], len(texts))
            ids: list[str | None] = [*_unpacked_ids(texts[packed_ids])]
            for index, id_ in zip(organizations, ids or [None] * len(organizations), strict=True):
                digest = operation_digest(str(content), id_, texts[name])
                resend = tree and read_resend({**tree, "id": id_ or ""})
                shown.append(ShownOperation(subject(index), digest, resend))
        return tuple(shown)

    def outcome(row: Sequence[Any]) -> Outcome:
        organization, text, complete, earlier, pairs = row
        settled = tuple((str(digest), bool(applied)) for digest, applied in pairs)
        return Outcome(subject(organization), texts[text], bool(complete), bool(earlier), settled)

    readers: dict[str, Callable[[Any], Any]] = {
        "kind": MarkerKind,
        "part": int,
        "total": int,
        "subjects": lambda packed: tuple(map(subject, _unpacked_numbers(packed, len(texts)))),
        "operations": operations,
        "outcomes": lambda rows: tuple(map(outcome, rows)),
        "failing": lambda rows: tuple((str(id_), str(time)) for id_, time in rows),
    }
    return Marker(**{name: readers.get(name, str)(value) for name, value in fields.items()})
