"""Apply the organizations of a run one after another, and report each of them.

A webhook that moves to another organization is created there before it is deleted here: that one is
applied first. If it cannot be created, it stays. If webhooks move in a circle, some of them stay
until the next run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from itertools import chain

from reconciler.errors import ExitCode, InternalError, ReconcilerError
from reconciler.execute.execute import execute
from reconciler.execute.ledger import unconfirmed
from reconciler.findings import Place
from reconciler.planning.plan import Create, Delete, OperationDigest
from reconciler.planning.review import values_sent
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.ports import Stop
from reconciler.report import (
    NOT_REVIEWED,
    Applied,
    Failed,
    Outcome,
    Report,
    RunReport,
    Skipped,
    exit_code_of,
)
from reconciler.source.load import Loaded
from reconciler.workflow.parts import ApplyOptions, Part, Ready, plan_command
from reconciler.workflow.run import (
    Move,
    Target,
    in_order,
    key_source_of,
    moves,
    with_key_source,
)


def carry_out(parts: Sequence[Part], run: RunPlan, options: ApplyOptions) -> RunReport:
    """Apply the organizations, and report them in the order of the files.

    A signal, an internal error and, unless `keep_going`, a failure end the run.
    """
    results = list(as_reports(run))
    ready = [part for part in parts if isinstance(part, Ready)]
    if not ready:
        return RunReport(tuple(results), run.digest)
    # One handler for the run: a signal between two organizations must not be forgotten.
    with ready[0].connection.stop as stop:
        _apply_in_order(parts, results, stop, options)
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
        finish_command=_to_finish(target, options),
        confirmed=tuple(
            0 if result.value is None else len(result.value.operations)
            for result in run.organizations
        ),
    )


def _apply_in_order(
    parts: Sequence[Part],
    results: list[OrganizationResult[Report]],
    stop: Stop,
    options: ApplyOptions,
) -> None:
    """Apply the organizations one after another, and replace the result of each."""
    is_ended = False
    for index in _in_order(parts):
        part = parts[index]
        if not isinstance(part, Ready):
            continue
        if part.moves:  # few have any, and the outcomes of all take long
            part = part.without(_not_created(part, parts, set(_created(results))))
        operations = part.plan.operations
        # After the end, only an organization that nothing is written to is still reported.
        if is_ended and operations:
            continue
        if operations:
            part.connection.watcher.applying(results[index].name, index + 1, len(parts))
        result = _applied(part, results[index], stop, options, len(parts))
        results[index] = result
        is_signal = stop.requested() is not None
        is_ended = is_ended or is_signal or _ends_run(result, part, options)


def as_reports(run: RunPlan) -> Iterator[OrganizationResult[Report]]:
    """Yield the problems of a run; the other organizations were not started, or are unchanged."""
    for result in run.organizations:
        plan = result.value
        report = None
        # With notes, something lacks a review.
        if plan is not None and not (plan.operations or plan.unapplied or plan.notes):
            report = Report(plan)
        yield OrganizationResult(result.name, result.files, report, result.problem)


def _to_finish(target: Target, options: ApplyOptions) -> str:
    """Return the command that applies what is left; empty if the same does, or it has a secret."""
    inputs = target.checked.inputs
    if "--base" not in (inputs.apply_options or ()) or options.reviewed:
        return ""
    # After a commit, --base HEAD is another revision, and what is left of a rotation is not sent.
    return inputs.command("apply")


def _ends_run(result: OrganizationResult[Report], part: Ready, options: ApplyOptions) -> bool:
    """Return whether nothing more is applied after an organization."""
    report = result.value
    if report is not None:
        outcomes = enumerate(report.outcomes)
        done = tuple(outcome for index, outcome in outcomes if index not in part.skipped)
        report = report._replace(outcomes=done)
    code = exit_code_of(result._replace(value=report))
    reasons = {code for code, _ in part.skipped.values()}
    # What lacks a review was known and shown before the first write.
    lacks_review = NOT_REVIEWED in reasons and report is not None and report.complete
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
        bug = InternalError.of(error)
        if not part.plan.operations:
            return result._replace(problem=bug)
        # What was written, also in other organizations, must be reported.
        return result._replace(value=_unknown(part, bug))


def _unknown(part: Ready, bug: InternalError) -> Report:
    """Return the report after an internal error: each operation may have been applied."""
    outcomes = [
        unconfirmed(operation, bug.message)._replace(exit_code=bug.exit_code)
        for operation in part.plan.operations
    ]
    report = Report(
        part.plan,
        tuple(outcomes),
        writes=len(outcomes),
        problem=f"{bug.message}; {bug.hint}",
    )
    return _completed(report, part)


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
    if not isinstance(outcome, Failed) or outcome.exit_code is not ExitCode.DENIED:
        return outcome
    source = key_source_of(target)
    if source is not None:
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
    """Return the same, without deletes of webhooks that may move to one that is not created before.

    Until it is created, they could be live nowhere.
    """
    moves_by_source: defaultdict[int, list[Move]] = defaultdict(list)
    planned = [part.planned if isinstance(part, Ready) else part for part in parts]
    for move in moves(planned):
        moves_by_source[move.source].append(move)
    result = list(parts)
    for index, part in enumerate(parts):
        if isinstance(part, Ready):
            result[index] = part._replace(moves=moves_by_source[index])
    created: set[tuple[int, str]] = set()
    for index in _in_order(result):
        part = result[index]
        if isinstance(part, Ready):
            result[index] = part.without(_not_created(part, parts, created))
            created |= {(index, create.name) for create in part.plan.creates}
    return result


def _in_order(parts: Sequence[Part]) -> list[int]:
    """Return the indexes of the organizations in the order in which they are applied."""
    ready = (part for part in parts if isinstance(part, Ready))
    return in_order(chain.from_iterable(part.moves for part in ready), len(parts))


def _not_created(
    part: Ready, parts: Sequence[Part], created: Set[tuple[int, str]]
) -> dict[int, tuple[str, str]]:
    """Return why deletes wait; `created` are indexes of organizations and names of webhooks."""
    waiting: dict[str, str] = {}  # the first reason, by the id of the webhook that moves
    for move in part.moves:
        if (move.target, move.name) not in created:
            other = parts[move.target]
            why = "but had not created it" if other.plan else "and may not have created it"
            reason = f"{other.result.name} declares it, {why}: it could be live nowhere"
            waiting.setdefault(move.delete.before.id, reason)
    reasons: dict[int, tuple[str, str]] = {}
    for index, operation in enumerate(part.complete.operations):
        if index in part.skipped or not isinstance(operation, Delete):
            continue
        if operation.before.id in waiting:
            reasons[index] = "after-failure", waiting[operation.before.id]
    return reasons


def _created(results: Iterable[OrganizationResult[Report]]) -> Iterator[tuple[int, str]]:
    """Yield the webhooks that were created: the index of the organization, and the name."""
    for index, result in enumerate(results):
        applied = () if result.value is None else result.value.applied
        for outcome in applied:
            if isinstance(outcome.operation, Create):
                yield index, outcome.operation.name
