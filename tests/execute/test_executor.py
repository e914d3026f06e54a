"""Apply keeps its order, skips stale operations, stops on a signal, and reports everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from reconciler.errors import (
    AuthenticationError,
    DeadlineError,
    ExitCode,
    InvalidRequestError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    StalePlanError,
    UnreachableError,
)
from reconciler.execute.ledger import Ledger
from reconciler.execute.operation import draft
from reconciler.execute.workers import Halted
from reconciler.model import LiveWebhook
from reconciler.planning.plan import Operation
from reconciler.planning.run import OrganizationResult
from reconciler.render import RENDERERS
from reconciler.render.outcomes import conclusion, next_command
from reconciler.report import Applied, Report, RunReport, State, state_of
from tests.execute.world import (
    Fault,
    Memory,
    RecordingWatcher,
    StopAfter,
    memory,
    outcomes,
    planned,
    row,
    run,
    slack,
)
from tests.ports import InlineWorkers
from tests.waiting import TIMEOUT


def test_an_empty_plan_makes_no_request() -> None:
    """An apply with nothing to do sends no request."""
    api = memory(row("a", "1"))
    report = run(api, planned(api, slack("a")))
    assert (api.calls, report.exit_code, report.verified) == ([], ExitCode.OK, True)


class LastCallFirst(InlineWorkers):
    """Workers that run the calls in reverse order, as threads may."""

    def run(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return super().run(calls[::-1])[::-1]


def test_updates_come_first_then_creates_then_deletes_between_two_listings() -> None:
    """The stages run one after another, with a listing before and after."""
    api = memory(row("a", "1"), row("old", "2"))
    plan = planned(api, slack("a", "#new"), slack("b"))
    report = run(api, plan, workers=LastCallFirst())
    assert api.calls == ["list", "update 1", "create b", "delete 2", "list"]
    assert report.exit_code is ExitCode.OK
    assert (report.writes, report.verified) == (3, True)
    assert outcomes(report) == {"a": "applied", "b": "applied", "old": "applied"}


@pytest.mark.parametrize(("call", "live"), [("create", ()), ("update", (row("a", "2"),))])
def test_a_failure_stops_only_deletes(call: str, live: tuple[LiveWebhook, ...]) -> None:
    """Independent operations continue; nothing is deleted after a failure of any earlier stage."""
    api = memory(*live, row("old", "1"), faults=[Fault(call=call, error=InvalidRequestError)])
    report = run(api, planned(api, slack("a", "#new"), slack("b")))
    assert outcomes(report) == {
        "a": "failed invalid-request",
        "b": "applied",
        "old": "skipped after-failure",
    }
    assert report.exit_code is ExitCode.PARTIAL


def test_a_failed_delete_does_not_stop_other_deletes() -> None:
    """Deletes are independent of each other."""
    api = memory(
        row("x", "1"), row("y", "2"), faults=[Fault(call="delete", error=UnreachableError)]
    )
    report = run(api, planned(api))
    assert outcomes(report) == {"x": "failed unreachable", "y": "applied"}


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (AuthenticationError, "authentication", ExitCode.DENIED),
        (PermissionDeniedError, "permission-denied", ExitCode.DENIED),
        (RateLimitedError, "rate-limited", ExitCode.FAILED),
        (DeadlineError, "deadline", ExitCode.FAILED),
        (type("New", (DeadlineError,), {}, exit_code=ExitCode.STALE), "deadline", ExitCode.STALE),
    ],
)
def test_an_error_that_will_repeat_ends_the_run(
    error: type[AuthenticationError], code: str, exit_code: ExitCode
) -> None:
    """A rejected key or a long pause is reported once, and the exit code is that of the error."""
    api = memory(row("old", "1"), faults=[Fault(call="create", error=error)])
    report = run(api, planned(api, slack("a"), slack("b")))
    assert outcomes(report) == {
        "a": f"failed {code}",
        "b": "skipped run-ended",
        "old": "skipped after-failure",
    }
    assert (report.exit_code, api.writes()) == (exit_code, ["create a"])
    # In a run of several, the same command alone does not finish this one.
    failure = report.outcomes[0]._replace(hint="use another key")
    other = RunReport.of(report._replace(writes=1, outcomes=(failure, *report.outcomes[1:])))
    results = (*other.organizations, OrganizationResult("Globex"))
    several = RunReport(results, confirmed=(3, 0))
    assert ("resolve the problem of Acme" in conclusion(several)[-1]) is (code != "rate-limited")


@pytest.mark.parametrize(("status", "writes"), [(200, 1), (399, 1), (400, 0), (499, 0), (500, 1)])
def test_a_rejection_with_an_unreadable_body_is_not_a_write(status: int, writes: int) -> None:
    """The status of a rejection is enough, regardless of the body."""
    error = partial(ProtocolError, status=status)
    api = memory(faults=[Fault(call="create", error=error)])
    assert run(api, planned(api, slack("a"))).writes == writes


def test_a_failed_first_listing_ends_the_run_before_any_write() -> None:
    """Without the second listing nothing is written."""
    api = memory(faults=[Fault(call="list", error=ServerError)])
    with pytest.raises(ServerError):
        run(api, planned(api, slack("a")))
    assert api.writes() == []


def test_an_update_without_configuration_needs_no_secret() -> None:
    """Only secrets that are sent must be available."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", events=frozenset({"value_created"})))
    assert run(api, plan, secrets={}).exit_code is ExitCode.OK
    assert draft(slack("a"), {}).configuration is None


