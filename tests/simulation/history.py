"""Run the history of a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from reconciler.errors import ExitCode, NotReviewedError, ReconcilerError
from reconciler.planning.plan import Create, Delete, FieldRemoved, Plan, Reason, Update
from reconciler.planning.planner import PlanOptions
from reconciler.planning.readback import declared_destination
from reconciler.planning.review import Review, approve_all
from reconciler.planning.run import RunPlan
from reconciler.report import Failed, Report
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_parsed
from reconciler.source.saved_plan import parse_plan, save_run
from reconciler.workflow import Checked, Connection, Inputs, applying, gather, plan
from tests.loading import loaded
from tests.simulation.case import ApplyMode, Case, Team, can_change_type, case
from tests.simulation.declarations import CANARY, ENVIRONMENT, secrets
from tests.simulation.invariants import Process, Result, Violation
from tests.simulation.report_checks import ReportChecks, is_unseen, reveals_secret
from tests.simulation.scheduler import Crash
from tests.simulation.world import KEY, World

_MAX_REQUESTS = 500
_MAX_RUN = 650.0  # seconds: the deadline plus the last request in flight
_THREAD_GRACE = 1.0  # seconds for which abandoned threads may continue


class Program:
    """Runs the program repeatedly in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reviewed: dict[str, tuple[str, set[str]]] = {}
        self.checks = ReportChecks(world.case, world.invariants, world.console_user)

    def plan(self, process: Process, *, without_secrets: bool = False) -> Plan | None:
        """Make a plan, with or without secrets; return None on failure."""
        with self._checked_errors(process), self._world.connected(process) as (api, _, _):
            gathered = gather(_checked(process, without_secrets=without_secrets), KEY)
            self._world.plan = plan(gathered, api, options=process.team.options)
            return self._world.plan
        return None

    def remember_review(self, plan: Plan) -> None:
        """Remember what a reviewer saw of each live webhook."""
        self._reviewed = {
            operation.before.id: _seen(operation)
            for operation in plan.operations
            if not isinstance(operation, Create)
        }

    def saved(self, process: Process, *, without_secrets: bool) -> bytes | None:
        """Make a plan and save it; return None on failure."""
        made = self.plan(process, without_secrets=without_secrets)
        if made is None:
            return None
        self.remember_review(made)
        document = save_run(RunPlan.of(made), [loaded(process.team.desired)], process.team.options)
        if CANARY in document.decode():
            raise Violation("a secret is in the saved plan")
        if parse_plan(document, "plan.json").reviews[0] != approve_all(made):
            raise Violation("a saved plan differs after loading")
        return document

    def apply(self, process: Process, *, digest: str | None = None) -> None:
        """Plan and apply."""
        self._apply(process, _checked(process), process.team.options, digest or None)

    def apply_saved(self, process: Process, document: bytes) -> None:
        """Apply a saved plan."""
        saved = parse_plan(document, "plan.json")
        found = load_parsed(saved.parsed, Rules())
        if found.desired is None:
            raise Violation(f"a saved plan cannot be loaded: {found.findings}")
        checked = _checked(process)._replace(desired=found.desired)
        options = saved.options._replace(allow_deletes=process.team.options.allow_deletes)
        self._apply(process, checked, options, saved.reviews[0])

    def _apply(
        self, process: Process, checked: Checked, options: PlanOptions, review: Review | str | None
    ) -> None:
        began = self._world.scheduler.now
        with self._checked_errors(process):
            with self._world.connected(process) as (api, clock, workers):
                report = applying.apply(
                    checked,
                    Connection(api=api, key=KEY, clock=clock, workers=workers, stop=process),
                    options=options,
                    confirm=partial(self._confirm, process, review),
                    review=review,
                    values=True,
                )
            self._record_report(process, report)
        if process.steps > _MAX_REQUESTS or self._world.scheduler.now - began > _MAX_RUN:
            raise Violation(f"{process.name} does not stop")

    def _confirm(self, process: Process, review: Review | str | None, made: Plan) -> bool:
        if isinstance(review, Review):
            reviewed = {each.digest for each in review.operations}
            for operation, digests in zip(made.operations, made.digests, strict=True):
                left = {each.digest for each in digests} - reviewed
                # When a resend is applied again, the live URL may have its new host already.
                repeated = is_unseen(operation)
                if left and not (repeated and len(left) < len(digests)):
                    raise Violation("unreviewed operations are about to be applied")
        for operation in made.operations if review is not None else ():
            # A repeated resend finds the host and the removals of the first one done already.
            if isinstance(operation, Create) or is_unseen(operation):
                continue
            where, removed = seen = _seen(operation)
            reviewed_where, reviewed_removals = self._reviewed.get(operation.before.id, seen)
            # A user may have made a part of the plan, and only a visible secret is left.
            if isinstance(operation, Update) and where == declared_destination(
                operation.after, secrets()
            ):
                reviewed_where = where
            if where != reviewed_where or not removed <= reviewed_removals:
                raise Violation(f"{operation.name} has another destination than in the review")
        process.activity.plan = self._world.plan = made
        process.activity.ids_before = frozenset(self._world.invariants.names())
        return True

    def _record_report(self, process: Process, report: Report) -> None:
        process.report, process.code = report, report.exit_code
        process.needs_review = report.needs_review
        self._world.note(f"{process.name} ends: exit {int(report.exit_code)}")
        for outcome in report.outcomes:
            more = getattr(outcome, "code", None) or getattr(outcome, "note", None) or ""
            kind = type(outcome.operation).__name__.lower()
            became = type(outcome).__name__.lower()
            self._world.note(f"    {kind} {outcome.operation.name}: {became} {more}")
        self.checks.check_report(process, report)
        if process.halted():  # the program is about to exit, and its threads with it
            self._world.scheduler.sleep(_THREAD_GRACE)
            process.state.killed = True

    @contextmanager
    def _checked_errors(self, process: Process) -> Iterator[None]:
        """Check the error with which a block fails."""
        try:
            yield
        except ReconcilerError as error:
            process.code = error.exit_code
            process.needs_review = isinstance(error, NotReviewedError)
            self._world.note(f"{process.name} ends: exit {int(error.exit_code)}, {error}")
            texts = f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"
            if CANARY in texts or CANARY in str(getattr(error, "findings", "")):
                raise Violation("a secret is in an error") from None
            self.checks.check_exit_code(process, error.exit_code)
        except Exception as error:
            raise Violation(f"{process.name} crashed: {error!r}") from error


