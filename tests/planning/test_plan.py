"""A plan as a whole: its order, its numbers, and the secrets it sends."""

from __future__ import annotations

from reconciler.model import UNKNOWN, Absent, Scheme, SecretRef
from reconciler.planning.plan import Reason, SecretUse
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import (
    SECRETS,
    TOKEN_REF,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    slack,
    unshown,
)

HOOK, BEARER = (SecretRef(scheme=Scheme.ENV, name=name) for name in ("HOOK", "BEARER"))


def test_everything_stands_by_name_and_then_by_id():
    """Copies go first, then come updates, creates and all other deletes."""
    declared = desired(
        slack("copy"),
        slack("new-2"),
        slack("new-1"),
        slack("up-2"),
        slack("up-1"),
        slack("twin-2"),
        slack("twin-1"),
        absent=(Absent(name="gone"),),
        scope=("[!u]*", "up*"),
    )
    found = live(
        live_slack("up-2", "22", channel="#x"),
        live_slack("up-1", "21", channel="#x"),
        live_slack("gone", "32"),
        live_slack("gone", "31"),
        live_slack("also", "33"),
        live_slack("copy", "13"),
        live_slack("copy", "12"),
        live_slack("copy", "11"),
        live_slack("un-2", "43"),
        live_slack("un-1", "42"),
        live_slack("un-1", "41"),
        live_slack("twin-2", "54"),
        live_slack("twin-2", "53", channel="#x"),
        live_slack("twin-1", "52", channel="#x"),
        live_slack("twin-1", "51"),
    )

    result = plan(declared, found, SECRETS)

    assert [(type(each).__name__, each.name) for each in result.operations] == [
        ("Delete", "copy"),
        ("Delete", "copy"),
        ("Update", "up-1"),
        ("Update", "up-2"),
        ("Create", "new-1"),
        ("Create", "new-2"),
        ("Delete", "also"),
        ("Delete", "gone"),
        ("Delete", "gone"),
    ]
    assert [each.before.id for each in result.deletes] == ["12", "13", "33", "31", "32"]
    assert [each.webhook.id for each in result.unmanaged] == ["41", "42", "43"]
    assert {each.reason for each in result.unmanaged} == {Reason.OUT_OF_SCOPE}
    assert [[shot.id for shot in each.webhooks] for each in result.kept] == [
        ["51", "52"],
        ["53", "54"],
    ]
    assert (result.live, result.in_scope, result.ignored) == (15, 12, 0)


def test_the_secrets_that_are_sent_are_listed_with_where_they_go():
    """Those of creates and of updates that send configuration; of nothing else."""
    declared = desired(
        slack("a"),
        generic("b", url=HOOK, token=BEARER),
        slack("c", channel="#c"),
        slack("d"),
        slack("e"),
    )
    found = live(
        live_slack("c", "3", channel="#x"),
        live_slack("d", "4", events=("value_created",)),
        live_slack("e", "5"),
        live_slack("z", "6"),
    )

    assert plan(declared, found, SECRETS).secrets == (
        SecretUse(reference=TOKEN_REF, webhook="c", field="token", destination="slack #c"),
        SecretUse(reference=TOKEN_REF, webhook="a", field="token", destination="slack #deploys"),
        SecretUse(reference=BEARER, webhook="b", field="token", destination="generic env HOOK"),
        SecretUse(reference=HOOK, webhook="b", field="url", destination="generic env HOOK"),
    )


def test_what_cannot_be_read_is_listed_by_webhook_and_field():
    """Also of webhooks that need no change."""
    found = live(unshown(live_slack("a", "1"), UNKNOWN), live_slack("b", "2", token="*****"))

    result = plan(desired(slack("b"), slack("a")), found, SECRETS)

    assert set(result.unreadable) == {
        ("a", "token"),
        ("a", "channel"),
        ("a", "username"),
        ("b", "token"),
    }


def test_a_change_sends_again_what_was_asked_for_besides():
    """One update, with what differs and what is sent again, each told once."""
    found = live(live_generic("Pager", token="***", verify=True, extra="x"))
    declared = desired(generic("Pager", token=BEARER, verify=False))

    (update,) = plan(declared, found, {}, PlanOptions(resend_all=True)).updates

    assert update.reason is Reason.DIFFERS
    assert [each.path[-1] for each in update.fields] == ["verify", "token", "extra"]
