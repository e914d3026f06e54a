"""One history, from its seed to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from reconciler.errors import ExitCode
from reconciler.planning.plan import Plan, Reason
from tests.simulation.case import Case, Way, case
from tests.simulation.ending import Ending, revealed
from tests.simulation.habits import retypes
from tests.simulation.judge import Violation
from tests.simulation.process import Process, Verdict
from tests.simulation.program import Program
from tests.simulation.scheduler import Crash
from tests.simulation.team import Team
from tests.simulation.world import World

T = TypeVar("T")


class Trial:
    """Apply under misfortune, finish what was left, and look."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.world = World(case)
        self.program = Program(self.world)
        self.ending = Ending(case, self.world.judge, self.world.person.touched.keys())

    def history(self) -> None:
        """Live through it all. Raises Violation."""
        case = self.case
        start = self._prepare(case.teams[0])
        first = Process("first", team=case.teams[0], stop=case.stop, halt=case.halt)
        if case.applies == 1:
            self._alone(first, start)
        else:
            second = Process("second", team=case.teams[-1])
            other = start if case.teams[-1] is case.teams[0] else self.program.apply
            self._side_by_side([(first, start), (second, other)])
            if case.rivals:
                self.ending.side_by_side((first, second), case.teams[0])
        done = case.calm and _complete(first)
        if done:
            self._succeeded(first, whole=case.way is not Way.BLIND)
        if case.way in (Way.SAVED, Way.BLIND):
            self.world.misfortune.active = True
            again = self._alone(Process("again", team=case.teams[0]), start)
            if done and again.deeds.committed and not _resends(again):
                raise Violation("a plan that was carried out is carried out again")
        self.world.rest()
        if case.way in (Way.SAVED, Way.BLIND) and case.calm:
            self._finish(start)
        for team in case.teams:
            if team.options != team.plain.options:
                self._clean(team)
            self._clean(team.plain)
        self.ending.left_alone(case.live)

    def _prepare(self, team: Team) -> Callable[[Process], None]:
        """Have a plan reviewed, if that is the way; return what applies it."""
        case, program = self.case, self.program
        reviewer = Process("reviewer", team=team)
        match case.way:
            case Way.DIRECT:
                return program.apply
            case Way.DIGEST:
                planned = self._within(reviewer, lambda: program.plan(reviewer))
                start = partial(program.apply, digest=planned.digest if planned else None)
            case Way.SAVED | Way.BLIND:
                blind = case.way is Way.BLIND
                document = self._within(reviewer, lambda: program.saved(reviewer, blind=blind))
                start = program.apply
                if document is not None:
                    start = partial(program.apply_saved, document=document)
        for _ in range(3):
            self.world.meddle()
        return start

    def _within(self, process: Process, body: Callable[[], T]) -> T | None:
        found: list[T] = []
        self.world.scheduler.as_life(process.life, lambda: found.append(body()))
        return found[0] if found else None

    def _alone(self, process: Process, start: Callable[[Process], None]) -> Process:
        self.world.scheduler.as_life(process.life, lambda: start(process))
        return process

    def _side_by_side(self, pairs: Sequence[tuple[Process, Callable[[Process], None]]]) -> None:
        scheduler = self.world.scheduler
        tasks = [scheduler.spawn(each.life, partial(start, each)) for each, start in pairs]
        scheduler.join(tasks)
        for task in tasks:
            if task.error is not None and not isinstance(task.error, Crash):
                raise task.error

    def _succeeded(self, process: Process, *, whole: bool = True) -> None:
        """Look again, without misfortune: a second apply would do nothing."""
        self.world.rest()
        again = self._look(process.team)
        if not whole:
            again = replace(
                again,
                operations=tuple(
                    c for c, o in zip(again.operations, again.digests, strict=True) if o
                ),
            )
        assert process.report is not None
        self.ending.as_declared(process.team, process.report.plan, again)

    def _look(self, team: Team) -> Plan:
        """Plan, without asking again for what was asked for once."""
        options = replace(team.options, previous=None, resend=(), resend_all=False)
        process = Process("look", team=replace(team, options=options))
        planned = self._within(process, lambda: self.program.plan(process))
        if planned is None:
            raise Violation(f"an undisturbed look ends with {process.code!r}")
        return planned

    def _finish(self, start: Callable[[Process], None]) -> None:
        """Without misfortune the same saved plan is carried out to its end, and then no more."""
        team = self.case.teams[0]
        for name in ("finish", "finished"):
            process = self._alone(Process(name, team=team), start)
            if process.code in (ExitCode.BLOCKED, ExitCode.INVALID) or team.stubborn:
                return
            if process.code is ExitCode.STALE and self.world.judge.copies(team):
                return
            if not _complete(process) and not process.needs_review:
                raise Violation(f"the same plan once more ends with {process.code!r}")
        if process.deeds.committed and not _resends(process):
            raise Violation("a plan that was carried out is carried out again")

    def _clean(self, team: Team) -> None:
        """Without misfortune one apply makes everything as declared, or says why it cannot."""
        if not retypes(self.case.variant):  # who is moved may have to become of another type
            team = replace(team, stubborn=team.stubborn | self._entangled(team))
        last = self._alone(Process("last", team=team), self.program.apply)
        if team.refused and last.code is not ExitCode.INVALID:
            raise Violation(f"what does not fit ends with {last.code!r}")
        if last.code is ExitCode.INVALID and self._refused(team):
            return
        if last.code is ExitCode.BLOCKED:
            counted = self._look(team).counted_deletes
            allowed = replace(team, options=replace(team.options, allow_deletes=counted))
            last = self._alone(Process("allowed", team=allowed), self.program.apply)
        if _complete(last) and last.report is not None:
            again, plan = self._look(team), last.report.plan
            later = any(each.reason is Reason.LATER for each in plan.kept)
            if again.operations and (
                later or all(revealed(plan, each) for each in again.operations)
            ):
                last = self._alone(Process("again", team=last.team), self.program.apply)
                again = self._look(team)
            assert last.report is not None
            self.ending.as_declared(last.team, last.report.plan, again)
        elif team.stubborn:
            self._in_vain(team)
        else:
            raise Violation(f"the clean apply ends with {last.code!r}")

    def _in_vain(self, team: Team) -> None:
        """What cannot be done is tried again, and nothing grows or shrinks by that."""
        self.world.rest()
        self._alone(Process("vain", team=team), self.program.apply)
        self.world.rest()
        self.ending.as_near_as_can_be(team, self._look(team))
        before = self.world.judge.rows()
        self._alone(Process("vain", team=team), self.program.apply)
        if self.world.judge.rows() != before:
            raise Violation("an apply that cannot succeed goes on changing things")

    def _refused(self, team: Team) -> bool:
        """Return whether the declarations may not fit what is live."""
        if team.refused or team.options.only or self._entangled(team):
            return True
        # A person may have renamed it out of the scope.
        touched = bool(self.world.person.touched)
        return touched and any(each.id is not None for each in team.desired.absent)

    def _entangled(self, team: Team) -> set[str]:
        """Return the declarations of which a person has moved or made one of several names."""
        touched = self.world.person.touched.keys()
        return {
            each.name
            for each in team.desired.webhooks
            if (each.previously or each.id) and touched & team.kin(each)
        }


def _complete(process: Process) -> bool:
    """Return whether all changes are done; a declaration may still be inapplicable."""
    return process.report is not None and process.report.complete


def _resends(process: Process) -> bool:
    """Return whether all that a process wrote are secrets that nobody can see."""
    plan = process.deeds.plan
    return plan is not None and all(method in ("PATCH", "PUT") for method, _ in process.deeds.begun)


def trial(seed: int) -> Verdict:
    """Live through the history of a seed."""
    return live_through(case(seed))


def live_through(case: Case) -> Verdict:
    """Live through one history."""
    here = Trial(case)
    broken = None
    try:
        here.history()
    except Violation as violation:
        broken = str(violation)
        here.world.note(f"VIOLATION: {broken}")
    return Verdict(
        seed=case.seed,
        broken=broken,
        trace=tuple(here.world.trace),
        requests=here.world.requests,
        crashed=here.world.crashed,
    )
