"""Saved plans: a reviewed plan as a file for a later `apply`.

The file is the plan document of schemas/plan.schema.json with the planned configuration, file by
file, defaults and overlays merged. It contains references to secrets, never a value, so it can be
public. The configuration in it is loaded and checked like files. The checksum is not a signature: a
plan is as trustworthy as its source.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from reconciler.errors import ConfigurationError, StalePlanError
from reconciler.findings import Finding, Position, error
from reconciler.model import Desired
from reconciler.planning.guards import ELSEWHERE, guard_all
from reconciler.planning.plan import OperationDigest, Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import read_resend
from reconciler.planning.review import Review
from reconciler.planning.run import RunPlan, run_digest
from reconciler.planning.tree import FORMAT_VERSION, checksum, run_tree, write_json
from reconciler.source.document import LISTED, Document
from reconciler.source.files import NotReadableError, read_regular
from reconciler.source.load import Loaded, Parsed, key_references
from reconciler.source.schema import NotJsonError, document_validator, parts, read_json
from reconciler.source.schemes import REFERENCE, paths
from reconciler.source.secrets import references

_HINT: Final = "save a plan with `webhooks plan --out FILE`"
"""The hint for a file that is not a saved plan."""

_NAMED: Final = ("file", "organization", "base")
"""The options whose values are only for suggested commands."""
_AGAIN: Final = "save a new one with `webhooks plan --out FILE` and have it reviewed"


class SavedPlan(NamedTuple):
    """A plan file: its configuration, and the review of each organization.

    `parsed` is the configuration of all organizations, with the policies that it met. `options` has
    the command line options of an apply of it. `values` has those of other options for a command
    that plans again: the reviews have what they resend. `text` is the plan as it was shown,
    `document` the complete plan as JSON.
    """

    parsed: Parsed
    reviews: tuple[Review, ...]
    options: PlanOptions
    values: Mapping[str, tuple[str, ...]]
    digest: str
    text: str
    document: str


def save_run(
    run: RunPlan,
    loaded: Sequence[Loaded],
    options: PlanOptions,
    text: str = "",
    values: Mapping[str, Sequence[str]] = MappingProxyType({}),
    folder: str | None = None,
    redacted: Callable[[str], str] = str,
) -> bytes:
    """Return the content of a plan file, given the files of each organization; none has failed.

    `text` is the plan as shown to users, `values` are those of --file, --organization and --base,
    for suggested commands. `folder` is the working directory in its repository, if it is known.
    `redacted` removes secrets from a text. Raises ConfigurationError if a file or a live webhook
    contains a secret as text: the value must not be saved.
    """
    # Also those that the plan does not send, because the whole configuration is saved.
    for files in loaded:
        assert files.desired is not None
        _refuse_literals(files.desired)
    extra = [
        {
            "policies": dict(files.policies),
            "configuration": list(_configuration(files, plan)),
        }
        for files, plan in zip(loaded, run.plans, strict=True)
    ]
    tree = {
        **run_tree(_guarded(run), extra),
        "options": {
            "only": list(options.only),
            "prune": options.prune,
            **{name: list(values.get(name, ())) for name in _NAMED},
            "resend_secret": list(options.resend),
            "folder": folder if any(map(_names_files, loaded)) else None,
        },
        "text": text,
    }
    document = write_json({**tree, "checksum": checksum(tree)})
    # A redacted plan would not match its checksum, and would be about other webhooks.
    if redacted(document) != document:
        _refuse_secrets(tree, redacted)
    return document.encode("ascii")


def _guarded(run: RunPlan) -> RunPlan:
    """Return a run without allowed deletes: its plans are blocked until they are allowed again."""
    results = []
    for result, plan, blocked in zip(
        run.organizations, run.plans, guard_all(run.plans), strict=True
    ):
        results.append(result._replace(value=plan._replace(blocked=blocked)))
    return RunPlan(tuple(results))


def load_plan(name: str, directory: Path) -> SavedPlan:
    """Read the plan file `name` in `directory`. Raises what `parse_plan` raises."""
    try:
        raw = read_regular(directory / name)
    except NotReadableError as problem:
        raise ConfigurationError(
            f"cannot read {name or 'an empty path'}: it {problem}", hint=_HINT
        ) from None
    return parse_plan(raw, name)


def is_saved_plan(path: Path) -> bool:
    """Return whether a file has the content of a saved plan, possibly edited or damaged."""
    try:
        raw = read_regular(path)
    except NotReadableError:
        return False
    # Not parsed: the error about a damaged plan explains more than that about its YAML.
    return raw.lstrip().startswith(b"{") and re.search(rb'"kind"\s*:\s*"plan"', raw) is not None


def parse_plan(raw: bytes, file: str) -> SavedPlan:
    """Return the plan in `raw`; `file` is its name in messages.

    Raises StalePlanError if the plan was changed after it was saved or has another format version,
    ConfigurationError if it is not a saved plan. Its configuration is not checked yet.
    """
    tree = _document(raw, file)
    # Before the checksum, which another version may compute in another way.
    if tree.get("format_version") != FORMAT_VERSION:
        only = f"plan format {FORMAT_VERSION}, the only one this version reads"
        raise StalePlanError(f"{file} is not in {only}", hint=_AGAIN)
    if tree.get("checksum") != checksum(tree):
        _refuse_edited(file)
    _check_schema(tree, file)
    documents: list[Document] = []
    policies: dict[str, str] = {}
    reviews: list[Review] = []
    for organization in tree["organizations"]:
        reviews.append(_review(organization, file))
        documents += map(_to_document, organization["configuration"])
        policies |= organization.get("policies", {})
    # No single review shows that an organization was removed; the digest of the run does.
    digest = run_digest((plan.origin, plan.organization, plan.digest) for plan in reviews)
    if digest != tree["digest"]:
        _refuse_edited(file)
    options = tree["options"]
    return SavedPlan(
        parsed=Parsed(tuple(documents), policies=policies, folder=options.get("folder")),
        reviews=tuple(reviews),
        options=PlanOptions(only=tuple(options["only"]), prune=options["prune"]),
        values={name: tuple(options[name]) for name in (*_NAMED, "resend_secret")},
        digest=digest,
        text=tree["text"],
        document=write_json(tree),
    )


def _check_schema(tree: Mapping[str, Any], file: str) -> None:
    violations = document_validator("plan.schema.json").iter_errors(tree)
    invalid = [list(violation.instance_path) for violation in violations]
    # `plan --format json` has the same schema, but no configuration that could be applied.
    if invalid or not all("configuration" in entry for entry in tree["organizations"]):
        where = ".".join(map(str, max(invalid, key=len, default=())))
        why = f"{where} is not valid" if where else "it has missing or unknown keys"
        raise ConfigurationError(f"{file} is not a saved plan: {why}", hint=_AGAIN)


def _review(tree: Mapping[str, Any], file: str) -> Review:
    """Return the review of an organization in a plan document that conforms to its schema."""
    operations: set[OperationDigest] = set()
    replaced: set[tuple[str, str]] = set()
    urls: set[tuple[str, str, str]] = set()
    for operation in tree["operations"]:
        id_ = operation["id"]
        for digest in operation["digests"]:
            operations.add(OperationDigest(digest, id_, operation["name"]))
        for change in operation.get("fields", ()):
            if change["change"] == "resent":
                replaced.add((id_, change["path"][-1]))
            if change["change"] == "secret" and "://" in change["destination"]:
                urls.add((id_, change["path"][-1], change["destination"]))
    review = Review(
        origin=tree["origin"],
        organization=tree["organization"]["id"],
        operations=frozenset(operations),
        resends=tuple(map(read_resend, tree["resends"])),
        replaced=frozenset(replaced),
        urls=frozenset(urls),
        elsewhere=any(finding["rule"] in ELSEWHERE for finding in tree["blocked"]),
    )
    if review.digest != tree["digest"]:
        _refuse_edited(file)
    return review


def _document(raw: bytes, file: str) -> dict[str, Any]:
    try:
        # With equal keys or NaN, two readers could see different plans under one checksum.
        tree = read_json(raw)
    except NotJsonError:
        tree = None
    if not isinstance(tree, dict) or tree.get("kind") != "plan" or "options" not in tree:
        raise ConfigurationError(f"{file} is not a saved plan", hint=_HINT)
    return tree


def _refuse_edited(file: str) -> NoReturn:
    raise StalePlanError(f"{file} was changed after it was saved", hint=_AGAIN)


def _refuse_literals(desired: Desired) -> None:
    findings: list[Finding] = []
    hint = f"keep it in a variable or a file: {REFERENCE}"
    for webhook in desired.webhooks:
        for field, ref in webhook.references:
            if ref.is_literal:
                name = json.dumps(webhook.name)
                message = f"{field} of webhook {name} is a literal value in the file"
                findings.append(error("literal-in-plan", message, hint, webhook.position))
    if findings:
        raise ConfigurationError(
            "the plan cannot be saved: files contain secrets as text", findings=findings
        )


def _refuse_secrets(tree: Mapping[str, Any], redacted: Callable[[str], str]) -> NoReturn:
    # What is shown repeats the rest, with our own words.
    content = {key: value for key, value in tree.items() if key not in ("options", "text")}
    options = dict(tree["options"])
    content["folder"] = options.pop("folder")
    places = _places_of_secrets(content, redacted)
    for name in _places_of_secrets(options, redacted):
        places.add(f"--{name.replace('_', '-')}")
    hint = (
        "remove it from CloudTruth, the files and the options (in a glob, write `?` for each of "
        "its characters), or apply without a saved plan"
    )
    findings = [
        error("literal-in-plan", f"{place} contains a secret", hint)
        for place in sorted(places) or ["the text of the plan"]
    ]
    raise ConfigurationError(
        "the plan cannot be saved: it would contain secrets as text", findings=findings
    )


def _places_of_secrets(value: Any, redacted: Callable[[str], str]) -> set[str]:
    return {place for place, text in _texts(value) if redacted(text) != text}


def _texts(value: Any, place: str = "", name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a document that a user may have written, after its place."""
    match value:
        case str():
            yield f"{place} of {json.dumps(name)}" if name else place, value
        case list():
            for item in value:
                yield from _texts(item, place, name)
        case {"message": str()}:  # repeats names that are elsewhere
            pass
        case dict():
            name = str(value.get("name") or name)
            for key, item in _written(value):
                yield from _texts(item, key, name)


