"""Load files: return one `Desired`, or the errors of all files. Return a `Desired` as plain data.

Each file is parsed, validated against the schema and linted; then all files are checked together.
Every finding points at the position to fix, which is in `defaults` for an inherited value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from reconciler.findings import Finding, Place, Position, Severity, distinct, has_errors
from reconciler.kinds import FIELDS, Field, expand, ordered
from reconciler.model import (
    LITERAL,
    Absent,
    Desired,
    FileScope,
    Pattern,
    Policy,
    Secret,
    SecretRef,
    Value,
    Webhook,
    with_ascii_host,
)
from reconciler.source.document import Document, holds, value_at
from reconciler.source.files import ReadParent, Sources
from reconciler.source.lint import PASTED, Rules, lint, pasted_tokens
from reconciler.source.nodes import locate
from reconciler.source.schema import Part, parts
from reconciler.source.schemes import reference_in
from reconciler.source.secrets import url_credential, wrap
from reconciler.source.yaml import parse


class Loaded(NamedTuple):
    """The result of loading. `desired` is None if and only if `findings` has an error.

    `documents` has the files that are valid YAML, by name, `parents` the files that they extend.
    `policies` are those that the files conform to, as in `Parsed`.
    """

    desired: Desired | None
    findings: tuple[Finding, ...] = ()
    documents: Mapping[str, Document] = MappingProxyType({})
    parents: Mapping[str, Document] = MappingProxyType({})
    policies: Mapping[str, str] = MappingProxyType({})

    @property
    def files(self) -> Mapping[str, Document]:
        """All files by name; one that is also a parent is there as it is applied."""
        return {**self.parents, **self.documents}

    def position(self, place: Place) -> Position | None:
        """Return the position of a place, which may be in a parent; None for a saved plan."""
        document = self.documents[place.file]
        if not document.text:
            return None
        from reconciler.source.position import excerpt

        source = document.written_at(place.path)
        text = self.files[source.file].text
        return excerpt(text, locate(text, source))[0]


class Parsed(NamedTuple):
    """Parsed files, overlays merged with their parents.

    `findings` are those of files that could not be read. `policies` are those that a saved plan
    conforms to: the SHA-256 of each, by its path. `folder` is the folder of the repository from
    which a saved plan names its files, None if it does not matter or is not known.
    """

    documents: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = ()
    policies: Mapping[str, str] = MappingProxyType({})
    folder: str | None = None

    @property
    def parents(self) -> Mapping[str, Document]:
        """The files that the documents extend, by name."""
        return {
            parent.file: parent for document in self.documents for parent in document.layers[1:]
        }

    @property
    def files(self) -> Mapping[str, Document]:
        """All files by name; one that is also a parent is there as it is applied."""
        return {**self.parents, **{document.file: document for document in self.documents}}


def parse_files(sources: Sources) -> Parsed:
    """Parse files, each parent once."""
    documents = [parse(source.raw, source.file) for source in sources.files]
    return Parsed(extended(documents, sources.read_parent), sources.findings)


def extended(documents: Iterable[Document], read_parent: ReadParent) -> tuple[Document, ...]:
    """Return files merged with their parents, without those that are only layers."""
    documents = tuple(documents)
    if not any("extends" in document.data for document in documents):
        return documents
    from reconciler.source.extend import extend  # most files extend nothing

    return extend(documents, read_parent)


def load_parsed(parsed: Parsed, rules: Rules) -> Loaded:
    """Return the desired configuration of parsed files, or the errors in them."""
    documents = {document.file: document for document in parsed.documents if document.usable}
    accepted = {file: list(parts(document.data)) for file, document in documents.items()}
    # No webhook may receive the key of any organization, also not one that another file names.
    rules = rules._replace(api_keys=rules.api_keys.union(key_references(parsed.documents)))
    findings = _findings(parsed, documents, accepted, rules)
    loaded = Loaded(None, tuple(findings), documents, parsed.parents)
    if has_errors(findings):
        return loaded
    # The webhooks of a missing file would be deleted.
    assert all(document.usable for document in parsed.documents)
    return loaded._replace(desired=build(documents.values(), accepted))


def _findings(
    parsed: Parsed,
    documents: Mapping[str, Document],
    accepted: Mapping[str, Iterable[Part]],
    rules: Rules,
) -> list[Finding]:
    """Return the findings of all files with their positions, sorted, each once."""
    # A parent that is applied, too, is in it once, and so are its findings.
    every = parsed.files
    structural = list(parsed.findings)
    for document in every.values():
        structural += document.findings
    for file, document in documents.items():
        structural += _schema_findings(document, accepted[file])
    checks = list(lint({file: document.data for file, document in documents.items()}, rules))
    pasted = [] if rules.allow_literal_secrets else list(pasted_tokens(every.values()))
    if not structural and not checks and not pasted:
        return []
    return _most_precise(structural, checks, pasted, every)


def _most_precise(
    structural: Sequence[Finding],
    checks: Sequence[Finding],
    pasted: Sequence[Finding],
    documents: Mapping[str, Document],
) -> list[Finding]:
    """Return the findings with positions; of several about one place only the most precise."""
    from reconciler.source.position import add_positions  # valid files need no positions

    located = add_positions(documents, [*structural, *checks])
    structural, checks = located[: len(structural)], located[len(structural) :]
    # At the same position, a check is more precise than the schema.
    covered = {check.position for check in checks if check.severity is Severity.ERROR} - {None}
    uncovered = (finding for finding in structural if finding.position not in covered)
    # And it names the field of a token.
    named = {str(check.position) for check in checks if check.rule == PASTED}
    unnamed = [finding for finding in pasted if str(finding.position) not in named]
    return distinct((*add_positions(documents, unnamed), *uncovered, *checks))


def _schema_findings(document: Document, accepted: Iterable[Part]) -> list[Finding]:
    rejected = [part for part in accepted if not part.is_valid()]
    if not rejected:
        return []
    from reconciler.source.explain import explain  # valid files need no messages

    return explain(document, rejected)


def key_references(documents: Iterable[Document]) -> Iterator[SecretRef]:
    """Yield the references to API keys in files."""
    for document in documents:
        reference = reference_in(document.data.get("api_key"), document.file)
        if reference is not None:
            yield reference


def build(documents: Collection[Document], accepted: Mapping[str, Iterable[Part]]) -> Desired:
    """Return the desired configuration of files whose parts, by file, are all valid."""
    webhooks: list[Webhook] = []
    absent: list[Absent] = []
    literals: dict[SecretRef, Secret] = {}
    for document in documents:
        positions = document.positions("webhooks")
        for part in accepted[document.file]:
            if part.item is None:  # the root
                continue
            entry = _declaration(document.file, part, positions[part.item], literals)
            if isinstance(entry, Absent):
                absent.append(entry)
            else:
                webhooks.append(entry)
    return Desired(
        webhooks=tuple(webhooks),
        absent=tuple(absent),
        policy=_policy(documents),
        organization=_setting(documents, "organization"),
        literals=literals,
        environment=_setting(documents, "github", "environment"),
    )


def _policy(documents: Collection[Document]) -> Policy:
    scopes = [
        FileScope(
            file=document.file,
            globs=tuple(document.data.get("scope", ("*",))),
            prune=document.data.get("prune", True),
        )
        for document in documents
    ]
    return Policy(
        scopes=tuple(scopes),
        ignore=_patterns(documents, "ignore"),
        protect=_patterns(documents, "protect"),
        max_deletes=_setting(documents, "limits", "max_deletes"),
    )


def _patterns(documents: Iterable[Document], key: str) -> tuple[Pattern, ...]:
    """Return each glob once, with its first position."""
    patterns: dict[str, Pattern] = {}
    for document in documents:
        globs, positions = document.data.get(key, ()), document.positions(key)
        for glob, position in zip(globs, positions, strict=True):
            patterns.setdefault(glob, Pattern(glob=glob, position=position, file=document.file))
    return tuple(patterns.values())


def _setting(documents: Iterable[Document], *path: str) -> Any:
    """Return the first value of a setting, which is the same in every file; None without one."""
    # Files that disagree have errors, so the first value is that of all.
    for document in documents:
        if holds(document.data, path):
            return value_at(document.data, path)
    return None


def _declaration(
    file: str, part: Part, position: Position, literals: dict[SecretRef, Secret]
) -> Webhook | Absent:
    """Return a declaration; the values of its literal secrets are added to `literals`."""
    data, index = part.data, part.item
    assert index is not None
    name, id_ = data["name"], data.get("id")
    line = Position(file=position.file, line=position.line)
    if data.get("state") == "absent":
        return Absent(name=name, id=id_, position=line, index=index, file=file)
    fields = FIELDS[data["type"]]
    configuration: dict[str, Value] = {}
    for key, value in data["configuration"].items():
        if fields[key].secret:
            value = _secret(fields[key], value, id_ or name, file, literals)
        configuration[key] = value
    return Webhook(
        name=name,
        id=id_,
        type=data["type"],
        event_types=_events(tuple(data["event_types"])),
        configuration=configuration,
        previously=tuple(data.get("previously", ())),
        adopt=data.get("adopt", False),
        position=line,
        index=index,
        file=file,
    )


@lru_cache(maxsize=256)  # most webhooks share their event types
def _events(globs: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*map(expand, globs))


def _secret(
    field: Field, value: Any, key: str, file: str, literals: dict[SecretRef, Secret]
) -> Value:
    """Return the reference of a secret, or a URL that may be shown."""
    reference = reference_in(value, file, versioned=True)
    if reference is not None:
        return reference
    # A review should show where events are sent, if the URL is no secret.
    if field.is_url and url_credential(value) is None:
        return str(value)
    reference = SecretRef(scheme=LITERAL, name=f"{key}/{field.name}")
    literals[reference] = wrap(value)
    return reference


# The configuration as data


def configurations(desired: Desired) -> dict[str, dict[str, Any]]:
    """Return the configuration of each file as plain data in the file format, by file.

    Globs of events are expanded and defaults merged, as the planner sees them. Secrets are
    references: loading the data again gives the same `Desired`. But a literal secret appears as
    `{literal: WEBHOOK/FIELD}`, a URL as scheme and host with `***`, and no file may have these.
    """
    return {scope.file: _configuration(desired, scope) for scope in desired.policy.scopes}


def _configuration(desired: Desired, scope: FileScope) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if desired.organization:
        data["organization"] = desired.organization
    data |= {"prune": scope.prune, "scope": list(scope.globs)}
    data |= shared_settings(desired, scope.file)
    # Positions are looked up by index, so the order must be that of the file.
    entries: list[Webhook | Absent] = [*desired.webhooks, *desired.absent]
    entries.sort(key=lambda entry: entry.index)
    data["webhooks"] = [
        _entry(entry, desired.literals) for entry in entries if entry.file == scope.file
    ]
    return data


def shared_settings(desired: Desired, file: str | None = None) -> dict[str, Any]:
    """Return the settings of a file, or of all files, besides names, scopes and webhooks."""
    policy = desired.policy
    data: dict[str, Any] = {}
    for key, patterns in (("ignore", policy.ignore), ("protect", policy.protect)):
        globs = [pattern.glob for pattern in patterns if file in (None, pattern.file)]
        if globs:
            data[key] = globs
    if policy.max_deletes is not None:
        data["limits"] = {"max_deletes": policy.max_deletes}
    if desired.environment is not None:
        data["github"] = {"environment": desired.environment}
    return data


def _entry(entry: Webhook | Absent, literals: Mapping[SecretRef, Secret]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": entry.name}
    if entry.id is not None:
        data["id"] = entry.id
    if isinstance(entry, Absent):
        return {**data, "state": "absent"}
    if entry.previously:
        data["previously"] = list(entry.previously)
    if entry.adopt:
        data["adopt"] = True
    fields = FIELDS[entry.type]
    return {
        **data,
        "type": entry.type,
        "event_types": ordered(entry.event_types),
        "configuration": {
            name: _value(fields[name], value, literals)
            for name, value in entry.configuration.items()
        },
    }


def _value(field: Field, value: Value, literals: Mapping[SecretRef, Secret]) -> Any:
    """Return the value of a field as plain data, without secrets."""
    if isinstance(value, SecretRef):
        # A policy for hosts must see that of every URL in the file.
        if field.is_url and value in literals:
            return literals[value].shown_url()
        return value.tree()
    if field.is_url and isinstance(value, str):
        return with_ascii_host(value)
    return value
