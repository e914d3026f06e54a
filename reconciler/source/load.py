"""From files to what they declare: all mistakes of all files at once, or one `Desired`.

Each file is read, judged by the schema and linted; then all files are checked together. Every
finding points at the place to fix: for a value that a webhook got from `defaults`, that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from reconciler.findings import (
    Finding,
    Place,
    Position,
    Related,
    Severity,
    error,
    has_errors,
    sort_key,
)
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import expand
from reconciler.model import (
    Absent,
    Desired,
    FileScope,
    Path,
    Pattern,
    Policy,
    Scheme,
    Secret,
    SecretRef,
    Value,
    Webhook,
)
from reconciler.source import identity
from reconciler.source.allowed import file_name, masked, refusal, setting, url_credential
from reconciler.source.defaults import origin
from reconciler.source.files import Sources
from reconciler.source.lint import Rules, lint
from reconciler.source.schema import Part, accepts, parts
from reconciler.source.secrets import references, wrap
from reconciler.source.yaml import Document, parse

_FIELDS = {kind.type: {each.name: each for each in kind.fields} for kind in KINDS.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What files declare. `desired` is None exactly when `findings` has an error.

    `documents` holds the files that could be read as YAML, by name.
    """

    desired: Desired | None
    findings: tuple[Finding, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict, repr=False)


def load_files(sources: Sources, *, rules: Rules | None = None) -> Loaded:
    """Return what `sources` declare. Findings, those of `sources` among them, are in order."""
    rules = rules or Rules()
    read = [parse(each.raw, each.file) for each in sources.files]
    found = [*sources.findings, *(finding for each in read for finding in each.findings)]
    documents = {each.file: each for each in read if each.usable}
    declarations: list[Desired] = []
    checked: list[Finding] = []
    entries: list[identity.Entry] = []
    for document in documents.values():
        declared = _judged(document)
        if isinstance(declared, Desired):
            declarations.append(declared)
        else:
            found.extend(declared)
        checked.extend(lint(document.file, document.data, rules))
        mine = tuple(identity.entries(document.file, document.data))
        checked.extend(identity.out_of_scope(mine, document.file, document.data.get("scope")))
        entries.extend(mine)
    checked.extend(identity.check(entries))
    organizations = list(_organizations(documents.values()))
    checked.extend(_differing(organizations, documents.values()))
    if found or checked:
        from reconciler.source.excerpt import placed  # a good file needs no places

        texts = {each.file: each.text for each in read}
        whole = placed(texts, [*found, *checked])
        found, checked = whole[: len(found)], whole[len(found) :]
    # Of one place, a check knows better than the schema.
    better = {each.position for each in checked if each.severity is Severity.ERROR}
    found = [each for each in found if each.position is None or each.position not in better]
    findings = tuple(sorted(dict.fromkeys((*found, *checked)), key=sort_key))
    desired = None
    if rules.allow_secrets and any(each.rule == "secret-not-allowed" for each in findings):
        findings = _with_setting(findings, sources, rules)
    if not has_errors(findings):
        desired = _united(declarations, organizations[0][1] if organizations else None)
    return Loaded(desired=desired, findings=findings, documents=documents)


def _with_setting(
    findings: tuple[Finding, ...], sources: Sources, rules: Rules
) -> tuple[Finding, ...]:
    """Add the setting that allows all references of the files, if they have no other error."""
    desired = load_files(sources, rules=replace(rules, allow_secrets=())).desired
    if desired is None:
        return findings
    refs = references(desired.webhooks)
    refused = [ref for ref in refs if refusal(ref, rules.allow_secrets)]
    hint = f"if it may be sent, set {setting(refused, rules.allow_secrets)}, without --allow-secret"
    return tuple(
        replace(each, hint=hint) if each.rule == "secret-not-allowed" else each for each in findings
    )


def place(loaded: Loaded, webhook: Webhook, path: Path = ()) -> Position | None:
    """Return where a field of `webhook` is written, in `defaults` if it came from there.

    What is written nowhere is placed where it should be; None if the file is not known.
    """
    document = loaded.documents.get(webhook.position.file) if webhook.position else None
    if document is None:
        return None
    from reconciler.source.excerpt import narrow
    from reconciler.source.position import locate

    where = locate(document.text, document.file, origin(document.data, webhook.index, path))
    return narrow(document.text, where)


def _judged(document: Document) -> Desired | list[Finding]:
    """Return what a file declares, or what the schema rejects of it."""
    whole = tuple(parts(document.data))
    rejected = [part for part in whole if not accepts(part)]
    if not rejected:
        return build(document, whole)
    from reconciler.source.explain import explain  # a good file needs no words

    return explain(document, rejected)


