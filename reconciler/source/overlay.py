"""Check one file with `extends` against what it extends.

A file is checked once, whatever extends it, and only against the files that it extends itself: so
it is correct wherever it is used, and an error is reported at its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, Final, NamedTuple

from reconciler.findings import Finding, Place, error, note, related, warning
from reconciler.model import DataPath
from reconciler.planning.names import Globs
from reconciler.source.document import (
    UNITED,
    Document,
    holds,
    mapping,
    usable_defaults,
    value_at,
)
from reconciler.source.lint import overlay_only
from reconciler.source.merge import (
    MAPPINGS,
    REMOVED,
    Layer,
    Merged,
    MergedWebhook,
    protected,
    texts,
)
from reconciler.source.text import did_you_mean, in_quotes, near

# They identify an entry, or are marks of the file itself: below, there is nothing to remove.
_KEPT: Final = frozenset({"add", "exclude", "extends", "name", "state", "unprotect", "webhooks"})
"""Keys that `null` cannot remove."""

_GUARDS: Final = UNITED | {"limits", "max_deletes"}
"""Keys that an overlay can extend or replace, but not remove."""

_MAX_SUGGESTIONS: Final = 20
"""The maximum number of names for which a similar one is searched, which is slow."""


def read_values(document: Document) -> dict[str, Any]:
    """Return the data of a file with `extends`, with REMOVED for each literal `null`.

    Most files have none: their data is returned unchanged.
    """
    if not _holds_none(document.data):
        return document.data
    from reconciler.source.position import is_null  # most overlays remove nothing

    def read(path: DataPath, value: Any) -> Any:
        is_entry = path[0] == "webhooks" and len(path) == 2
        if isinstance(value, dict) and (is_entry or path[-1] in MAPPINGS):
            return {key: read((*path, key), item) for key, item in value.items()}
        if isinstance(value, list) and path == ("webhooks",):
            return [read((*path, index), entry) for index, entry in enumerate(value)]
        if is_entry or value is not None or path[-1] in _KEPT:
            return value
        # An empty value is None, too, but probably a mistake: only the text tells the two apart.
        return REMOVED if is_null(document.text, path) else None

    return {key: read((key,), value) for key, value in document.data.items()}


def _holds_none(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_none, value.values()))
    if isinstance(value, list):
        return any(map(_holds_none, value))
    return value is None


def check_base(layer: Layer) -> Iterator[tuple[int | None, Finding]]:
    """Yield the errors of a parent without `extends`, each with the index of its entry."""
    if "unprotect" in layer.values:
        yield None, overlay_only("unprotect", Place(layer.file, ("unprotect",), key=True))
    for index, entry in enumerate(layer.document.webhooks):
        for key in ("add", "exclude"):
            if key in mapping(entry):
                place = Place(layer.file, ("webhooks", index, key), key=True)
                yield index, overlay_only(key, place)


def check_overlay(layer: Layer, below: Merged) -> Iterator[tuple[int | None, Finding]]:
    """Yield the findings of a file with `extends`, each with the index of its entry, if any.

    `below` is what it extends, merged.
    """
    for finding in _root_findings(layer, below):
        yield None, finding
    checks = _Entries(layer, below)
    for index, entry in enumerate(layer.document.webhooks):
        if isinstance(mapping(entry).get("name"), str):
            for finding in checks.findings(index, entry):
                yield index, finding
        elif "exclude" in mapping(entry):
            place = Place(layer.file, ("webhooks", index, "name"))
            message = "this cannot be excluded: it has no name"
            yield index, error("exclude-unknown", message, "write `name: ...`", place)


def add_conflicts(layers: Sequence[Layer], below: Callable[[Layer], Merged]) -> Iterator[Finding]:
    """Yield the names that are added in one branch and declared in another one.

    `below` returns what a layer extends, merged.
    """
    if not any(_added(layer) for layer in layers):
        return
    declared = {layer: dict(_declared(layer, below(layer))) for layer in layers}
    for earlier, later in combinations(layers, 2):
        # The check of the later file against what it extends reports these.
        if earlier in later.ancestors:
            continue
        both = declared[earlier].keys() & declared[later].keys()
        for name in sorted(both & (_added(earlier) | _added(later))):
            first, second = (
                Place(layer.file, ("webhooks", declared[layer][name], "name"))
                for layer in (earlier, later)
            )
            message = f"{in_quotes(name)} is added here, and declared in another parent file, too"
            hint = "move it to a file that both extend, or rename one of the two"
            yield error("bad-add", message, hint, second, related("the other one", first))


def relaxations(layers: Sequence[Layer]) -> Iterator[Finding]:
    """Yield notes about limits and `prune: false` of a layer that a later one relaxes."""
    for earlier, later, old, new in _overridden(layers, ("limits", "max_deletes")):
        if isinstance(old, int) and isinstance(new, int) and new > old:
            message = f"raises the limit of a parent file from {old} to {new}"
            yield _relaxed(message, earlier, later)
    for earlier, later, old, new in _overridden(layers, ("prune",)):
        # `null` returns to the default, which deletes, too.
        if old is False and new is not False:
            yield _relaxed(
                "deletes undeclared webhooks, which a parent file prevents", earlier, later
            )


def _overridden(layers: Sequence[Layer], path: DataPath) -> Iterator[tuple[Place, Place, Any, Any]]:
    """Yield each place of a value with the next one that overrides it, and both values."""
    writers = [layer for layer in layers if holds(layer.values, path)]
    for earlier, later in pairwise(writers):
        old, new = value_at(earlier.values, path), value_at(later.values, path)
        yield Place(earlier.file, path), Place(later.file, path), old, new


def _relaxed(message: str, earlier: Place, later: Place) -> Finding:
    return note("relaxes-parent", message, None, later, related("the parent's value", earlier))


def _added(layer: Layer) -> set[str]:
    """Return the names of the entries with `add`."""
    return {entry["name"] for _, entry in _named_entries(layer) if "add" in entry}


def _declared(layer: Layer, below: Merged) -> Iterator[tuple[str, int]]:
    """Yield the names that a layer declares, which what it extends does not have, by entry."""
    for index, entry in _named_entries(layer):
        if below.find(entry) is None:
            yield entry["name"], index


def _named_entries(layer: Layer) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the entries with a name, each with its index, except those with an error."""
    for index, entry in enumerate(layer.document.webhooks):
        if index not in layer.skipped and isinstance(mapping(entry).get("name"), str):
            yield index, entry


