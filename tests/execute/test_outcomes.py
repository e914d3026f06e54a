"""The outcome of an operation in the report: id, note, code, message, fields and hint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    InvalidRequestError,
    RateLimitedError,
    ServerError,
    UnresolvedSecretsError,
)
from reconciler.model import LiveWebhook, Scheme, Secret, SecretRef, Webhook
from reconciler.report import Applied, Failed, FieldMessage, Outcome, Unconfirmed
from tests.execute.world import Fault, Memory, appear, memory, planned, row, run, slack

LOST = Fault(call="create", error=AmbiguousWriteError)
UNSEEN = Fault(call="list", nth=3, error=ServerError)
URL = "https://hooks.example.com/ct"
RECREATE = (
    "CloudTruth keeps a field that is no longer declared: delete the webhook with `state: "
    "absent`, then "
    "declare it again"
)
ELSEWHERE = "declare the value that CloudTruth stores, or the next apply retries"


def outcome_of(api: Memory, *webhooks: object, **more: object) -> Outcome:
    """Apply, and return the outcome of the first operation."""
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
        (replace(LOST, happens=True), "no response (1 attempt); it is live"),
        (
            Fault(call="create", error=ConflictError, interfere=appear(row("a", "id-101"))),
            "no response (1 attempt); it is live",
        ),
    ],
)
def test_a_create_that_is_found_has_its_id(fault: Fault, note: str) -> None:
    """It does even if the final verification fails."""
    outcome = outcome_of(memory(faults=[fault, UNSEEN]), slack("a"))
    assert outcome == Applied(operation=outcome.operation, id="id-101", note=note)


def test_a_conflict_has_the_id_of_the_other_webhook() -> None:
    """It also has the next step."""
    other = row("a", "9", "#manual")
    outcome = outcome_of(memory(faults=[replace(LOST, interfere=appear(other))]), slack("a"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="conflict",
        message="another webhook with this name was created since the plan (id 9)",
        hint="plan again to update it, or declare `previously` or `id`",
    )


def test_a_refusal_has_the_message_of_the_server() -> None:
    """The outcome has its message, its hint, and the error of each field."""

    def refuse(api: Memory) -> None:
        fields = ((("configuration", "channel"), "no such channel"),)
        raise InvalidRequestError(
            "it was refused", hint="look at the channel", detail="Reserved.", fields=fields
        )

    outcome = outcome_of(memory(faults=[Fault(call="create", interfere=refuse)]), slack("a"))
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


def test_a_different_stored_value_lists_every_field() -> None:
    """It also has the two ways to fix it."""
    api = memory(row("a", "1"), stores=lambda each: row("b", each.id, "#else"))
    differs(
        outcome_of(api, slack("a", "#new")),
        ("name",),
        ("configuration", "channel"),
        message="CloudTruth stored different values: name, configuration.channel",
        hint=ELSEWHERE,
    )


@pytest.mark.parametrize(
    ("url", "paths", "hint"),
    [
        (URL, ("token",), RECREATE),
        ("https://elsewhere.example.com/", ("url", "token"), ELSEWHERE),
    ],
)
def test_a_token_kept_by_a_change_of_type_is_reported(
    url: str, paths: tuple[str, ...], hint: str
) -> None:
    """The token would be sent to the new URL; only a new webhook certainly does not have it."""

    def stored(each: LiveWebhook) -> LiveWebhook:
        kept = {"url": Secret(url), "token": Secret("xoxb-0000000000-AAAAAAAA")}
        return replace(each, configuration=kept)

    hook = replace(slack("a"), type="generic", configuration={"url": URL})
    differs(
        outcome_of(memory(row("a", "1"), stores=stored), hook),
        *(("configuration", path) for path in paths),
        message="CloudTruth stored different values: "
        + ", ".join(f"configuration.{path}" for path in paths),
        hint=hint,
    )


def test_a_create_stored_under_another_name_is_deleted() -> None:
    """That name is not declared."""
    api = memory(stores=lambda each: replace(each, name=each.name.upper()))
    differs(
        outcome_of(api, slack("a")),
        ("name",),
        message="CloudTruth stored different values: name; the new webhook was deleted",
        hint="declare the name as CloudTruth stores it",
    )
    assert api.rows == {}


def test_a_webhook_renamed_right_after_its_create_is_kept() -> None:
    """Only the response to the create shows the name under which CloudTruth stored it."""

    def renamed(api: Memory) -> None:
        api.rows["id-101"] = replace(api.rows["id-101"], name="theirs")

    api = memory(
        stores=lambda each: row(each.name, each.id, "#x"),
        faults=[Fault(call="get", interfere=renamed)],
    )
    outcome = outcome_of(api, slack("a"))
    assert isinstance(outcome, Failed)
    assert ("name",) in [each.path for each in outcome.fields]
    assert api.names() == ["theirs"]


def test_a_create_under_another_name_that_cannot_be_deleted_is_reported() -> None:
    """The outcome has the id of the remaining webhook."""
    api = memory(
        stores=lambda each: replace(each, name=each.name.upper()),
        faults=[Fault(call="delete", error=ServerError)],
    )
    differs(
        outcome_of(api, slack("a")),
        ("name",),
        message="CloudTruth stored different values: name; it still exists, with the id id-101",
        hint="declare the name as CloudTruth stores it",
    )
    assert list(api.rows) == ["id-101"]


def test_an_existing_webhook_returned_by_a_create_is_kept() -> None:
    """A server that returns an existing webhook for a create has created nothing to delete."""
    api = memory(row("old", "id-101"), stores=lambda each: replace(each, name=each.name.upper()))
    outcome = outcome_of(api, slack("a"), slack("old"))
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith("it still exists, with the id id-101")
    assert api.count("delete") == 0


def test_a_create_with_another_field_is_kept() -> None:
    """Its name is declared, so the next plan fixes it."""
    api = memory(stores=lambda each: replace(each, event_types=frozenset({"value_created"})))
    differs(
        outcome_of(api, slack("a")),
        ("event_types",),
        message="CloudTruth stored different values: event_types",
        hint=ELSEWHERE,
    )
    assert api.names() == ["a"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ServerError, "it failed"),
        (ConflictError, "it failed"),
        (RateLimitedError, "it failed; nothing was changed"),
    ],
)
def test_an_error_without_fields_has_none(error: type[ApiError], message: str) -> None:
    """The outcome has no fields."""
    outcome = outcome_of(memory(faults=[Fault(call="create", error=error)]), slack("a"))
    assert outcome == Failed(operation=outcome.operation, code=error.code, message=message)


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (
            Fault(call="delete", interfere=lambda api: api.rows.clear()),
            "it was already deleted",
        ),
        (
            Fault(call="delete", error=AmbiguousWriteError, happens=True),
            "no response (1 attempt); it was deleted",
        ),
    ],
)
def test_a_delete_of_a_missing_webhook_has_a_note(fault: Fault, note: str) -> None:
    """The outcome also has its id."""
    outcome = outcome_of(memory(row("old", "1"), faults=[fault, replace(UNSEEN, nth=2)]))
    assert outcome == Applied(operation=outcome.operation, id="1", note=note)


def test_an_update_found_done_has_a_note() -> None:
    """The outcome also has its id."""
    lost = Fault(call="update", error=AmbiguousWriteError, happens=True)
    outcome = outcome_of(memory(row("a", "1"), faults=[lost]), slack("a", "#new"))
    note = "no response (1 attempt); it is live"
    assert outcome == Applied(operation=outcome.operation, id="1", note=note)


def test_an_overwritten_update_has_a_next_step() -> None:
    """Planning again shows the difference."""
    theirs = appear(row("a", "1", "#manual"))
    lost = Fault(call="update", error=AmbiguousWriteError, interfere=theirs)
    outcome = outcome_of(memory(row("a", "1"), faults=[lost]), slack("a", "#new"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="conflict",
        message="it was changed since the plan",
        hint="plan again",
    )


def test_another_webhook_of_the_name_is_reported_with_its_id() -> None:
    """A user has to choose one of the two."""
    another = Fault(call="list", nth=2, interfere=appear(row("a", "9", "#manual")))
    outcome = outcome_of(memory(row("a", "1"), faults=[another]), slack("a", "#new"))
    assert outcome == Failed(
        operation=outcome.operation,
        code="conflict",
        message="another webhook with this name was created since the plan (id 9)",
        hint="plan again; to keep both, set `id` on each",
    )


def test_all_missing_secrets_are_reported_before_the_first_request() -> None:
    """The secrets of creates, and of updates that send configuration."""
    other = SecretRef(scheme=Scheme.ENV, name="OTHER")
    events = frozenset({"value_created"})
    api = memory(row("a", "1"), row("b", "2", events=events))
    update = replace(slack("a", "#new"), configuration={"token": other, "channel": "#new"})
    plan = planned(api, update, slack("b"), slack("c"), secrets={})
    with pytest.raises(UnresolvedSecretsError) as caught:
        run(api, plan, secrets={})
    assert str(caught.value) == ("no value for env OTHER, env SLACK_BOT_TOKEN; nothing was written")
    assert caught.value.hint == "set them where apply runs"
    assert api.calls == []


def answered(api: Memory) -> None:
    raise AmbiguousWriteError("it failed", status=500)


def unanswered(api: Memory) -> None:
    raise AmbiguousWriteError("it failed")


@pytest.mark.parametrize(
    ("call", "webhooks", "now"),
    [
        ("update", (slack("a", "#new"),), "it has not changed yet"),
        ("delete", (), "the webhook still exists"),
        (
            "create",
            (slack("a"), slack("b")),
            "not listed yet",
        ),
    ],
)
def test_a_write_that_always_fails_has_status_attempts_and_live_state(
    call: str, webhooks: tuple[Webhook, ...], now: str
) -> None:
    """HTTP 500 is a response; a request without a response has no status."""
    attempts = 2 if call == "create" else 3
    for first, said in ((answered, "HTTP 500"), (unanswered, "no response, HTTP 500")):
        faults = [
            Fault(call=call, nth=nth + 1, interfere=answered if nth else first)
            for nth in range(attempts)
        ]
        api = memory(row("a", "1"), faults=faults)
        report = run(api, planned(api, *webhooks))
        (outcome,) = [each for each in report.outcomes if not isinstance(each, Applied)]
        message = f"{said} ({attempts} attempts); {now}"
        assert outcome == Unconfirmed(operation=outcome.operation, message=message)
