"""Loaded configuration files, from a string or from declarations."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.findings import Position
from reconciler.model import Desired
from reconciler.source.document import Document
from reconciler.source.files import NotReadableError, SourceFile, Sources
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, configurations, load_parsed, parse_files


def load_text(text: str | bytes, *, rules: Rules | None = None) -> Loaded:
    """Load one file with that text."""
    return load_texts({"webhooks.yaml": text}, rules=rules)


def load_texts(texts: Mapping[str, str | bytes], *given: str, rules: Rules | None = None) -> Loaded:
    """Load the `given` files, by default all, of a repository in memory."""
    return load_parsed(parse_files(sources(texts, *given)), rules or Rules())


def sources(texts: Mapping[str, str | bytes], *given: str) -> Sources:
    """Return the `given` files, by default all, of a repository in memory."""
    read = {
        name: SourceFile(file=name, raw=text.encode() if isinstance(text, str) else text)
        for name, text in texts.items()
    }

    def read_parent(name: str) -> SourceFile:
        if name not in read:
            raise NotReadableError("does not exist", "check the path")
        return read[name]

    return Sources(files=tuple(read[name] for name in given or read), read_parent=read_parent)


def loaded(desired: Desired) -> Loaded:
    """Return the result of loading files with these declarations."""
    entries = [*desired.webhooks, *desired.absent]
    documents: dict[str, Document] = {}
    for file, data in configurations(desired).items():
        lines = [
            each.position or Position(file=file, line=1) for each in entries if each.file == file
        ]
        documents[file] = Document(file=file, text="", data=data, items={"webhooks": lines})
    return Loaded(desired=desired, documents=documents)