# The root


def _root_findings(layer: Layer, below: Merged) -> Iterator[Finding]:
    root = {key: value for key, value in layer.values.items() if key != "webhooks"}
    yield from _removals(layer.file, (), root, below.root, below)
    parents = protected(layer.ancestors)
    ignored = [glob for parent in layer.ancestors for glob in texts(parent.values.get("ignore"))]
    for key, known in (("ignore", set(ignored)), ("protect", set(parents))):
        globs = texts(layer.values.get(key))
        if globs and known.issuperset(globs):
            yield _adds_nothing(Place(layer.file, (key,), key=True))
    yield from _unprotect_findings(layer, parents)


def _adds_nothing(place: Place) -> Finding:
    message = f"`{place.path[-1]}` adds nothing: the files that this one extends have it already"
    return note("adds-nothing", message, "remove it", place)


def _unprotect_findings(layer: Layer, parents: Mapping[str, Layer]) -> Iterator[Finding]:
    listed = layer.values.get("unprotect", [])
    if not isinstance(listed, list):
        place = Place(layer.file, ("unprotect",))
        yield error("unprotect-unknown", "`unprotect` is not a list", _known_globs(parents), place)
        return
    for index, glob in enumerate(listed):
        if not isinstance(glob, str) or glob not in parents:
            message = f"no file that this one extends protects {in_quotes(glob)}"
            hint = did_you_mean(glob, parents) or _known_globs(parents)
            yield error("unprotect-unknown", message, hint, Place(layer.file, ("unprotect", index)))


def _known_globs(parents: Mapping[str, Layer]) -> str:
    if not parents:
        return "remove it: there is nothing to relax"
    return f"write one of the globs as in `protect`: {', '.join(map(in_quotes, parents))}"


# `null`


def _removals(
    file: str, path: DataPath, values: Mapping[str, Any], lower: Any, below: Merged
) -> Iterator[Finding]:
    """Yield the errors about each `null` in a mapping at `path`; `lower` is what it overrides."""
    for key, value in values.items():
        place = Place(file, (*path, key))
        if isinstance(value, dict) and key in MAPPINGS:
            yield from _removals(file, place.path, value, mapping(lower).get(key), below)
        if value is not REMOVED:
            continue
        if key in _GUARDS:
            message = f"an overlay cannot remove the guard `{key}`"
            if key == "previously":
                message = "an overlay cannot remove former names"
            yield error("guard-removed", message, _GUARD_HINTS.get(key), place)
        elif not holds(lower, (key,)):
            yield _nothing_removed(place, lower, below)


