"""The edits of the files that accept drift, and the proof of them.

    classified -> propose -> _prove -> _write_edits

The edits are proved before anything is written: planning again in memory with the edited files
must give the same operations without the accepted ones, and every other declaration must be equal,
for every organization of the run.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from glob import escape
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.errors import ReconcilerError, UsageError
from reconciler.findings import Finding, Severity
from reconciler.model import Desired, Secret
from reconciler.planning.names import Globs
from reconciler.planning.plan import Delete, Operation, Plan, names_of, webhook_key
from reconciler.planning.run import (
    Drifted,
    DriftReport,
    FileDiff,
    OrganizationDrift,
    OrganizationResult,
)
from reconciler.render.quote import command_line, repeated
from reconciler.source import files, output
from reconciler.source.accept import Proposal, propose
from reconciler.source.document import Document
from reconciler.source.elsewhere import variables_elsewhere
from reconciler.source.files import SourceFile, Sources
from reconciler.source.history import Git, folder_in
from reconciler.source.load import parse_files
from reconciler.source.schemes import NOT_ALLOWED
from reconciler.source.secrets import references
from reconciler.source.syntax import decode
from reconciler.source.writer import Edit, NotEditableError, edit_file, unified_diff
from reconciler.source.yaml import parse
from reconciler.workflow.drift import Base, classified, compared
from reconciler.workflow.inputs import Inputs, Source, gather, load_all
from reconciler.workflow.planning import plan_listed
from reconciler.workflow.run import Planned

_INVALID: Final = "the edited file would be invalid"


class _EditedFile(NamedTuple):
    """A file of the run before and after its edits."""

    file: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A proposal for the plan of the organization with this number in the run.

    `commit` may have changed the webhook, too. Two candidates are never equal, so that each can
    have a separate reason.
    """

    number: int
    plan: Plan
    proposal: Proposal
    commit: str

    @property
    def operations(self) -> list[Operation]:
        """Return the operations that the proposal makes unnecessary."""
        return [self.plan.operations[index] for index in self.proposal.operations]

    @property
    def names(self) -> set[str]:
        """Return the names of the webhook, before and after the operations."""
        return {name for operation in self.operations for name in names_of(operation)}


class _Refusal(NamedTuple):
    """Why a candidate is not accepted; `is_unlisted` if the allow-list does not have its secret."""

    reason: str
    is_unlisted: bool = False


_UNPROVED: Final = _Refusal("planning with the edited files does not give the live value")


class _Problem(NamedTuple):
    """Why candidates cannot be accepted together, and those that cause it, if they are known."""

    refusal: _Refusal
    causes: Mapping[_Candidate, _Refusal] = MappingProxyType({})


def find_drift(
    planned: Sequence[Planned],
    bases: Sequence[Base],
    *,
    only: Sequence[str] = (),
    named: Sequence[str] = (),
    base: tuple[str, ...] = (),
    accept: bool = False,
) -> DriftReport:
    """Return the drift of webhooks whose name matches `only`, and the edits that accept it.

    Each organization was planned with the previous configuration of its base. If several files may
    declare an added webhook, it is the one that is `named`. `base` are the options with which the
    suggested commands know the same configuration. With `accept`, the files are edited. Raises
    UsageError for a file that was changed since it was planned, OutputError.
    """
    globs = Globs(only or ("*",))
    inputs = planned[0].target.checked.inputs
    labeled = [compared(*pair) for pair in zip(planned, bases, strict=True)]
    drifts = [classified(*pair, globs) for pair in labeled]
    candidates = list(_candidates(labeled, drifts, globs, named))
    edited, reasons = _prove(planned, candidates, base)
    is_accepted = accept and bool(edited)
    if is_accepted:
        _write_edits(edited, inputs.directory)
    return DriftReport(
        organizations=tuple(_results(planned, drifts, candidates, reasons)),
        diffs=_diffs(edited, inputs.git),
        base=base,
        unknown=next((base.unknown for _, base in labeled if base.unknown), ""),
        accepted=is_accepted,
    )


