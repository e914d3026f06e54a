"""Resends of unreadable secrets: by request, and by comparison with the base."""

from __future__ import annotations

import pytest

from reconciler.model import Secret, SecretRef
from reconciler.planning.plan import Reason, SecretCause
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.resend import requests_for, resends
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    TOKEN,
    TOKEN_REF,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    make_plan,
    slack,
    unshown,
)

MASKED = live(live_slack(token="*****"))
BUMPED = TOKEN_REF._replace(version=2)
BEARER = SecretRef(scheme="env", name="BEARER")
HIDDEN = unshown(live_generic())


@pytest.mark.parametrize("requested", ["*", "env:SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN", "Deploys"])
def test_a_requested_resend_is_an_operation(requested: str) -> None:
    """A reviewer approves it like any other operation."""
    options = PlanOptions(resend=(requested,))
    result = plan(desired(slack()), MASKED, SECRETS, options)

    (update,) = result.updates
    assert update.reason is Reason.RESEND
    assert [getattr(each, "cause", None) for each in update.fields] == [SecretCause.REQUESTED]
    assert [len(each) for each in result.digests] == [2]  # the resend, and that it is hidden
    assert make_plan(desired(slack()), MASKED).digest == ""
    new = plan(desired(slack()), live(), SECRETS, options)
    assert [each.name for each in new.creates] == ["Deploys"]


def test_references_replace_many_names_unless_another_webhook_has_one() -> None:
    """A command with all names could be too long; it must send exactly the same."""
    names = {f"Deploys {number}" for number in range(21)}
    many = [*map(slack, names), generic("Deploys 1")]
    assert requests_for(many, names) == {"env:SLACK_BOT_TOKEN", "Deploys 1"}
    assert requests_for([*many, slack("Other")], names) == names


def test_a_request_has_the_same_plan_for_every_live_value() -> None:
    """A reviewer sees one operation, whether or not the value is available or equal.

    The plan differs only if the server hides the live value.
    """
    options = PlanOptions(resend=("*",))
    digests = [
        {
            plan(desired(slack()), live(live_slack(token=token)), secrets, options).digest
            for token in tokens
            for secrets in (SECRETS, {})
        }
        for tokens in (("*****", None, "[hidden]"), (TOKEN, OTHER_TOKEN))
    ]

    assert [len(each) for each in digests] == [1, 1]
    assert digests[0] != digests[1]
    assert "" not in digests[0] | digests[1]


def test_other_requests_have_other_digests() -> None:
    """Plans that send different secrets have different digests."""
    names = ("A", "B", "C", "D")
    declared = desired(*(slack(name, channel=f"#{name}") for name in names))
    found = live(*(live_slack(n, f"id-{n}", channel=f"#{n}", token="*****") for n in names))
    requests = ((), ("A", "B", "C"), ("B", "C", "D"), ("*",))
    digests = [make_plan(declared, found, resend=request).digest for request in requests]

    assert digests[0] == ""
    assert len(set(digests)) == 4


def test_a_reviewed_resend_is_valid_while_the_files_declare_it() -> None:
    """The resend needs no `--base`; a changed reference makes it invalid."""
    base = PlanOptions(previous=desired(slack()))
    planned = plan(desired(slack(token=BUMPED)), MASKED, {}, base)
    options = PlanOptions(reviewed=resends(planned.operations))

    again = plan(desired(slack(token=BUMPED)), MASKED, SECRETS, options)
    void = plan(desired(slack()), MASKED, SECRETS, options)

    assert (again.digest, again.digests) == (planned.digest, planned.digests)
    assert void.operations == ()


def test_a_rotation_is_of_one_of_several_webhooks_with_a_name() -> None:
    """Neither a review nor a base sends the same reference to another webhook with the name."""
    found = live(*(live_slack("A", id_, token="*****") for id_ in ("1", "2", "3")))
    before = desired(slack("A", id="2", token=BUMPED), slack("A", id="1"))
    rotated = desired(*(slack("A", id=id_, token=BUMPED) for id_ in ("1", "2", "3")))
    planned = make_plan(rotated, found, secrets={}, previous=before)
    again = make_plan(rotated, found, secrets={}, reviewed=resends(planned.operations))

    assert [update.before.id for update in planned.updates] == ["1"]
    assert again.digests == planned.digests


def test_a_reviewed_undeclared_field_is_removed() -> None:
    """The removal needs no base, and only happens where the server shows no configuration."""
    found = live(HIDDEN, unshown(live_generic("Other", "id-8")))
    declared = desired(generic(), generic("Other"))
    planned = make_plan(declared, found, secrets={}, previous=desired(generic(token=BEARER)))
    options = PlanOptions(reviewed=resends(planned.operations))

    assert plan(declared, found, {}, options).digest == planned.digest
    assert plan(desired(generic()), live(live_generic()), {}, options).operations == ()


def test_an_incremented_version_is_an_operation_for_every_live_value() -> None:
    """A reviewer without the value and an apply with it have the same plan."""
    options = PlanOptions(previous=desired(slack()))
    secrets = {BUMPED: Secret(OTHER_TOKEN)}
    declaration = desired(slack(token=BUMPED))

    same = plan(declaration, live(live_slack(token=OTHER_TOKEN)), secrets, options)
    assert len(same.operations) == 1
    # If no new value was set, nothing is sent.
    assert [note.message for note in same.notes] == [
        f"the value of {BUMPED} is already live in 'Deploys'"
    ]
    for other in (
        plan(declaration, live(live_slack()), secrets, options),
        plan(declaration, MASKED, {}, options),
    ):
        assert other.notes == ()
    assert same.digest == plan(declaration, live(live_slack()), secrets, options).digest
    hidden = {plan(declaration, MASKED, values, options).digest for values in (secrets, {})}
    assert len(hidden - {same.digest}) == 1


def test_a_changed_literal_is_sent_with_the_same_reference() -> None:
    """Literals are distinguished by their values."""
    reference = SecretRef(scheme="literal", name="Deploys/token")
    now = desired(slack(token=reference))._replace(literals={reference: Secret("new")})
    before = now._replace(literals={reference: Secret("old")})

    assert len(make_plan(now, MASKED, secrets={}, previous=before).operations) == 1
    sent = make_plan(now, live_slack(token="new"), secrets=now.literals, previous=before)
    assert (len(sent.operations), sent.notes) == (1, ())
    for previous in (now, desired(slack("Other"))):
        assert make_plan(now, MASKED, secrets={}, previous=previous).operations == ()


def test_a_secret_removed_with_another_change_is_a_note() -> None:
    """The configuration is sent completely, so omitted fields are removed, even hidden ones."""
    base = desired(generic(token=BEARER))
    result = make_plan(desired(generic(username="x")), live_generic(), secrets={}, previous=base)
    assert [note.message for note in result.notes] == [
        "updating 'Pager' removes token if it is set, which the server does not show"
    ]
