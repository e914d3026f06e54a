"""Propose the edits of configuration files that accept what changed live.

Each proposal is for one webhook: edits after which its declaration equals the live webhook, or the
reason why its files cannot be edited without a guess. The edits are proved by planning again, in
`workflow/accepting.py`, so a proposal may be optimistic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.kinds import expand, ordered
from reconciler.model import DataPath, Live, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    FileState,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
    is_drift,
    webhook_key,
)
from reconciler.planning.readback import nonempty, plausible
from reconciler.source.document import Document, Entry, effective, mapping, usable_defaults
from reconciler.source.export import Export, export
from reconciler.source.load import Loaded
from reconciler.source.new_references import declared_tokens
from reconciler.source.secrets import public_url, references
from reconciler.source.writer import ChangeItems, Edit, Item, NotEditableError, SetValue

_Value: TypeAlias = "str | bool | frozenset[str]"
"""A plain value, or a set of events."""

_NAMED_BELOW: Final = (
    "its name is declared in a file that this one extends: exclude it here and add the new name, "
    "or rename it there if it has the new name in all organizations"
)
_ELSEWHERE: Final = {
    FileState.NOT_SEARCHED: "git cannot read this repository, so a file may declare it",
    FileState.OTHER_REPOSITORY: "a file in {file} may declare it: run the command there",
    FileState.NOT_READ: "{file} declares it, which was not read: add it with -f",
    FileState.NOT_SELECTED: "{file} declares it: set the same `organization` there",
}
_UNDECLARABLE: Final = {
    Reason.ABSENT: "a file declares `state: absent` for it: remove that entry, or delete it",
    Reason.DUPLICATE: "it duplicates a declared webhook: declare both with `id`, or delete one",
}


class Proposal(NamedTuple):
    """What accepts the operations at these indexes of a plan: edits, or why there are none.

    Usually it is one operation. A webhook that was renamed live is a create and a delete. `edits`
    are those of each file.
    """

    operations: tuple[int, ...]
    edits: Mapping[str, Sequence[Edit]] = MappingProxyType({})
    refusal: str = ""

    @property
    def comment(self) -> str:
        """Return what to check in the declaration that is added, empty without."""
        edits = chain.from_iterable(self.edits.values())
        added = chain.from_iterable(edit.added for edit in edits if isinstance(edit, ChangeItems))
        return next((item.comment for item in added if item.comment), "")


def propose(
    plan: Plan, live: Live, loaded: Loaded, named: Collection[str], taken: dict[str, Secret | None]
) -> Iterator[Proposal]:
    """Yield a proposal for each webhook with drift, in the order of the plan.

    If several files may declare an added webhook, it is declared in the one of them that is
    `named`. `taken` are the variables of the run's files, see `Tokens`; those of added webhooks are
    added.
    """
    proposer = _Proposer(plan, live, loaded, named, taken)
    deletes = _deletes_of_renames(plan)
    halves = set(deletes.values())
    for index, operation in enumerate(plan.operations):
        if index in halves or not is_drift(operation):
            continue
        numbers = (index, deletes[index]) if index in deletes else (index,)
        try:
            edits = proposer.edits([plan.operations[number] for number in numbers])
            yield Proposal(numbers, edits)
        except NotEditableError as refusal:
            yield Proposal(numbers, refusal=str(refusal))


def _deletes_of_renames(plan: Plan) -> dict[int, int]:
    """Return the index of the delete for the create of each webhook that was renamed live."""
    indexes = {webhook_key(operation): index for index, operation in enumerate(plan.operations)}
    deletes: dict[int, int] = {}
    for name, webhook in plan.renamed.items():
        created, deleted = indexes[name], indexes.get(webhook.id)
        if deleted is None:
            continue
        # If only one half of a rename is drift, the other is an edit that is not applied yet.
        if plan.operations[created].attribution is plan.operations[deleted].attribution:
            deletes[created] = deleted
    return deletes


class _Proposer:
    """Finds where the values of one organization's webhooks are written."""

    def __init__(
        self,
        plan: Plan,
        live: Live,
        loaded: Loaded,
        named: Collection[str],
        taken: dict[str, Secret | None],
    ) -> None:
        self._live, self._taken = live, taken
        self._by_id = {webhook.id: webhook for webhook in live.webhooks}
        assert loaded.desired is not None  # it was planned
        self._loaded, self._desired = loaded, loaded.desired
        self._named = named
        self._renamed = plan.renamed
        # Webhooks that a file declares which was not read were not added live.
        self._elsewhere = {name: other for other in plan.elsewhere for name in other.names}

    def edits(self, operations: Sequence[Operation]) -> Mapping[str, list[Edit]]:
        """Return the edits that accept one operation, or a rename, by file.

        Raises NotEditableError.
        """
        match operations:
            case [Create(after=webhook)] if webhook.name in self._renamed:
                raise NotEditableError(
                    "rename it back, or declare it under its live name (outside the scope with "
                    "`adopt: true`)"
                )
            # An edit of the rest could undo a change that is not applied yet.
            case [operation, *_] if operation.attribution is Attribution.PARTLY_DRIFT:
                raise NotEditableError(
                    "the files also change this webhook, which a revert applies, too: first apply "
                    "or undo that change; if it is applied and committed, use --base HEAD"
                )
            case [Create(after=webhook), Delete(before=before)]:
                return self._rename(webhook, before)
            case [Create(after=webhook)]:
                return {webhook.file: [self._remove(webhook)]}
            case [Update(before=before, after=webhook) as update]:
                values = _live_values(update, self._by_id[before.id])
                return {webhook.file: list(self._set(webhook, values))}
            case [Delete(before=before, reason=Reason.NOT_DECLARED)]:
                file, added = self._add(self._by_id[before.id])
                return {file: [added]}
            case [Delete(reason=reason)]:
                raise NotEditableError(_UNDECLARABLE[reason])
        raise AssertionError(operations)  # only a rename is more than one operation

    def _rename(self, webhook: Webhook, live: Snapshot) -> Mapping[str, list[Edit]]:
        """Return the edit that declares a webhook under its live name."""
        # A parent's entry would be renamed for every file that extends it.
        if not len(self._declaring(webhook)) == len(self._entries(webhook)) == 1:
            raise NotEditableError(_NAMED_BELOW)
        if webhook.file not in self._files_for(live.name):
            raise NotEditableError("its live name is outside the scope of its file: move the entry")
        return {webhook.file: list(self._set(webhook, {("name",): live.name}))}

    def _set(self, webhook: Webhook, values: Mapping[DataPath, _Value]) -> Iterator[Edit]:
        """Yield the edits that give a declaration other values.

        A value of a parent is overridden in the file itself.
        """
        document = self._loaded.documents[webhook.file]
        inherited: dict[DataPath, _Value] = {}
        for path, value in values.items():
            written = document.written_at(("webhooks", webhook.index, *path))
            # In a parent, it is of all organizations, and this one changed.
            if written.file != webhook.file:
                inherited[path] = value
            # Only the author knows whether the other webhooks with this default should change, too.
            elif written.path[0] == "defaults":
                raise NotEditableError(
                    f"its {path[-1]} is inherited from `defaults`: change it there, or write it "
                    "in the entry"
                )
            elif isinstance(value, frozenset):
                (entry,) = self._declaring(webhook)
                items = entry.data["event_types"]
                yield _change_events(written.path, items, value)
            else:
                yield SetValue(written.path, value)
        # All at once: the first override adds the entry, and a file may have only one.
        if inherited:
            yield from self._override(webhook, inherited)

    def _override(self, webhook: Webhook, values: Mapping[DataPath, _Value]) -> Iterator[Edit]:
        """Yield the edits that override values of a parent."""
        if ("name",) in values:
            raise NotEditableError(_NAMED_BELOW)
        fields: dict[str, Any] = {}
        for path, value in values.items():
            data = ordered(value) if isinstance(value, frozenset) else value
            if path[0] == "configuration":
                fields.setdefault("configuration", {})[path[1]] = data
            else:
                fields[str(path[0])] = data
        declaring = self._declaring(webhook)
        if not declaring:
            # If parents declare several webhooks with this name, the id is the only difference.
            pinned = {} if webhook.id is None else {"id": webhook.id}
            item = Item({"name": webhook.name, **pinned, **fields})
            yield ChangeItems(("webhooks",), added=(item,))
            return
        # An edit can add one missing key, not two: a new `configuration` has its fields with it.
        (entry,) = declaring
        path = ("webhooks", entry.number)
        if "configuration" in entry.data:
            for name, data in fields.pop("configuration", {}).items():
                yield SetValue((*path, "configuration", name), data)
        for name, data in fields.items():
            yield SetValue((*path, name), data)

    def _entries(self, webhook: Webhook) -> Sequence[Entry]:
        """Return the entries that a webhook is merged from."""
        return self._loaded.documents[webhook.file].entries(webhook.index)

    def _declaring(self, webhook: Webhook) -> list[Entry]:
        """Return the entry of a webhook in its own file; none if only parents have entries."""
        entries = self._entries(webhook)
        return [entry for entry in entries if entry.document.file == webhook.file]

    def _remove(self, webhook: Webhook) -> Edit:
        """Return the edit that removes a declaration, and excludes that of a parent."""
        removed = frozenset(entry.number for entry in self._declaring(webhook))
        excluded: tuple[Item, ...] = ()
        # The entry of a parent would still declare the webhook.
        if len(removed) < len(self._entries(webhook)):
            excluded = (Item({"name": webhook.name, "exclude": True}),)
        return ChangeItems(("webhooks",), removed, excluded)

    def _add(self, live: LiveWebhook) -> tuple[str, Edit]:
        """Return the only file whose scope has a live webhook, and the edit that declares it."""
        file = self._only_file_for(live.name)
        declaration = self._export.declarations.get(live.id)
        if declaration is None:
            why = self._export.reasons.get(live.id, "others have the same name")
            raise NotEditableError(f"no file can declare it: {why}")
        comments = [*self._new_references(live, declaration.data), declaration.comment]
        assumed = declaration.assumed
        if assumed is not None and assumed.tree() in self._declared_references:
            comments.insert(0, f"CloudTruth hides its token: check that it is {assumed}")
        document = self._loaded.documents[file]
        entry = _without_default_references(declaration.data, document)
        # An overlay must mark what no file below it declares.
        if document.layers:
            entry = {"name": entry.pop("name"), "add": True, **entry}
        item = Item(entry, "; ".join(filter(None, comments)))
        return file, ChangeItems(("webhooks",), added=(item,))

    def _only_file_for(self, name: str) -> str:
        """Return the only file in which a webhook can be declared. Raises NotEditableError."""
        other = self._elsewhere.get(name)
        if other is not None:
            gone = "{file} declares it, which is gone: restore it to keep the webhook"
            raise NotEditableError(_ELSEWHERE.get(other.state, gone).format(file=other.file))
        files = self._files_for(name)
        chosen = files if len(files) == 1 else [file for file in files if file in self._named]
        if len(chosen) != 1:
            raise NotEditableError(
                f"it is in the scope of {', '.join(files)}: pass the file to edit with -f as well"
            )
        return chosen[0]

    def _new_references(self, live: LiveWebhook, entry: Mapping[str, Any]) -> Iterator[str]:
        """Yield a comment for each reference that no declared webhook has: it may not be set.

        Its variable is taken from here on.
        """
        for name, value in entry["configuration"].items():
            if isinstance(value, dict) and value not in self._declared_references:
                scheme, variable = next(iter(value.items()))
                # Another organization may get a webhook of this name with another secret.
                secret = nonempty(live.value(name))
                self._taken.setdefault(variable, secret if plausible(secret) else None)
                yield f"set {scheme} {variable} to its {name}"

    def _files_for(self, name: str) -> list[str]:
        """Return the files whose scope has a name."""
        scopes = self._desired.policy.scopes
        return [scope.file for scope in scopes if Globs(scope.globs).match(name)]

    @cached_property
    def _declared_references(self) -> list[Mapping[str, object]]:
        """The references of all declared webhooks, as files write them."""
        return [reference.tree() for reference in references(self._desired.webhooks)]

    @cached_property
    def _export(self) -> Export:
        """The declarations of all live webhooks.

        Hidden Slack tokens have the reference that most declared webhooks of their username use,
        else a new one, as in `webhooks export`; visible ones that which most declared webhooks use.
        """
        tokens = declared_tokens(self._desired.webhooks)._replace(in_files=self._taken)
        return export(self._live, tokens=tokens)


