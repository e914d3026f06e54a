"""Apply the organizations of a run one after another, and report each of them.

A webhook that moves to another organization is created there before it is deleted here. If it
cannot be created, it stays.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from reconciler.errors import ExitCode, InternalError, ReconcilerError
from reconciler.execute.execute import execute
from reconciler.findings import Place
from reconciler.model import Webhook
from reconciler.planning.plan import Create, Delete, OperationDigest, Reason
from reconciler.planning.review import values_sent
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.ports import Stop
from reconciler.report import (
    DENIED,
    Applied,
    Failed,
    Outcome,
    Report,
    RunReport,
    Skipped,
    exit_code_of,
)
from reconciler.source.load import Loaded
from reconciler.workflow.parts import ApplyOptions, Part, Ready, Refused, plan_command
from reconciler.workflow.run import Target, key_source_of, with_key_source

_Declarations: TypeAlias = Mapping[str, Mapping[str, Part]]
"""The organizations of declared webhooks, by name and file."""


def carry_out(parts: Sequence[Part], run: RunPlan, options: ApplyOptions) -> RunReport:
    """Apply the organizations, and report them in the order of the files.

    A signal, an internal error and, unless `keep_going`, a failure end the run.
    """
    results = list(as_reports(run))
    indexes = {id(part.planned): index for index, part in enumerate(parts)}
    ready = _creates_first(parts)
    if not ready:
        return RunReport(tuple(results), run.digest)
    is_ended = False
    not_created: list[tuple[Part, Webhook]] = []
    # One handler for the run: a signal between two organizations must not be forgotten.
    with ready[0].connection.stop as stop:
        for number, part in enumerate(ready, start=1):
            index = indexes[id(part.planned)]
            part = _without_moved(part, _by_name_and_file(not_created))
            # After the end, only an organization that nothing is written to is still reported.
            if is_ended and part.plan.operations:
                continue
            if part.plan.operations:
                part.connection.watcher.applying(results[index].name, number, len(parts))
            results[index] = _applied(part, results[index], stop, options, len(parts))
            not_created += [(part, webhook) for webhook in _failed_creates(part, results[index])]
            is_signal = stop.requested() is not None
            is_ended = is_ended or is_signal or _ends_run(results[index], options)
        stopped = stop.requested()
    # A signal after the last write changes nothing: the run is complete.
    if all(exit_code_of(result) is ExitCode.OK for result in results):
        stopped = None
    target = ready[0].target
    return RunReport(
        tuple(results),
        run.digest,
        stopped,
        plan_command=plan_command(target),
        finish_command=_finish_command(target, options),
        confirmed=tuple(
            0 if result.value is None else len(result.value.operations)
            for result in run.organizations
        ),
    )


def as_reports(run: RunPlan) -> Iterator[OrganizationResult[Report]]:
    """Yield the problems of a run; the other organizations were not started, or are unchanged."""
    for result in run.organizations:
        plan = result.value
        report = None
        # With notes, something lacks a review.
        if plan is not None and not (plan.operations or plan.unapplied or plan.notes):
            report = Report(plan)
        yield OrganizationResult(result.name, result.files, report, result.problem)


def _finish_command(target: Target, options: ApplyOptions) -> str:
    """Return the command that applies what is left, if the same one does not."""
    words = target.checked.inputs.apply_options or ()
    # After a commit, --base HEAD is another revision, and what is left of a rotation is not sent.
    if "--base" in words and not options.reviewed:
        return shlex.join(["webhooks", "apply", *words])
    return ""


def _ends_run(result: OrganizationResult[Report], options: ApplyOptions) -> bool:
    """Return whether no further organization is applied after this one."""
    code = exit_code_of(result)
    report = result.value
    # What lacks a review was known and shown before the first write.
    lacks_review = report is not None and report.problem is None and report.needs_review
    if code is ExitCode.OK or lacks_review:
        return False
    return code is ExitCode.BUG or not options.keep_going


def _applied(
    part: Ready, result: OrganizationResult[Report], stop: Stop, options: ApplyOptions, count: int
) -> OrganizationResult[Report]:
    """Apply one of `count` organizations, and return its report or its problem."""
    try:
        return result._replace(value=_apply_one(part, stop, options))
    except ReconcilerError as problem:
        return result._replace(problem=with_key_source(problem, part.target))
    except Exception as error:
        if count == 1:
            raise
        # The report of the organizations that were written must not be lost.
        return result._replace(problem=InternalError.of(error))


def _apply_one(part: Ready, stop: Stop, options: ApplyOptions) -> Report:
    """Apply one organization. Raises the errors of `execute`, and of an unreachable server."""
    connection = part.connection
    # An organization before this one may have found out that the server is gone.
    unreachable = connection.unreachable()
    if unreachable is not None and part.plan.operations:
        raise unreachable
    report = execute(
        part.plan,
        part.gathered.secrets,
        connection.api,
        clock=connection.clock,
        workers=connection.workers,
        stop=stop,
        watcher=connection.watcher,
        reviewed=options.reviewed,
        planned=part.live.webhooks,
    )
    report = report._replace(
        outcomes=tuple(_with_key_source(outcome, part.target) for outcome in report.outcomes)
    )
    # Hundreds of organizations would otherwise keep a connection each until the end.
    connection.disconnect()
    if options.reviewed:
        outcomes = map(_with_values, report.outcomes, part.plan.digests)
        report = report._replace(outcomes=tuple(outcomes))
    report = _completed(report, part)
    has_deleted = any(isinstance(outcome.operation, Delete) for outcome in report.applied)
    if options.expect_digest is not None or (options.allow_deletes is not None and has_deleted):
        # What is left has another digest and fewer deletes, so the same command may be refused.
        report = report._replace(needs_plan=True)
    with suppress(Exception):  # positions are for display only
        loaded = part.target.checked.loaded
        placed = tuple(_placed(outcome, loaded) for outcome in report.outcomes)
        return report._replace(outcomes=placed)
    return report


def _with_key_source(outcome: Outcome, target: Target) -> Outcome:
    """Add the source of the key to a failure that is about the key."""
    source = key_source_of(target)
    if isinstance(outcome, Failed) and outcome.code in DENIED and source is not None:
        return outcome._replace(message=f"{outcome.message} (key from {source})")
    return outcome


def _completed(report: Report, part: Ready) -> Report:
    """Return the report of the complete plan, with excluded operations as skipped."""
    if not part.skipped:
        return report
    applied = iter(report.outcomes)
    outcomes: list[Outcome] = []
    for index, operation in enumerate(part.complete.operations):
        if index in part.skipped:
            code, message = part.skipped[index]
            outcomes.append(Skipped(operation=operation, code=code, message=message))
        else:
            outcomes.append(next(applied))
    return report._replace(plan=part.complete, outcomes=tuple(outcomes))


def _with_values(outcome: Outcome, digests: Sequence[OperationDigest]) -> Outcome:
    """Add a note about other values of secrets, which a reviewed change of other fields carries."""
    # Without a digest, the values are all that is sent: `--yes` allowed them.
    if not isinstance(outcome, Applied) or outcome.already_made or not digests:
        return outcome
    names = values_sent(outcome.operation)
    if not names:
        return outcome
    return outcome.with_note(f"also sent: {' and '.join(names)}, which differed from the live one")


def _placed(outcome: Outcome, declared: Loaded) -> Outcome:
    """Add the declaring positions to the server's messages about fields."""
    # A delete sends no fields.
    if not isinstance(outcome, Failed) or isinstance(outcome.operation, Delete):
        return outcome
    webhook = outcome.operation.after
    fields = []
    for field in outcome.fields:
        place = Place(webhook.file, ("webhooks", webhook.index, *field.path))
        fields.append(field._replace(position=declared.position(place)))
    return outcome._replace(fields=tuple(fields))


