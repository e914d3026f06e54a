"""Overlays: merge a file that `extends` parents with their content.

Merges the data of documents, before the schema validates it:

- Mappings (`defaults`, `limits`, a webhook, a `configuration`) merge key by key; everything else is
  replaced. A secret reference is one value. The literal `null` removes a key, but no guard.
- `webhooks` merge by name. `exclude: true` leaves a webhook out, `state: absent` replaces it.
- If an overlay changes the type of a webhook, the configuration of the old type is dropped.
- `defaults` merge first and apply once, to the merged webhooks.

The result records the position of each value, for findings. Paths of `{file: ...}` references are
made relative to the overlay.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.findings import Finding, Place, Position, Related, error, note
from reconciler.model import Path
from reconciler.source.files import NotReadableError, ReadParent
from reconciler.source.yaml import LISTED, Document, parse

MAX_DEPTH: Final = 10
"""The maximum number of files from an overlay to its last parent, including the overlay."""

_MAPPINGS: Final = frozenset({"defaults", "limits", "configuration"})
_GUARDS: Final = frozenset({"protect", "limits", "max_deletes"})


def extend(read: Iterable[Document], read_parent: ReadParent) -> tuple[Document, ...]:
    """Merge each overlay with its parents. A file that another one extends is only a parent.

    The findings of a parent are with the first overlay that extends it.
    """
    reader = _Reader({each.file: each for each in read}, read_parent)
    merged = [reader.merged(each, (each.file,)) for each in reader.given]
    parents = {parent.file for each in merged for parent in each.parents}
    return tuple(each for each in merged if each.file not in parents)


class _Reader:
    """Reads and merges files; a parent is parsed once, even if several files extend it."""

    def __init__(self, given: Mapping[str, Document], read_parent: ReadParent) -> None:
        self.given = tuple(given.values())
        self._known = dict(given)
        self._parents: set[str] = set()
        self._read_parent = read_parent
        self._findings: list[Finding] = []
        self._merged: dict[str, Document] = {}

    def merged(self, document: Document, chain: tuple[str, ...]) -> Document:
        """Return a document merged with its parents, unchanged if it has none.

        `chain` has the files that extend it.
        """
        if "extends" not in document.data:
            return document
        if document.file not in self._merged:
            before = len(self._findings)
            own = {key: value for key, value in document.data.items() if key != "extends"}
            over = replace(document, data=own)
            named = [self._parent(document, at, chain) for at in self._paths(document)]
            parents = [each for each in named if each is not None]
            if len(parents) < len(named) or not all(each.usable for each in parents):
                over = replace(over, usable=False)
            else:
                below = parents[0]
                for each in parents[1:]:
                    below = _Merge(below, each, self._findings, siblings=True).document()
                over = _Merge(below, over, self._findings).document()
            found = self._findings[before:]
            if found:
                from reconciler.source.excerpt import placed  # valid files need no positions

                found = placed(self._known, found)
            self._merged[document.file] = replace(
                over,
                findings=(*document.findings, *found),
                parents=tuple(above for each in parents for above in (*each.parents, each)),
            )
        return self._merged[document.file]

    def _paths(self, document: Document) -> list[Path]:
        written = document.data["extends"]
        if isinstance(written, list) and written:
            return [("extends", index) for index in range(len(written))]
        return [("extends",)]

    def _parent(self, document: Document, at: Path, chain: tuple[str, ...]) -> Document | None:
        """Return the parent that a document names at `at`, or report why it cannot be used."""
        path: Any = document.data
        for step in at:
            path = path[step]
        place = Place(document.file, at)
        try:
            parent = self._read(document, path, chain, place)
        except NotReadableError as refusal:
            what = repr(path) if isinstance(path, str) else "this"
            message = f"cannot extend {what}: it {refusal}"
            self._findings.append(error("bad-parent", message, refusal.hint, place))
            return None
        return self.merged(parent, (*chain, parent.file))

    def _read(
        self, document: Document, path: Any, chain: tuple[str, ...], place: Place
    ) -> Document:
        if not isinstance(path, str) or not path:
            raise NotReadableError("is not a file path", "write `extends: base.yaml`")
        found = self._read_parent(document.file, path)
        if found.file in chain:
            circle = " -> ".join((*chain[chain.index(found.file) :], found.file))
            raise NotReadableError(f"extends itself: {circle}", "remove one `extends`")
        if len(chain) == MAX_DEPTH:
            raise NotReadableError(
                f"is more than {MAX_DEPTH} levels from the first file",
                "use fewer levels of `extends`",
            )
        if found.file not in self._known:
            self._known[found.file] = parse(found.raw, found.file)
        parent = self._known[found.file]
        if parent.file not in self._parents:
            self._parents.add(parent.file)
            through = Related(message="extended here", place=place)
            self._findings += [replace(each, related=(through,)) for each in parent.findings]
        return parent


class _Layer:
    """One document of a merge, and the positions of its parts."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._deeper: dict[Path, list[Path]] = {}
        for path in document.origins:
            for length in range(len(path)):
                self._deeper.setdefault(path[:length], []).append(path)

    def origins(self, at: Path, to: Path) -> dict[Path, Place]:
        """Return the positions of the value at `at` and of its parts, for the path `to`."""
        origins = self.document.origins
        found = {to: self.document.written_at(at)}
        found |= {to + path[len(at) :]: origins[path] for path in self._deeper.get(at, ())}
        return found