_GUARD_HINTS: Final = {
    "ignore": "a parent's `ignore` cannot be relaxed: move the glob to a file that not all extend",
    "limits": "set a different value instead",
    "max_deletes": "set a different value instead",
    "previously": "remove them in the file that lists them",
    "protect": "relax it with `unprotect: [GLOB]`",
}


def _nothing_removed(place: Place, lower: Any, below: Merged) -> Finding:
    key = str(place.path[-1])
    inside = place.path[2:] if place.path[0] == "webhooks" else ()
    # `defaults` apply after the merge, to all webhooks, so an entry can only override them.
    if inside and holds(usable_defaults(dict(below.root)), inside):
        message = f"`{key}` comes from `defaults`, which `null` does not remove from a webhook"
        hint = "set another value here"
        default = related("the default", _written(below.layers, ("defaults", *inside)))
        return error("nothing-to-remove", message, hint, place, default)
    hint = did_you_mean(key, mapping(lower)) or "remove the key"
    message = "`null` removes nothing: no file that this one extends sets this key"
    return error("nothing-to-remove", message, hint, place)


def _written(layers: Sequence[Layer], path: DataPath) -> Place:
    """Return the place of the last layer that writes a value outside of `webhooks`."""
    files = (layer.file for layer in reversed(layers) if holds(layer.values, path))
    return Place(next(files), path)


# Entries


class _Target(NamedTuple):
    """The webhook that an entry changes, its number, and the place that declares it."""

    number: int
    webhook: MergedWebhook
    place: Place


class _Written(NamedTuple):
    """An entry with a name, the place of its name, and the webhook that it changes, if any."""

    data: dict[str, Any]
    place: Place
    target: _Target | None

    @property
    def name(self) -> str:
        """The name, as a message shows it."""
        return in_quotes(self.data["name"])

    def at(self, key: str) -> Place:
        """Return the place of a value."""
        return self.place._replace(path=(*self.place.path[:-1], key))


