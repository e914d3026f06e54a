"""Merge layers: a file, and the files that it extends.

Every file is merged once, in the order of precedence, and only what it writes itself counts:

- Mappings (`defaults`, `limits`, a webhook, a `configuration`) merge key by key. `protect`,
  `ignore` and `previously` are united. Everything else is replaced, also a secret reference.
- Webhooks merge by name. `exclude` and `state` are values like others until the last file is
  merged, so only `exclude: false` or `state: present` brings a webhook back.
- If the type of a webhook changes, the configuration of the old type is dropped.
- `defaults` merge first and apply once, to the merged webhooks.

`extend.py` reads the files, `overlay.py` checks each of them against what it extends.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.model import DataPath
from reconciler.source.document import UNITED, Document, Entry, holds, listed, mapping
from reconciler.source.schemes import SCHEMES

MAPPINGS: Final = frozenset({"defaults", "limits", "github", "configuration"})
_APART: Final = frozenset({"extends", "webhooks", "protect", "unprotect", "ignore"})
"""Keys of a file that do not merge like others."""

REMOVED: Final = object()
"""The value of a key with the literal `null`, which removes what the file extends."""

_Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A file without its errors, and what it extends.

    `ancestors` are all files that it extends, each once, the lowest precedence first; `height` is
    the number of files in the longest chain of `extends`. `values` is its data, with REMOVED for
    the literal `null`. Entries in `skipped` have an error.
    """

    document: Document
    values: _Values
    ancestors: tuple[Layer, ...] = ()
    height: int = 1
    skipped: frozenset[int] = frozenset()

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.document.file

    @property
    def named(self) -> dict[str, Entry]:
        """The last entry of each name, without those that have an error."""
        return {
            entry.name: entry
            for entry in self.document.written
            if entry.name is not None and entry.number not in self.skipped
        }


def writers(layers: Iterable[Layer], path: DataPath) -> list[Layer]:
    """Return the layers that write the value at a path outside of `webhooks`, in their order."""
    return [layer for layer in layers if holds(layer.values, path)]


class MergedWebhook(NamedTuple):
    """A merged webhook, and its entries, the highest precedence first."""

    data: Any
    entries: tuple[Entry, ...]

    @property
    def is_excluded(self) -> bool:
        """Return whether the webhook is left out."""
        return mapping(self.data).get("exclude") is True

    @property
    def is_absent(self) -> bool:
        """Return whether the webhook is deleted if it is live."""
        return mapping(self.data).get("state") == "absent"


class Layers(NamedTuple):
    """The values of merged layers, with their webhooks, and the numbers of these by name."""

    layers: tuple[Layer, ...] = ()
    root: Mapping[str, Any] = MappingProxyType({})
    webhooks: tuple[MergedWebhook, ...] = ()
    numbers: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def find(self, entry: Any) -> int | None:
        """Return the number of the webhook that an entry of the next layer changes, if any."""
        values = mapping(entry)
        name = values.get("name")
        numbers = self.numbers.get(name, ()) if isinstance(name, str) else ()
        for number in numbers:
            # Webhooks with the same name have ids.
            webhook = mapping(self.webhooks[number].data)
            if len(numbers) == 1 or webhook.get("id") == values.get("id"):
                return number
        return None


def merge(layers: Sequence[Layer], directory: str) -> Layers:
    """Merge layers in their order; `directory` is that of the file to which paths are relative."""
    # Each file is here once, whatever the number of paths to it, so time grows with the files.
    return reduce(lambda below, layer: _with_layer(below, layer, directory), layers, Layers())


def _with_layer(below: Layers, layer: Layer, directory: str) -> Layers:
    """Merge one more layer."""
    values = _moved(layer.values, posixpath.dirname(layer.file), directory)
    plain = {key: value for key, value in values.items() if key not in _APART}
    root = _merge_mappings(below.root, plain)
    # Before the entries, which may set the configuration for the new type.
    webhooks = _with_types(below, root)
    numbers = dict(below.numbers)
    if "webhooks" in values:
        # The schema reports one that is no list; the entries of others are merged below.
        root["webhooks"] = values["webhooks"]
    changed: set[int] = set()
    for index, entry in enumerate(listed(values.get("webhooks"))):
        if index in layer.skipped:
            continue
        source = Entry(layer.document, index)
        number = below.find(entry)
        if number is not None and number not in changed:
            changed.add(number)
            lower = below.webhooks[number]
            data = _merge_entries(lower.data, entry, below.root, root)
            webhooks[number] = MergedWebhook(data, (source, *lower.entries))
            continue
        # A second entry for a webhook is kept, so that it is reported as a duplicate.
        name = mapping(entry).get("name")
        if isinstance(name, str):
            numbers[name] = (*numbers.get(name, ()), len(webhooks))
        # Merging into an empty mapping drops REMOVED, which only overlays have.
        if layer.ancestors and mapping(entry):
            entry = _merge_mappings({}, entry)
        webhooks.append(MergedWebhook(entry, (source,)))
    return Layers((*below.layers, layer), root, tuple(webhooks), numbers)


