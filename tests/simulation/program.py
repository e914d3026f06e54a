"""What a process does: plan, save the plan and apply it, as the commands do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reconciler.errors import NotReviewedError, ReconcilerError
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import Review, review_of
from reconciler.report import Report
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_parsed
from reconciler.source.saved_plan import load, save_plan
from reconciler.workflow import Checked, Connection, Inputs, applying, gather, plan
from tests.loading import loaded
from tests.simulation.declarations import CANARY, ENVIRONMENT
from tests.simulation.invariants import Violation
from tests.simulation.process import Process
from tests.simulation.report_checks import ReportChecks
from tests.simulation.world import KEY, World

_MOST_REQUESTS = 500
_LONGEST_RUN = 650.0  # seconds: the deadline plus the last request in flight
_THREAD_GRACE = 1.0  # seconds for which abandoned threads may continue


class Program:
    """Runs the program repeatedly in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._checks = ReportChecks(world.case, world.invariants, world.console_user.touched.keys())

    def plan(self, process: Process, *, blind: bool = False) -> Plan | None:
        """Make a plan, `blind` without secrets; return None on failure."""
        made: list[Plan] = []

        def read() -> None:
            with self._world.connected(process) as (api, _, _):
                checked = _checked(process, blind=blind)
                options = process.team.options
                made.append(plan(gather(checked, KEY), api, options=options))

        self._run_process(process, read)
        return made[0] if made else None

    def saved(self, process: Process, *, blind: bool) -> bytes | None:
        """Make a plan and save it; return None on failure."""
        made = self.plan(process, blind=blind)
        if made is None:
            return None
        document = save_plan(made, loaded(process.team.desired), process.team.options)
        if CANARY in document.decode():
            raise Violation("a secret is in the saved plan")
        if load(document, "plan.json").review != review_of(made):
            raise Violation("a saved plan loads as another one")
        return document

    def apply(self, process: Process, *, digest: str | None = None) -> None:
        """Plan and apply."""
        self._apply(process, _checked(process), process.team.options, digest or None)

    def apply_saved(self, process: Process, document: bytes) -> None:
        """Apply a saved plan."""
        saved = load(document, "plan.json")
        found = load_parsed(saved.parsed, Rules())
        if found.desired is None:
            raise Violation(f"a saved plan cannot be loaded: {found.findings}")
        checked = replace(_checked(process), desired=found.desired)
        options = replace(saved.options, allow_deletes=process.team.options.allow_deletes)
        self._apply(process, checked, options, saved.review)

    def _apply(
        self,
        process: Process,
        checked: Checked,
        options: PlanOptions,
        review: Review | str | None,
    ) -> None:
        def body() -> None:
            with self._world.connected(process) as (api, clock, workers):
                connection = Connection(
                    api=api, key=KEY, clock=clock, workers=workers, stop=process
                )
                report = applying.apply(
                    checked,
                    connection,
                    options=options,
                    confirm=self._confirm(process, review),
                    review=review,
                    values=True,
                )
            self._record_report(process, report)

        began = self._world.scheduler.now
        self._run_process(process, body)
        if process.steps > _MOST_REQUESTS or self._world.scheduler.now - began > _LONGEST_RUN:
            raise Violation(f"{process.name} does not stop")

    def _confirm(self, process: Process, review: Review | str | None) -> Callable[[Plan], bool]:
        def agree(made: Plan) -> bool:
            if isinstance(review, Review):
                planned = {each.digest for found in made.digests for each in found}
                if planned - {each.digest for each in review.operations}:
                    raise Violation("unreviewed operations are about to be applied")
            process.activity.plan = made
            process.activity.ids_before = frozenset(self._world.invariants.names())
            return True

        return agree

    def _record_report(self, process: Process, report: Report) -> None:
        process.report, process.code = report, report.exit_code
        process.needs_review = report.needs_review
        self._world.note(f"{process.name} ends: exit {int(report.exit_code)}")
        for outcome in report.outcomes:
            more = getattr(outcome, "code", None) or getattr(outcome, "note", None) or ""
            kind = type(outcome.operation).__name__.lower()
            became = type(outcome).__name__.lower()
            self._world.note(f"    {kind} {outcome.operation.name}: {became} {more}")
        self._checks.check_report(process, report)
        if process.halted():  # the program is about to exit, and its threads with it
            self._world.scheduler.sleep(_THREAD_GRACE)
            process.state.killed = True

    def _run_process(self, process: Process, body: Callable[[], None]) -> None:
        """Run `body` and check how it fails."""
        try:
            body()
        except ReconcilerError as error:
            process.code = error.exit_code
            process.needs_review = isinstance(error, NotReviewedError)
            self._world.note(f"{process.name} ends: exit {int(error.exit_code)}, {error}")
            said = f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"
            if CANARY in said or CANARY in str(getattr(error, "findings", "")):
                raise Violation("a secret is in an error") from None
            self._checks.check_exit_code(process, error.exit_code)
        except Exception as error:
            raise Violation(f"{process.name} crashed: {error!r}") from error


def _checked(process: Process, *, blind: bool = False) -> Checked:
    inputs = Inputs(directory=Path(), environ={} if blind else ENVIRONMENT, stdin=lambda: b"")
    desired = process.team.desired
    return Checked(desired=desired, declared=Loaded(desired=desired), inputs=inputs)