def _candidates(
    labeled: Sequence[tuple[Planned, Base]],
    drifts: Sequence[OrganizationDrift | None],
    globs: Globs,
    named: Sequence[str],
) -> Iterator[_Candidate]:
    """Yield a candidate for each drifted webhook."""
    variables = _variables([organization for organization, _ in labeled])
    for number, (organization, base) in enumerate(labeled):
        drift, live = drifts[number], organization.live
        if drift is None or live is None:
            continue
        loaded = organization.target.checked.loaded
        for proposal in propose(drift.plan, live, loaded, named, variables):
            operation = drift.plan.operations[proposal.operations[0]]
            commit = base.commits.get(webhook_key(operation), "")
            candidate = _Candidate(number, drift.plan, proposal, commit)
            # Selected only now, because a rename has two names, and one that matches is enough.
            if any(map(globs.match, candidate.names)):
                yield candidate


def _variables(planned: Sequence[Planned]) -> dict[str, Secret | None]:
    """Return the variables of this and other files, with their values so far as they are known."""
    variables: dict[str, Secret | None] = {}
    plans = [organization.plan for organization in planned if organization.plan is not None]
    # Only a declaration that is added has new references.
    if any(isinstance(change, Delete) for plan in plans for change in plan.operations):
        inputs = planned[0].target.checked.inputs
        names, directory = inputs.run.files, inputs.directory
        variables = variables_elsewhere(names, directory, inputs.git, inputs.environ)
    for organization in planned:
        gathered = organization.gathered
        secrets = {} if gathered is None else gathered.secrets
        for reference in references(organization.target.checked.desired.webhooks):
            known = variables.get(reference.name)
            variables[reference.name] = known or secrets.get(reference)
    return variables


def _prove(
    planned: Sequence[Planned], candidates: Sequence[_Candidate], base: Sequence[str]
) -> tuple[tuple[_EditedFile, ...], Mapping[_Candidate, str]]:
    """Return the files that accept as many candidates as can be accepted together.

    The others have a reason. Raises UsageError for a file that was changed since it was planned.
    """
    inputs = planned[0].target.checked.inputs
    sources = Sources()
    if any(candidate.proposal.edits for candidate in candidates):
        sources = _read_again(inputs, planned)
    raw = {source.file: source.raw for source in sources.files}
    proof = _Proof(planned, inputs, sources, raw)
    refusals: dict[_Candidate, _Refusal] = {}
    # First each alone: one that cannot be edited must not spoil the proof of the others.
    editable: list[_Candidate] = []
    for candidate in candidates:
        try:
            if candidate.proposal.refusal:
                raise NotEditableError(candidate.proposal.refusal)
            proof.edited([candidate])
            editable.append(candidate)
        except NotEditableError as refusal:
            refusals[candidate] = _Refusal(str(refusal))
    accepted = _accepted(proof, [], editable, refusals)
    reasons = {
        candidate: _reason(candidate, refusal, inputs, base)
        for candidate, refusal in refusals.items()
    }
    return proof.edited(accepted), reasons


def _reason(candidate: _Candidate, refusal: _Refusal, inputs: Inputs, base: Sequence[str]) -> str:
    """Return why a candidate is refused, with the command that helps, if there is one."""
    if refusal.is_unlisted:
        command = _accept_command(candidate, inputs, base)
        if command:
            return (
                f"{refusal.reason}; without that list, `{command}` adds it: then run "
                "`webhooks init --github`, which allows the new secret"
            )
    return refusal.reason


def _accept_command(candidate: _Candidate, inputs: Inputs, base: Sequence[str]) -> str:
    """Return the command that accepts a change, empty if it cannot show the name."""
    words = ["webhooks", "drift", "--accept", *repeated("-f", inputs.paths), *base]
    # A name may contain the characters of globs.
    words += repeated("--only", (escape(change.name) for change in candidate.operations))
    return command_line(words, inputs.redacted)


def _accepted(
    proof: _Proof,
    proved: list[_Candidate],
    untested: list[_Candidate],
    refusals: dict[_Candidate, _Refusal],
) -> list[_Candidate]:
    """Return `proved`, and those of `untested` that can be accepted together with them.

    What certainly fails is refused at once. The rest is halved until each failing candidate is
    alone. The others are added to `refusals`.
    """
    if not untested:
        return proved
    problem = proof.problem([*proved, *untested])
    if problem is None:
        return [*proved, *untested]
    causes = {
        candidate: problem.causes[candidate]
        for candidate in untested
        if candidate in problem.causes
    }
    if len(untested) == 1:
        causes = {untested[0]: problem.refusal}
    if causes:
        refusals |= causes
        rest = [candidate for candidate in untested if candidate not in causes]
        return _accepted(proof, proved, rest, refusals)
    # Each proof plans all organizations again: if few candidates fail, halving needs few proofs.
    middle = len(untested) // 2
    proved = _accepted(proof, proved, untested[:middle], refusals)
    return _accepted(proof, proved, untested[middle:], refusals)