# Moves between organizations


def without_moves(parts: Sequence[Part]) -> list[Part]:
    """Return the same, without deletes of webhooks that may move to one that does not create them.

    Its own files declare them, so until it is applied, they could be live nowhere.
    """
    declared = _by_name_and_file(
        (part, webhook) for part in parts for webhook in _not_created(part)
    )
    return [_without_moved(part, declared) if isinstance(part, Ready) else part for part in parts]


def _not_created(part: Part) -> Sequence[Webhook]:
    """Return the webhooks of an organization that is not applied, or whose creates are skipped."""
    if isinstance(part, Refused):
        return part.planned.target.checked.desired.webhooks
    skipped = (part.complete.operations[index] for index in part.skipped)
    return [operation.after for operation in skipped if isinstance(operation, Create)]


def _by_name_and_file(declarations: Iterable[tuple[Part, Webhook]]) -> _Declarations:
    declared: defaultdict[str, dict[str, Part]] = defaultdict(dict)
    for part, webhook in declarations:
        file = webhook.position.file if webhook.position else webhook.file
        declared[webhook.name][file] = part
    return declared


def _moved(part: Ready, declared: _Declarations) -> Iterator[tuple[int, Part]]:
    """Yield the deletes of webhooks that others declare, by index in the complete plan."""
    loaded = part.target.checked.loaded
    for index, operation in enumerate(part.complete.operations):
        if index in part.skipped or not isinstance(operation, Delete):
            continue
        if operation.reason is Reason.DUPLICATE:
            continue
        for file, other in declared.get(operation.name, {}).items():
            # What a shared file declares did not move.
            if file not in loaded.documents and file not in loaded.parents:
                yield index, other


def _without_moved(part: Ready, declared: _Declarations) -> Ready:
    reasons: dict[int, tuple[str, str]] = {}
    for index, other in _moved(part, declared):
        name = other.planned.result.name
        reason = f"{name} declares it, but has not created it: it could be live nowhere"
        reasons.setdefault(index, ("after-failure", reason))
    return part.without(reasons) if reasons else part


def _creates_first(parts: Iterable[Part]) -> list[Ready]:
    """Return the organizations that are applied, each after those that create what it deletes.

    Otherwise they keep their order.
    """
    ready = [part for part in parts if isinstance(part, Ready)]
    created = _by_name_and_file(
        (part, create.after) for part in ready for create in part.plan.creates
    )
    ordered: list[Ready] = []
    visited: set[int] = set()

    def visit(part: Ready) -> None:
        # In a circle, some delete comes first in any order.
        if id(part) in visited:
            return
        visited.add(id(part))
        for _, other in _moved(part, created):
            assert isinstance(other, Ready)
            visit(other)
        ordered.append(part)

    for part in ready:
        visit(part)
    return ordered


def _failed_creates(part: Ready, result: OrganizationResult[Report]) -> Iterator[Webhook]:
    """Yield the webhooks that may not be live after an organization was applied."""
    applied = result.value.applied if result.value is not None else ()
    created = {outcome.operation.name for outcome in applied}
    for create in part.plan.creates:
        if create.name not in created:
            yield create.after