# Between plan and apply


def test_changes_since_the_plan_are_skipped() -> None:
    """An unreviewed apply skips webhooks that changed since the plan, and deletes nothing."""
    api = memory(row("a", "1"), row("b", "2"), row("old", "3"))
    plan = planned(api, slack("a", "#new"), slack("b", "#new"), slack("c"))
    api.rows["1"] = row("a", "1", "#manual")
    del api.rows["2"]
    api.rows["9"] = row("c", "9", "#manual")
    report = run(api, plan)
    assert set(outcomes(report).values()) == {"skipped changed", "skipped after-failure"}
    assert (api.writes(), report.exit_code) == ([], ExitCode.FAILED)


def test_an_operation_done_by_another_process_is_applied() -> None:
    """An operation that another process has applied needs no write; the exit code is 0."""
    api = memory(row("a", "1"), row("old", "3"))
    plan = planned(api, slack("a", "#new"), slack("c"))
    api.rows = {"1": row("a", "1", "#new"), "9": row("c", "9")}
    report = run(api, plan)
    assert (api.writes(), report.exit_code, api.count("list")) == ([], ExitCode.OK, 1)
    notes = [(each.id, each.note) for each in report.applied]
    assert notes == [
        ("1", "it is already applied"),
        ("9", "it is already applied"),
        ("3", "it is already deleted"),
    ]


def test_a_resend_of_the_live_value_needs_no_write() -> None:
    """Whoever forgot the new value reads that the old one stays."""
    api = memory(row("a", "1"))
    report = run(api, planned(api, slack("a"), resend=("*",)))
    note = "the value of env SLACK_BOT_TOKEN was already live: if another one is meant, set "
    assert [outcome.note for outcome in report.applied] == [f"{note}that, and increment `version`"]
    assert api.writes() == []


def test_a_reviewed_plan_is_rejected_completely() -> None:
    """If one operation is stale, nothing of a reviewed plan is applied."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", "#new"), slack("b"))
    api.rows["1"] = row("a", "1", "#manual")
    with pytest.raises(StalePlanError) as caught:
        run(api, plan, reviewed=True)
    assert api.writes() == []
    (difference,) = caught.value.differences
    assert difference.startswith("a: ")
    assert caught.value.hint == "plan and review again"


def test_a_second_run_finishes_a_reviewed_plan() -> None:
    """Operations of the first run count as applied; the others are applied."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", "#new"), slack("b"))
    api.put(row("a", "1", "#new"))
    report = run(api, plan, reviewed=True)
    assert (api.writes(), report.exit_code) == (["create b"], ExitCode.OK)


def delete_live(api: Memory) -> None:
    api.rows.pop("1", None)


def test_a_plan_made_without_secrets_is_applied_with_them() -> None:
    """An older token that the plan could not read and does not send is not a failure."""
    api = memory(row("old", "id-1", token="xoxb-9876543210-old"))
    blind = planned(api, slack("new", previously=("old",)), secrets={})
    assert run(api, blind, reviewed=True).exit_code is ExitCode.OK
    again = run(api, blind, reviewed=True)
    assert (again.exit_code, again.writes) == (ExitCode.OK, 0)


def test_an_update_of_a_missing_webhook_makes_a_reviewed_plan_stale() -> None:
    """The run exits 6 before the first write, 7 after it."""
    api = memory(row("a", "1"), faults=[Fault(call="update", interfere=delete_live)])
    with pytest.raises(StalePlanError):
        run(api, planned(api, slack("a", "#new")), reviewed=True)
    api = memory(row("a", "1"), faults=[Fault(call="update", interfere=delete_live)])
    report = run(api, planned(api, slack("a", "#new"), slack("b")), reviewed=True)
    assert outcomes(report) == {"a": "skipped vanished", "b": "applied"}
    assert report.exit_code is ExitCode.PARTIAL


