"""Drift: what changed live, and the edits of the files that accept it.

    previous_of -> plan_all (with the previous configuration) -> find_drift -> write

An operation is drift if the previous configuration plans it, too: the webhook was changed live.
Everything else is a change of the files that is not applied yet, and is never edited.

The edits are proved before anything is written: planning again in memory with the edited files
must give the same operations without the accepted ones, and every other declaration must be equal,
for every organization of the run.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from reconciler.errors import ConfigurationError, ReconcilerError, UsageError
from reconciler.findings import has_errors
from reconciler.model import Desired
from reconciler.planning.drift import (
    Drifted,
    DriftReport,
    FileDiff,
    OrganizationDrift,
    names_of,
)
from reconciler.planning.names import Globs
from reconciler.planning.plan import Attribution, Create, Operation, OperationDigest, webhook_key
from reconciler.planning.review import mentions
from reconciler.planning.run import OrganizationResult
from reconciler.source import files, write
from reconciler.source.accept import Proposal, propose
from reconciler.source.files import SourceFile, Sources
from reconciler.source.history import Git, NoBaseError, commit_before, commit_of, last_change
from reconciler.source.load import parse_files
from reconciler.source.splice import Edit, NotEditableError, edit_file, unified_diff
from reconciler.source.text import decode
from reconciler.workflow.inputs import Checked, Inputs, Source, gather, load_all, previous
from reconciler.workflow.planning import plan_listed
from reconciler.workflow.run import Planned

_UNPROVED: Final = "planning with the edited files does not give the live value"


class EditedFile(NamedTuple):
    """A file of the run before and after its edits."""

    file: str
    before: bytes
    after: bytes

    def diff(self, prefix: str) -> str:
        """Return the edits as a patch; `prefix` is the path of the directory in its repository."""
        name = posixpath.normpath(posixpath.join(prefix, self.file))
        return unified_diff(name, self.before, self.after)


class FoundDrift(NamedTuple):
    """The drift of a run, and the files that accept it."""

    report: DriftReport
    edited: tuple[EditedFile, ...] = ()


class Base(NamedTuple):
    """The previous configuration of an organization, or why there is none.

    `recent` is that before `commit`, the last one that changed the files, whose changes may not be
    applied yet. `merged` are the operations of merged reviews that are not applied yet.
    """

    desired: Desired | None = None
    unknown: str = ""
    recent: Desired | None = None
    commit: str = ""
    merged: Collection[OperationDigest] = ()


def base_of(checked: Checked, named: tuple[str, ...] = ()) -> Base:
    """Return the previous configuration that `named` names, by default that of HEAD.

    Raises ConfigurationError if it is named and cannot be read.
    """
    if named:
        return Base(previous(named, checked))
    inputs = checked.inputs
    head = commit_of("HEAD", inputs.git)
    if head is None:
        return Base(unknown="these files are not in a git repository with a commit")
    try:
        desired = previous((head,), checked)
    except ConfigurationError as problem:
        return Base(unknown=f"the last commit cannot be used: {problem.message}")
    commit = last_change((*checked.loaded.documents, *checked.loaded.parents), inputs.git)
    if commit is None:  # no commit has the files
        return Base(desired)
    # A guess here could undo a merge that is not applied yet.
    try:
        recent = previous((commit_before(commit, inputs.git),), checked)
    except NoBaseError as problem:
        return Base(unknown=str(problem))
    except ConfigurationError as problem:
        return Base(
            unknown=f"the configuration before commit {commit}, the last that changed the files, "
            f"cannot be used: {problem.message}"
        )
    return Base(desired, recent=recent, commit=commit)


def find_drift(
    planned: Sequence[Planned],
    bases: Sequence[Base],
    *,
    only: Sequence[str] = (),
    named: Sequence[str] = (),
) -> FoundDrift:
    """Return the drift of webhooks whose name matches `only`, and the edits that accept it.

    Each organization was planned with the previous configuration of its base. If several files may
    declare an added webhook, it is the one that is `named`. Raises UsageError for a file that was
    changed since it was planned.
    """
    globs = Globs(only or ("*",))
    drifts: list[OrganizationDrift | None] = []
    candidates: list[_Candidate] = []
    for number, (organization, base) in enumerate(zip(planned, bases, strict=True)):
        drift = _classified(organization, base, globs)
        drifts.append(drift)
        if drift is not None:
            proposals = _proposals(organization, drift, globs, named)
            candidates += [_Candidate(number, proposal) for proposal in proposals]
    proof = _Proof(planned, candidates)
    edited = proof.accept()
    webhooks: list[list[Drifted]] = [[] for _ in planned]
    for index, (number, proposal) in enumerate(candidates):
        names = tuple(dict.fromkeys(edit.file for edit in proposal.edits))
        refusal = proof.refusals.get(index, "")
        drifted = Drifted(proposal.operations, () if refusal else names, refusal)
        webhooks[number].append(drifted)
    organizations = tuple(
        OrganizationResult(
            name=organization.result.name,
            files=organization.target.paths,
            value=None if drift is None else drift._replace(drifted=tuple(drifted_webhooks)),
            problem=organization.problem,
        )
        for organization, drift, drifted_webhooks in zip(planned, drifts, webhooks, strict=True)
    )
    prefix = _prefix(planned[0].target.checked.inputs.git) if edited else ""
    diffs = tuple(FileDiff(file.file, file.diff(prefix)) for file in edited)
    unknown = next((base.unknown for base in bases if base.unknown), "")
    return FoundDrift(DriftReport(organizations, diffs, unknown=unknown), edited)


def write_edits(found: FoundDrift, directory: Path) -> DriftReport:
    """Edit the files. Raises UsageError if one was changed since it was read, OutputError."""
    paths = {file.file: directory / file.file for file in found.edited}
    for file in found.edited:
        path = paths[file.file]
        write.check_writable(path, over=write.FileKind.CONFIGURATION)
        if files.read_regular(path) != file.before:
            raise _changed(file.file)
    for file in found.edited:
        write.write_atomically(paths[file.file], file.after, over=write.FileKind.CONFIGURATION)
    return found.report._replace(accepted=True)


def _changed(file: str) -> UsageError:
    return UsageError(
        f"{file} was changed since it was read: nothing was written", hint="run it again"
    )


def _prefix(git: Git) -> str:
    """Return the path of the working directory in its repository; `git apply` expects it."""
    return os.fsdecode((git(["rev-parse", "--show-prefix"]) or b"").strip())


def _classified(organization: Planned, base: Base, globs: Globs) -> OrganizationDrift | None:
    """Return the operations that are no drift, and those that may not be; None without a plan."""
    plan = organization.plan
    if plan is None:
        return None
    listed = [
        index
        for index, operation in enumerate(plan.operations)
        if any(map(globs.match, names_of(operation)))
    ]
    drift = OrganizationDrift(plan, organization.target.paths)
    if base.desired is None:
        return drift._replace(not_applied=tuple(listed), unapplied=plan.unapplied)
    merged = _about(plan.operations, base.merged)
    waiting = frozenset(_waiting(organization, base)) - merged
    declared = {webhook.name for webhook in base.desired.webhooks}
    return drift._replace(
        unapplied=tuple(
            kept for kept in plan.unapplied if kept.name in declared and globs.match(kept.name)
        ),
        not_applied=tuple(
            index
            for index in listed
            if index not in merged and not _is_drift(plan.operations[index])
        ),
        waiting=tuple(index for index in listed if index in waiting),
        commit=base.commit,
        merged=tuple(index for index in listed if index in merged),
    )


def _about(operations: Sequence[Operation], merged: Collection[OperationDigest]) -> frozenset[int]:
    """Return the indexes of operations about webhooks that reviewed operations change."""
    is_mentioned = mentions(merged)
    indexes = set()
    for index, operation in enumerate(operations):
        key = None if isinstance(operation, Create) else operation.before.id
        if is_mentioned(key, operation.name):
            indexes.add(index)
    return frozenset(indexes)


def _is_drift(operation: Operation) -> bool:
    return operation.attribution is Attribution.DRIFT


def _waiting(organization: Planned, base: Base) -> Iterator[int]:
    """Yield the indexes of operations that the last commit of the files may have introduced.

    Before that commit, the files agreed with the live webhook.
    """
    plan, live, gathered = organization.plan, organization.live, organization.gathered
    recent = base.recent
    if recent is None or recent == base.desired or not plan or not live or not gathered:
        return
    drifted = [index for index, operation in enumerate(plan.operations) if _is_drift(operation)]
    if not recent.policy.scopes:  # the commit added the files
        yield from () if plan.counts.any_declared_live else drifted
        return
    secrets = {**gathered.secrets, **recent.literals, **recent.committed}
    earlier = gathered._replace(checked=gathered.checked._replace(desired=recent), secrets=secrets)
    options = organization.target.options._replace(previous=None, resend=())
    with suppress(ConfigurationError):
        keys = set(map(webhook_key, plan_listed(earlier, live, options).operations))
        for index in drifted:
            if webhook_key(plan.operations[index]) not in keys:
                yield index


def _proposals(
    organization: Planned, drift: OrganizationDrift, globs: Globs, named: Sequence[str]
) -> Iterator[Proposal]:
    """Yield a proposal for each drifted webhook."""
    checked, live = organization.target.checked, organization.live
    assert live is not None
    operations = drift.plan.operations
    drifted = [
        index
        for index, operation in enumerate(operations)
        if _is_drift(operation) and index not in (*drift.waiting, *drift.merged)
    ]
    for proposal in propose(drift.plan, drifted, live, checked.loaded, named):
        names = (name for index in proposal.operations for name in names_of(operations[index]))
        if any(map(globs.match, names)):
            yield proposal


# The proof


class _Candidate(NamedTuple):
    """A proposal, with the index of its organization in the run."""

    organization: int
    proposal: Proposal


class _Problem(NamedTuple):
    """Why candidates cannot be accepted together, and those that cause it, if known."""

    reason: str
    causes: frozenset[int] = frozenset()


class _Proof:
    """Plans edited files in memory, with the live webhooks of the run.

    Candidates are named by their indexes; `refusals` has the reasons of those that fail.
    """

    def __init__(self, planned: Sequence[Planned], candidates: Sequence[_Candidate]) -> None:
        self._planned = planned
        self._candidates = candidates
        self._inputs = planned[0].target.checked.inputs
        self._sources = Sources()
        self._raw: dict[str, bytes] = {}
        self.refusals: dict[int, str] = {}
        if any(candidate.proposal.edits for candidate in candidates):
            self._sources = _read_again(self._inputs, planned)
            self._raw = {source.file: source.raw for source in self._sources.files}
        for index, candidate in enumerate(candidates):
            refusal = candidate.proposal.refusal or self._refusal([index])
            if refusal:
                self.refusals[index] = refusal

    def accept(self) -> tuple[EditedFile, ...]:
        """Return the files that accept as many candidates as can be accepted together."""
        waiting = [index for index in range(len(self._candidates)) if index not in self.refusals]
        return self._edited(self._accepted([], waiting))

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
        causes = problem.causes.intersection(waiting)
        if len(waiting) == 1:
            causes = frozenset(waiting)
        if causes:
            self.refusals |= dict.fromkeys(causes, problem.reason)
            return self._accepted(proved, [index for index in waiting if index not in causes])
        middle = len(waiting) // 2
        return self._accepted(self._accepted(proved, waiting[:middle]), waiting[middle:])

    def _edited(self, indexes: Iterable[int]) -> tuple[EditedFile, ...]:
        """Return the files with the edits of candidates. Raises NotEditableError."""
        edits: dict[str, list[Edit]] = {}
        for index in indexes:
            for file, edit in self._candidates[index].proposal.edits:
                edits.setdefault(file, []).append(edit)
        edited = []
        for file, listed in edits.items():
            if file not in self._raw:
                raise NotEditableError("cannot be edited, because it is standard input")
            if not write.is_writable(self._inputs.directory / file):
                raise NotEditableError("is in a read-only file")
            edited.append(EditedFile(file, self._raw[file], edit_file(self._raw[file], listed)))
        return tuple(edited)

    def _refusal(self, indexes: Iterable[int]) -> str:
        """Return why the edits of candidates are not possible; empty if they are."""
        try:
            self._edited(indexes)
        except NotEditableError as refusal:
            return f"its declaration {refusal}"
        return ""

    def _problem(self, indexes: Sequence[int]) -> _Problem | None:
        """Return why candidates cannot be accepted together, None if they can."""
        try:
            edited = {file.file: file.after for file in self._edited(indexes)}
            parsed = parse_files(_with_edits(self._sources, edited))
            sources = load_all(self._inputs._replace(parsed=parsed))
        except NotEditableError as refusal:
            return _Problem(f"its declaration {refusal}")
        except ReconcilerError as invalid:
            errors = [finding.message for finding in invalid.findings if has_errors([finding])]
            reason = next(iter(errors), invalid.message)
            return _Problem(f"the edited file would be invalid: {reason}")
        if len(sources) != len(self._planned):
            return _Problem(_UNPROVED)
        for number, (source, organization) in enumerate(zip(sources, self._planned, strict=True)):
            accepted = {
                operation: index
                for index in indexes
                if self._candidates[index].organization == number
                for operation in self._candidates[index].proposal.operations
            }
            problem = _difference(source, organization, accepted)
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
    for source in sources.files:
        if decode(source.raw, source.file)[0] != documents.get(source.file):
            raise _changed(source.file)
    return sources


def _with_edits(sources: Sources, edited: Mapping[str, bytes]) -> Sources:
    """Return files with edited bytes, also where another file extends them."""

    def changed(source: SourceFile) -> SourceFile:
        return source._replace(raw=edited.get(source.file, source.raw))

    return sources._replace(
        files=tuple(map(changed, sources.files)),
        read_parent=lambda name: changed(sources.read_parent(name)),
    )


def _difference(
    source: Source, organization: Planned, accepted: Mapping[int, int]
) -> _Problem | None:
    """Return what edited files change besides the accepted operations; None if nothing.

    `accepted` has the candidates by the indexes of their operations.
    """
    before, after = organization.target.checked.desired, source.checked.desired
    plan, live = organization.plan, organization.live
    if before == after:
        return _Problem(_UNPROVED) if accepted else None
    if plan is None or live is None or not accepted:
        return _Problem("it changes another organization")
    names = {name for index in accepted for name in names_of(plan.operations[index])}
    if _others(before, names) != _others(after, names):
        return _Problem("it changes other declarations, too")
    connection = organization.target.connection
    try:
        gathered = gather(source.checked, None if connection is None else connection.key)
        planned = plan_listed(gathered, live, organization.target.options)
    except ReconcilerError as problem:
        return _Problem(problem.message)
    kept = [operation for index, operation in enumerate(plan.operations) if index not in accepted]
    if list(planned.operations) == kept and planned.kept == plan.kept:
        return None
    left = set(map(webhook_key, planned.operations)) - set(map(webhook_key, kept))
    causes = {
        candidate
        for index, candidate in accepted.items()
        if webhook_key(plan.operations[index]) in left
    }
    return _Problem(_UNPROVED, frozenset(causes))


def _others(desired: Desired, names: Set[str]) -> Desired:
    """Return a configuration without the webhooks of some names."""
    return desired._replace(
        webhooks=tuple(webhook for webhook in desired.webhooks if webhook.name not in names)
    )
