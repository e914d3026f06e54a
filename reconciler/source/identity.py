"""Check names and ids across all files: declarations, duplicates and former names.

These checks need no listing; findings show both positions. Checks that depend on the live webhooks
are in the planner. Like `lint`, this module accepts data of any shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import chain
from operator import getitem
from typing import Any, NamedTuple

from reconciler.findings import (
    Finding,
    Place,
    Related,
    Severity,
    error,
    warning,
    warnings_as_errors,
)
from reconciler.planning.names import MAX_GLOB, Globs, lookalike_key
from reconciler.source.schema import holds, written_webhooks
from reconciler.source.text import code_points, in_quotes


class _Entry(NamedTuple):
    """One item of a file's `webhooks` with a name, as far as it can be read."""

    file: str
    item: int
    name: str
    id: str | None
    previously: list[Any]
    absent: bool

    def at(self, *path: str | int, key: bool = False) -> Place:
        """Return the position of a field of this entry."""
        return Place(self.file, ("webhooks", self.item, *path), key)


def conflicts(files: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Yield the conflicts between the entries of all files, given as data by file name."""
    yield from _settings_differ(files)
    by_name: dict[str, list[_Entry]] = defaultdict(list)
    for file, data in files.items():
        entries = list(_entries(file, data))
        yield from _out_of_scope(entries, file, data.get("scope"))
        for entry in entries:
            by_name[entry.name].append(entry)
    yield from _twice(by_name)
    yield from _lookalikes(by_name)
    yield from _renames(by_name)


def named_organizations(files: Mapping[str, dict[str, Any]]) -> Iterator[tuple[Place, str]]:
    """Yield the places that name an organization: of each file, the root key first."""
    for file, data in files.items():
        entries = ((("webhooks", index), each) for index, each in written_webhooks(data))
        for path, holder in chain([((), data)], entries):
            if isinstance(name := holder.get("organization"), str):
                yield Place(file, (*path, "organization")), name


def without_organization(files: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Yield a warning for each file without `organization` if another file has one."""
    named = [file for file, data in files.items() if isinstance(data.get("organization"), str)]
    for file, data in files.items():
        if named and "organization" not in data:
            yield warning(
                "no-organization",
                f"{in_quotes(file)} has no `organization`, but {in_quotes(named[0])} has one",
                "set `organization` in this file",
                Place(file, ()),
            )


def _entries(file: str, data: dict[str, Any]) -> Iterator[_Entry]:
    for index, webhook in written_webhooks(data):
        pin, previously = webhook.get("id"), webhook.get("previously")
        if isinstance(name := webhook.get("name"), str):
            yield _Entry(
                file,
                index,
                name,
                pin if isinstance(pin, str) else None,
                previously if isinstance(previously, list) else [],
                webhook.get("state") == "absent",
            )


def _related(message: str, place: Place) -> tuple[Related, ...]:
    return (Related(message=message, place=place),)


def _settings_differ(files: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Yield the settings of the run that files set to different values.

    A file without `organization` may belong to another organization: only that is then an error.
    """

    def written(*path: str) -> list[tuple[Place, Any]]:
        holders = [(file, data) for file, data in files.items() if holds(data, path)]
        return [(Place(file, path), reduce(getitem, path, data)) for file, data in holders]

    yield from _different(
        "organizations-differ",
        "two organizations: {} and {}",
        "set the same `organization` in these files, or run them separately",
        list(named_organizations(files)),
    )
    limits = _different(
        "limits-differ",
        "two files set different values of `max_deletes`",
        "the limit is for the whole run: set it in one file",
        written("limits", "max_deletes"),
    )
    keys = _different(
        "keys-differ",
        "an organization has one `api_key` or one `profile`",
        "keep one of the two",
        [*written("api_key"), *written("profile")],
    )
    found, unnamed = [*limits, *keys], tuple(without_organization(files))
    yield from (warnings_as_errors(unnamed) if found else unnamed) or found


def _different(
    rule: str, message: str, hint: str, written: list[tuple[Place, Any]]
) -> Iterator[Finding]:
    for at, value in written:
        first, known = written[0]
        if value != known:
            text = message.format(in_quotes(value), in_quotes(known))
            yield error(rule, text, hint, at, _related("the other value", first))


def _out_of_scope(entries: Iterable[_Entry], file: str, scope: object) -> Iterator[Finding]:
    if not isinstance(scope, list) or "*" in scope:
        return
    globs = Globs(glob for glob in scope if isinstance(glob, str) and len(glob) <= MAX_GLOB)
    for entry in entries:
        if not globs.match(entry.name):
            yield error(
                "out-of-scope",
                f"{in_quotes(entry.name)} is not in the scope of this file",
                "declare it in the file whose scope includes it, or extend `scope`",
                entry.at("name"),
                _related("the scope of this file", Place(file, ("scope",), key=True)),
            )


def _twice(by_name: Mapping[str, list[_Entry]]) -> Iterator[Finding]:
    """Yield the entries that declare the webhook of an earlier one.

    An id that is the name of another entry is ambiguous, too. If only one of two entries with the
    same name has an id, the other one may match its webhook.
    """
    first: dict[str, _Entry] = {}
    for name, same in by_name.items():
        for entry in same:
            field = "name" if entry.id is None else "id"
            other = first.setdefault(entry.id or name, entry)
            if other is entry and (entry.id is None) is not (same[0].id is None):
                field, other = "name", same[0]
            if other is not entry:
                yield error(
                    "declared-twice",
                    f"{in_quotes(getattr(entry, field))} is declared twice",
                    "remove one of the two, or pin each to its own webhook with `id`",
                    entry.at(field),
                    _related("also declared here", other.at("name")),
                )


def _lookalikes(by_name: dict[str, list[_Entry]]) -> Iterator[Finding]:
    seen: dict[str, _Entry] = {}
    for name, (entry, *_) in by_name.items():
        other = seen.setdefault(lookalike_key(name), entry)
        if other is not entry:
            odd = sorted(char for char in {*name} ^ {*other.name} if not char.isascii())
            only_one = f"; only one has {code_points(odd)}" if odd else ""
            # Names that differ in case only are common, and a reader sees the difference.
            case_only = name.isascii() and name.lower() == other.name.lower()
            found = warning(
                "names-look-alike",
                f"{in_quotes(name)} looks like {in_quotes(other.name)}{only_one}",
                "use names that are easy to distinguish",
                entry.at("name"),
                _related("the other one", other.at("name")),
            )
            yield found._replace(severity=Severity.NOTE) if case_only else found


def _renames(by_name: Mapping[str, list[_Entry]]) -> Iterator[Finding]:
    first_use: dict[str, Place] = {}
    for entry in chain.from_iterable(by_name.values()):
        for index, old in enumerate(entry.previously):
            if not isinstance(old, str):
                continue
            at, was, now = entry.at("previously", index), in_quotes(old), in_quotes(entry.name)
            first = first_use.setdefault(old, at)
            if first is not at:
                yield error(
                    "previously-twice",
                    f"two entries have {was} in `previously`",
                    "remove the name from one of them",
                    at,
                    _related("first used here", first),
                )
            # An entry that deletes a webhook by its id does not declare the name.
            holders = (each for each in by_name.get(old, ()) if not (each.absent and each.id))
            if (holder := next(holders, None)) is not None:
                yield error(
                    "previously-declared",
                    f"{was} is a previous name of {now}, but is also declared",
                    f"if the rename to {now} is done, remove {was} from `previously`; if not, use "
                    f"two applies: first rename, then declare {was} again",
                    at,
                    _related("declared here", holder.at("name")),
                )
