"""Checks over all files together: who is declared, where, and under which earlier names.

What can be seen without a listing is refused here, with both places shown; what depends on the
live webhooks is the planner's to judge. Like `lint`, this takes data of any shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from reconciler.findings import Finding, Place, Related, error, warning
from reconciler.planning.names import MAX_GLOB, Globs, lookalike_key
from reconciler.source.allowed import masked
from reconciler.source.lint import listed


class Entry(NamedTuple):
    """One item of a file's `webhooks` that has a name, as far as it can be read."""

    file: str
    item: int
    name: str
    id: str | None
    previously: tuple[tuple[int, str], ...]
    absent: bool
    organization: str | None

    def spot(self, *path: str | int, key: bool = False) -> Place:
        """Return the place of a field of this entry."""
        return Place(self.file, ("webhooks", self.item, *path), key)


def entries(file: str, data: dict[str, Any]) -> Iterator[Entry]:
    """Yield the entries of one file."""
    webhooks, everyone = data.get("webhooks"), data.get("organization")
    for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
        if not isinstance(webhook, dict):
            continue
        name = webhook.get("name")
        if not isinstance(name, str):
            continue
        pin = webhook.get("id")
        organization = webhook.get("organization", everyone)
        previously = webhook.get("previously")
        old = enumerate(previously if isinstance(previously, list) else ())
        yield Entry(
            file,
            index,
            name,
            pin if isinstance(pin, str) else None,
            tuple(each for each in old if isinstance(each[1], str)) if previously else (),
            webhook.get("state") == "absent",
            organization if isinstance(organization, str) else None,
        )


def check(declared: Sequence[Entry]) -> Iterator[Finding]:
    """Yield what is wrong with the entries of all files, taken together.

    Where several organizations are named, which `load` reports, names and ids are compared
    within each. An entry that names none is taken to be of the first.
    """
    first = next((each.organization for each in declared if each.organization is not None), None)
    groups: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in declared:
        groups[first if entry.organization is None else entry.organization].append(entry)
    for group in groups.values():
        yield from _check(group)


def _check(declared: Sequence[Entry]) -> Iterator[Finding]:
    if _is_plain(declared):
        return
    by_name: dict[str, list[Entry]] = defaultdict(list)
    by_id: dict[str, list[Entry]] = defaultdict(list)
    for entry in declared:
        by_name[entry.name].append(entry)
        if entry.id is not None:
            by_id[entry.id].append(entry)
    yield from _twice(by_name, by_id)
    yield from _lookalikes(by_name)
    renames = [entry for entry in declared if entry.previously]
    if renames:
        yield from _renames(renames, by_name)


def _is_plain(declared: Sequence[Entry]) -> bool:
    """Say, quickly, that names alone tell the entries apart and nothing is renamed."""
    looks = {lookalike_key(entry.name) for entry in declared}
    return len(looks) == len(declared) and not any(
        entry.previously or entry.id is not None for entry in declared
    )


def out_of_scope(declared: Iterable[Entry], file: str, scope: object) -> Iterator[Finding]:
    """Yield the entries of one file whose names the file is not responsible for."""
    if not isinstance(scope, list) or "*" in scope:
        return
    globs = Globs(glob for glob in scope if isinstance(glob, str) and len(glob) <= MAX_GLOB)
    where = Place(file, ("scope",), key=True)
    for entry in declared:
        if not globs.match(entry.name):
            yield error(
                "out-of-scope",
                f"{_quoted(entry.name)} is not in the scope of this file",
                "declare it in the file that is responsible, or widen `scope`",
                entry.spot("name"),
                (Related(message="the scope of this file", place=where),),
            )


def _twice(by_name: dict[str, list[Entry]], by_id: dict[str, list[Entry]]) -> Iterator[Finding]:
    for pin, same in by_id.items():
        for entry in same[1:]:
            yield error(
                "declared-twice",
                f"the id {masked(pin)} is declared twice",
                "one entry for each webhook: remove one of the two",
                entry.spot("id"),
                (Related(message="first declared here", place=same[0].spot("id")),),
            )
    for pin in sorted(by_id.keys() & by_name.keys()):
        # Both are keys; a reader could not tell which of the two a key means.
        yield error(
            "declared-twice",
            f"the id {masked(pin)} is also declared as a name",
            "rename one of them",
            by_id[pin][0].spot("id"),
            (Related(message="the name", place=by_name[pin][0].spot("name")),),
        )
    for name, same in by_name.items():
        if len(same) == 1:
            continue
        nameless = [entry for entry in same if entry.id is None]
        if not nameless:
            continue  # ids tell them apart
        first = nameless[0]
        for entry in nameless[1:]:
            yield error(
                "declared-twice",
                f"{_quoted(name)} is declared twice",
                "remove one of the two, or pin each to its own webhook with `id`",
                entry.spot("name"),
                (Related(message="first declared here", place=first.spot("name")),),
            )
        pinned = next((entry for entry in same if entry.id is not None), None)
        if pinned is not None:
            # By its name, the entry without an id could mean the very webhook that the id pins.
            yield error(
                "declared-twice",
                f"{_quoted(name)} is declared with an id and without one",
                "pin each of the two with `id`, or give one another name",
                first.spot("name"),
                (Related(message="declared with an id here", place=pinned.spot("id", key=True)),),
            )


def _lookalikes(by_name: dict[str, list[Entry]]) -> Iterator[Finding]:
    seen: dict[str, Entry] = {}
    for name, same in by_name.items():
        entry = same[0]
        other = seen.setdefault(lookalike_key(name), entry)
        if other is not entry:
            yield warning(
                "names-look-alike",
                f"{_quoted(name)} looks like {_quoted(other.name)}{_odd(name, other.name)}",
                "give them names that a reader can tell apart",
                entry.spot("name"),
                (Related(message="the other one", place=other.spot("name")),),
            )


def _odd(name: str, other: str) -> str:
    """Return which characters outside ASCII only one of two names has, to end a message."""
    odd = sorted(char for char in {*name} ^ {*other} if not char.isascii())
    return f"; only one has {listed(odd)}" if odd else ""


def _renames(renames: list[Entry], by_name: dict[str, list[Entry]]) -> Iterator[Finding]:
    claimed: dict[str, Place] = {}
    for entry in renames:
        for index, old in entry.previously:
            spot = entry.spot("previously", index)
            if old == entry.name:
                yield error(
                    "previously-itself",
                    f"{_quoted(old)} cannot have been called {_quoted(old)} before",
                    "remove it from `previously`",
                    spot,
                )
                continue
            first = claimed.setdefault(old, spot)
            if first is not spot:
                yield error(
                    "previously-twice",
                    f"two entries claim to have been called {_quoted(old)}",
                    "one webhook can be renamed only once: remove the name from one of them",
                    spot,
                    (Related(message="claimed first here", place=first),),
                )
            # By its id, `state: absent` deletes another webhook of the name than the renamed one.
            holders = (each for each in by_name.get(old, ()) if not (each.absent and each.id))
            if (holder := next(holders, None)) is not None:
                yield error(
                    "previously-declared",
                    f"{_quoted(old)} is an earlier name of {_quoted(entry.name)} and is declared, "
                    "too",
                    f"if the rename to {_quoted(entry.name)} is done, remove {_quoted(old)} from "
                    f"`previously`; if not, use two applies: first rename, then declare "
                    f"{_quoted(old)} again",
                    spot,
                    (Related(message="declared here", place=holder.spot("name")),),
                )


def _quoted(name: str) -> str:
    """Return a name for a message; somebody may have put a token there."""
    return repr(masked(name))
