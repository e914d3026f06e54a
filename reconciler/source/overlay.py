"""Check one file with `extends` against what it extends.

A file is checked once, whatever extends it, and only against the files that it extends itself: so
it is correct wherever it is used, and an error is reported at its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, Final

from reconciler.findings import (
    Finding,
    Place,
    did_you_mean,
    error,
    in_quotes,
    near,
    note,
    related,
    warning,
)
from reconciler.model import DataPath
from reconciler.planning.names import Globs
from reconciler.source.document import (
    Document,
    Entry,
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
    Layers,
    MergedWebhook,
    protected,
    texts,
    writers,
)
from reconciler.source.nodes import is_null

# They identify an entry, or are marks of the file itself: below, there is nothing to remove.
_KEPT: Final = frozenset({"add", "exclude", "extends", "name", "state", "unprotect", "webhooks"})
"""Keys that `null` cannot remove."""


def read_values(document: Document) -> dict[str, Any]:
    """Return the data of a file with `extends`, with REMOVED for each literal `null`.

    Most files have none: their data is returned unchanged.
    """
    if "null" not in document.text:
        return document.data

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


def check_layer(layer: Layer, below: Layers) -> Iterator[Finding]:
    """Yield the findings of a file; `below` is what it extends, merged."""
    if "extends" not in layer.document.data:
        yield from _base_findings(layer)
        return
    parents = protected(layer.ancestors)
    root = {key: value for key, value in layer.values.items() if key != "webhooks"}
    yield from _removals(layer.file, (), root, below.root, below)
    yield from _unprotect_findings(layer, parents)
    checks = _Entries(layer, below, parents)
    for entry in layer.document.written:
        if entry.name is not None:
            yield from checks.findings(entry, entry.name)
        elif "exclude" in entry.data:
            message = "this cannot be excluded: it has no name"
            yield error("exclude-unknown", message, "write `name: ...`", entry.place("name"))


def check_linear(layers: Sequence[Layer], below: Callable[[Layer], Layers]) -> Iterator[Finding]:
    """Yield what only an overlay with all that it extends shows, in the order of precedence.

    `below` returns what a layer extends, merged.
    """
    yield from _conflicts(layers, below)
    yield from _relaxations(layers)


def _base_findings(layer: Layer) -> Iterator[Finding]:
    """Yield the errors of a parent without `extends`."""
    if "unprotect" in layer.values:
        yield overlay_only("unprotect", Place(layer.file, ("unprotect",), key=True))
    for entry in layer.document.written:
        for key in ("add", "exclude"):
            if key in entry.data:
                yield overlay_only(key, entry.place(key)._replace(key=True))


def _conflicts(layers: Sequence[Layer], below: Callable[[Layer], Layers]) -> Iterator[Finding]:
    """Yield the names that are added in one branch and declared in another one."""
    if not any(_added(layer) for layer in layers):
        return
    # What a layer extends does not have these names.
    declared: dict[Layer, dict[str, Entry]] = {}
    for layer in layers:
        merged = below(layer)
        declared[layer] = {
            name: entry for name, entry in layer.named.items() if merged.find(entry.data) is None
        }
    for earlier, later in combinations(layers, 2):
        # The check of the later file against what it extends reports these.
        if earlier in later.ancestors:
            continue
        both = declared[earlier].keys() & declared[later].keys()
        for name in sorted(both & (_added(earlier) | _added(later))):
            message = f"{in_quotes(name)} is added here, but another parent file also declares it"
            hint = "move it to a file that both extend, or rename one of the two"
            other = related("the other one", declared[earlier][name].place("name"))
            yield error("bad-add", message, hint, declared[later][name].place("name"), other)


def _relaxations(layers: Sequence[Layer]) -> Iterator[Finding]:
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
    for earlier, later in pairwise(writers(layers, path)):
        old, new = value_at(earlier.values, path), value_at(later.values, path)
        yield Place(earlier.file, path), Place(later.file, path), old, new


def _relaxed(message: str, earlier: Place, later: Place) -> Finding:
    return note("relaxes-parent", message, None, later, related("the parent's value", earlier))


def _added(layer: Layer) -> set[str]:
    """Return the names of the entries with `add`."""
    return {name for name, entry in layer.named.items() if "add" in entry.data}


# The root


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
    file: str, path: DataPath, values: Mapping[str, Any], lower: Any, below: Layers
) -> Iterator[Finding]:
    """Yield the errors about each `null` in a mapping at `path`; `lower` is what it overrides."""
    for key, value in values.items():
        place = Place(file, (*path, key))
        if isinstance(value, dict) and key in MAPPINGS:
            yield from _removals(file, place.path, value, mapping(lower).get(key), below)
        if value is not REMOVED:
            continue
        if key in _GUARD_HINTS:
            message = f"an overlay cannot remove the guard `{key}`"
            if key == "previously":
                message = "an overlay cannot remove former names"
            yield error("guard-removed", message, _GUARD_HINTS[key], place)
        elif not holds(lower, (key,)):
            yield _nothing_removed(place, lower, below)


_GUARD_HINTS: Final = {
    "ignore": "a parent's `ignore` cannot be relaxed: move the glob to a file that not all extend",
    "limits": "set a different value instead",
    "max_deletes": "set a different value instead",
    "previously": "remove them in the file that lists them",
    "protect": "relax it with `unprotect: [GLOB]`",
}
"""How to change what an overlay can extend or replace, but not remove, by its key."""


def _nothing_removed(place: Place, lower: Any, below: Layers) -> Finding:
    key = str(place.path[-1])
    inside = place.path[2:] if place.path[0] == "webhooks" else ()
    # `defaults` apply after the merge, to all webhooks, so an entry can only override them.
    if inside and holds(usable_defaults(dict(below.root)), inside):
        message = f"`{key}` comes from `defaults`, which `null` does not remove from a webhook"
        hint = "set another value here"
        path = ("defaults", *inside)
        default = related("the default", Place(writers(below.layers, path)[-1].file, path))
        return error("nothing-to-remove", message, hint, place, default)
    hint = did_you_mean(key, mapping(lower)) or "remove the key"
    message = "`null` removes nothing: no file that this one extends sets this key"
    return error("nothing-to-remove", message, hint, place)


# Entries


class _Entries:
    """The checks of the entries of one file."""

    def __init__(self, layer: Layer, below: Layers, parents: Mapping[str, Layer]) -> None:
        self._layer = layer
        self._below = below
        # Searching a similar name is slow.
        self._suggestions = 20
        self._changed: dict[int, Entry] = {}
        # The webhooks that the file extends, by their former names.
        self._renamed: dict[str, MergedWebhook] = {}
        for webhook in below.webhooks:
            former = texts(mapping(webhook.data).get("previously"))
            self._renamed |= dict.fromkeys(former, webhook)
        relaxed = set(texts(layer.values.get("unprotect")))
        self._protected = {glob: by for glob, by in parents.items() if glob not in relaxed}
        self._protecting = Globs(self._protected)

    def findings(self, entry: Entry, name: str) -> Iterator[Finding]:
        """Yield the findings of an entry that has a name."""
        data = entry.data
        number = self._below.find(data)
        # With `add`, this would create a second webhook beside the renamed one.
        if number is None and name in self._renamed:
            yield self._under_old_name(entry, name)
            return
        target = None
        if number is not None:
            target = self._below.webhooks[number]
            # Merging both would hide that one of them overrides the other in the same file.
            first = self._changed.setdefault(number, entry)
            if first is not entry:
                message = f"{in_quotes(name)} has two entries in this file"
                also = related("the first", first.place("name"))
                hint = "merge the two, or remove one"
                yield error("declared-twice", message, hint, entry.place("name"), also)
                return
        yield from self._removals(entry, target)
        if "exclude" in data:
            yield from self._exclusion(entry, name, target)
        if data.get("exclude") is True or data.get("state") == "absent":
            yield from self._protection(entry, name)
        elif "add" in data:
            yield from self._addition(entry, name, target)
        elif target is not None:
            yield from self._changes(entry, target)
        # A parent may have removed its last webhook: then its overlays still need marks.
        elif "webhooks" in self._below.root and "exclude" not in data:
            message = f"no file that this one extends declares {in_quotes(name)}"
            similar = self._similar(name)
            hint = f"{similar}for a new webhook, add `add: true`; for a deleted one, remove this"
            former = [old for old in texts(data.get("previously")) if old in self._below.numbers]
            if former:
                old = in_quotes(former[0])
                hint = f"to rename {old} in this file only, exclude it, and add `add: true` here"
            yield error("no-target", message, hint, entry.place("name"))

    def _removals(self, entry: Entry, target: MergedWebhook | None) -> Iterator[Finding]:
        if self._layer.values is self._layer.document.data:  # it has no `null`
            return
        path = ("webhooks", entry.number)
        lower = {} if target is None else target.data
        values = value_at(self._layer.values, path)
        yield from _removals(self._layer.file, path, values, lower, self._below)

    def _under_old_name(self, entry: Entry, old: str) -> Finding:
        webhook = self._renamed[old]
        new = in_quotes(mapping(webhook.data).get("name"))
        # The lowest file that has the former name.
        renaming = next(
            lower
            for lower in reversed(webhook.entries)
            if old in texts(lower.data.get("previously"))
        )
        also = related("renamed here", renaming.place("previously"))
        message = f"{in_quotes(old)} was renamed to {new}"
        return error(
            "renamed-below", message, f"use the new name: {new}", entry.place("name"), also
        )

    def _exclusion(
        self, entry: Entry, name: str, target: MergedWebhook | None
    ) -> Iterator[Finding]:
        excluded = entry.data["exclude"]
        if not isinstance(excluded, bool):
            message, hint = "`exclude` is true or false", "write `exclude: true`"
            yield error("exclude-unknown", message, hint, entry.place("exclude"))
        # What else the entry says would never be applied.
        elif excluded and not entry.data.keys() <= {"name", "id", "exclude"}:
            message = "an excluded webhook has only `exclude: true`, `name` and `id`"
            hint = "remove the other keys, or remove `exclude`"
            yield error("exclude-unknown", message, hint, entry.place("exclude"))
        elif target is None:
            shown = in_quotes(name)
            message = f"{shown} cannot be excluded: no file that this one extends declares it"
            hint = self._similar(name).strip() or "remove the entry, or correct its name"
            yield error("exclude-unknown", message, hint, entry.place("name"))

    def _protection(self, entry: Entry, name: str) -> Iterator[Finding]:
        glob = next(self._protecting.matching(name), None)
        if glob is None:
            return
        parent = self._protected[glob]
        index = texts(parent.values["protect"]).index(glob)
        key, effect = "state", "deletes"
        if entry.data.get("exclude") is True:
            key, effect = "exclude", "excludes"
        message = f"this {effect} {in_quotes(name)}, which a parent file protects"
        # A glob that may be a secret is hidden.
        shown = in_quotes(glob).replace("'", '"')
        hint = (
            f"remove this entry, or add `unprotect: [{shown}]` to this file, which the review shows"
        )
        also = related("protected here", Place(parent.file, ("protect", index)))
        yield error("protected-by-parent", message, hint, entry.place(key), also)

    def _addition(self, entry: Entry, name: str, target: MergedWebhook | None) -> Iterator[Finding]:
        place = entry.place("add")
        if entry.data["add"] is not True:
            yield error("bad-add", "`add` can only be true", "write `add: true`", place)
        elif target is not None:
            message = f"{in_quotes(name)} is already declared, so it is not added"
            hint = "remove `add: true` to change it, or use another name"
            also = related("declared here", target.entries[-1].place("name"))
            yield error("bad-add", message, hint, place, also)

    def _changes(self, entry: Entry, target: MergedWebhook) -> Iterator[Finding]:
        """Yield the findings of an entry that changes a webhook of a parent file."""
        # An entry that sets `exclude: false` or `state` decides itself whether the webhook exists.
        if entry.data.get("exclude") is not False and "state" not in entry.data:
            if target.is_excluded:
                yield _without_effect(entry, target, "exclude", "exclude: false", "excluded")
            elif target.is_absent:
                yield _without_effect(entry, target, "state", "state: present", "absent")

    def _similar(self, name: str) -> str:
        """Return the start of a hint, with the most similar name that can be changed, if any."""
        self._suggestions -= 1
        similar = near(name, self._below.numbers) if self._suggestions >= 0 else None
        return "" if similar is None else f"did you mean {in_quotes(similar)}? "


def _without_effect(
    entry: Entry, webhook: MergedWebhook, key: str, value: str, state: str
) -> Finding:
    deciding = next(lower for lower in webhook.entries if key in lower.data)
    message = f"{in_quotes(entry.name)} is {state}, so this entry has no effect"
    hint = f"remove it, or add `{value}` to bring the webhook back"
    also = related(f"{state} here", deciding.place(key))
    return warning("no-effect", message, hint, entry.place("name"), also)
