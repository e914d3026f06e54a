"""The outcome of an operation in the report: id, note, code, message, fields and hint."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

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
from reconciler.model import LiveWebhook, Secret, SecretRef, Webhook
from reconciler.report import Applied, Failed, FieldMessage, Outcome, Unconfirmed
from tests.execute.world import Fault, Memory, appear, memory, planned, row, run, slack
from tests.planning.builders import OTHER_TOKEN

LOST = Fault(call="create", error=AmbiguousWriteError)
MAY_APPEAR = "it may still appear: wait a minute before you run again, else a duplicate is possible"
EXISTED = "CloudTruth responded with a webhook that existed before, with the id id-101"
DROPPED = "the new webhook was deleted"
STORED = "CloudTruth stored different values"
URL = "https://hooks.example.com/ct"
RECREATE = (
    "CloudTruth keeps a field that is no longer declared: delete the webhook with "
    "`state: absent`, then declare it again"
)
ELSEWHERE = (
    "if someone changed it since, run `webhooks plan`; else declare the value that CloudTruth "
    "stores: the next apply sends it again"
)


def outcome_of(api: Memory, *webhooks: object, **more: object) -> Outcome:
    """Apply, and return the outcome of the first operation."""
    return run(api, planned(api, *webhooks), **more).outcomes[0]  # type: ignore[arg-type]


def check_failed(
    outcome: Outcome, code: str, message: str, hint: str | None = None, *fields: FieldMessage
) -> None:
    """Check every field of the outcome of an operation that failed."""
    assert outcome == Failed(
        operation=outcome.operation, code=code, message=message, hint=hint, fields=fields
    )


def check_stored_differently(outcome: Outcome, hint: str, *fields: str, more: str = "") -> None:
    """Check the outcome of a write whose fields CloudTruth stored differently."""
    check_failed(
        outcome,
        "does-not-converge",
        f"{STORED}: {', '.join(fields)}{more}",
        hint,
        *(
            FieldMessage(path=tuple(each.split(".")), message="differs from what was sent")
            for each in fields
        ),
    )


LIVE, DELETED = (f"no response (1 attempt); {what}" for what in ("it is live", "it was deleted"))
REJECTED = Fault(call="delete", error=ServerError)
TAKEN = Fault(call="create", error=ConflictError, interfere=appear(row("a", "id-101")))
GONE = Fault(call="delete", interfere=lambda api: api.rows.clear())


@pytest.mark.parametrize(
    ("fault", "id", "note"),
    [
        (replace(LOST, happens=True), "id-101", LIVE),
        (TAKEN, "id-101", LIVE),
        (replace(LOST, call="update", happens=True), "1", LIVE),
        (replace(LOST, call="delete", happens=True), "1", DELETED),
        (GONE, "1", "it was already deleted"),
    ],
    ids=["create", "create, taken", "update", "delete", "delete of a missing webhook"],
)
def test_an_operation_that_was_already_done_has_its_id_and_a_note(
    fault: Fault, id: str, note: str
) -> None:
    """The report shows both, whatever the final verification shows."""
    live = () if fault.call == "create" else (row("a", "1"),)
    hooks = {"create": [slack("a")], "update": [slack("a", "#new")], "delete": []}[fault.call]
    unlisted = Fault(call="list", nth=3 if fault.call == "create" else 2, error=ServerError)
    for faults in ([fault], [fault, unlisted]):
        outcome = outcome_of(memory(*live, faults=faults), *hooks)
        assert outcome == Applied(outcome.operation, id=id, note=note, already_made=fault is GONE)


def test_a_conflict_has_the_id_of_the_other_webhook_and_a_next_step() -> None:
    """The hint is for both cases: one live webhook with the name, or two."""
    other = appear(row("a", "9", "#manual"))
    message = "another webhook with this name was created since the plan (id 9)"
    created = outcome_of(memory(faults=[replace(LOST, interfere=other)]), slack("a"))
    hint = "plan again to update it; to keep several with this name, set `id` on each"
    check_failed(created, "conflict", message, hint)
    another = Fault(call="list", nth=2, interfere=other)
    updated = outcome_of(memory(row("a", "1"), faults=[another]), slack("a", "#new"))
    check_failed(updated, "conflict", message, hint)
    lost = replace(LOST, call="update", interfere=appear(row("a", "1", "#manual")))
    overwritten = outcome_of(memory(row("a", "1"), faults=[lost]), slack("a", "#new"))
    moved = "it was changed since the plan: it is now slack #manual"
    check_failed(overwritten, "conflict", moved, "plan again")


def test_a_rejected_request_has_the_message_of_the_server() -> None:
    """The outcome has the server's message, a hint, and the error of each field."""
    fields = ((("configuration", "channel"), "no such channel"),)
    error = partial(InvalidRequestError, hint="look at the channel", fields=fields)
    rejected = Fault(call="create", error=error, detail="Reserved.")
    check_failed(
        outcome_of(memory(faults=[rejected]), slack("a")),
        "invalid-request",
        "it failed",
        "look at the channel",
        FieldMessage(path=(), message="Reserved."),
        FieldMessage(path=("configuration", "channel"), message="no such channel"),
    )


