"""Load files: return one `Desired`, or the errors of all files.

Each file is parsed, validated against the schema and linted; then all files are checked together.
Every finding points at the position to fix, which is in `defaults` for an inherited value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from reconciler.findings import Finding, Place, Position, Severity, distinct, has_errors
from reconciler.kinds import FIELDS, Field
from reconciler.kinds.events import expand
from reconciler.model import (
    LITERAL,
    Absent,
    DataPath,
    Desired,
    FileScope,
    Pattern,
    Policy,
    Secret,
    SecretRef,
    Value,
    Webhook,
)
from reconciler.source.allowed import reference_in
from reconciler.source.files import Sources
from reconciler.source.lint import Rules, lint
from reconciler.source.schema import Part, origin, parts
from reconciler.source.secrets import url_credential, wrap
from reconciler.source.yaml import Document, parse


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

    def place(self, file: str, path: DataPath) -> Place:
        """Return the place of a value of the rendered configuration, in `defaults` if inherited.

        A missing field has the place where it belongs. An event may come from a glob, so it has the
        place of the list. The rendered webhooks have the order, and so the indexes, of the file.
        """
        match path:
            case ("webhooks", int(index), *rest):
                inside = rest[:1] if rest[:1] == ["event_types"] else rest
                path = origin(self.documents[file].data, index, tuple(inside))
        return Place(file, path)

    def position(self, place: Place) -> Position | None:
        """Return the position of a place, which may be in a parent; None for a saved plan."""
        document = self.documents[place.file]
        if not document.text:
            return None
        from reconciler.source.position import excerpt, locate

        at = document.written_at(place.path)
        text = self.parents.get(at.file, document).text
        return excerpt(text, locate(text, at.file, at.path))[0]


class Parsed(NamedTuple):
    """Parsed files, overlays merged with their parents.

    `findings` are those of files that could not be read. `policies` are those that a saved plan
    conforms to: the SHA-256 of each, by its path.
    """

    documents: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = ()
    policies: Mapping[str, str] = MappingProxyType({})


def parse_files(sources: Sources) -> Parsed:
    """Parse files, each parent once."""
    read = tuple(parse(each.raw, each.file) for each in sources.files)
    if any("extends" in each.data for each in read):
        from reconciler.source.extend import extend  # most files extend nothing

        read = extend(read, sources.read_parent)
    return Parsed(documents=read, findings=sources.findings)


def load_parsed(parsed: Parsed, rules: Rules) -> Loaded:
    """Return the desired configuration of parsed files, or the errors in them."""
    read = parsed.documents
    parents = {above.file: above for each in read for above in each.parents}
    every = parents | {each.file: each for each in read}
    documents = {each.file: each for each in read if each.usable}
    rules = rules._replace(api_keys=rules.api_keys.union(key_references(read)))
    found = [*parsed.findings, *(finding for each in every.values() for finding in each.findings)]
    checked = list(lint({file: each.data for file, each in documents.items()}, rules))
    accepted: dict[str, list[Part]] = {}
    for file, document in documents.items():
        accepted[file] = list(parts(document.data))
        if rejected := [part for part in accepted[file] if not part.is_valid()]:
            from reconciler.source.explain import explain  # valid files need no messages

            found.extend(explain(document, rejected))
    if found or checked:
        from reconciler.source.position import add_positions  # valid files need no positions

        located = add_positions(every, [*found, *checked])
        found, checked = located[: len(found)], located[len(found) :]
    # At the same position, a check is more precise than the schema.
    covered = {each.position for each in checked if each.severity is Severity.ERROR}
    found = [each for each in found if each.position is None or each.position not in covered]
    ordered = distinct((*found, *checked))
    loaded = Loaded(None, tuple(ordered), documents, parents)
    if has_errors(ordered):
        return loaded
    assert all(each.usable for each in read)  # a missing file's webhooks would be deleted
    return loaded._replace(desired=build(documents.values(), accepted))


def key_references(documents: Iterable[Document]) -> Iterator[SecretRef]:
    """Yield the references to API keys in files."""
    for each in documents:
        if (found := reference_in(each.data.get("api_key"), each.file)) is not None:
            yield found


def build(documents: Collection[Document], accepted: Mapping[str, Iterable[Part]]) -> Desired:
    """Return the desired configuration of files whose parts, by file, are all valid."""
    webhooks: list[Webhook] = []
    absent: list[Absent] = []
    literals: dict[SecretRef, Secret] = {}
    for document in documents:
        for _, data, index in accepted[document.file]:
            if index is None:  # the root
                continue
            name, key = data["name"], data.get("id")
            place = document.items["webhooks"][index]
            entry: dict[str, Any] = {
                "name": name,
                "id": key,
                "position": Position(file=place.file, line=place.line),
                "index": index,
                "file": document.file,
            }
            if data.get("state") == "absent":
                absent.append(Absent(**entry))
                continue
            fields = FIELDS[data["type"]]
            webhooks.append(
                Webhook(
                    **entry,
                    type=data["type"],
                    event_types=_events(tuple(data["event_types"])),
                    configuration={
                        field: _secret(fields[field], value, key or name, document.file, literals)
                        if fields[field].secret
                        else value
                        for field, value in data["configuration"].items()
                    },
                    previously=tuple(data.get("previously", ())),
                    adopt=data.get("adopt", False),
                )
            )
    roots = [(each.file, each.data) for each in documents]
    named = (root.get("organization") for _, root in roots)
    limits = (root.get("limits", {}).get("max_deletes") for _, root in roots)
    environments = (root.get("github", {}).get("environment") for _, root in roots)
    return Desired(
        webhooks=tuple(webhooks),
        absent=tuple(absent),
        policy=Policy(
            scopes=tuple(
                FileScope(file, tuple(root.get("scope", ("*",))), root.get("prune", True))
                for file, root in roots
            ),
            ignore=_patterns(documents, "ignore"),
            protect=_patterns(documents, "protect"),
            max_deletes=next((each for each in limits if each is not None), None),
        ),
        organization=next(filter(None, named), None),
        literals=literals,
        environment=next((each for each in environments if each is not None), None),
    )


@lru_cache(maxsize=256)  # most webhooks share their event types
def _events(globs: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*map(expand, globs))


def _secret(
    field: Field, data: Any, key: str, file: str, literals: dict[SecretRef, Secret]
) -> Value:
    if (found := reference_in(data, file, versioned=True)) is not None:
        return found
    if field.is_url and url_credential(data) is None:
        value: Value = data
        return value
    ref = SecretRef(scheme=LITERAL, name=f"{key}/{field.name}")
    literals[ref] = wrap(data)
    return ref


def _patterns(documents: Iterable[Document], key: str) -> tuple[Pattern, ...]:
    """Return each glob once, with its first position."""
    found: dict[str, Pattern] = {}
    for document in documents:
        globs, positions = document.data.get(key, ()), document.items.get(key, ())
        for glob, position in zip(globs, positions, strict=True):
            found.setdefault(glob, Pattern(glob=glob, position=position, file=document.file))
    return tuple(found.values())
