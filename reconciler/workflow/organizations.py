"""The files of a run, grouped by the organization that they declare.

Files of one organization combine, as they always do. Files of several make one run each, with the
API key that `api_key` or `profile` in a file names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, Place, error
from reconciler.model import Scheme, Secret, SecretRef
from reconciler.source import files
from reconciler.source.allowed import file_name
from reconciler.source.excerpt import placed
from reconciler.source.extend import extend
from reconciler.source.secrets import fetch_key
from reconciler.source.yaml import Document, parse
from reconciler.workflow.inputs import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationFiles:
    """The files of one organization, and the reference or profile that yields its key."""

    organization: str | None
    paths: tuple[str, ...]
    api_key: SecretRef | None = None
    profile: str | None = None


def organizations(inputs: Inputs) -> tuple[OrganizationFiles, ...]:
    """Return the organizations of a run in the order of their files; () where files are unusable.

    Loading explains what is wrong with files. Raises ConfigurationError for contradicting keys of
    one organization.
    """
    sources = files.read(inputs.paths, directory=inputs.directory, stdin=bytes)
    if sources.findings:
        return ()
    extended = extend([parse(each.raw, each.file) for each in sources.files], sources.read_parent)
    documents = extended.documents
    if extended.findings or not all(each.usable for each in documents):
        return ()
    groups: dict[str | None, list[Document]] = {}
    for document in documents:
        groups.setdefault(_text(document.data.get("organization")), []).append(document)
    if len(groups) == 2 and None in groups:  # files without one belong to the only one there is
        (name,) = (each for each in groups if each is not None)
        groups = {name: list(documents)}
    contradicting = list(_contradicting(groups.values()))
    if contradicting:
        known = {each.file: each for each in (*extended.parents, *documents)}
        raise ConfigurationError(
            "the files cannot be used", findings=tuple(placed(known, contradicting))
        )
    return tuple(
        OrganizationFiles(
            organization=name,
            paths=tuple(each.file for each in members),
            api_key=next(filter(None, map(_api_key, members)), None),
            profile=next((p for m in members if (p := _text(m.data.get("profile")))), None),
        )
        for name, members in groups.items()
    )


def key_of(group: OrganizationFiles, inputs: Inputs) -> Secret | None:
    """Return the API key that the files of a group refer to, None if they name none.

    Raises ConfigurationError if there is no such key, or no list allows it.
    """
    if group.api_key is None:
        return None
    found = fetch_key(
        group.api_key,
        environ=inputs.environ,
        directory=inputs.directory,
        allow=inputs.rules.allow_secrets,
        listed_only=inputs.listed_only,
    )
    if isinstance(found, Finding):
        named = ", ".join(group.paths)
        raise ConfigurationError(f"no API key for {named}", findings=(found,))
    inputs.hide([found])
    return found


def _contradicting(groups: Any) -> Iterator[Finding]:
    for members in groups:
        for key in ("api_key", "profile"):
            written = [(each.file, each.data[key]) for each in members if key in each.data]
            for file, value in written[1:]:
                if value != written[0][1]:
                    message = f"two files of one organization have different values of `{key}`"
                    yield error("keys-differ", message, "keep one", Place(file, (key,)))


def _api_key(document: Document) -> SecretRef | None:
    match document.data.get("api_key"):
        case {"env": str(name)}:
            return SecretRef(scheme=Scheme.ENV, name=name)
        case {"file": str(path)}:
            return SecretRef(scheme=Scheme.FILE, name=file_name(path, document.file))
        case _:
            return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