def test_a_duplicate_is_kept_when_its_keeper_is_gone() -> None:
    """The last of equal webhooks is never deleted; a reviewed plan is stale (exit 6)."""
    gone = [Fault(call="get", interfere=delete_live)]
    api = memory(row("a", "1"), row("a", "2"), faults=gone)
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": "skipped changed"}
    assert api.names() == ["a"]
    api = memory(row("a", "1"), row("a", "2"), faults=gone)
    with pytest.raises(StalePlanError) as caught:
        run(api, planned(api, slack("a")), reviewed=True)
    assert caught.value.differences == ("a: the webhook to keep was deleted",)
    assert api.names() == ["a"]


# Final verification


class ReportsMissing(Memory):
    """A server, or a proxy, that reports existing webhooks as missing."""

    times = 0

    def delete(self, id: str) -> bool:
        self.times -= 1
        return False if self.times >= 0 else Memory.delete(self, id)


@pytest.mark.parametrize(
    ("times", "code", "channel"), [(1, ExitCode.OK, "#ops"), (9, ExitCode.FAILED, "#old")]
)
def test_a_duplicate_is_not_gone_while_it_is_listed(
    times: int, code: ExitCode, channel: str
) -> None:
    """The webhook to keep is updated after its duplicate is gone, or the two would differ."""
    api = ReportsMissing(rows={key: row("a", key, "#old") for key in ("1", "2")})
    plan = planned(api, slack("a"))
    api.times = times
    report = run(api, plan)
    assert report.exit_code is code
    hints = {getattr(each, "hint", None) for each in report.outcomes}
    assert ("run the same command again" in hints) is (code is ExitCode.FAILED)
    assert {each.configuration["channel"] for each in api.rows.values()} == {channel}  # type: ignore[index]


def test_a_delete_that_the_server_reports_as_missing_is_verified() -> None:
    """A webhook that is still listed is not deleted, regardless of the response."""
    api = ReportsMissing(rows={"1": row("old", "1")})
    api.times = 9
    assert outcomes(run(api, planned(api))) == {"old": "failed does-not-converge"}


def test_reverted_operations_fail() -> None:
    """A reverted update, a create that vanished, or a delete that came back is a failure."""

    def edit_live(api: Memory) -> None:
        if api.count("list") == 2:
            api.rows = {"1": row("a", "1", "#manual"), "2": row("old", "2")}

    api = memory(row("a", "1"), row("old", "2"))
    api.faults = [Fault(call="list", nth=2, interfere=edit_live)]
    report = run(api, planned(api, slack("a", "#new"), slack("b")))
    assert outcomes(report) == {
        "a": "failed does-not-converge",
        "b": "failed vanished",
        "old": "failed does-not-converge",
    }
    hints = [getattr(each, "hint", None) for each in report.outcomes[1:]]
    assert hints == ["plan again", "run the same command again"]


# Stopping


def test_after_a_signal_nothing_starts_and_the_rest_is_verified() -> None:
    """Requests in flight finish, the rest is skipped, the listing is read once."""
    api = memory(row("old", "1"))
    report = run(api, planned(api, slack("a"), slack("b")), stop=1)
    assert outcomes(report) == {
        "a": "applied",
        "b": "skipped interrupted",
        "old": "skipped after-failure",
    }
    assert (report.exit_code, report.verified) == (ExitCode.SIGTERM, True)


def test_a_signal_is_reported_even_after_the_last_operation() -> None:
    """The sender wants the program to end, although everything is applied and verified."""
    api = memory()
    report = run(api, planned(api, slack("a")), stop=1)
    assert (report.exit_code, report.complete) == (ExitCode.SIGTERM, True)
    alone = RunReport.of(report)
    for whole in (alone, alone._replace(organizations=alone.organizations * 2)):
        expected = "Exit 143: stopped by a signal, after every change was applied."
        assert (conclusion(whole)[1], next_command(whole)) == (expected, "")


class HaltsIn(InlineWorkers):
    """Workers that are halted during the first create."""

    def run(self, calls):  # type: ignore[no-untyped-def]
        try:
            return super().run(calls)
        except KeyboardInterrupt:
            raise Halted from None


def interrupted(api: Memory) -> None:
    raise KeyboardInterrupt


def test_a_halted_run_reports_unknown_outcomes() -> None:
    """Operations without a response are unconfirmed; those that were not started are skipped."""
    api = memory(row("old", "1"), faults=[Fault(call="create", nth=2, interfere=interrupted)])
    hooks = (slack("a"), slack("b"), slack("c"))
    report = run(api, planned(api, *hooks), workers=HaltsIn())
    assert outcomes(report) == {
        "a": "applied",
        "b": "unconfirmed",
        "c": "skipped interrupted",
        "old": "skipped interrupted",
    }
    assert (report.exit_code, report.verified) == (ExitCode.PARTIAL, False)