@dataclass(frozen=True, slots=True)
class _Proof:
    """Edits files in memory, and plans them with the live webhooks of the run.

    `raw` has the bytes of those of `sources` that can be edited.
    """

    planned: Sequence[Planned]
    inputs: Inputs
    sources: Sources
    raw: Mapping[str, bytes]

    def edited(self, candidates: Iterable[_Candidate]) -> tuple[_EditedFile, ...]:
        """Return the files with the edits of candidates. Raises NotEditableError."""
        edits: defaultdict[str, list[Edit]] = defaultdict(list)
        for candidate in candidates:
            for file, edits_of_candidate in candidate.proposal.edits.items():
                edits[file] += edits_of_candidate
        edited: list[_EditedFile] = []
        for file, edits_of_file in edits.items():
            if file not in self.raw:
                raise NotEditableError("its declaration is in standard input")
            if not output.is_writable(self.inputs.directory / file):
                raise NotEditableError("its declaration is in a read-only file")
            before = self.raw[file]
            edited.append(_EditedFile(file, before, edit_file(before, edits_of_file)))
        return tuple(edited)

    def problem(self, candidates: Sequence[_Candidate]) -> _Problem | None:
        """Return why candidates cannot be accepted together, None if they can."""
        try:
            edited = {file.file: file.after for file in self.edited(candidates)}
        except NotEditableError as refusal:  # edits of one candidate may overlap another's
            return _Problem(_Refusal(str(refusal)))
        parsed = parse_files(_with_edits(self.sources, edited))
        try:
            sources = load_all(self.inputs._replace(parsed=parsed))
        except ReconcilerError as invalid:
            # As written: a merged document may lack an entry that is an error.
            documents = [parse(raw, name) for name, raw in edited.items()]
            return _invalid(candidates, invalid, documents)
        if len(sources) != len(self.planned):
            return _Problem(_UNPROVED)
        for number, (organization, source) in enumerate(zip(self.planned, sources, strict=True)):
            accepted = [candidate for candidate in candidates if candidate.number == number]
            problem = _difference(organization, source, accepted)
            if problem is not None:
                return problem
        return None


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
    # An editor may have saved a file since: an edit of the old text would undo that.
    for source in sources.files:
        if decode(source.raw, source.file)[0] != documents.get(source.file):
            raise _changed(source.file)
    return sources


def _with_edits(sources: Sources, edited: Mapping[str, bytes]) -> Sources:
    """Return files with edited bytes, also where another file extends them."""

    def edit(source: SourceFile) -> SourceFile:
        return source._replace(raw=edited.get(source.file, source.raw))

    return sources._replace(
        files=tuple(map(edit, sources.files)),
        read_parent=lambda name: edit(sources.read_parent(name)),
    )


def _invalid(
    candidates: Iterable[_Candidate], invalid: ReconcilerError, documents: Iterable[Document]
) -> _Problem:
    """Return the errors of edited files, each caused by the edit of the entry that has it."""
    errors = [finding for finding in invalid.findings if finding.severity is Severity.ERROR]
    entries = _entries(documents)
    refusals: dict[str, _Refusal] = {}
    for finding in errors:
        if finding.position is None:
            continue
        starts = entries[finding.position.file]
        # The last entry that starts on this line or above.
        index = bisect_right(starts, finding.position.line, key=itemgetter(0))
        if index > 0:
            refusals.setdefault(starts[index - 1][1], _refusal(finding))
    causes: dict[_Candidate, _Refusal] = {}
    for candidate in candidates:
        invalid_names = candidate.names & refusals.keys()
        if invalid_names:
            causes[candidate] = refusals[min(invalid_names)]
    if not errors:
        return _Problem(_Refusal(f"{_INVALID}: {invalid.message}"), causes)
    return _Problem(_refusal(errors[0]), causes)


def _refusal(invalid: Finding) -> _Refusal:
    return _Refusal(f"{_INVALID}: {invalid.message}", invalid.rule == NOT_ALLOWED)


def _entries(documents: Iterable[Document]) -> Mapping[str, Sequence[tuple[int, str]]]:
    """Return line and name of each webhook by the file that declares it, in order."""
    entries: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for document in documents:
        webhooks = document.data.get("webhooks", ())
        # What is not a list of mappings is an error, too.
        for position, webhook in zip(document.positions("webhooks"), webhooks, strict=False):
            if isinstance(webhook, dict):
                entries[position.file].append((position.line, str(webhook.get("name"))))
    for starts in entries.values():
        starts.sort()
    return entries


