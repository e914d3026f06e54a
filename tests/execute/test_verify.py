"""The look after the last write: how long it lasts, what it corrects, what it reports."""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import (
    AmbiguousWriteError,
    ExitCode,
    IncompleteListingError,
    InvalidRequestError,
    ServerError,
)
from reconciler.model import LiveWebhook, Scheme, Secret, SecretRef, Webhook
from reconciler.report import Applied
from tests.execute.test_lost_answers import appear
from tests.execute.world import (
    Fault,
    Memory,
    StopAfter,
    VirtualClock,
    memory,
    outcomes,
    planned,
    row,
    run,
    slack,
)
from tests.planning import builders
from tests.planning.builders import live_generic

PASSWORD = SecretRef(scheme=Scheme.ENV, name="PASSWORD")


def generic(name: str) -> Webhook:
    return builders.generic(name, username="u", password=PASSWORD)


def generic_row(name: str, id: str, password: str) -> LiveWebhook:
    return live_generic(name, id, username="u", password=password)


def applied(api: Memory, *webhooks: Webhook):
    secrets = {PASSWORD: Secret("the new password")}
    return run(api, planned(api, *webhooks, secrets=secrets), secrets=secrets)


def behind(api: Memory, n: int) -> tuple[()]:
    return ()


def test_a_list_that_stays_behind_is_read_four_times_a_second_apart() -> None:
    """Patience has an end, and after the last listing nobody waits."""
    api, clock = memory(lists=behind), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock)
    assert (api.count("list"), clock.slept) == (5, [1.0, 1.0, 1.0])
    assert report.exit_code is ExitCode.OK


def test_an_incomplete_listing_costs_one_round_of_the_final_verification() -> None:
    """The next round may be complete; after the last one the result is unknown."""
    api, clock = memory(), VirtualClock()
    plan = planned(api, slack("a"))
    api.faults = [Fault(call="list", nth=n, error=IncompleteListingError) for n in (2, 3, 4)]
    report = run(api, plan, clock=clock)
    assert (report.exit_code, report.verified) == (ExitCode.OK, True)
    assert (api.count("list"), clock.slept) == (5, [1.0, 1.0, 1.0])
    api, clock = memory(), VirtualClock()
    api.faults = [Fault(call="list", nth=n, error=IncompleteListingError) for n in range(2, 6)]
    report = run(api, planned(api, slack("a")), clock=clock)
    assert (report.exit_code, report.verified) == (ExitCode.PARTIAL, False)
    assert api.count("list") == 5


def test_after_a_signal_an_incomplete_listing_is_not_read_again() -> None:
    """A run that was told to end does not wait for another process."""
    api, clock = memory(), VirtualClock()
    api.faults = [Fault(call="list", nth=2, error=IncompleteListingError)]
    report = run(api, planned(api, slack("a")), clock=clock, stop=StopAfter(api, 1))
    assert (report.verified, api.count("list"), clock.slept) == (False, 2, [])


def test_after_a_signal_a_list_that_is_behind_is_not_waited_for() -> None:
    """What it does not show is asked for at once."""
    api, clock = memory(lists=behind), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock, stop=StopAfter(api, 1))
    assert (api.count("list"), clock.slept) == (2, [])
    assert report.exit_code is ExitCode.OK


def test_after_a_signal_copies_are_removed_all_the_same() -> None:
    """No run leaves two of a webhook behind if it can help it."""
    api, clock = memory(), VirtualClock()
    api.faults = [Fault(call="create", meanwhile=appear(row("a", "a-late")))]
    report = run(api, planned(api, slack("a")), clock=clock, stop=StopAfter(api, 1))
    assert (list(api.rows), len(report.healed), clock.slept) == (["a-late"], 1, [])


