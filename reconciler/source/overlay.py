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
from reconciler.source.lint import overlay_only
from reconciler.source.merge import (
    MAPPINGS,
    REMOVED,
    Layer,
    Merged,
    MergedWebhook,
    mapping,
    protected,
    texts,
)
from reconciler.source.schema import holds, usable_defaults
from reconciler.source.text import did_you_mean, in_quotes, near
from reconciler.source.yaml import UNITED, Document, value_at

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

    def value_at(path: DataPath, value: Any) -> Any:
        match value:
            case dict() if path[-1] in MAPPINGS:
                return {key: value_at((*path, key), item) for key, item in value.items()}
            case None if path[-1] not in _KEPT and _is_null(document, path):
                return REMOVED
        return value

    values = {key: value_at((key,), value) for key, value in document.data.items()}
    if isinstance(values.get("webhooks"), list):
        values["webhooks"] = [
            {key: value_at(("webhooks", index, key), item) for key, item in entry.items()}
            if isinstance(entry, dict)
            else entry
            for index, entry in enumerate(document.webhooks)
        ]
    return values


def _holds_none(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_none, value.values()))
    if isinstance(value, list):
        return any(map(_holds_none, value))
    return value is None


def _is_null(document: Document, path: DataPath) -> bool:
    from reconciler.source.position import is_null  # most overlays remove nothing

    return is_null(document.text, path)


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
    yield from ((None, finding) for finding in _root_findings(layer, below))
    checks = _Entries(layer, below)
    for index, entry in enumerate(layer.document.webhooks):
        if isinstance(mapping(entry).get("name"), str):
            yield from ((index, finding) for finding in checks.findings(index, entry))
        elif "exclude" in mapping(entry):
            place = Place(layer.file, ("webhooks", index, "name"))
            yield (
                index,
                error(
                    "exclude-unknown",
                    "this cannot be excluded: it has no name",
                    "write `name: ...`",
                    place,
                ),
            )


def add_conflicts(layers: Sequence[Layer], below: Callable[[Layer], Merged]) -> Iterator[Finding]:
    """Yield the names that are added in one branch and declared in another one.

    `below` returns what a layer extends, merged.
    """
    if not any(_added(layer) for layer in layers):
        return
    declared = {layer: dict(_declared(layer, below(layer))) for layer in layers}
    for earlier, later in combinations(layers, 2):
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
    for path in (("limits", "max_deletes"), ("prune",)):
        writers = [layer for layer in layers if holds(layer.values, path)]
        for earlier, later in pairwise(writers):
            old, new = (value_at(layer.values, path) for layer in (earlier, later))
            if path == ("prune",):
                is_relaxed = old is False and new is not False
                message = "deletes undeclared webhooks, which a parent file prevents"
            else:
                is_relaxed = isinstance(old, int) and isinstance(new, int) and new > old
                message = f"raises the limit of a parent file from {old} to {new}"
            if is_relaxed:
                also = related("the parent's value", Place(earlier.file, path))
                yield note("relaxes-parent", message, None, Place(later.file, path), also)


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
    file, values = layer.file, layer.values
    yield from _removals(file, (), _without_webhooks(values), below.root, below)
    parents = protected(layer.ancestors)
    for key in ("ignore", "protect"):
        globs, known = texts(values.get(key)), texts(below.root.get(key))
        known = list(parents) if key == "protect" else _ignored(layer.ancestors)
        if globs and set(globs) <= set(known):
            yield _adds_nothing(Place(file, (key,), key=True))
    yield from _unprotect_findings(layer, parents)


def _without_webhooks(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "webhooks"}


def _adds_nothing(place: Place) -> Finding:
    message = f"`{place.path[-1]}` adds nothing: the files that this one extends have it already"
    return note("adds-nothing", message, "remove it", place)


def _ignored(layers: Sequence[Layer]) -> list[str]:
    return [glob for layer in layers for glob in texts(layer.values.get("ignore"))]


def _unprotect_findings(layer: Layer, parents: Mapping[str, Layer]) -> Iterator[Finding]:
    listed = layer.values.get("unprotect", [])
    if not isinstance(listed, list):
        place = Place(layer.file, ("unprotect",))
        yield error("unprotect-unknown", "`unprotect` is not a list", _known_globs(parents), place)
        return
    for index, glob in enumerate(listed):
        if glob not in list(parents):
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
        at = (*path, key)
        if isinstance(value, dict) and key in MAPPINGS:
            yield from _removals(file, at, value, mapping(lower).get(key), below)
        if value is not REMOVED:
            continue
        if key in _GUARDS:
            message = f"an overlay cannot remove the guard `{key}`"
            if key == "previously":
                message = "an overlay cannot remove former names"
            yield error("guard-removed", message, _GUARD_HINTS.get(key), Place(file, at))
        elif not holds(lower, (key,)):
            yield _nothing_removed(file, at, lower, below)


_GUARD_HINTS: Final = {
    "ignore": "a parent's `ignore` cannot be relaxed: move the glob to a file that not all extend",
    "limits": "set a different value instead",
    "max_deletes": "set a different value instead",
    "previously": "remove them in the file that lists them",
    "protect": "relax it with `unprotect: [GLOB]`",
}