def test_an_abandoned_write_is_reported_as_a_write() -> None:
    """A run halted during its first write does not report that nothing was written."""
    api = memory(faults=[Fault(call="create", nth=1, interfere=interrupted)])
    report = run(api, planned(api, slack("a")), workers=HaltsIn())
    assert report.writes == 1
    assert "Nothing was written" not in RENDERERS["text"]().render_run_report(RunReport.of(report))


def test_the_watcher_receives_every_operation_once() -> None:
    """Progress includes operations that are done or skipped without a request."""
    api = memory(row("a", "1"), row("b", "2"))
    plan = planned(api, slack("a", "#new"), slack("b", "#new"), slack("c"))
    api.put(row("a", "1", "#new"))
    watcher = RecordingWatcher()
    run(api, plan, watcher=watcher)
    assert (watcher.started, sorted(watcher.ended)) == (["b", "c"], ["a", "b", "c"])


class RaisingWatcher:
    """A watcher that always raises an exception."""

    def starting(self, operation: object) -> None:
        raise AttributeError("starting")

    def finished(self, outcome: object) -> None:
        raise AttributeError("finished")


def test_a_failing_watcher_does_not_interrupt_the_run() -> None:
    """Every operation is applied and reported."""
    api = memory(row("b", "2"), row("old", "3"))
    report = run(api, planned(api, slack("a"), slack("b", "#new")), watcher=RaisingWatcher())
    assert outcomes(report) == {"a": "applied", "b": "applied", "old": "applied"}
    assert report.exit_code is ExitCode.OK


@pytest.mark.parametrize("channel", ["#a", "#b"], ids=["an equal one", "a different one"])
def test_one_of_several_webhooks_that_share_a_name_is_created_again(channel: str) -> None:
    """The new one of two pinned webhooks is neither a duplicate nor a conflict."""
    entries = (slack("x", "#a", id="9"), slack("x", channel, id="8"))
    api = memory(row("x", "9", "#a"), row("other", "7"))
    report = run(api, planned(api, *entries, slack("other", "#new")))
    assert report.exit_code is ExitCode.OK
    assert api.writes() == ["update 7", "create x"]
    assert planned(api, *entries, slack("other", "#new")).operations == ()


# The ledger that workers share

PLAN = planned(memory(), slack("a"), slack("b"))


def test_after_the_report_nothing_starts_and_nothing_is_recorded() -> None:
    """An abandoned thread changes neither the report nor the progress output."""
    watcher = RecordingWatcher()
    ledger = Ledger(PLAN, StopAfter(memory()), watcher)
    assert ledger.start(0)
    outcomes = ledger.close()
    assert not ledger.start(1)
    ledger.finish(0, Applied(operation=PLAN.operations[0], id="1"))
    assert (ledger.close(), watcher.started, watcher.ended) == (outcomes, ["a"], [])


def test_a_blocked_listener_does_not_delay_the_report() -> None:
    """An unread pipe may block a worker, not the end of the run."""
    outcomes, go_on = threading.Event(), threading.Event()

    class Stuck(RecordingWatcher):
        def starting(self, operation: Operation) -> None:
            outcomes.set()
            go_on.wait()

    ledger = Ledger(PLAN, StopAfter(memory()), Stuck())
    begun: list[bool] = []
    worker = threading.Thread(target=lambda: begun.append(ledger.start(0)))
    worker.start()
    outcomes.wait()
    closing = threading.Thread(target=ledger.close, daemon=True)
    closing.start()
    closing.join(TIMEOUT)
    stuck = closing.is_alive()
    go_on.set()
    worker.join()
    assert not stuck
    assert begun == [False]  # an operation that was reported as unconfirmed is not sent afterwards


def test_only_what_a_signal_left_is_interrupted() -> None:
    """The run ends after it, but nothing is left of an organization that was completed."""
    api = memory(row("a", "1"))
    report = run(api, planned(api, slack("a", "#new")))._replace(stopped=ExitCode.SIGTERM)
    unchanged = Report(planned(api, slack("a", "#new")), verified=True, stopped=ExitCode.SIGTERM)
    unread = report._replace(verified=False)
    runs = map(RunReport.of, (report, unchanged, unread))
    states = [state_of(run_report.organizations[0]) for run_report in runs]
    assert states == [State.APPLIED, State.UNCHANGED, State.INTERRUPTED]