class _Merge:
    """The merge of one document over another; `siblings` are parents of the same file."""

    def __init__(
        self, below: Document, over: Document, findings: list[Finding], *, siblings: bool = False
    ) -> None:
        self._below = _Layer(_moved(below, over.file))
        self._over = _Layer(over)
        self._findings = findings
        self._siblings = siblings
        self._origins: dict[Path, Place] = {(): over.written_at(())}

    def document(self) -> Document:
        """Return the merged document, under the name of the upper one."""
        below, over = self._below.document, self._over.document
        upper, lower = dict(over.data), dict(below.data)
        lists = lower.get("webhooks"), upper.get("webhooks")
        earlier = _mapping(lower.get("defaults"))
        if _retyped(earlier.get("type"), _mapping(upper.get("defaults")).get("type")):
            lower["defaults"] = _without_configuration(earlier)
        data = self._merged(lower, upper, (), (), ())
        items = {
            key: (over if key in over.data else below).items.get(key, [])
            for key in LISTED
            if isinstance(data.get(key), list)
        }
        if isinstance(lists[0], list) and isinstance(lists[1] or [], list):
            types = earlier.get("type"), _mapping(data.get("defaults")).get("type")
            data["webhooks"], items["webhooks"] = self._webhooks(lists[0], lists[1] or [], types)
        return replace(over, data=data, items=items, origins=self._origins)

    def _merged(
        self, lower: dict[str, Any], upper: dict[str, Any], under: Path, at: Path, to: Path
    ) -> dict[str, Any]:
        """Merge the mappings at `under` and `at`; `to` is the path of the result.

        Keys keep the order of the lower mapping, followed by the keys that the upper one adds.
        """
        merged: dict[str, Any] = {}
        for key in dict.fromkeys((*lower, *upper)):
            old, new, path = lower.get(key), upper.get(key), (*to, key)
            removed = key in upper and new is None and self._is_removed((*at, key))
            if removed and key not in _GUARDS:
                continue
            if removed or key not in upper:
                if key in lower:
                    merged[key] = old
                    self._origins |= self._below.origins((*under, key), path)
            elif key in _MAPPINGS and isinstance(old, dict) and isinstance(new, dict):
                self._origins[path] = self._over.document.written_at((*at, key))
                merged[key] = self._merged(old, new, (*under, key), (*at, key), path)
            else:
                merged[key] = new
                self._origins |= self._over.origins((*at, key), path)
        return merged

    def _is_removed(self, at: Path) -> bool:
        """Return whether an empty value is the literal `null`; for a guard, report an error."""
        from reconciler.source.position import is_null  # most overlays remove nothing

        place = self._over.document.written_at(at)
        if place.file != self._over.document.file or not is_null(
            self._over.document.text, place.path
        ):
            return False
        if at[-1] in _GUARDS:
            self._findings.append(
                error(
                    "guard-removed",
                    f"an overlay cannot remove the guard `{at[-1]}`",
                    "set another value; reviews show that as a change of a guard",
                    place,
                )
            )
        return True

    def _webhooks(
        self, below: list[Any], over: list[Any], types: tuple[object, object]
    ) -> tuple[list[Any], list[Position]]:
        """Merge two lists of webhooks; `types` are the default types before and after."""
        changes = self._changes(below, over)
        merged: list[Any] = []
        positions: list[Position] = []

        def add(layer: _Layer, index: int, entry: Any, origins: dict[Path, Place]) -> None:
            merged.append(entry)
            positions.append(layer.document.items["webhooks"][index])
            self._origins.update(origins)

        for old, lower in enumerate(below):
            path: Path = ("webhooks", len(merged))
            new = changes.get(old)
            upper = {} if new is None else over[new]
            if isinstance(lower, dict) and _retyped(
                lower.get("type", types[0]), upper.get("type", lower.get("type", types[1]))
            ):
                lower = _without_configuration(lower)
            if new is None:
                add(self._below, old, lower, self._below.origins(("webhooks", old), path))
            elif _is_absent(lower) or _is_absent(upper):
                add(self._over, new, upper, self._over.origins(("webhooks", new), path))
            elif not _is_excluded(upper):
                at: Path = ("webhooks", new)
                entry = self._merged(lower, upper, ("webhooks", old), at, path)
                add(self._over, new, entry, {path: self._over.document.written_at(at)})
        for new, upper in enumerate(over):
            if new not in changes.values() and not _is_excluded(upper):
                path = ("webhooks", len(merged))
                add(self._over, new, upper, self._over.origins(("webhooks", new), path))
        return merged, positions

    def _changes(self, below: list[Any], over: list[Any]) -> dict[int, int]:
        """Return the index of the upper entry for each lower entry that it changes."""
        by_name: dict[str, list[int]] = {}
        for index, entry in enumerate(below):
            if isinstance(name := _mapping(entry).get("name"), str):
                by_name.setdefault(name, []).append(index)
        found: dict[int, int] = {}
        for index, entry in enumerate(over):
            name = _mapping(entry).get("name")
            same = by_name.get(name, []) if isinstance(name, str) else []
            if len(same) > 1:  # entries with an id
                same = [each for each in same if below[each].get("id") == entry.get("id")]
            place = self._over.document.written_at(("webhooks", index, "name"))
            if same and same[0] not in found:
                found[same[0]] = index
                if self._siblings:
                    message = f"two parents declare {name!r}: the later one changes the earlier"
                    at = self._below.document.written_at(("webhooks", same[0], "name"))
                    other = Related(message="the earlier one", place=at)
                    self._findings.append(
                        note("extends-twice", message, at=place, related=(other,))
                    )
            elif not same and _is_excluded(entry):
                hint = "remove the entry, or correct its name"
                message = f"no parent declares {name!r}, which is excluded here"
                self._findings.append(error("exclude-unknown", message, hint, place))
        return found


def _moved(document: Document, file: str) -> Document:
    """Return a document with its `{file: ...}` references relative to another file."""
    here, there = posixpath.dirname(document.file), posixpath.dirname(file)
    if here == there:
        return document

    def moved(entry: Any) -> Any:
        match entry:
            case {"file": str(path)} if not posixpath.isabs(path):
                return {**entry, "file": posixpath.relpath(posixpath.join(here, path), there)}
            case {"configuration": dict(settings)}:
                changed = {key: moved(value) for key, value in settings.items()}
                return {**entry, "configuration": changed}
        return entry

    data = {key: moved(document.data[key]) for key in document.data}
    if isinstance(data.get("webhooks"), list):
        data["webhooks"] = [moved(each) for each in data["webhooks"]]
    return replace(document, data=data)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _retyped(old: object, new: object) -> bool:
    return None not in (old, new) and old != new


def _without_configuration(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "configuration"}


def _is_excluded(entry: Any) -> bool:
    return _mapping(entry).get("exclude") is True


def _is_absent(entry: Any) -> bool:
    return _mapping(entry).get("state") == "absent"
