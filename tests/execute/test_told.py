"""What a report tells of a change, word by word: id, note, code, message, fields and hint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    InvalidRequestError,
    ServerError,
    UnresolvedSecretsError,
)
from reconciler.model import LiveWebhook, Scheme, Secret, SecretRef, Webhook
from reconciler.report import Applied, Failed, FieldMessage, Outcome, Unconfirmed
from tests.execute.test_lost_answers import appear
from tests.execute.world import Fault, Memory, memory, planned, row, run, slack

LOST = Fault(call="create", error=AmbiguousWriteError)
UNSEEN = Fault(call="list", nth=3, error=ServerError)
URL = "https://hooks.example.com/ct"
ANEW = (
    "it keeps a field that is no longer declared: delete the webhook with `state: absent`, then "
    "declare it again"
)
ELSEWHERE = "declare it the way CloudTruth stores it, or the next apply will try again"


def told(api: Memory, *webhooks: object, **more: object) -> Outcome:
    """Apply, and return the outcome of the first change."""
    return run(api, planned(api, *webhooks), **more).outcomes[0]  # type: ignore[arg-type]


def differs(outcome: Outcome, *paths: tuple[str, ...], message: str, hint: str) -> None:
    fields = tuple(FieldMessage(path=path, message="differs from what was sent") for path in paths)
    assert outcome == Failed(
        operation=outcome.operation,
        code="does-not-converge",
        message=message,
        hint=hint,
        fields=fields,
    )


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (replace(LOST, happens=True), "no answer (1 attempt); it is live"),
        (
            Fault(call="create", error=ConflictError, meanwhile=appear(row("a", "id-101"))),
            "no answer (1 attempt); it is live",
        ),
    ],
)
def test_a_create_that_is_found_names_the_one_that_was_found(fault: Fault, note: str) -> None:
    """The report has the id, even if the look at the end fails."""
    outcome = told(memory(faults=[fault, UNSEEN]), slack("a"))
    assert outcome == Applied(operation=outcome.operation, id="id-101", note=note)


def test_a_conflict_names_the_webhook_that_is_in_the_way() -> None:
    """With its id, and with what to do."""
    other = row("a", "9", "#somebody")
    outcome = told(memory(faults=[replace(LOST, meanwhile=appear(other))]), slack("a"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="conflict",
        message="a webhook of this name that differs has appeared since the plan (id 9)",
        hint="plan again: it will be an update, or declare `previously` or `id`",
    )


def test_a_refusal_tells_what_the_server_said() -> None:
    """Its message, its advice, and each field it complains about."""

    def refuse(api: Memory) -> None:
        fields = ((("configuration", "channel"), "no such channel"),)
        raise InvalidRequestError(
            "it was refused", hint="look at the channel", detail="Reserved.", fields=fields
        )

    outcome = told(memory(faults=[Fault(call="create", meanwhile=refuse)]), slack("a"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="invalid-request",
        message="it was refused",
        hint="look at the channel",
        fields=(
            FieldMessage(path=(), message="Reserved."),
            FieldMessage(path=("configuration", "channel"), message="no such channel"),
        ),
    )


def test_what_is_stored_differently_is_told_with_every_field() -> None:
    """And with the two ways out."""

    def stored(each: LiveWebhook) -> LiveWebhook:
        return replace(each, name="b", configuration={**each.configuration, "channel": "#else"})

    differs(
        told(memory(row("a", "1"), stores=stored), slack("a", "#new")),
        ("name",),
        ("configuration", "channel"),
        message="CloudTruth does not hold what was sent: name, configuration.channel",
        hint=ELSEWHERE,
    )


@pytest.mark.parametrize(
    ("url", "paths", "hint"),
    [
        (URL, ("token",), ANEW),
        ("https://elsewhere.example.com/", ("url", "token"), ELSEWHERE),
    ],
)
def test_a_token_that_stays_when_the_type_changes_is_told(
    url: str, paths: tuple[str, ...], hint: str
) -> None:
    """It would be sent to the new address; only a new webhook is surely without it."""

    def stored(each: LiveWebhook) -> LiveWebhook:
        kept = {"url": Secret(url), "token": Secret("xoxb-0000000000-AAAAAAAA")}
        return replace(each, configuration=kept)

    hook = replace(slack("a"), type="generic", configuration={"url": URL})
    differs(
        told(memory(row("a", "1"), stores=stored), hook),
        *(("configuration", path) for path in paths),
        message="CloudTruth does not hold what was sent: "
        + ", ".join(f"configuration.{path}" for path in paths),
        hint=hint,
    )


def test_a_name_that_is_filed_differently_is_taken_back() -> None:
    """Nothing declares that name, so what was created under it is removed."""
    api = memory(stores=lambda each: replace(each, name=each.name.upper()))
    differs(
        told(api, slack("a")),
        ("name",),
        message="CloudTruth does not hold what was sent: name; what was created was removed again",
        hint="declare the name the way CloudTruth stores it",
    )
    assert api.rows == {}


def test_a_webhook_that_somebody_renames_at_once_is_not_taken_back() -> None:
    """Only the answer to the create says under which name CloudTruth has filed it."""

    def renamed(api: Memory) -> None:
        api.rows["id-101"] = replace(api.rows["id-101"], name="theirs")

    api = memory(
        stores=lambda each: replace(each, configuration={**each.configuration, "channel": "#x"}),
        faults=[Fault(call="get", meanwhile=renamed)],
    )
    outcome = told(api, slack("a"))
    assert isinstance(outcome, Failed)
    assert ("name",) in [each.path for each in outcome.fields]
    assert api.names() == ["theirs"]


def test_a_name_that_is_filed_differently_and_cannot_be_taken_back_is_told() -> None:
    """With the id under which it is still there."""
    api = memory(
        stores=lambda each: replace(each, name=each.name.upper()),
        faults=[Fault(call="delete", error=ServerError)],
    )
    differs(
        told(api, slack("a")),
        ("name",),
        message="CloudTruth does not hold what was sent: name; "
        "it is still there, with the id id-101",
        hint="declare the name the way CloudTruth stores it",
    )
    assert list(api.rows) == ["id-101"]


def test_what_was_there_before_is_not_taken_back() -> None:
    """A server that files a create into an old webhook has made nothing that could be removed."""
    api = memory(row("old", "id-101"), stores=lambda each: replace(each, name=each.name.upper()))
    outcome = told(api, slack("a"), slack("old"))
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith("it is still there, with the id id-101")
    assert api.count("delete") == 0


def test_a_create_of_which_another_field_differs_stays() -> None:
    """Its name is declared, so the next plan mends it."""
    api = memory(stores=lambda each: replace(each, event_types=frozenset({"value_created"})))
    differs(
        told(api, slack("a")),
        ("event_types",),
        message="CloudTruth does not hold what was sent: event_types",
        hint=ELSEWHERE,
    )
    assert api.names() == ["a"]


@pytest.mark.parametrize("error", [ServerError, ConflictError])
def test_nothing_is_told_of_a_field_that_nobody_names(error: type[ApiError]) -> None:
    """An error without fields has none."""
    outcome = told(memory(faults=[Fault(call="create", error=error)]), slack("a"))
    assert outcome == Failed(operation=outcome.operation, code=error.code, message="it failed")


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (
            Fault(call="delete", meanwhile=lambda api: api.rows.clear()),
            "it was gone already",
        ),
        (
            Fault(call="delete", error=AmbiguousWriteError, happens=True),
            "no answer (1 attempt); it is gone",
        ),
    ],
)
def test_a_delete_of_what_is_gone_says_how_that_is_known(fault: Fault, note: str) -> None:
    """And which one it was."""
    outcome = told(memory(row("old", "1"), faults=[fault, replace(UNSEEN, nth=2)]))
    assert outcome == Applied(operation=outcome.operation, id="1", note=note)


def test_an_update_that_is_found_done_says_so() -> None:
    """And which one it is."""
    lost = Fault(call="update", error=AmbiguousWriteError, happens=True)
    outcome = told(memory(row("a", "1"), faults=[lost]), slack("a", "#new"))
    note = "no answer (1 attempt); it is live"
    assert outcome == Applied(operation=outcome.operation, id="1", note=note)


def test_an_update_that_somebody_overwrote_says_what_to_do() -> None:
    """Planning again shows who wants what."""
    theirs = appear(row("a", "1", "#somebody"))
    lost = Fault(call="update", error=AmbiguousWriteError, meanwhile=theirs)
    outcome = told(memory(row("a", "1"), faults=[lost]), slack("a", "#new"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="conflict",
        message="it has changed since the plan was made",
        hint="plan again",
    )


def test_another_bearer_of_the_name_is_told_with_its_id() -> None:
    """One of the two would be planned away, or neither: somebody has to say which is meant."""
    another = Fault(call="list", nth=2, meanwhile=appear(row("a", "9", "#somebody")))
    outcome = told(memory(row("a", "1"), faults=[another]), slack("a", "#new"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="conflict",
        message="another webhook of this name has appeared since the plan (id 9)",
        hint="plan again; where both are meant, pin each by its `id`",
    )


def test_what_is_done_already_names_the_one_that_is_live() -> None:
    """Somebody else did it, before this run wrote anything; there is nothing more to look at."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", "#new"))
    api.put(row("a", "1", "#new"))
    report = run(api, plan)
    outcome = report.outcomes[0]
    assert outcome == Applied(operation=outcome.operation, id="1", note="it is live already")
    assert (report.verified, api.calls) == (True, ["list"])