def _written(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the items of an object, the values of a change under the name of their field."""
    for key, item in tree.items():
        if key == "webhook" and isinstance(item, str):  # its name, which is elsewhere
            continue
        if key in ("before", "after") and "path" in tree:
            key = tree["path"][-1]
        yield key, item


def _names_files(loaded: Loaded) -> bool:
    """Return whether an apply reads other files, which are relative to the working directory."""
    assert loaded.desired is not None
    keys = key_references(loaded.documents.values())
    names = paths([*references(loaded.desired.webhooks), *keys])
    return not all(map(posixpath.isabs, names.union(loaded.policies)))


def _configuration(loaded: Loaded, plan: Plan) -> Iterable[dict[str, Any]]:
    """Yield the configuration of each file, with the line of each webhook and each policy glob."""
    # The line of what an update sends may be in a parent, which a saved plan does not contain.
    sending = [update.after for update in plan.updates]
    sent = {(webhook.file, "webhooks", webhook.index): webhook.position for webhook in sending}
    for document in loaded.documents.values():
        root = {
            key: value
            for key, value in document.data.items()
            if key not in ("$schema", "defaults", "webhooks") and not key.startswith("x-")
        }
        webhooks = [part.data for part in parts(document.data) if part.item is not None]
        yield {
            "file": document.file,
            "content": {**root, "webhooks": webhooks},
            "lines": [
                _line(sent.get((document.file, key, number)) or position, document.file)
                for key in LISTED
                for number, position in enumerate(document.positions(key))
            ],
        }


def _line(position: Position, file: str) -> int | dict[str, Any]:
    """Return a line of `file`, or of one that it extends."""
    if position.file == file:
        return position.line
    return {"file": position.file, "line": position.line}


def _to_document(saved: Mapping[str, Any]) -> Document:
    """Return a file of the configuration as a document, with the lines of its list items."""
    file, data = saved["file"], saved["content"]
    places = (
        line if isinstance(line, dict) else {"file": file, "line": line} for line in saved["lines"]
    )
    positions = (Position(place["file"], max(1, place["line"])) for place in places)
    listed = [key for key in LISTED if isinstance(data.get(key), list)]
    # An edited plan may have fewer lines than items; positions are only for messages.
    items = {key: [next(positions, Position(file, 1)) for _ in data[key]] for key in listed}
    return Document(file=file, text="", data=data, items=items)