def _nothing_removed(file: str, at: DataPath, lower: Any, below: Merged) -> Finding:
    key, place = str(at[-1]), Place(file, at)
    inside = at[2:] if at[0] == "webhooks" else ()
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

    def findings(self, index: int, entry: dict[str, Any]) -> Iterator[Finding]:
        """Yield the findings of an entry that has a name."""
        name, target = entry["name"], self._target(entry)
        place = Place(self._layer.file, ("webhooks", index, "name"))
        if target is None and name in self._renamed:
            yield self._under_old_name(name, place)
            return
        if target is not None:
            first = self._changed.setdefault(target.number, place)
            if first is not place:
                message = f"{in_quotes(name)} has two entries in this file"
                hint = "merge the two, or remove one"
                yield error("declared-twice", message, hint, place, related("the first", first))
                return
        if self._layer.values is not self._layer.document.data:
            values = self._layer.values["webhooks"][index]
            lower = {} if target is None else target.webhook.data
            yield from _removals(self._layer.file, place.path[:-1], values, lower, self._below)
        if "exclude" in entry:
            yield from self._exclusion(entry, target, place)
        if entry.get("exclude") is True or entry.get("state") == "absent":
            yield from self._protection(name, entry, place)
        elif "add" in entry:
            yield from self._addition(entry, target, place)
        elif target is not None:
            yield from self._without_effect(entry, target, place)
            former = texts(entry.get("previously"))
            if former and set(former) <= set(texts(target.webhook.data.get("previously"))):
                yield _adds_nothing(Place(place.file, (*place.path[:-1], "previously"), key=True))
        elif self._needs_mark and "exclude" not in entry:
            yield self._without_target(name, place)

    def _target(self, entry: dict[str, Any]) -> _Target | None:
        number = self._below.find(entry)
        if number is None:
            return None
        webhook = self._below.webhooks[number]
        file, index = webhook.entries[-1]
        return _Target(number, webhook, Place(file, ("webhooks", index, "name")))

    def _under_old_name(self, name: str, place: Place) -> Finding:
        webhook = self._renamed[name]
        new_name = in_quotes(mapping(webhook.data).get("name"))
        file, index = next(
            (file, index)
            for layer in self._below.layers
            for file, index in webhook.entries
            if layer.file == file and name in texts(_entry(layer, index).get("previously"))
        )
        renamed = related("renamed here", Place(file, ("webhooks", index, "previously")))
        message = f"{in_quotes(name)} was renamed to {new_name}"
        return error("renamed-below", message, f"use the new name: {new_name}", place, renamed)

    def _exclusion(
        self, entry: dict[str, Any], target: _Target | None, place: Place
    ) -> Iterator[Finding]:
        at = place._replace(path=(*place.path[:-1], "exclude"))
        value = entry["exclude"]
        if value is True and not entry.keys() <= {"name", "id", "exclude"}:
            message = "an excluded webhook has only `exclude: true`, `name` and `id`"
            hint = "remove the other keys, or remove `exclude`"
            yield error("exclude-unknown", message, hint, at)
        elif not isinstance(value, bool):
            message, hint = "`exclude` is true or false", "write `exclude: true`"
            yield error("exclude-unknown", message, hint, at)
        elif target is None:
            name = in_quotes(entry["name"])
            message = f"{name} cannot be excluded: no file that this one extends declares it"
            hint = self._similar(entry["name"]) or "remove the entry, or correct its name"
            yield error("exclude-unknown", message, hint, place)

    def _protection(self, name: str, entry: dict[str, Any], place: Place) -> Iterator[Finding]:
        glob = next(self._protecting.matching(name), None)
        if glob is None:
            return
        by = self._protected[glob]
        index = texts(by.values["protect"]).index(glob)
        key = "exclude" if entry.get("exclude") is True else "state"
        done = "excludes" if key == "exclude" else "deletes"
        message = f"this {done} {in_quotes(name)}, which a parent file protects"
        hint = (
            f"remove this entry, or add `unprotect: [{_glob(glob)}]` to this file, which the "
            "review shows"
        )
        at = place._replace(path=(*place.path[:-1], key))
        also = related("protected here", Place(by.file, ("protect", index)))
        yield error("protected-by-parent", message, hint, at, also)

    def _addition(
        self, entry: dict[str, Any], target: _Target | None, place: Place
    ) -> Iterator[Finding]:
        at = place._replace(path=(*place.path[:-1], "add"))
        if entry["add"] is not True:
            yield error("bad-add", "`add` can only be true", "write `add: true`", at)
        elif target is not None:
            message = f"{in_quotes(entry['name'])} is already declared, so it is not added"
            hint = "remove `add: true` to change it, or use another name"
            yield error("bad-add", message, hint, at, related("declared here", target.place))

    def _without_effect(
        self, entry: dict[str, Any], target: _Target, place: Place
    ) -> Iterator[Finding]:
        webhook = target.webhook
        if webhook.is_excluded:
            key, value, state = "exclude", "exclude: false", "excluded"
        elif webhook.is_absent:
            key, value, state = "state", "state: present", "absent"
        else:
            return
        if entry.get("exclude") is False or "state" in entry:
            return
        by_file = {layer.file: layer for layer in self._below.layers}
        file, index = next(
            (file, index) for file, index in webhook.entries if key in _entry(by_file[file], index)
        )
        message = f"{in_quotes(entry['name'])} is {state}, so this entry has no effect"
        hint = f"remove it, or add `{value}` to bring the webhook back"
        also = related(f"{state} here", Place(file, ("webhooks", index, key)))
        yield warning("no-effect", message, hint, place, also)

    def _without_target(self, name: str, place: Place) -> Finding:
        message = f"no file that this one extends declares {in_quotes(name)}"
        hint = "for a new webhook, insert the line `add: true`"
        if similar := self._similar(name):
            hint = f"{similar} {hint}"
        return error("no-target", message, hint, place)

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


def _entry(layer: Layer, index: int) -> dict[str, Any]:
    return mapping(layer.document.webhooks[index])


def _glob(glob: str) -> str:
    """Return a glob as YAML text for a hint; one that may be a secret is hidden."""
    return in_quotes(glob).replace("'", '"')