def test_a_hidden_create_that_could_not_be_sent_again_has_a_next_step() -> None:
    """A resend of its secrets does what the run could not."""
    found = replace(LOST, happens=True)
    hidden = memory(
        faults=[found, Fault(call="update", error=ServerError)],
        stores=lambda each: row(each.name, each.id, "*****", token="*****"),
    )
    check_failed(
        outcome_of(hidden, slack("a b")),
        ServerError.code,
        f"{LIVE}, but sending its hidden configuration again failed: it failed",
        "apply again with --resend-secret 'a b'",
    )


def test_a_different_stored_value_lists_every_field() -> None:
    """The outcome also has the two ways to fix it."""
    api = memory(row("a", "1"), stores=lambda each: row("b", each.id, "#else"))
    check_stored_differently(
        outcome_of(api, slack("a", "#new")), ELSEWHERE, "name", "configuration.channel"
    )


@pytest.mark.parametrize(
    ("url", "fields", "hint"),
    [
        (URL, ["configuration.token"], RECREATE),
        ("https://else.example.com/", ["configuration.url", "configuration.token"], ELSEWHERE),
    ],
)
def test_a_token_kept_by_a_change_of_type_is_reported(
    url: str, fields: list[str], hint: str
) -> None:
    """The token would be sent to the new URL; only a new webhook is certain not to have it."""

    def stored(each: LiveWebhook) -> LiveWebhook:
        kept = {"url": Secret(url), "token": Secret("xoxb-0000000000-AAAAAAAA")}
        return replace(each, configuration=kept)

    hook = replace(slack("a"), type="generic", configuration={"url": URL})
    check_stored_differently(outcome_of(memory(row("a", "1"), stores=stored), hook), hint, *fields)


@pytest.mark.parametrize(
    ("stored", "fields", "faults", "more", "left"),
    [
        (row("other", "id-101"), ["name"], [], DROPPED, []),
        (row("A", "id-101", "#x"), ["name", "configuration.channel"], [], DROPPED, []),
        (row("A", "id-101"), ["name"], [REJECTED], "it still exists, with the id id-101", ["A"]),
    ],
)
def test_a_create_stored_under_another_name_is_deleted(
    stored: LiveWebhook, fields: list[str], faults: list[Fault], more: str, left: list[str]
) -> None:
    """The stored name is not declared. If the delete fails, the outcome names the webhook's id."""
    api = memory(stores=lambda _: stored, faults=faults)
    hint = "declare the name as CloudTruth stores it"
    check_stored_differently(outcome_of(api, slack("a")), hint, *fields, more=f"; {more}")
    assert api.names() == left


def test_a_webhook_renamed_right_after_its_create_is_kept() -> None:
    """Only the response to the create shows the name under which CloudTruth stored it."""

    def renamed(api: Memory) -> None:
        api.rows["id-101"] = replace(api.rows["id-101"], name="theirs")

    api = memory(
        stores=lambda each: row(each.name, each.id, "#x"),
        faults=[Fault(call="get", interfere=renamed)],
    )
    fields = ("name", "configuration.channel")
    check_stored_differently(outcome_of(api, slack("a")), ELSEWHERE, *fields)
    assert api.names() == ["theirs"]


