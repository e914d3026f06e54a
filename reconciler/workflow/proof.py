"""Prove the edits that accept drift: plan again in memory, before anything is written.

With the edited files, the plan must have the same operations without the accepted ones, and every
other declaration must be equal, for every organization of the run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.errors import ReconcilerError, UsageError
from reconciler.findings import Severity
from reconciler.model import Desired
from reconciler.planning.drift import names_of
from reconciler.planning.plan import webhook_key
from reconciler.source import files, write
from reconciler.source.accept import Proposal
from reconciler.source.files import SourceFile, Sources
from reconciler.source.load import parse_files
from reconciler.source.splice import Edit, NotEditableError, edit_file
from reconciler.source.text import decode
from reconciler.source.yaml import Document
from reconciler.workflow.inputs import Inputs, Source, gather, load_all
from reconciler.workflow.planning import plan_listed
from reconciler.workflow.run import Planned

_UNPROVED: Final = "planning with the edited files does not give the live value"


class EditedFile(NamedTuple):
    """A file of the run before and after its edits."""

    file: str
    before: bytes
    after: bytes


class Candidate(NamedTuple):
    """A proposal, with the index of its organization in the run."""

    organization: int
    proposal: Proposal


class _Problem(NamedTuple):
    """Why candidates cannot be accepted together.

    `causes` has the reasons of those that cause it, if they are known.
    """

    reason: str
    causes: Mapping[int, str] = MappingProxyType({})


def prove(
    planned: Sequence[Planned], candidates: Sequence[Candidate]
) -> tuple[tuple[EditedFile, ...], Mapping[int, str]]:
    """Return the files that accept as many candidates as can be accepted together.

    The second value has the reasons of those that cannot, by their indexes. Raises UsageError for a
    file that was changed since it was planned.
    """
    proof = _Proof(planned, candidates)
    return proof.accept(), proof.refusals


def write_edits(edited: Sequence[EditedFile], directory: Path) -> None:
    """Write the files. Raises UsageError if one was changed since it was read, OutputError."""
    for file in edited:  # all, before the first one is written
        path = directory / file.file
        write.check_writable(path, over=write.FileKind.CONFIGURATION)
        if files.read_regular(path) != file.before:
            raise _changed(file.file)
    for file in edited:
        path = directory / file.file
        write.write_atomically(path, file.after, over=write.FileKind.CONFIGURATION)


class _Proof:
    """Edits files in memory, and plans them with the live webhooks of the run.

    Candidates are named by their indexes; `refusals` has the reasons of those that fail.
    """

    def __init__(self, planned: Sequence[Planned], candidates: Sequence[Candidate]) -> None:
        self._planned = planned
        self._candidates = candidates
        self._inputs = _inputs_of(planned)
        self._sources = Sources()
        self.refusals: dict[int, str] = {}
        if any(candidate.proposal.edits for candidate in candidates):
            self._sources = _read_again(self._inputs, planned)
        self._raw = {source.file: source.raw for source in self._sources.files}

    def accept(self) -> tuple[EditedFile, ...]:
        """Return the files that accept as many candidates as can be accepted together."""
        editable: list[int] = []
        for index, candidate in enumerate(self._candidates):
            try:
                if candidate.proposal.refusal:
                    raise NotEditableError(candidate.proposal.refusal)
                self._edited([index])
                editable.append(index)
            except NotEditableError as refusal:
                self.refusals[index] = str(refusal)
        return self._edited(self._accepted([], editable))

    def _accepted(self, proved: list[int], waiting: list[int]) -> list[int]:
        """Return `proved`, and those of `waiting` that can be accepted together with them.

        What certainly fails is refused at once. The rest is halved until each failing candidate is
        alone.
        """
        if not waiting:
            return proved
        problem = self._problem([*proved, *waiting])
        if problem is None:
            return [*proved, *waiting]
        causes = {index: problem.causes[index] for index in waiting if index in problem.causes}
        if len(waiting) == 1:
            causes = {waiting[0]: problem.reason}
        if causes:
            self.refusals |= causes
            return self._accepted(proved, [index for index in waiting if index not in causes])
        middle = len(waiting) // 2
        return self._accepted(self._accepted(proved, waiting[:middle]), waiting[middle:])

    def _edited(self, indexes: Iterable[int]) -> tuple[EditedFile, ...]:
        """Return the files with the edits of candidates. Raises NotEditableError."""
        edits: defaultdict[str, list[Edit]] = defaultdict(list)
        for index in indexes:
            for file, edit in self._candidates[index].proposal.edits:
                edits[file].append(edit)
        edited: list[EditedFile] = []
        for file, edits_of_file in edits.items():
            if file not in self._raw:
                raise NotEditableError("its declaration is in standard input")
            if not write.is_writable(self._inputs.directory / file):
                raise NotEditableError("its declaration is in a read-only file")
            before = self._raw[file]
            edited.append(EditedFile(file, before, edit_file(before, edits_of_file)))
        return tuple(edited)

    def _problem(self, indexes: Sequence[int]) -> _Problem | None:
        """Return why candidates cannot be accepted together, None if they can."""
        try:
            edited = {file.file: file.after for file in self._edited(indexes)}
        except NotEditableError as refusal:
            return _Problem(str(refusal))
        parsed = parse_files(_with_edits(self._sources, edited))
        try:
            sources = load_all(self._inputs._replace(parsed=parsed))
        except ReconcilerError as invalid:
            return self._invalid(indexes, invalid, parsed.documents)
        if len(sources) != len(self._planned):
            return _Problem(_UNPROVED)
        for number, source in enumerate(sources):
            problem = self._difference(number, source, self._operations(number, indexes))
            if problem is not None:
                return problem
        return None

    def _invalid(
        self, indexes: Iterable[int], invalid: ReconcilerError, documents: Iterable[Document]
    ) -> _Problem:
        """Return the errors of edited files, each caused by the edit of the entry that has it."""
        errors = [finding for finding in invalid.findings if finding.severity is Severity.ERROR]
        entries = _entries(documents)
        reasons: dict[str, str] = {}
        for finding in errors:
            if finding.position is None:
                continue
            starts = entries[finding.position.file]
            index = bisect_right(starts, (finding.position.line, chr(0x10FFFF)))
            if index > 0:
                reasons.setdefault(starts[index - 1][1], _invalid_reason(finding.message))
        causes: dict[int, str] = {}
        for index in indexes:
            for name in self._names(index):
                if name in reasons:
                    causes.setdefault(index, reasons[name])
        message = errors[0].message if errors else invalid.message
        return _Problem(_invalid_reason(message), causes)

    def _names(self, index: int) -> Iterator[str]:
        """Yield the names of the webhook of a candidate, before and after its operations."""
        candidate = self._candidates[index]
        plan = self._planned[candidate.organization].plan
        assert plan is not None
        for operation in candidate.proposal.operations:
            yield from names_of(plan.operations[operation])

    def _operations(self, number: int, indexes: Iterable[int]) -> Mapping[int, int]:
        """Return the candidates of an organization by the indexes of their operations."""
        return {
            operation: index
            for index in indexes
            if self._candidates[index].organization == number
            for operation in self._candidates[index].proposal.operations
        }

    def _difference(
        self, number: int, source: Source, accepted: Mapping[int, int]
    ) -> _Problem | None:
        """Return what edited files change besides the accepted operations; None if nothing."""
        organization = self._planned[number]
        before, after = organization.target.checked.desired, source.checked.desired
        plan, live = organization.plan, organization.live
        if before == after:
            causes = dict.fromkeys(accepted.values(), _UNPROVED)
            return _Problem(_UNPROVED, causes) if accepted else None
        if plan is None or live is None or not accepted:
            return _Problem("it changes another organization")
        names = {name for index in accepted.values() for name in self._names(index)}
        if _without(before, names) != _without(after, names):
            return _Problem("it changes other declarations, too")
        connection = organization.target.connection
        try:
            gathered = gather(source.checked, None if connection is None else connection.key)
            planned = plan_listed(gathered, live, organization.target.options)
        except ReconcilerError as problem:
            return _Problem(problem.message)
        kept = [
            operation for index, operation in enumerate(plan.operations) if index not in accepted
        ]
        if list(planned.operations) == kept and planned.kept == plan.kept:
            return None
        remaining = set(map(webhook_key, planned.operations)) - set(map(webhook_key, kept))
        causes = {
            index: _UNPROVED
            for operation, index in accepted.items()
            if webhook_key(plan.operations[operation]) in remaining
        }
        return _Problem(_UNPROVED, causes)


def _invalid_reason(message: str) -> str:
    return f"the edited file would be invalid: {message}"


def _entries(documents: Iterable[Document]) -> Mapping[str, Sequence[tuple[int, str]]]:
    """Return line and name of each webhook by the file that declares it, in order."""
    entries: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for document in documents:
        webhooks = document.data.get("webhooks", ())
        for position, webhook in zip(document.items.get("webhooks", ()), webhooks, strict=False):
            if isinstance(webhook, dict):
                entries[position.file].append((position.line, str(webhook.get("name"))))
    for starts in entries.values():
        starts.sort()
    return entries


def _inputs_of(planned: Sequence[Planned]) -> Inputs:
    """Return the inputs of a run: each organization has its own list of allowed secrets."""
    inputs = [organization.target.checked.inputs for organization in planned]
    if len(inputs) == 1:
        return inputs[0]
    lines = [
        f"{organization.target.source.files.organization}: {' '.join(each.allow_secrets)}"
        for organization, each in zip(planned, inputs, strict=True)
        if each.allow_secrets
    ]
    return inputs[0]._replace(allow_secrets=tuple(lines))


def _read_again(inputs: Inputs, planned: Sequence[Planned]) -> Sources:
    """Read the files of a run with their exact bytes, except standard input.

    Raises UsageError if a file was changed since it was planned.
    """
    paths = [path for organization in planned for path in organization.target.paths]
    named = [path for path in dict.fromkeys(paths) if path != files.STDIN]
    sources = files.read(named, directory=inputs.directory, stdin=inputs.stdin)
    documents = {
        name: document.text
        for organization in planned
        for name, document in organization.target.checked.loaded.documents.items()
    }
    for source in sources.files:
        if decode(source.raw, source.file)[0] != documents.get(source.file):
            raise _changed(source.file)
    return sources


def _changed(file: str) -> UsageError:
    return UsageError(
        f"{file} was changed since it was read: nothing was written", hint="run it again"
    )


def _with_edits(sources: Sources, edited: Mapping[str, bytes]) -> Sources:
    """Return files with edited bytes, also where another file extends them."""

    def edit(source: SourceFile) -> SourceFile:
        return source._replace(raw=edited.get(source.file, source.raw))

    return sources._replace(
        files=tuple(map(edit, sources.files)),
        read_parent=lambda name: edit(sources.read_parent(name)),
    )


def _without(desired: Desired, names: Set[str]) -> Desired:
    """Return a configuration without the webhooks of some names."""
    return desired._replace(
        webhooks=tuple(webhook for webhook in desired.webhooks if webhook.name not in names)
    )