def _with_types(below: Layers, root: _Values) -> list[MergedWebhook]:
    """Return the webhooks below, without the configuration of a type that `defaults` change."""
    webhooks = list(below.webhooks)
    if _retyped(_default_type(below.root), _default_type(root)):
        for number, webhook in enumerate(webhooks):
            if "type" not in mapping(webhook.data):
                data = _without(webhook.data, "configuration")
                webhooks[number] = webhook._replace(data=data)
    return webhooks


def _merge_entries(
    lower: Any, upper: _Values, old_root: _Values, new_root: _Values
) -> dict[str, Any]:
    """Merge an entry into a webhook; either may inherit its type from `defaults`."""
    kept = mapping(lower)
    old_type = kept.get("type", _default_type(old_root))
    new_type = upper.get("type", kept.get("type", _default_type(new_root)))
    if _retyped(old_type, new_type):
        kept = _without(kept, "configuration")
    return _merge_mappings(kept, upper)


def _merge_mappings(lower: _Values, upper: _Values) -> dict[str, Any]:
    """Merge two mappings. Keys of the lower one keep their order and come first."""
    merged = dict(lower)
    if _retyped(lower.get("type"), upper.get("type")):
        merged.pop("configuration", None)
    for key, new in upper.items():
        if new is not REMOVED:
            merged[key] = _merge_values(key, merged.get(key), new)
        # `overlay.py` reports an attempt to remove one of these lists.
        elif key not in UNITED:
            merged.pop(key, None)
    return merged


def _merge_values(key: str, old: Any, new: Any) -> Any:
    if key in MAPPINGS and isinstance(new, dict):
        return _merge_mappings(mapping(old), new)
    if key in UNITED and isinstance(old, list) and isinstance(new, list):
        return [*old, *(item for item in new if item not in old)]
    return new


# The result


def document(below: Layers, layer: Layer, directory: str) -> Document:
    """Return a layer merged with what it extends, as a document under the name of the layer."""
    merged = _with_layer(below, layer, directory)
    data = dict(merged.root)
    for key in ("ignore", "protect"):
        if writers(merged.layers, (key,)):
            data[key] = _united(merged.layers, key)
    webhooks: list[MergedWebhook] = []
    if isinstance(data.get("webhooks"), list):
        webhooks = [_effective(webhook) for webhook in merged.webhooks if not webhook.is_excluded]
        data["webhooks"] = [webhook.data for webhook in webhooks]
    return layer.document._replace(
        data=data,
        merged=tuple(webhook.entries for webhook in webhooks),
    )


def _effective(webhook: MergedWebhook) -> MergedWebhook:
    """Return a webhook without the keys that only direct the merge.

    Of an absent webhook only name and id are left, and what the entry with `state: absent` writes
    beside it, which is an error.
    """
    data, entries = webhook
    if webhook.is_absent and len(entries) > 1:
        number = next(number for number, entry in enumerate(entries) if "state" in entry.data)
        kept = {"name", "id", *entries[number].data}
        data = {key: value for key, value in data.items() if key in kept}
        entries = (entries[number], *entries[:number], *entries[number + 1 :])
    return MergedWebhook(_without(data, "add", "exclude"), entries)


def protected(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Return the globs that layers protect, each with the first layer that does.

    `unprotect` applies to what its file extends, not to the globs of other branches.
    """
    first: dict[str, Layer] = {}
    for layer in layers:
        for glob in texts(layer.values.get("protect")):
            relaxed = any(
                layer in other.ancestors and glob in texts(other.values.get("unprotect"))
                for other in layers
            )
            if not relaxed:
                first.setdefault(glob, layer)
    return first


def _united(layers: Sequence[Layer], key: str) -> Any:
    """Return the list that the lists of layers form."""
    items: list[Any] = []
    kept = protected(layers) if key == "protect" else {}
    for layer in layers:
        values = layer.values.get(key, [])
        if values is REMOVED:
            continue
        if not isinstance(values, list):
            return values  # the schema reports it
        for item in values:
            is_relaxed = key == "protect" and isinstance(item, str) and item not in kept
            if item not in items and not is_relaxed:
                items.append(item)
    return items


# Values


def texts(value: Any) -> list[str]:
    """Return the strings in a list; none if the value is not a list."""
    return [item for item in listed(value) if isinstance(item, str)]


def _without(data: Any, *keys: str) -> Any:
    """Return a mapping without some keys, unchanged if it has none of them."""
    if not any(key in mapping(data) for key in keys):
        return data
    return {key: value for key, value in data.items() if key not in keys}


def _default_type(root: _Values) -> object:
    return mapping(root.get("defaults")).get("type")


def _retyped(old: object, new: object) -> bool:
    # An entry without a type keeps the one below.
    return old is not None and new not in (None, REMOVED, old)


def _moved(values: _Values, source: str, target: str) -> _Values:
    """Return values of a file in the directory `source` for one in `target`.

    Paths in references are relative to the file that contains them.
    """
    if source == target:
        return values

    def moved(value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {name: moved(item, name) for name, item in value.items()}
            case list():
                return [moved(item) for item in value]
            # An absolute path means the same file everywhere.
            case str() if key in SCHEMES and SCHEMES[key].is_path and not posixpath.isabs(value):
                return posixpath.relpath(posixpath.join(source, value), target)
        return value

    return {key: moved(value) for key, value in values.items()}