def test_secrets_that_are_not_at_hand_are_all_told_before_anything_is_sent() -> None:
    """Of creates, and of updates that send configuration."""
    other = SecretRef(scheme=Scheme.ENV, name="OTHER")
    events = frozenset({"value_created"})
    api = memory(row("a", "1"), row("b", "2", events=events))
    update = replace(slack("a", "#new"), configuration={"token": other, "channel": "#new"})
    plan = planned(api, update, slack("b"), slack("c"), secrets={})
    with pytest.raises(UnresolvedSecretsError) as caught:
        run(api, plan, secrets={})
    assert str(caught.value) == ("no value for env OTHER, env SLACK_BOT_TOKEN; nothing was written")
    assert caught.value.hint == "set them where the apply runs"
    assert api.calls == []


def answered(api: Memory) -> None:
    raise AmbiguousWriteError("it failed", status=500)


def unanswered(api: Memory) -> None:
    raise AmbiguousWriteError("it failed")


@pytest.mark.parametrize(
    ("call", "webhooks", "now"),
    [
        ("update", (slack("a", "#new"),), "it is unchanged so far"),
        ("delete", (), "the webhook still exists"),
        (
            "create",
            (slack("a"), slack("b")),
            "no listing shows it so far",
        ),
    ],
)
def test_a_write_that_fails_each_time_tells_the_status_the_attempts_and_what_is_live(
    call: str, webhooks: tuple[Webhook, ...], now: str
) -> None:
    """HTTP 500 is an answer; only a request without one has none."""
    attempts = 2 if call == "create" else 3
    for first, said in ((answered, "HTTP 500"), (unanswered, "no answer, HTTP 500")):
        faults = [
            Fault(call=call, nth=nth + 1, meanwhile=answered if nth else first)
            for nth in range(attempts)
        ]
        api = memory(row("a", "1"), faults=faults)
        report = run(api, planned(api, *webhooks))
        (outcome,) = [each for each in report.outcomes if not isinstance(each, Applied)]
        message = f"{said} ({attempts} attempts); {now}"
        assert outcome == Unconfirmed(operation=outcome.operation, message=message)
