"""Overlays: merge a file with the parents named in its `extends`.

Merges the data of documents, before the schema validates it:

- Mappings (`defaults`, `limits`, a webhook, a `configuration`) merge key by key; everything else is
  replaced. A secret reference is one value. The literal `null` removes a key,
  except a guard (`protect`, `limits`, `max_deletes`).
- `webhooks` merge by name. `exclude: true` leaves a webhook out, `state: absent` replaces it.
- If an overlay changes the type of a webhook, the configuration of the old type is dropped.
- `defaults` merge first and apply once, to the merged webhooks.

The result keeps both documents, to find the position of a value. Paths of `{file: ...}` references
are made relative to the overlay.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from reconciler.findings import Finding, Place, Position, Related, error, note
from reconciler.model import DataPath
from reconciler.source.files import NotReadableError, ReadParent, file_name
from reconciler.source.text import in_quotes
from reconciler.source.yaml import LISTED, Document, parse

_MAX_DEPTH: Final = 10
"""The maximum number of files from an overlay to its last parent, including the overlay."""

_MAPPINGS: Final = frozenset({"defaults", "limits", "configuration"})


def extend(read: Iterable[Document], read_parent: ReadParent) -> tuple[Document, ...]:
    """Merge each overlay with its parents; files that are parents are not returned."""
    given = {each.file: each for each in read}
    reader = _Reader(given, read_parent)
    merged = [reader.merged(each, (file,)) for file, each in given.items()]
    parents = {parent.file for each in merged for parent in each.parents}
    return tuple(each for each in merged if each.file not in parents)


class _Reader:
    """Reads and merges files; a parent is parsed and merged once."""

    def __init__(self, given: Mapping[str, Document], read_parent: ReadParent) -> None:
        self._known = dict(given)
        self._read_parent = read_parent
        self._merged: dict[str, Document] = {}

    def merged(self, document: Document, chain: tuple[str, ...]) -> Document:
        """Return a document merged with its parents, unchanged if it has none.

        `chain` has the document and the files that extend it.
        """
        if "extends" not in document.data:
            return document
        if document.file in self._merged:
            return self._merged[document.file]
        own = dict(document.data)
        written = own.pop("extends")
        named: dict[DataPath, object] = {("extends",): written}
        if isinstance(written, list) and written:
            named = {("extends", number): path for number, path in enumerate(written)}
        parents: list[Document] = []
        found: list[Finding] = []
        for at, path in named.items():
            try:
                parents.append(self._parent(document.file, path, chain))
            except NotReadableError as refusal:
                message = f"cannot extend {in_quotes(path)}: it {refusal}"
                found.append(error("bad-parent", message, refusal.hint, Place(document.file, at)))
        usable = not found and all(each.usable for each in parents)
        over = document._replace(data=own, usable=usable)
        if usable:
            below = parents[0]
            for each in parents[1:]:
                below = _Merge(_moved(below, each.file), each, found, True).document()
            over = _Merge(_moved(below, over.file), over, found).document()
        if found:
            from reconciler.source.position import add_positions  # valid files need no positions

            found = add_positions(self._known, found)
        self._merged[document.file] = merged = over._replace(
            findings=(*document.findings, *found),
            parents=tuple(above for each in parents for above in (*each.parents, each)),
        )
        return merged

    def _parent(self, file: str, path: object, chain: tuple[str, ...]) -> Document:
        """Return the merged parent at `path` of a file. Raises NotReadableError."""
        if not isinstance(path, str) or not path:
            raise NotReadableError("is not a file path", "write `extends: base.yaml`")
        if "://" in path:
            raise NotReadableError("is a URL", "extend a YAML file in this repository")
        found = self._read_parent(file_name(path, file))
        if found.file in chain:
            circle = " -> ".join((*chain[chain.index(found.file) :], found.file))
            raise NotReadableError(f"extends itself: {circle}", "remove one `extends`")
        if len(chain) == _MAX_DEPTH:
            message = f"exceeds the maximum of {_MAX_DEPTH} files in a chain"
            raise NotReadableError(message, "use fewer levels of `extends`")
        if found.file not in self._known:
            self._known[found.file] = parse(found.raw, found.file)
        return self.merged(self._known[found.file], (*chain, found.file))


class _Merged(NamedTuple):
    """A merged webhook, its position, and its index in the upper and in the lower document."""

    entry: Any
    position: Position
    over: int | None
    below: int | None


class _Merge(NamedTuple):
    """The merge of one document over another, which may both be parents of an overlay."""

    below: Document
    over: Document
    findings: list[Finding]
    are_parents: bool = False

    def document(self) -> Document:
        """Return the merged document, under the name of the upper one."""
        below, over = self.below, self.over
        data = self._merged(below.data, over.data, ())
        items = {
            key: (over if key in over.data else below).items.get(key, [])
            for key in LISTED
            if isinstance(data.get(key), list)
        }
        merged: list[_Merged] = []
        if isinstance(data.get("webhooks"), list):
            types = [_mapping(each.get("defaults")).get("type") for each in (below.data, data)]
            merged = self._webhooks(*types)
            data["webhooks"] = [each.entry for each in merged]
            items["webhooks"] = [each.position for each in merged]
        layers = (
            (over, tuple(each.over for each in merged)),
            (below, tuple(each.below for each in merged)),
        )
        return over._replace(data=data, items=items, layers=layers)

    def _merged(self, lower: dict[str, Any], upper: dict[str, Any], at: DataPath) -> dict[str, Any]:
        """Merge two mappings; `at` is the path of the upper one.

        Keys keep the order of the lower mapping, followed by the keys that the upper one adds.
        """
        merged = dict(lower)
        if _retyped(lower.get("type"), upper.get("type")):
            merged.pop("configuration", None)
        for key, new in upper.items():
            old = merged.get(key)
            if new is None and self._is_removed((*at, key)):
                merged.pop(key, None)
            elif key in _MAPPINGS and isinstance(old, dict) and isinstance(new, dict):
                merged[key] = self._merged(old, new, (*at, key))
            else:
                merged[key] = new
        return merged

    def _is_removed(self, at: DataPath) -> bool:
        """Return whether an empty value is the literal `null`; for a guard, report an error."""
        from reconciler.source.position import is_null  # most overlays remove nothing

        place = self.over.written_at(at)
        if place.file != self.over.file or not is_null(self.over.text, place.path):
            return False
        if at[-1] in ("protect", "limits", "max_deletes"):
            message = f"an overlay cannot remove the guard `{at[-1]}`"
            hint = "set a different value instead"
            self.findings.append(error("guard-removed", message, hint, place))
        return True

    def _webhooks(self, old_type: object, new_type: object) -> list[_Merged]:
        """Merge two lists of webhooks, given the default types before and after."""
        over = [self._checked(*each) for each in enumerate(self.over.webhooks)]
        changes = self._changes()
        here, there = (each.items.get("webhooks", []) for each in (self.over, self.below))
        merged: list[_Merged] = []
        for old, lower in enumerate(self.below.webhooks):
            new = changes.get(old)
            upper = {} if new is None else over[new]
            own = _mapping(lower).get("type")
            if _retyped(own or old_type, upper.get("type", own or new_type)):
                lower = {key: value for key, value in lower.items() if key != "configuration"}
            if new is None:
                merged.append(_Merged(lower, there[old], None, old))
            elif "absent" in (_mapping(lower).get("state"), _mapping(upper).get("state")):
                merged.append(_Merged(upper, here[new], new, None))
            elif not _is_excluded(upper):
                entry = self._merged(lower, upper, ("webhooks", new))
                merged.append(_Merged(entry, here[new], new, old))
        changed = set(changes.values())
        for new, upper in enumerate(over):
            if new not in changed and not _is_excluded(upper):
                merged.append(_Merged(upper, here[new], new, None))
        return merged

    def _checked(self, index: int, entry: Any) -> Any:
        """Return an entry without an invalid `exclude`, which is an error."""
        rest = {key: value for key, value in _mapping(entry).items() if key != "exclude"}
        is_valid = _is_excluded(entry) and rest.keys() <= {"name", "id"}
        if is_valid or "exclude" not in _mapping(entry):
            return entry
        message = "an excluded webhook has only `exclude: true`, `name` and `id`"
        hint = "remove the other keys, or remove `exclude`"
        place = self.over.written_at(("webhooks", index, "exclude"))
        self.findings.append(error("exclude-unknown", message, hint, place))
        return rest

    def _changes(self) -> dict[int, int]:
        """Return the index of the upper entry for each lower entry that it changes."""
        below, over = self.below.webhooks, self.over.webhooks
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
            at: DataPath = ("webhooks", index, "name")
            if same and same[0] not in found:
                found[same[0]] = index
                if self.are_parents:
                    self.findings.append(self._twice(name, at, same[0]))
            elif _is_excluded(entry) or (same and _is_excluded(over[found[same[0]]])):
                why = "no parent declares it, or another entry here changes it"
                message = f"{in_quotes(name)} cannot be excluded: {why}"
                hint = "remove the entry, or correct its name"
                place = self.over.written_at(at)
                self.findings.append(error("exclude-unknown", message, hint, place))
        return found

    def _twice(self, name: object, at: DataPath, below: int) -> Finding:
        earlier = self.below.written_at(("webhooks", below, "name"))
        related = (Related(message="the earlier one", place=earlier),)
        message = f"two parents declare {in_quotes(name)}: the later one overrides the earlier"
        return note("extends-twice", message, at=self.over.written_at(at), related=related)


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
            case list():
                return list(map(moved, entry))
        return entry

    return document._replace(data={key: moved(each) for key, each in document.data.items()})


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _retyped(old: object, new: object) -> bool:
    return None not in (old, new) and old != new


def _is_excluded(entry: Any) -> bool:
    return _mapping(entry).get("exclude") is True
