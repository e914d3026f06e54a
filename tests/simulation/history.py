"""Run one history from its seed to its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from reconciler.errors import ExitCode
from reconciler.planning.plan import Plan, Reason
from tests.simulation.case import ApplyMode, Case, case
from tests.simulation.invariants import Violation
from tests.simulation.process import Process, Result
from tests.simulation.program import Program
from tests.simulation.report_checks import ReportChecks, revealed
from tests.simulation.scheduler import Crash
from tests.simulation.team import Team
from tests.simulation.variants import can_change_type
from tests.simulation.world import World

T = TypeVar("T")


class History:
    """Applies under faults, finishes what was left, and checks the result."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.world = World(case)
        self.program = Program(self.world)
        self.report_checks = ReportChecks(
            case, self.world.invariants, self.world.console_user.touched.keys()
        )

    def run(self) -> None:
        """Run the history. Raises Violation."""
        case = self.case
        start = self._prepare(case.teams[0])
        first = Process("first", team=case.teams[0], stop=case.stop, halt=case.halt)
        if case.applies == 1:
            self._run(first, start)
        else:
            second = Process("second", team=case.teams[-1])
            other = start if case.teams[-1] is case.teams[0] else self.program.apply
            self._run_concurrently([(first, start), (second, other)])
            if case.conflicting:
                self.report_checks.check_concurrent((first, second), case.teams[0])
        done = case.calm and _complete(first)
        if done:
            self._check_success(first, whole=case.mode is not ApplyMode.BLIND)
        if case.mode in (ApplyMode.SAVED, ApplyMode.BLIND):
            self.world.faults.active = True
            again = self._run(Process("again", team=case.teams[0]), start)
            if done and again.activity.committed and not _resends(again):
                raise Violation("an applied plan is applied again")
        self.world.quiesce()
        if case.mode in (ApplyMode.SAVED, ApplyMode.BLIND) and case.calm:
            self._check_saved_plan(start)
        for team in case.teams:
            if team.options != team.plain.options:
                self._check_clean_apply(team)
            self._check_clean_apply(team.plain)
        self.report_checks.check_untouched(case.live)

    def _prepare(self, team: Team) -> Callable[[Process], None]:
        """Get a plan reviewed where the mode needs it; return what applies it."""
        case, program = self.case, self.program
        reviewer = Process("reviewer", team=team)
        match case.mode:
            case ApplyMode.DIRECT:
                return program.apply
            case ApplyMode.DIGEST:
                planned = self._call(reviewer, lambda: program.plan(reviewer))
                start = partial(program.apply, digest=planned.digest if planned else None)
            case ApplyMode.SAVED | ApplyMode.BLIND:
                blind = case.mode is ApplyMode.BLIND
                document = self._call(reviewer, lambda: program.saved(reviewer, blind=blind))
                start = program.apply
                if document is not None:
                    start = partial(program.apply_saved, document=document)
        for _ in range(3):
            self.world.edit_by_hand()
        return start

    def _call(self, process: Process, body: Callable[[], T]) -> T | None:
        found: list[T] = []
        self.world.scheduler.run_as(process.state, lambda: found.append(body()))
        return found[0] if found else None

    def _run(self, process: Process, start: Callable[[Process], None]) -> Process:
        self.world.scheduler.run_as(process.state, lambda: start(process))
        return process

    def _run_concurrently(self, pairs: Sequence[tuple[Process, Callable[[Process], None]]]) -> None:
        scheduler = self.world.scheduler
        tasks = [scheduler.spawn(each.state, partial(start, each)) for each, start in pairs]
        scheduler.join(tasks)
        for task in tasks:
            if task.error is not None and not isinstance(task.error, Crash):
                raise task.error

    def _check_success(self, process: Process, *, whole: bool = True) -> None:
        """Check, without faults, that a second apply would do nothing."""
        self.world.quiesce()
        again = self._plan_again(process.team)
        if not whole:
            again = replace(
                again,
                operations=tuple(
                    c for c, o in zip(again.operations, again.digests, strict=True) if o
                ),
            )
        assert process.report is not None
        self.report_checks.check_converged(process.team, process.report.plan, again)

    def _plan_again(self, team: Team) -> Plan:
        """Plan again, without the resends that were requested before."""
        options = replace(team.options, previous=None, resend=())
        process = Process("look", team=replace(team, options=options))
        planned = self._call(process, lambda: self.program.plan(process))
        if planned is None:
            raise Violation(f"a plan without faults ends with {process.code!r}")
        return planned

    def _check_saved_plan(self, start: Callable[[Process], None]) -> None:
        """Check, without faults, that the same saved plan completes and then does nothing."""
        team = self.case.teams[0]
        for name in ("finish", "finished"):
            process = self._run(Process(name, team=team), start)
            if process.code in (ExitCode.BLOCKED, ExitCode.INVALID) or team.inapplicable:
                return
            if process.code is ExitCode.STALE and self.world.invariants.has_duplicates(team):
                return
            if not _complete(process) and not process.needs_review:
                raise Violation(f"the same plan applied again ends with {process.code!r}")
        if process.activity.committed and not _resends(process):
            raise Violation("an applied plan is applied again")

    def _check_clean_apply(self, team: Team) -> None:
        """Check that one apply without faults converges or reports why it cannot."""
        if not can_change_type(self.case.variant):  # a rename may need a change of type
            team = replace(team, inapplicable=team.inapplicable | self._touched_renames(team))
        last = self._run(Process("last", team=team), self.program.apply)
        if team.invalid and last.code is not ExitCode.INVALID:
            raise Violation(f"an apply of invalid declarations ends with {last.code!r}")
        if last.code is ExitCode.INVALID and self._may_be_invalid(team):
            return
        if last.code is ExitCode.BLOCKED:
            counted = self._plan_again(team).counted_deletes
            allowed = replace(team, options=replace(team.options, allow_deletes=counted))
            last = self._run(Process("allowed", team=allowed), self.program.apply)
        if _complete(last) and last.report is not None:
            again, plan = self._plan_again(team), last.report.plan
            later = any(each.reason is Reason.LATER for each in plan.kept)
            if again.operations and (
                later or all(revealed(plan, each) for each in again.operations)
            ):
                last = self._run(Process("again", team=last.team), self.program.apply)
                again = self._plan_again(team)
            assert last.report is not None
            self.report_checks.check_converged(last.team, last.report.plan, again)
        elif team.inapplicable:
            self._check_inapplicable(team)
        else:
            raise Violation(f"the clean apply ends with {last.code!r}")

    def _check_inapplicable(self, team: Team) -> None:
        """Check that applies that cannot succeed change the same rows only once."""
        self.world.quiesce()
        self._run(Process("vain", team=team), self.program.apply)
        self.world.quiesce()
        self.report_checks.check_nearly_converged(team, self._plan_again(team))
        before = self.world.invariants.rows()
        self._run(Process("vain", team=team), self.program.apply)
        if self.world.invariants.rows() != before:
            raise Violation("an apply that cannot succeed keeps changing webhooks")

    def _may_be_invalid(self, team: Team) -> bool:
        """Return whether the declarations may contradict the live webhooks."""
        if team.invalid or team.options.only or self._touched_renames(team):
            return True
        # The console user may have renamed it out of the scope.
        touched = bool(self.world.console_user.touched)
        return touched and any(each.id is not None for each in team.desired.absent)

    def _touched_renames(self, team: Team) -> set[str]:
        """Return the declared names that involve webhooks changed by the console user."""
        touched = self.world.console_user.touched.keys()
        return {
            each.name
            for each in team.desired.webhooks
            if (each.previously or each.id) and touched & team.related_names(each)
        }


def _complete(process: Process) -> bool:
    """Return whether all operations are done; a declaration may still be inapplicable."""
    return process.report is not None and process.report.complete


def _resends(process: Process) -> bool:
    """Return whether a process wrote only secrets that cannot be read back."""
    plan = process.activity.plan
    return plan is not None and all(
        method in ("PATCH", "PUT") for method, _ in process.activity.sent
    )


def run_seed(seed: int) -> Result:
    """Run the history of a seed."""
    return run_case(case(seed))


def run_case(case: Case) -> Result:
    """Run one history."""
    here = History(case)
    violation = None
    try:
        here.run()
    except Violation as error:
        violation = str(error)
        here.world.note(f"VIOLATION: {violation}")
    return Result(
        seed=case.seed,
        violation=violation,
        trace=tuple(here.world.trace),
        requests=here.world.requests,
        crashed=here.world.crashed,
    )
