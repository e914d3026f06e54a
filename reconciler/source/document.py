"""A parsed file: its data, and where each value is written.

A webhook inherits from the `defaults` of its file:

- `type` and `event_types`, if it does not set them.
- `configuration`, field by field. A field's value is replaced completely: `{env: ...}` and
  `{file: ...}` never merge into one reference with both.
- If `defaults` set a type, only webhooks of that type inherit their configuration
  (docs/adr/0003-defaults-configuration-follows-its-type.md).

An overlay is merged from layers: itself, and all files that it extends. `Document.sources` is the
only answer to where a value comes from, and which values it overrides there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reconciler.findings import Finding, Place, Position
from reconciler.model import DataPath

INHERITED: Final = ("type", "event_types", "configuration")
LISTED: Final = ("webhooks", "ignore", "protect")
"""Lists of the root whose items get positions."""
UNITED: Final = frozenset({"ignore", "protect", "previously"})
"""Lists that an overlay adds to instead of replacing them."""


class Entry(NamedTuple):
    """An item of `webhooks` as a file writes it, without what it inherits."""

    document: Document
    number: int

    @property
    def data(self) -> dict[str, Any]:
        """The entry; empty if it is not a mapping."""
        return mapping(self.document.webhooks[self.number])

    @property
    def name(self) -> str | None:
        """The name; None if it is not text."""
        match self.data:
            case {"name": str(name)}:
                return name
        return None

    def place(self, key: str) -> Place:
        """Return the place of a value."""
        return Place(self.document.file, ("webhooks", self.number, key))


class Document(NamedTuple):
    """One parsed file.

    `text` is the file without byte order mark, with `\\n` as line breaks, including the last line;
    empty if it is not text. `data` contains only dict (with text keys), list, str, bool, int, float
    and None. Aliases share objects, so treat it as read-only. It is empty if the file is not
    `usable`. `items` has the position of each item of the root's `webhooks`, `ignore` and
    `protect`, as the file writes them. `findings` has all errors, unordered. The first of two equal
    keys counts.

    An overlay has the merged data of its `layers`: itself as written, and what it extends, the
    highest precedence first. `merged` has the entries that each webhook is merged from, in the same
    order.
    """

    file: str
    text: str
    data: dict[str, Any]
    usable: bool = True
    items: Mapping[str, list[Position]] = MappingProxyType({})
    findings: tuple[Finding, ...] = ()
    layers: tuple[Document, ...] = ()
    merged: tuple[tuple[Entry, ...], ...] = ()

    def __repr__(self) -> str:
        return f"Document({self.file!r})"  # the content may have secrets

    @property
    def webhooks(self) -> list[Any]:
        """The items of `webhooks`, in any form; empty without a list."""
        return listed(self.data.get("webhooks"))

    @property
    def written(self) -> list[Entry]:
        """The items of `webhooks` of a file that is not merged."""
        return [Entry(self, number) for number in range(len(self.webhooks))]

    def entries(self, index: int) -> tuple[Entry, ...]:
        """Return the entries of a webhook, the highest precedence first."""
        if not self.layers:
            return (Entry(self, index),)
        return self.merged[index]

    def positions(self, key: str) -> list[Position]:
        """Return the position of each item of a list of the root, without parsing again.

        A merged webhook has that of its last entry, which a reader edits first.
        """
        if not self.layers:
            return self.items.get(key, [])
        positions = []
        for index in range(len(listed(self.data.get(key)))):
            document, path = next(self._in_layers((key, index)))
            positions.append(document.items[key][int(path[1])])
        return positions

    def written_at(self, path: DataPath) -> Place:
        """Return where the value at `path` is written: in this file, a parent, or `defaults`."""
        return next(self.sources(path), Place(self.file, ()))

    def sources(self, path: DataPath) -> Iterator[Place]:
        """Yield where a value is written, then the values that it overrides.

        Those in parents come before the defaults. For a missing value, these are the places of the
        mapping that it belongs to.
        """
        for data_path in self.in_data(path):
            length = len(data_path)
            # What no file writes is explained at the nearest mapping, where it is to be added.
            while not holds(self.data, data_path[:length]):
                length -= 1
            known, missing = data_path[:length], data_path[length:]
            for document, layer_path in self._in_layers(known):
                if not holds(document.data, layer_path):
                    continue
                file = document.file
                # The previous version of a file has its name of today, which no layer knows.
                if self.layers and document is self.layers[0]:
                    file = self.file
                yield Place(file, (*layer_path, *missing))

    def in_data(self, path: DataPath) -> Iterator[DataPath]:
        """Yield the path in the data of a webhook's value, then that of the default below it."""
        match path:
            case ("webhooks", int(index), str(key), *rest) if key in INHERITED:
                webhook = self.webhooks[index]
                # A field of the configuration is inherited as a whole, such as a reference: what
                # this one lacks inside of it does not come from the defaults.
                field = (key, *rest[:1]) if key == "configuration" else (key,)
                is_default = holds(_inherited(webhook, usable_defaults(self.data)), (key, *rest))
                if not is_default or holds(webhook, field):
                    yield path
                if is_default:
                    yield ("defaults", key, *rest)
            case _:
                yield path

    def _in_layers(self, path: DataPath) -> Iterator[tuple[Document, DataPath]]:
        """Yield the path in each layer that may write the value at `path` of the merged data."""
        match path:
            case _ if not self.layers:
                yield self, path
            case (str(key), int()) | ("webhooks", int(), str(key), int()) if key in UNITED:
                yield from self._united_item(path)
            case ("webhooks", int(number), *rest):
                for entry in self.merged[number]:
                    yield entry.document, ("webhooks", entry.number, *rest)
            case _:
                yield from ((document, path) for document in self.layers)

    def _united_item(self, path: DataPath) -> Iterator[tuple[Document, DataPath]]:
        """Yield the path of an item in the lowest layer that has it in its list."""
        item = value_at(self.data, path)
        # Lowest first: later layers that list the item again add nothing.
        for document, list_path in reversed([*self._in_layers(path[:-1])]):
            if not holds(document.data, list_path):
                continue
            items = listed(value_at(document.data, list_path))
            if item in items:
                yield document, (*list_path, items.index(item))
                return


def usable_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `defaults` that webhooks of a file can inherit; {} if they are not a mapping."""
    defaults = mapping(data.get("defaults"))
    return {key: defaults[key] for key in INHERITED if key in defaults}


def _inherited(webhook: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of usable `defaults` that a webhook inherits, unless it sets the same."""
    if not isinstance(webhook, dict):
        return {}
    part = dict(defaults)
    # Another type has other fields, and nothing can be merged into a value that is no mapping.
    is_same_type = defaults.get("type") in (None, webhook.get("type", defaults.get("type")))
    is_mapping = isinstance(webhook.get("configuration", {}), dict)
    if not (is_same_type and is_mapping and mapping(defaults.get("configuration"))):
        part.pop("configuration", None)
    return part


def effective(webhook: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a declared webhook merged with usable `defaults`."""
    part = _inherited(webhook, defaults)
    merged = {**part, **webhook}
    if "configuration" in part:
        merged["configuration"] = {**part["configuration"], **webhook.get("configuration", {})}
    return merged


def holds(data: Any, path: DataPath) -> bool:
    """Return whether data has a value at `path`."""
    try:
        value_at(data, path)
    except (LookupError, TypeError):
        return False
    return True


def value_at(data: Any, path: DataPath) -> Any:
    """Return the value at a path of data."""
    return reduce(getitem, path, data)


def mapping(value: Any) -> dict[str, Any]:
    """Return a value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """Return a value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
