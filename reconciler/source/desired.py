"""From files to what they declare: all mistakes of all files at once, or one `Desired`.

Each file is loaded, judged by the schema and linted; then all files are checked together. Every
finding points at the place to fix: for a value that a webhook got from `defaults`, that is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.findings import (
    Finding,
    Position,
    Severity,
    has_errors,
    sort_key,
)
from reconciler.model import Desired, FileScope, Path, Pattern, Policy, Webhook
from reconciler.source import agreement, identity
from reconciler.source.build import Declaration, build
from reconciler.source.document import Document, load
from reconciler.source.files import Sources
from reconciler.source.lint import Rules, lint
from reconciler.source.merge import origin
from reconciler.source.schema import accepts, parts

__all__ = ["Declared", "Rules", "declare", "place", "strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The outcome. `desired` is None exactly when `findings` has an error.

    `documents` holds the files that could be read as YAML, by name.
    """

    desired: Desired | None
    findings: tuple[Finding, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict, repr=False)


def declare(sources: Sources, *, rules: Rules | None = None) -> Declared:
    """Understand `sources`. Findings, those of `sources` among them, are sorted by place."""
    rules = rules or Rules()
    found: list[Finding] = list(sources.findings)
    documents: dict[str, Document] = {}
    for source in sources.files:
        loaded = load(source.raw, source.file)
        if isinstance(loaded, Document):
            documents[source.file] = loaded
            found.extend(loaded.findings)
        else:
            found.extend(loaded)

    declarations: list[Declaration] = []
    structural: list[Finding] = []
    problems: list[Finding] = []
    entries: list[identity.Entry] = []
    for document in documents.values():
        judged = _judged(document)
        if isinstance(judged, Declaration):
            declarations.append(judged)
        else:
            structural.extend(judged)
        problems.extend(lint(document.file, document.data, rules))
        mine = tuple(identity.entries(document.file, document.data))
        problems.extend(identity.out_of_scope(mine, document.file, document.data.get("scope")))
        entries.extend(mine)
    problems.extend(identity.check(entries))
    contents = {file: document.data for file, document in documents.items()}
    problems.extend(agreement.check(contents))

    if structural or problems:
        from reconciler.source.locate import placed  # a good file needs no places

        texts = {file: document.text for file, document in documents.items()}
        found += placed(texts, structural)
        problems = placed(texts, problems)
    findings = _merged(found, problems)
    desired = None
    if not has_errors(findings):
        desired = _assemble(declarations, documents, agreement.organization(contents))
    return Declared(desired=desired, findings=findings, documents=documents)


def strict(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return `findings` with every warning made an error."""
    return tuple(
        replace(each, severity=Severity.ERROR) if each.severity is Severity.WARNING else each
        for each in findings
    )


def place(declared: Declared, webhook: Webhook, path: Path = ()) -> Position | None:
    """Return where a field of `webhook` is written, in `defaults` if it came from there.

    What is written nowhere is placed where it should be; None if the file is not at hand.
    """
    if webhook.position is None:
        return None
    document = declared.documents.get(webhook.position.file)
    if document is None:
        return None
    from reconciler.source.locate import locate

    return locate(document.text, document.file, origin(document.data, webhook.index, path))


def _judged(document: Document) -> Declaration | list[Finding]:
    """Return what a file declares, or what the schema rejects of it."""
    whole = tuple(parts(document.data))
    rejected = [part for part in whole if not accepts(part)]
    if not rejected:
        return build(document, whole)
    from reconciler.source.explain import explain  # a good file needs no words

    return explain(document, rejected)


def _merged(structural: list[Finding], remarks: list[Finding]) -> tuple[Finding, ...]:
    """Put findings together, once each; a remark replaces what the schema says of that place."""
    better = {each.position for each in remarks if each.severity is Severity.ERROR}
    left = [each for each in structural if each.position is None or each.position not in better]
    unique = dict.fromkeys((*left, *remarks))
    return tuple(sorted(unique, key=sort_key))


def _assemble(
    declarations: list[Declaration], documents: Mapping[str, Document], organization: str | None
) -> Desired:
    limits = [each.max_deletes for each in declarations if each.max_deletes is not None]
    return Desired(
        webhooks=tuple(webhook for each in declarations for webhook in each.webhooks),
        absent=tuple(entry for each in declarations for entry in each.absent),
        policy=Policy(
            scopes=tuple(
                FileScope(file=each.file, globs=each.scope, prune=each.prune)
                for each in declarations
            ),
            ignore=_patterns(documents, "ignore", ((x.file, x.ignore) for x in declarations)),
            protect=_patterns(documents, "protect", ((x.file, x.protect) for x in declarations)),
            max_deletes=limits[0] if limits else None,
        ),
        organization=organization,
        literals={ref: value for each in declarations for ref, value in each.literals.items()},
    )


def _patterns(
    documents: Mapping[str, Document], key: str, globs: Iterable[tuple[str, tuple[str, ...]]]
) -> tuple[Pattern, ...]:
    found: dict[str, Pattern] = {}
    for file, written in globs:
        if not written:
            continue
        from reconciler.source.locate import locate

        text = _text_with(documents[file], key)
        for index, glob in enumerate(written):
            if glob not in found:
                found[glob] = Pattern(glob=glob, position=locate(text, file, (key, index)))
    return tuple(found.values())


def _text_with(document: Document, key: str) -> str:
    """Return as much of a file as is needed to place what a root key holds.

    Placing walks the text, and this happens to good files too: the part before the webhooks is
    enough where the key stands there, and is short however many webhooks follow.
    """
    from reconciler.source.nodes import tree

    if document.lines:
        before = "\n".join([*document.text.split("\n")[: document.lines[0] - 1], ""])
        if re.search(rf"^{key}:", before, re.MULTILINE) and tree(before).complete:
            return before
    return document.text