def _difference(
    organization: Planned, source: Source, accepted: Sequence[_Candidate]
) -> _Problem | None:
    """Return what edited files change besides the accepted operations; None if nothing."""
    before, after = organization.target.checked.desired, source.checked.desired
    # The edit has no effect, for example because another file overrides the value.
    if before == after:
        causes = dict.fromkeys(accepted, _UNPROVED)
        return _Problem(_UNPROVED, causes) if accepted else None
    if not accepted:
        return _Problem(_Refusal("it changes another organization"))
    names = set().union(*(candidate.names for candidate in accepted))
    if _without(before, names) != _without(after, names):
        return _Problem(_Refusal("it also changes other declarations"))
    target = organization.target
    assert organization.live is not None  # it was planned
    # Edited files that cannot be planned, for example with a secret that is not allowed.
    try:
        gathered = gather(source.checked, target.key)
        planned = plan_listed(gathered, organization.live, target.options)
    except ReconcilerError as problem:
        return _Problem(_Refusal(problem.message))
    return _unproved(planned, accepted)


def _without(desired: Desired, names: Set[str]) -> Desired:
    """Return a configuration without the webhooks of some names."""
    return desired._replace(
        webhooks=tuple(webhook for webhook in desired.webhooks if webhook.name not in names)
    )


def _unproved(planned: Plan, accepted: Sequence[_Candidate]) -> _Problem | None:
    """Return how the plan of edited files differs from that without the accepted operations."""
    plan = accepted[0].plan
    resolved = {index for candidate in accepted for index in candidate.proposal.operations}
    kept = [change for index, change in enumerate(plan.operations) if index not in resolved]
    if list(planned.operations) == kept and planned.kept == plan.kept:
        return None
    # The operations that the edits should have made unnecessary name the edits that failed.
    remaining = set(map(webhook_key, planned.operations)) - set(map(webhook_key, kept))
    causes = {
        candidate: _UNPROVED
        for candidate in accepted
        if remaining.intersection(map(webhook_key, candidate.operations))
    }
    return _Problem(_UNPROVED, causes)


def _write_edits(edited: Sequence[_EditedFile], directory: Path) -> None:
    """Write the files. Raises UsageError if one was changed since it was read, OutputError."""
    # All are checked before the first one is written, so that no edit is half made.
    for file in edited:
        path = directory / file.file
        output.check_writable(path, over=output.FileKind.CONFIGURATION)
        if files.read_regular(path) != file.before:
            raise _changed(file.file)
    for file in edited:
        path = directory / file.file
        output.write_atomically(path, file.after, over=output.FileKind.CONFIGURATION)


def _changed(file: str) -> UsageError:
    return UsageError(
        f"{file} was changed since it was read: nothing was written", hint="run it again"
    )


def _results(
    planned: Sequence[Planned],
    drifts: Sequence[OrganizationDrift | None],
    candidates: Iterable[_Candidate],
    reasons: Mapping[_Candidate, str],
) -> Iterator[OrganizationResult[OrganizationDrift]]:
    """Yield the drift of each organization with its webhooks, or its problem."""
    webhooks: defaultdict[int, list[Drifted]] = defaultdict(list)
    for candidate in candidates:
        proposal, refusal = candidate.proposal, reasons.get(candidate, "")
        edited_files = () if refusal else tuple(proposal.edits)
        comment = proposal.comment if edited_files else ""
        webhook = Drifted(proposal.operations, edited_files, refusal, candidate.commit, comment)
        webhooks[candidate.number].append(webhook)
    for number, (organization, drift) in enumerate(zip(planned, drifts, strict=True)):
        result = organization.result
        if drift is not None:
            drift = drift._replace(drifted=tuple(webhooks[number]))
        yield OrganizationResult(result.name, result.files, drift, result.problem)


def _diffs(edited: Sequence[_EditedFile], git: Git) -> tuple[FileDiff, ...]:
    """Return the edits as patches for `git apply`, which expects paths from the repository."""
    if not edited:
        return ()
    folder = folder_in(git) or ""
    diffs: list[FileDiff] = []
    for file in edited:
        name = posixpath.normpath(posixpath.join(folder, file.file))
        diffs.append(FileDiff(file.file, unified_diff(name, file.before, file.after)))
    return tuple(diffs)