def build(document: Document, accepted: Iterable[Part]) -> Desired:
    """Return what a file declares apart from its organization; the schema accepts all its parts."""
    webhooks: list[Webhook] = []
    absent: list[Absent] = []
    literals: dict[SecretRef, Secret] = {}
    for part in accepted:
        if part.item is None:  # the root
            continue
        data, index = part.data, part.item
        position = Position(file=document.file, line=document.items["webhooks"][index].line)
        name, pin = data["name"], data.get("id")
        if data.get("state") == "absent":
            absent.append(Absent(name=name, id=pin, position=position, index=index))
            continue
        fields = _FIELDS[data["type"]]
        key = name if pin is None else pin
        webhooks.append(
            Webhook(
                name=name,
                type=data["type"],
                event_types=_events(tuple(data["event_types"])),
                configuration={
                    field: _value(fields[field], value, key, document.file, literals)
                    for field, value in data["configuration"].items()
                },
                id=pin,
                previously=tuple(data.get("previously", ())),
                adopt=data.get("adopt", False),
                position=position,
                index=index,
            )
        )
    root = document.data
    scope = tuple(root.get("scope", ("*",)))
    return Desired(
        webhooks=tuple(webhooks),
        absent=tuple(absent),
        policy=Policy(
            scopes=(FileScope(file=document.file, globs=scope, prune=root.get("prune", True)),),
            ignore=_patterns(document, "ignore"),
            protect=_patterns(document, "protect"),
            max_deletes=root.get("limits", {}).get("max_deletes"),
        ),
        literals=literals,
    )


@lru_cache(maxsize=256)  # most webhooks share theirs
def _events(globs: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*map(expand, globs))


def _value(
    field: Field, data: Any, key: str, file: str, literals: dict[SecretRef, Secret]
) -> Value:
    if isinstance(data, dict):
        if "file" in data:
            scheme, name = Scheme.FILE, file_name(data["file"], file)
        else:
            scheme, name = Scheme.ENV, data["env"]
        return SecretRef(scheme=scheme, name=name, version=data.get("version"))
    if not field.secret or (field.address and url_credential(data) is None):
        value: Value = data
        return value
    ref = SecretRef(scheme=Scheme.LITERAL, name=f"{key}/{field.name}")
    literals[ref] = wrap(data)
    return ref


def _patterns(document: Document, key: str) -> tuple[Pattern, ...]:
    globs, positions = document.data.get(key, ()), document.items.get(key, ())
    return tuple(
        Pattern(glob=glob, position=position)
        for glob, position in zip(globs, positions, strict=True)
    )


def _organizations(documents: Iterable[Document]) -> Iterator[tuple[Place, str]]:
    """Yield what names the organization: the root keys first, then single webhooks."""
    for document in documents:
        name = document.data.get("organization")
        if isinstance(name, str):
            yield Place(document.file, ("organization",)), name
    for document in documents:
        webhooks = document.data.get("webhooks")
        for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
            if isinstance(webhook, dict) and isinstance(webhook.get("organization"), str):
                where = Place(document.file, ("webhooks", index, "organization"))
                yield where, webhook["organization"]


def _differing(
    organizations: list[tuple[Place, str]], documents: Iterable[Document]
) -> Iterator[Finding]:
    """Yield every place that contradicts the first one about what holds for the run."""
    for where, name in organizations:
        first, known = organizations[0]
        if name != known:
            yield error(
                "organizations-differ",
                f"organization {masked(name)!r} is not {masked(known)!r}",
                "one run serves one organization: write the same name or id everywhere",
                where,
                (Related(message="the other organization", place=first),),
            )
    limits = [
        (Place(each.file, ("limits", "max_deletes")), each.data["limits"]["max_deletes"])
        for each in documents
        if isinstance(each.data.get("limits"), dict) and "max_deletes" in each.data["limits"]
    ]
    for where, limit in limits:
        if limit != limits[0][1]:
            yield error(
                "limits-differ",
                "two files set different values of `max_deletes`",
                "the limit holds for the whole run: keep it in one file",
                where,
                (Related(message="the other value", place=limits[0][0]),),
            )


def _united(files: list[Desired], organization: str | None) -> Desired:
    """Return what all files declare."""
    limits = [each.policy.max_deletes for each in files if each.policy.max_deletes is not None]
    return Desired(
        webhooks=tuple(webhook for each in files for webhook in each.webhooks),
        absent=tuple(entry for each in files for entry in each.absent),
        policy=Policy(
            scopes=tuple(scope for each in files for scope in each.policy.scopes),
            ignore=_once(pattern for each in files for pattern in each.policy.ignore),
            protect=_once(pattern for each in files for pattern in each.policy.protect),
            max_deletes=limits[0] if limits else None,
        ),
        organization=organization,
        literals={ref: value for each in files for ref, value in each.literals.items()},
    )


def _once(patterns: Iterable[Pattern]) -> tuple[Pattern, ...]:
    """Return each glob once, at its first place."""
    found: dict[str, Pattern] = {}
    for each in patterns:
        found.setdefault(each.glob, each)
    return tuple(found.values())
