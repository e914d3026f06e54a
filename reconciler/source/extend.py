"""Overlays: read the files named in `extends`, and decide which files are applied.

`extends` becomes one order, depth first: parents before the files that extend them, in the order in
which they are listed, each file once. `merge.py` merges the files in that order, so time and memory
grow with the number of files, not with the number of paths to them. `overlay.py` checks each file
against what it extends.

A file that another one extends is a layer. It is applied only if it names an organization, a key or
a profile itself, and has webhooks.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.findings import Finding, Place, error, has_errors, in_quotes, note, related
from reconciler.model import DataPath
from reconciler.source import merge, overlay
from reconciler.source.document import Document
from reconciler.source.files import IDENTITY, NotReadableError, ReadParent, file_name
from reconciler.source.merge import Layer, Layers, writers
from reconciler.source.yaml import parse

_MAX_HEIGHT: Final = 10
"""The maximum number of files from an overlay to its last parent, including the overlay."""


def extend(read: Iterable[Document], read_parent: ReadParent) -> tuple[Document, ...]:
    """Merge each overlay with what it extends; files that are only layers are not returned."""
    reader = _LayerReader(read, read_parent)
    layers = reader.selected()
    extended = {ancestor for layer in layers for ancestor in layer.ancestors}
    applied = [layer for layer in layers if layer not in extended or _is_complete(layer)]
    return tuple(reader.merged(layer, _inherited(layer, applied)) for layer in applied)


def _is_complete(layer: Layer) -> bool:
    """Return whether a file is applied although another one extends it."""
    has_webhooks = bool(writers((*layer.ancestors, layer), ("webhooks",)))
    return has_webhooks and any(key in layer.values for key in IDENTITY)


def _inherited(layer: Layer, applied: Sequence[Layer]) -> list[Finding]:
    """Return the error about an organization that a file inherits from one that is applied, too.

    Both files would declare the webhooks of the same organization.
    """
    for key in IDENTITY:
        sources = writers((*layer.ancestors, layer), (key,))
        if not sources:
            continue
        # As in the merged file: its value is that of the latest file which has the key.
        source = sources[-1]
        if source is layer or source not in applied:
            break
        message = f"this file inherits `{key}` from {in_quotes(source.file)}, which is also applied"
        hint = "set `organization` in this file, or move the common part to a file without one"
        also = related("inherited from here", Place(source.file, (key,)))
        return [
            error("organization-inherited", message, hint, Place(layer.file, ("extends",)), also)
        ]
    return []


class _LayerReader:
    """Reads files and what they extend; each file is parsed and checked once."""

    def __init__(self, read: Iterable[Document], read_parent: ReadParent) -> None:
        self._documents = {document.file: document for document in read}
        self._selected = tuple(self._documents)
        self._read_parent = read_parent
        self._layers: dict[str, Layer] = {}
        self._merged: dict[tuple[tuple[Layer, ...], str], Layers] = {}

    def selected(self) -> list[Layer]:
        """Return the layers of the files that were read first, without their parents."""
        return [self._layer(self._documents[file], (file,)) for file in self._selected]

    def merged(self, layer: Layer, findings: Sequence[Finding]) -> Document:
        """Return a file merged with what it extends, with more findings."""
        if not layer.ancestors and "extends" not in layer.document.data:
            return layer.document
        directory = posixpath.dirname(layer.file)
        document = layer.document
        if layer.document.usable:
            # Two branches can only contradict each other here, where both are known.
            linear = (*layer.ancestors, layer)
            findings = [*findings, *overlay.check_linear(linear, self._below_layer)]
            document = merge.document(self._below_layer(layer), layer, directory)
        # Also those of a file with errors: its parents may have more of them.
        members = (layer, *reversed(layer.ancestors))
        layers = tuple(member.document for member in members)
        return self._with(document._replace(layers=layers), findings)

    def _layer(self, document: Document, chain: tuple[str, ...]) -> Layer:
        """Return a file with what it extends; `chain` has the file and those that extend it."""
        if document.file not in self._layers:
            self._layers[document.file] = self._read_layer(document, chain)
        return self._layers[document.file]

    def _read_layer(self, document: Document, chain: tuple[str, ...]) -> Layer:
        if "extends" not in document.data:
            return self._checked(Layer(document, document.data))
        parents: dict[Place, Layer] = {}
        findings: list[Finding] = []
        for path, written in _listed(document.data["extends"]).items():
            place = Place(document.file, path)
            try:
                parents[place] = self._parent(document.file, written, chain)
            except NotReadableError as refusal:
                message = f"cannot extend {in_quotes(written)}: it {refusal}"
                findings.append(error("bad-parent", message, refusal.hint, place))
        findings.extend(_redundant(parents))
        # With a parent missing, the file would declare less, and its webhooks would be deleted.
        usable = document.usable and all(parent.document.usable for parent in parents.values())
        ancestors: dict[Layer, None] = {}
        for parent in parents.values():
            ancestors |= dict.fromkeys((*parent.ancestors, parent))
        layer = Layer(
            self._with(document._replace(usable=usable and not has_errors(findings)), findings),
            overlay.read_values(document),
            ancestors=tuple(ancestors),
            height=1 + max((parent.height for parent in parents.values()), default=0),
        )
        if not layer.document.usable:
            return layer
        return self._checked(layer)

    def _checked(self, layer: Layer) -> Layer:
        """Return a layer with the findings about what it writes, and its entries without errors."""
        findings = list(overlay.check_layer(layer, self._below_layer(layer)))
        # An entry with an error is not merged, so that files above do not report it again.
        skipped: set[int] = set()
        for finding in findings:
            match finding.place:
                case Place(path=("webhooks", int(number), *_)) if has_errors([finding]):
                    skipped.add(number)
        return replace(
            layer, document=self._with(layer.document, findings), skipped=frozenset(skipped)
        )

    def _below_layer(self, layer: Layer) -> Layers:
        """Return what a layer extends, merged; the files of one directory often share it."""
        # The directory counts, because paths of secrets are relative to it.
        key = (layer.ancestors, posixpath.dirname(layer.file))
        if key not in self._merged:
            self._merged[key] = merge.merge(*key)
        return self._merged[key]

    def _parent(self, file: str, path: object, chain: tuple[str, ...]) -> Layer:
        """Return the layer at `path` of a file. Raises NotReadableError."""
        if not isinstance(path, str) or not path or "\0" in path:
            raise NotReadableError("is not a file path", "write `extends: base.yaml`")
        if "://" in path:
            raise NotReadableError("is a URL", "extend a YAML file in this repository")
        name = file_name(path, file)
        if name not in self._layers:
            # A file is one layer, also if one path to it is absolute: the reader returns its name.
            source = self._read_parent(name)
            name = source.file
            if name not in self._documents:
                self._documents[name] = parse(source.raw, name)
        # A file that extends itself must end here: reading what it extends would never end.
        if name in chain:
            circle = " -> ".join((*chain[chain.index(name) :], name))
            raise NotReadableError(f"extends itself: {circle}", "remove one `extends`")
        message = f"exceeds the maximum of {_MAX_HEIGHT} files in a chain"
        too_deep = NotReadableError(message, "use fewer levels of `extends`")
        # Checked before, which ends the recursion, and after, as a known layer may be high itself.
        if len(chain) == _MAX_HEIGHT:
            raise too_deep
        layer = self._layer(self._documents[name], (*chain, name))
        if len(chain) + layer.height > _MAX_HEIGHT:
            raise too_deep
        return layer

    def _with(self, document: Document, findings: Sequence[Finding]) -> Document:
        """Return a document with more findings, at positions in the files as they are written."""
        if not findings:
            return document
        from reconciler.source.position import add_positions  # valid files need no positions

        located = add_positions(self._documents, findings)
        return document._replace(findings=(*document.findings, *located))


def _listed(extends: object) -> dict[DataPath, object]:
    """Return the value of `extends`, or each item of a list, by its path."""
    if isinstance(extends, list) and extends:
        return {("extends", index): item for index, item in enumerate(extends)}
    return {("extends",): extends}


def _redundant(parents: Mapping[Place, Layer]) -> Iterator[Finding]:
    """Yield a note for each listed file that is listed before, or that another one extends."""
    earlier: list[Layer] = []
    for place, parent in parents.items():
        name = in_quotes(parent.file)
        holder = next((other for other in parents.values() if parent in other.ancestors), None)
        is_repeated = parent in earlier
        earlier.append(parent)
        if holder is not None:
            message = f"{name} is already extended by {in_quotes(holder.file)}"
        elif is_repeated:
            message = f"{name} is listed twice"
        else:
            continue
        yield note("redundant-parent", message, "remove it from the list", place)