@pytest.mark.parametrize(
    ("live", "stored", "names", "message"),
    [
        ([row("old", "id-101")], None, "a", EXISTED),
        ([], None, "ab", f"{STORED}: name"),
        ([], row("theirs", "id-101", "#x"), "a", f"{STORED}: name, configuration.channel"),
        ([], row("a", "id-101", events=["value_created"]), "a", f"{STORED}: event_types"),
    ],
)
def test_a_create_that_returns_another_webhook_or_field_deletes_nothing(
    live: list[LiveWebhook], stored: LiveWebhook | None, names: str, message: str
) -> None:
    """A server may return the webhook that it has, a proxy an earlier response."""
    api = memory(
        *live,
        stores=lambda each: stored or api.rows.get("id-101" if each.name == "b" else "", each),
    )
    outcome = run(api, planned(api, *map(slack, names))).outcomes[len(names) - 1]
    assert isinstance(outcome, Failed)
    assert (outcome.message, api.count("delete")) == (message, 0)


@pytest.mark.parametrize("token", [Secret(OTHER_TOKEN), None])
def test_a_token_that_an_update_resets_is_reported(token: Secret | None) -> None:
    """The update sends no token, so only the next plan would show it."""
    api = memory(
        row("a", "1", events=["value_created"]),
        stores=lambda each: replace(each, configuration={**each.configuration, "token": token}),
    )
    check_stored_differently(outcome_of(api, slack("a")), ELSEWHERE, "configuration.token")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ServerError, "it failed"),
        (ConflictError, "it failed"),
        (RateLimitedError, "it failed; nothing was changed"),
    ],
)
def test_an_error_without_fields_has_none(error: type[ApiError], message: str) -> None:
    """The outcome has the code and the message of the error."""
    outcome = outcome_of(memory(faults=[Fault(call="create", error=error)]), slack("a"))
    check_failed(outcome, error.code, message)


def test_all_missing_secrets_are_reported_before_the_first_request() -> None:
    """Every secret of a create, or of an update that sends configuration, must be available."""
    other = SecretRef(scheme="env", name="OTHER")
    events = frozenset({"value_created"})
    api = memory(row("a", "1"), row("b", "2", events=events))
    update = replace(slack("a", "#new"), configuration={"token": other, "channel": "#new"})
    plan = planned(api, update, slack("b"), slack("c"), secrets={})
    with pytest.raises(UnresolvedSecretsError) as caught:
        run(api, plan, secrets={})
    assert str(caught.value) == ("no value for env OTHER, env SLACK_BOT_TOKEN; nothing was written")
    assert caught.value.hint == "set them where apply runs"
    assert api.calls == []


@pytest.mark.parametrize(
    ("call", "webhooks", "now"),
    [
        ("update", (slack("a", "#new"),), "it has not changed yet"),
        ("delete", (), "the webhook still exists"),
        ("create", (slack("a"), slack("b")), f"not listed yet; {MAY_APPEAR}"),
    ],
)
def test_a_write_that_always_fails_has_status_attempts_and_live_state(
    call: str, webhooks: tuple[Webhook, ...], now: str
) -> None:
    """HTTP 500 is a response; a request without a response has no status."""
    attempts = 2 if call == "create" else 3
    answered = partial(AmbiguousWriteError, status=500)
    later = [Fault(call=call, nth=nth, error=answered) for nth in range(2, attempts + 1)]
    for first, start in ((answered, "HTTP 500"), (AmbiguousWriteError, "no response, HTTP 500")):
        api = memory(row("a", "1"), faults=[Fault(call=call, error=first), *later])
        report = run(api, planned(api, *webhooks))
        (outcome,) = [each for each in report.outcomes if not isinstance(each, Applied)]
        message = f"{start} ({attempts} attempts); {now}"
        assert outcome == Unconfirmed(operation=outcome.operation, message=message)