def test_copies_that_turn_up_one_after_the_other_are_all_reported() -> None:
    """Each look may find another one."""
    api = memory()
    api.faults = [
        Fault(call="create", meanwhile=appear(row("a", "a-late"))),
        Fault(call="list", nth=3, meanwhile=appear(row("a", "b-late"))),
    ]
    report = run(api, planned(api, slack("a")))
    assert list(api.rows) == ["a-late"]
    assert [each.removed for each in report.healed] == ["id-101", "b-late"]


def test_copies_that_were_removed_are_reported_even_if_the_last_look_fails() -> None:
    """What was done is told, also when no more can be seen."""
    api = memory()
    api.faults = [
        Fault(call="create", meanwhile=appear(row("a", "a-late"))),
        Fault(call="list", nth=3, error=ServerError),
    ]
    report = run(api, planned(api, slack("a")))
    assert [each.removed for each in report.healed] == ["id-101"]
    assert report.problem == "final verification failed: it failed"
    assert report.exit_code is ExitCode.PARTIAL


def test_what_failed_hides_nothing_that_comes_after_it() -> None:
    """The rest of the plan is looked at too."""

    def revert(api: Memory) -> None:
        api.rows["2"] = row("b", "2")

    api = memory(row("a", "1"), row("b", "2"))
    api.faults = [
        Fault(call="update", error=InvalidRequestError),
        Fault(call="list", nth=2, meanwhile=revert),
    ]
    report = run(api, planned(api, slack("a", "#new"), slack("b", "#new")))
    assert outcomes(report) == {"a": "failed invalid-request", "b": "failed does-not-converge"}


def test_what_the_last_listing_confirms_is_told_with_its_id() -> None:
    """A create in doubt that turns up at the end."""
    lost = Fault(call="create", error=AmbiguousWriteError, happens=True)
    unseen = [Fault(call="list", nth=n, error=ServerError) for n in (2, 3, 4)]
    api, clock = memory(faults=[lost, *unseen]), VirtualClock()
    outcome = run(api, planned(api, slack("a")), clock=clock).outcomes[0]
    assert clock.slept == [2.0, 1.0, 1.0]  # while its answer was looked for, not afterwards
    assert outcome == Applied(
        operation=outcome.operation, id="id-101", note="confirmed by the final verification"
    )


def test_a_password_that_did_not_arrive_is_seen_once_passwords_can_be_read() -> None:
    """Another webhook's, which reads back as sent, shows that they can."""
    old = generic_row("Old", "1", "the old password")
    configuration = {**old.configuration, "username": "before"}
    api = memory(replace(old, configuration=configuration))
    kept = configuration["password"]
    api.stores = lambda each: (
        replace(each, configuration={**each.configuration, "password": kept})
        if each.name == "Old"
        else each
    )
    report = applied(api, generic("Old"), generic("New"))
    assert outcomes(report) == {"Old": "failed does-not-converge", "New": "applied"}


def test_what_needed_no_change_and_is_as_declared_is_not_asked_for() -> None:
    """The listing shows it, however many there are."""
    api = memory(row("a", "1"), row("b", "2"))
    report = run(api, planned(api, slack("a"), slack("b"), slack("c")))
    assert (report.problem, api.calls) == (None, ["list", "create c", "list"])


def test_what_has_become_readable_shows_that_a_webhook_is_another_ones() -> None:
    """A create of this run that reads back shows that the other one's password differs."""
    other = appear(row("B", "9", "another password"))
    lost = Fault(call="create", nth=2, error=AmbiguousWriteError, meanwhile=other)
    api = memory(faults=[lost])
    assert outcomes(applied(api, generic("A"), generic("B"))) == {
        "A": "applied",
        "B": "failed conflict",
    }


def test_what_has_become_readable_elsewhere_is_for_the_next_plan() -> None:
    """The new webhook's password reads back equal, so the old one's is really another."""
    api = memory(generic_row("Old", "1", "the old password"))
    assert applied(api, generic("Old"), generic("New")).exit_code is ExitCode.OK
    assert outcomes(applied(api, generic("Old"), generic("New"))) == {"Old": "applied"}
    assert applied(api, generic("Old"), generic("New")).writes == 0