def _checked(process: Process, *, without_secrets: bool = False) -> Checked:
    inputs = Inputs(
        directory=Path(), environ={} if without_secrets else ENVIRONMENT, stdin=lambda: b""
    )
    desired = process.team.desired
    return Checked(desired=desired, loaded=Loaded(desired=desired), inputs=inputs)


class History:
    """Applies with faults, completes the rest without faults, and checks the result."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.world = World(case)
        self.program = Program(self.world)
        self.report_checks = self.program.checks

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
            scheduler = self.world.scheduler
            pairs = ((first, start), (second, other))
            tasks = [scheduler.spawn(each.state, partial(run, each)) for each, run in pairs]
            scheduler.join(tasks)
            for task in tasks:
                if task.error is not None and not isinstance(task.error, Crash):
                    raise task.error
            if case.conflicting:
                self.report_checks.check_concurrent((first, second), case.teams[0])
        done = case.only_request_failures and _complete(first)
        # Of a chain of renames by `id`, each apply can do only those whose names are free.
        if done and not _keeps(first, Reason.NAME_TAKEN):
            self._check_success(first)
        if case.mode in (ApplyMode.SAVED, ApplyMode.WITHOUT_SECRETS):
            self.world.faults.active = True
            again = self._run(Process("again", team=case.teams[0]), start)
            if done and again.activity.committed and not _resends(again):
                raise Violation("an applied plan is applied again")
        self.world.quiesce()
        if case.mode in (ApplyMode.SAVED, ApplyMode.WITHOUT_SECRETS) and case.only_request_failures:
            self._check_saved_plan(start)
        for team in case.teams:
            if team.options != team.plain.options:
                self._check_clean_apply(team)
            self._check_clean_apply(team.plain)
        self.report_checks.check_untouched(case.live)

    def _prepare(self, team: Team) -> Callable[[Process], None]:
        """Review the plan if the mode requires it; return the function that applies it."""
        case, program = self.case, self.program
        reviewer = Process("reviewer", team=team)
        run_as = partial(self.world.scheduler.run_as, reviewer.state)
        match case.mode:
            case ApplyMode.DIRECT:
                return program.apply
            case ApplyMode.DIGEST:
                planned = run_as(lambda: program.plan(reviewer))
                start = partial(program.apply, digest=planned.digest if planned else None)
                if planned is not None:
                    program.remember_review(planned)
            case ApplyMode.SAVED | ApplyMode.WITHOUT_SECRETS:
                without_secrets = case.mode is ApplyMode.WITHOUT_SECRETS
                document = run_as(lambda: program.saved(reviewer, without_secrets=without_secrets))
                start = program.apply
                if document is not None:
                    start = partial(program.apply_saved, document=document)
        for _ in range(3):
            self.world.edit_by_hand()
        return start

    def _run(self, process: Process, start: Callable[[Process], None]) -> Process:
        self.world.scheduler.run_as(process.state, lambda: start(process))
        return process

    def _check_success(self, process: Process) -> None:
        """Check, without faults, that a second apply would do nothing."""
        self.world.quiesce()
        again = self._plan_again(process.team)
        if self.case.mode is ApplyMode.WITHOUT_SECRETS:
            pairs = zip(again.operations, again.digests, strict=True)
            again = again._replace(operations=tuple(each for each, found in pairs if found))
        assert process.report is not None
        self.report_checks.check_converged(process.team, process.report.plan, again)

    def _plan_again(self, team: Team) -> Plan:
        """Plan again, without the resends that were requested before."""
        options = team.options._replace(previous=None, resend=())
        process = Process("check", team=replace(team, options=options))
        planned = self.world.scheduler.run_as(process.state, lambda: self.program.plan(process))
        if planned is None:
            raise Violation(f"a plan without faults ends with {process.code!r}")
        return planned

    def _check_saved_plan(self, start: Callable[[Process], None]) -> None:
        """Check, without faults, that the same saved plan completes and then does nothing."""
        team = self.case.teams[0]
        for name in ("finish", "finished"):
            process = self._run(Process(name, team=team), start)
            refused = process.code in (ExitCode.BLOCKED, ExitCode.INVALID, ExitCode.USAGE)
            if refused or team.inapplicable:
                return
            if process.code is ExitCode.STALE and self.world.invariants.has_duplicates(team):
                return
            if _refused_replacements(process):
                return
            if not _complete(process) and not process.needs_review:
                raise Violation(f"the same plan applied again ends with {process.code!r}")
        if process.activity.committed and not _resends(process):
            raise Violation("an applied plan is applied again")

    def _check_clean_apply(self, team: Team) -> None:
        """Check that one apply without faults converges or reports why it cannot."""
        # A rename may need a change of type, or a name that a user has given to another webhook.
        variant = self.case.variant
        if not can_change_type(variant) or variant.unique_names != "none":
            team = replace(team, inapplicable=team.inapplicable | self._touched_renames(team))
        last = self._apply("last", team)
        team = last.team
        if team.invalid and last.code is not ExitCode.INVALID:
            raise Violation(f"an apply of invalid declarations ends with {last.code!r}")
        if last.code is ExitCode.INVALID and self._may_be_invalid(team):
            return
        last = self._allow_deletes(last)
        if _complete(last) and last.report is not None:
            again, plan = self._plan_again(team), last.report.plan
            waits = _keeps(last, Reason.LATER, Reason.NAME_TAKEN)
            if again.operations and (
                waits or all(reveals_secret(plan, each) for each in again.operations)
            ):
                last = self._apply("again", last.team)
                if not _complete(last):
                    self._check_incomplete(last, team)
                    return
                again = self._plan_again(team)
            assert last.report is not None
            self.report_checks.check_converged(last.team, last.report.plan, again)
        else:
            self._check_incomplete(last, team)

    def _check_incomplete(self, last: Process, team: Team) -> None:
        """Check that an apply without faults is incomplete because of a declaration."""
        inapplicable = team.inapplicable | _refused_replacements(last)
        if not inapplicable:
            raise Violation(f"the clean apply ends with {last.code!r}")
        self._check_inapplicable(replace(team, inapplicable=inapplicable))

    def _apply(self, name: str, team: Team) -> Process:
        """Apply, without the globs that match nothing any more: a declared name always does."""
        process = self._run(Process(name, team=team), self.program.apply)
        if process.code is not ExitCode.USAGE:
            return process
        names = tuple(glob for glob in team.options.only if not glob.endswith("*"))
        team = replace(team, options=team.options._replace(only=names))
        return self._run(Process("named", team=team), self.program.apply)

    def _allow_deletes(self, last: Process) -> Process:
        """Apply again with the deletes allowed, if a limit of them blocked the plan."""
        if last.code is not ExitCode.BLOCKED:
            return last
        counted = self._plan_again(last.team).counted_deletes
        options = last.team.options._replace(allow_deletes=counted)
        return self._apply("allowed", replace(last.team, options=options))

    def _check_inapplicable(self, team: Team) -> None:
        """Check that applies that cannot succeed change the same rows only once."""
        self.world.quiesce()
        vain = self._allow_deletes(self._run(Process("vain", team=team), self.program.apply))
        if vain.code is ExitCode.INVALID and self._may_be_invalid(team):
            return  # the name of a webhook that was renamed by hand has been created since
        self.world.quiesce()
        self.report_checks.check_nearly_converged(team, self._plan_again(team))
        before = self.world.invariants.rows()
        self._allow_deletes(self._run(Process("vain", team=team), self.program.apply))
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


def _seen(operation: Update | Delete) -> tuple[str, set[str]]:
    """Return what a reviewer sees of the live webhook besides plain fields."""
    fields = operation.fields if isinstance(operation, Update) else ()
    removed = {str(each.path[-1]) for each in fields if isinstance(each, FieldRemoved)}
    return operation.before.destination, removed


def _complete(process: Process) -> bool:
    """Return whether all operations are done; a declaration may still be inapplicable."""
    return process.report is not None and process.report.complete


def _keeps(process: Process, *reasons: Reason) -> bool:
    """Return whether an applied plan keeps a webhook for one of the reasons."""
    assert process.report is not None
    return any(kept.reason in reasons for kept in process.report.plan.kept)


def _refused_replacements(process: Process) -> frozenset[str]:
    """Return the webhooks that a server without PATCH could only replace completely.

    Such an update is refused if it would change more than the plan says.
    """
    return frozenset(
        outcome.operation.name
        for outcome in (process.report.outcomes if process.report is not None else ())
        if isinstance(outcome, Failed) and "the plan does not name" in outcome.message
    )


def _resends(process: Process) -> bool:
    """Return whether a process wrote only secrets that cannot be read back."""
    return all(method in ("PATCH", "PUT") for method, _ in process.activity.sent)


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