def _without_default_references(entry: Mapping[str, Any], document: Document) -> dict[str, Any]:
    """Return a new entry without the references that the `defaults` of its file give it.

    A copy would keep its version when the reference in `defaults` gets another one.
    """
    inherited = effective({"type": entry["type"]}, usable_defaults(document.data))
    defaults = mapping(inherited.get("configuration"))
    configuration: dict[str, Any] = entry["configuration"]
    needed = {
        name: value
        for name, value in configuration.items()
        if not isinstance(value, dict) or defaults.get(name) != value
    }
    # An empty mapping is an error.
    return {**entry, "configuration": needed or configuration}


def _change_events(path: DataPath, written: Sequence[str], events: frozenset[str]) -> ChangeItems:
    """Return the edit of a list of events; globs that still apply stay."""
    outdated = {index for index, glob in enumerate(written) if not events >= expand(glob)}
    kept = (expand(glob) for index, glob in enumerate(written) if index not in outdated)
    added = ordered(events.difference(*kept))
    return ChangeItems(path, frozenset(outdated), tuple(map(Item, added)))


def _live_values(update: Update, live: LiveWebhook) -> dict[DataPath, _Value]:
    """Return the live values of the fields that differ, by their paths in a declaration.

    Raises NotEditableError for a value that no file can have.
    """
    values: dict[DataPath, _Value] = {}
    for change in update.fields:
        match change:
            # Another type has other fields, so changing single values is not enough.
            case ValueChange(path=("type",)):
                raise NotEditableError(
                    "its type changed: `webhooks export --only NAME` prints a new declaration"
                )
            case ValueChange(path=path, before=str() | bool() as value):
                values[path] = value
            case ValueChange(path=path):
                raise NotEditableError(f"the live {path[-1]} is missing or hidden")
            case SetChange(path=path):
                values[path] = live.event_types
            # These differences are seen live; others come from a file change.
            case SecretChange(
                path=path,
                cause=SecretCause.DIFFERS | SecretCause.ADDED | SecretCause.DESTINATION,
            ):
                values[path] = _plain_url(live, change)
            case _:
                pass  # sent along with the rest, and no difference itself
    if not values:
        raise NotEditableError("the difference is in a value that CloudTruth does not show")
    return values


def _plain_url(live: LiveWebhook, change: SecretChange) -> str:
    """Return the live value of a field that the file declares as a plain URL."""
    name = change.path[-1]
    if isinstance(change.after, SecretRef):
        secret = change.after.unversioned
        raise NotEditableError(
            f"its {name} differs: rotated here, or changed live (then correct {secret})"
        )
    shown = live.value(name)
    url = public_url(shown) if isinstance(shown, Secret) else None
    if url is None:
        raise NotEditableError(f"the live {name} may contain a credential: use a reference")
    return url