class _Entries:
    """The checks of the entries of one file."""

    def __init__(self, layer: Layer, below: Merged) -> None:
        self._layer = layer
        self._below = below
        # A parent may have removed its last webhook: then its overlays still need marks.
        self._needs_mark = "webhooks" in below.root
        self._suggestions = _MAX_SUGGESTIONS
        self._renamed = dict(_former_names(below))
        self._changed: dict[int, Place] = {}
        relaxed = set(texts(layer.values.get("unprotect")))
        parents = protected(layer.ancestors)
        self._protected = {glob: by for glob, by in parents.items() if glob not in relaxed}
        self._protecting = Globs(self._protected)

    def findings(self, index: int, data: dict[str, Any]) -> Iterator[Finding]:
        """Yield the findings of an entry that has a name."""
        place = Place(self._layer.file, ("webhooks", index, "name"))
        entry = _Written(data, place, self._target(data))
        # With `add`, this would create a second webhook beside the renamed one.
        if entry.target is None and data["name"] in self._renamed:
            yield self._under_old_name(entry)
            return
        if entry.target is not None:
            # Merging both would hide that one of them overrides the other in the same file.
            first = self._changed.setdefault(entry.target.number, place)
            if first is not place:
                message = f"{entry.name} has two entries in this file"
                hint = "merge the two, or remove one"
                yield error("declared-twice", message, hint, place, related("the first", first))
                return
        yield from self._removals(index, entry)
        if "exclude" in data:
            yield from self._exclusion(entry)
        if data.get("exclude") is True or data.get("state") == "absent":
            yield from self._protection(entry)
        elif "add" in data:
            yield from self._addition(entry)
        elif entry.target is not None:
            yield from self._changes(entry, entry.target)
        elif self._needs_mark and "exclude" not in data:
            yield self._without_target(entry)

    def _target(self, data: dict[str, Any]) -> _Target | None:
        number = self._below.find(data)
        if number is None:
            return None
        webhook = self._below.webhooks[number]
        return _Target(number, webhook, webhook.entries[-1].place("name"))

    def _removals(self, index: int, entry: _Written) -> Iterator[Finding]:
        if self._layer.values is self._layer.document.data:  # it has no `null`
            return
        values = self._layer.values["webhooks"][index]
        lower = {} if entry.target is None else entry.target.webhook.data
        path = entry.place.path[:-1]
        yield from _removals(entry.place.file, path, values, lower, self._below)

    def _under_old_name(self, entry: _Written) -> Finding:
        old, webhook = entry.data["name"], self._renamed[entry.data["name"]]
        new_name = in_quotes(mapping(webhook.data).get("name"))
        # The lowest file that has the former name.
        renaming = next(
            lower
            for lower in reversed(webhook.entries)
            if old in texts(lower.data.get("previously"))
        )
        renamed = related("renamed here", renaming.place("previously"))
        message = f"{entry.name} was renamed to {new_name}"
        hint = f"use the new name: {new_name}"
        return error("renamed-below", message, hint, entry.place, renamed)

    def _exclusion(self, entry: _Written) -> Iterator[Finding]:
        excluded = entry.data["exclude"]
        if not isinstance(excluded, bool):
            message, hint = "`exclude` is true or false", "write `exclude: true`"
            yield error("exclude-unknown", message, hint, entry.at("exclude"))
        # What else the entry says would never be applied.
        elif excluded and not entry.data.keys() <= {"name", "id", "exclude"}:
            message = "an excluded webhook has only `exclude: true`, `name` and `id`"
            hint = "remove the other keys, or remove `exclude`"
            yield error("exclude-unknown", message, hint, entry.at("exclude"))
        elif entry.target is None:
            message = f"{entry.name} cannot be excluded: no file that this one extends declares it"
            hint = self._similar(entry.data["name"]) or "remove the entry, or correct its name"
            yield error("exclude-unknown", message, hint, entry.place)

    def _protection(self, entry: _Written) -> Iterator[Finding]:
        glob = next(self._protecting.matching(entry.data["name"]), None)
        if glob is None:
            return
        parent = self._protected[glob]
        index = texts(parent.values["protect"]).index(glob)
        key, effect = "state", "deletes"
        if entry.data.get("exclude") is True:
            key, effect = "exclude", "excludes"
        message = f"this {effect} {entry.name}, which a parent file protects"
        # A glob that may be a secret is hidden.
        shown = in_quotes(glob).replace("'", '"')
        hint = (
            f"remove this entry, or add `unprotect: [{shown}]` to this file, which the review shows"
        )
        also = related("protected here", Place(parent.file, ("protect", index)))
        yield error("protected-by-parent", message, hint, entry.at(key), also)

    def _addition(self, entry: _Written) -> Iterator[Finding]:
        place = entry.at("add")
        if entry.data["add"] is not True:
            yield error("bad-add", "`add` can only be true", "write `add: true`", place)
        elif entry.target is not None:
            message = f"{entry.name} is already declared, so it is not added"
            hint = "remove `add: true` to change it, or use another name"
            also = related("declared here", entry.target.place)
            yield error("bad-add", message, hint, place, also)

    def _changes(self, entry: _Written, target: _Target) -> Iterator[Finding]:
        """Yield the findings of an entry that changes a webhook of a parent file."""
        webhook, data = target.webhook, entry.data
        # An entry that sets `exclude: false` or `state` decides itself whether the webhook exists.
        if data.get("exclude") is not False and "state" not in data:
            if webhook.is_excluded:
                yield self._without_effect(entry, webhook, "exclude", "exclude: false", "excluded")
            elif webhook.is_absent:
                yield self._without_effect(entry, webhook, "state", "state: present", "absent")
        former = texts(data.get("previously"))
        if former and set(former) <= set(texts(mapping(webhook.data).get("previously"))):
            yield _adds_nothing(entry.at("previously")._replace(key=True))

    def _without_effect(
        self, entry: _Written, webhook: MergedWebhook, key: str, value: str, state: str
    ) -> Finding:
        lower = next(lower for lower in webhook.entries if key in lower.data)
        message = f"{entry.name} is {state}, so this entry has no effect"
        hint = f"remove it, or add `{value}` to bring the webhook back"
        also = related(f"{state} here", lower.place(key))
        return warning("no-effect", message, hint, entry.place, also)

    def _without_target(self, entry: _Written) -> Finding:
        message = f"no file that this one extends declares {entry.name}"
        hint = "for a new webhook, insert the line `add: true`"
        similar = self._similar(entry.data["name"])
        if similar is not None:
            hint = f"{similar} {hint}"
        return error("no-target", message, hint, entry.place)

    def _similar(self, name: str) -> str | None:
        """Return a hint with the most similar name that can be changed, if any."""
        self._suggestions -= 1
        similar = near(name, self._below.numbers) if self._suggestions >= 0 else None
        return None if similar is None else f"did you mean {in_quotes(similar)}?"


def _former_names(below: Merged) -> Iterator[tuple[str, MergedWebhook]]:
    """Yield the former names of the webhooks that a file extends."""
    for webhook in below.webhooks:
        for name in texts(mapping(webhook.data).get("previously")):
            yield name, webhook
