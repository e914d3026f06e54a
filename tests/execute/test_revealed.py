"""What a run makes comparable that was not before."""

from __future__ import annotations

from reconciler.errors import AmbiguousWriteError, ExitCode
from reconciler.model import LiveWebhook, Scheme, Secret, SecretRef, Webhook
from tests.execute.test_lost_answers import appear
from tests.execute.world import EVENTS, Fault, Memory, memory, outcomes, planned, run

PASSWORD = SecretRef(scheme=Scheme.ENV, name="PASSWORD")


def generic(name: str) -> Webhook:
    return Webhook(
        name=name,
        type="generic",
        event_types=EVENTS,
        configuration={"url": "https://h.example.com/x", "username": "u", "password": PASSWORD},
    )


def row(name: str, id: str, password: str) -> LiveWebhook:
    return LiveWebhook(
        id=id,
        name=name,
        type="generic",
        event_types=EVENTS,
        configuration={
            "url": Secret("https://h.example.com/x"),
            "username": "u",
            "password": Secret(password),
        },
    )


def applied(api: Memory, *webhooks: Webhook):
    secrets = {PASSWORD: Secret("the new password")}
    return run(api, planned(api, *webhooks, secrets=secrets), secrets=secrets)


def test_a_value_that_turns_out_to_differ_makes_the_run_say_so() -> None:
    """The new webhook's password reads back equal, so the old one's is really another."""
    api = memory(row("Old", "1", "the old password"))

    report = applied(api, generic("Old"), generic("New"))

    assert report.exit_code is ExitCode.PARTIAL
    assert "password of 'Old' differs too" in (report.problem or "")
    assert applied(api, generic("Old"), generic("New")).exit_code is ExitCode.OK
    assert applied(api, generic("Old"), generic("New")).writes == 0


def test_a_value_that_turns_out_to_be_the_same_is_no_news() -> None:
    """Nothing is said where nothing differs."""
    api = memory(row("Old", "1", "the new password"))

    assert applied(api, generic("Old"), generic("New")).exit_code is ExitCode.OK


def test_somebody_elses_webhook_is_told_by_what_has_become_readable() -> None:
    """A create of this run that reads back shows that the other one's password differs."""
    other = appear(row("B", "9", "another password"))
    lost = Fault(call="create", nth=2, error=AmbiguousWriteError, meanwhile=other)
    api = memory(faults=[lost])
    assert outcomes(applied(api, generic("A"), generic("B"))) == {
        "A": "applied",
        "B": "failed conflict",
    }
