"""Loaded configuration files, from a text or from declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from reconciler.findings import Position
from reconciler.model import Absent, Desired, Pattern, Webhook
from reconciler.source.files import NotReadableError, SourceFile, Sources
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_files
from reconciler.source.rendered import configurations
from reconciler.source.yaml import Document

_T = TypeVar("_T", Webhook, Absent, Pattern)


def load_text(text: str | bytes, *, rules: Rules | None = None) -> Loaded:
    """Load one file with that text."""
    return load_texts({"webhooks.yaml": text}, rules=rules)


def load_texts(texts: Mapping[str, str | bytes], *given: str, rules: Rules | None = None) -> Loaded:
    """Load the `given` files, by default all, of a repository in memory."""
    read = {
        name: SourceFile(file=name, raw=text.encode() if isinstance(text, str) else text)
        for name, text in texts.items()
    }

    def read_parent(name: str) -> SourceFile:
        if name not in read:
            raise NotReadableError("does not exist", "check the path")
        return read[name]

    files = tuple(read[name] for name in given or read)
    return load_files(Sources(files=files, read_parent=read_parent), rules=rules)


def loaded(desired: Desired) -> Loaded:
    """Return the result of loading files with these declarations.

    Settings without a file are in the first.
    """
    policy = desired.policy
    first = policy.scopes[0].file

    def placed(values: Iterable[_T]) -> tuple[_T, ...]:
        return tuple(replace(each, file=each.file or first) for each in values)

    entries = [*placed(desired.webhooks), *placed(desired.absent)]
    written = replace(
        desired,
        webhooks=placed(desired.webhooks),
        absent=placed(desired.absent),
        policy=replace(policy, ignore=placed(policy.ignore), protect=placed(policy.protect)),
    )
    documents = {
        file: Document(
            file=file,
            text="",
            data=data,
            items={
                "webhooks": [
                    each.position or Position(file=file, line=1)
                    for each in entries
                    if each.file == file
                ]
            },
        )
        for file, data in configurations(written).items()
    }
    return Loaded(desired=desired, documents=documents)
