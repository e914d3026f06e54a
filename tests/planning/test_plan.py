"""The order, counts, secrets and drift of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConflictError, StalePlanError
from reconciler.model import Absent, Secret, SecretRef
from reconciler.planning.drift import attribution_of, by_webhook
from reconciler.planning.plan import Attribution, Reason, SecretCause, SecretUse
from reconciler.planning.resend import Resend
from reconciler.planning.run import live_status
from reconciler.planning.tree import error_tree, operation_summary, plain
from tests.goldens import rows
from tests.planning.builders import (
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

HOOK, BEARER = (SecretRef(scheme="env", name=name) for name in ("HOOK", "BEARER"))
RESEND = Resend(webhook="A", field="token", value=TOKEN_REF, cause=SecretCause.REQUESTED, id="id-1")


def test_operations_are_sorted_by_name_and_id() -> None:
    """Duplicates are deleted first, then come updates, creates and all other deletes."""
    declared = desired(
        *(slack(name) for name in ("copy", "new-2", "new-1", "up-2", "twice")),
        slack("up-1", previously=("was",)),
        absent=(Absent(name="gone"),),
        scope=("[!x]*",),
    )
    found = [("gone", "32"), ("gone", "31"), ("also", "33"), ("copy", "13"), ("copy", "12")]
    found += [("copy", "11"), ("x-2", "43"), ("x-1", "42"), ("x-1", "41"), ("twice", "54")]
    edited = [("up-2", "22"), ("was", "21"), ("twice", "53")]

    result = make_plan(
        declared,
        *(live_slack(name, pin) for name, pin in found),
        *(live_slack(name, pin, channel="#x") for name, pin in edited),
    )

    shown = [f"{type(each).__name__} {each.name}" for each in result.operations]
    assert shown == [
        *("Delete copy", "Delete copy", "Update up-1", "Update up-2", "Create new-1"),
        *("Create new-2", "Delete also", "Delete gone", "Delete gone"),
    ]
    assert [each.before.id for each in result.deletes] == ["12", "13", "33", "31", "32"]
    assert [each.webhooks[0].id for each in result.unmanaged] == ["41", "42", "43"]
    assert {each.reason for each in result.unmanaged} == {Reason.OUT_OF_SCOPE}
    assert [[shot.id for shot in each.webhooks] for each in result.kept] == [["53", "54"]]
    counts = result.counts
    assert (counts.live, counts.in_scope, counts.ignored, counts.files) == (13, 10, 0, 1)


def test_the_sent_secrets_have_their_destinations() -> None:
    """Only secrets of creates, and of updates that send configuration, are listed."""
    others = (slack("c", channel="#c"), slack("d"), slack("e"))
    declared = desired(slack("a"), generic("b", url=HOOK, token=BEARER), *others)
    found = [live_slack("e", "5"), live_slack("z", "6"), live_slack("c", "3", channel="#x")]
    found.append(live_slack("d", "4", events=("value_created",)))

    assert make_plan(declared, *found).secrets == (
        SecretUse(TOKEN_REF, "c", "token", destination="slack #c", live_id="3"),
        SecretUse(reference=TOKEN_REF, webhook="a", field="token", destination="slack #deploys"),
        SecretUse(reference=BEARER, webhook="b", field="token", destination="generic env HOOK"),
        SecretUse(HOOK, "b", "url", destination="generic env HOOK", is_resolved=False),
    )
    shown = make_plan(declared, *found, committed_hosts={HOOK: "https://a.example.com"}).secrets
    assert [use.destination for use in shown[2:]] == ["generic https://a.example.com/***"] * 2


def test_secrets_of_webhooks_that_share_a_name_are_told_apart() -> None:
    """The selected part of a plan has only its secrets; each other webhook's are not compared."""
    first, second = generic(id="1", url=HOOK), generic(id="2", url=HOOK, token=BEARER)
    found = (live_generic(id="1"), live_generic(id="2", token="shown", verify=False))

    both = make_plan(desired(first, second), *found, secrets={}, resend=("HOOK",))
    assert [use.live_id for use in both.select([0]).secrets] == ["1"]
    assert [use.live_id for use in both.select([1]).secrets] == ["2", "2"]

    first = generic(id="1", token=BEARER, verify=False)
    second = generic(id="2", token=BEARER)
    found = (live_generic(id="1", token="shown"), live_generic(id="2", token="shown"))
    one = make_plan(desired(first, second), *found, secrets={})
    assert [use.live_id for use in one.not_compared] == ["2"]


def test_unreadable_fields_are_listed_by_webhook() -> None:
    """Unreadable fields of unchanged webhooks are listed too."""
    found = live(unshown(live_slack("a", "1")), live_slack("b", "2", token="*****"))

    result = make_plan(desired(slack("b"), slack("a")), found)

    a, b = ("a", "1"), ("b", "2")
    shown = [(a, "token"), (a, "channel"), (a, "username"), (b, "token")]
    fields = [(name, field, id_) for (name, id_), field in shown]
    assert set(result.not_shown) == set(fields)


def test_an_update_includes_requested_resends() -> None:
    """One update has the differences and the resent fields, each once."""
    found = live(live_generic("Pager", token="***", verify=True, extra="x"))
    declared = desired(generic("Pager", token=BEARER, verify=False))

    (update,) = make_plan(declared, found, secrets={}, resend=("*",)).updates

    assert update.reason is Reason.DIFFERS
    assert [each.path[-1] for each in update.fields] == ["verify", "token", "extra"]


def test_no_document_contains_a_secret() -> None:
    """A document contains no secret, masked or not."""
    with pytest.raises(TypeError, match="cannot convert Secret to plain data"):
        plain((Secret("xoxb-0000000000-AAAAAAAA"),))


def test_a_document_has_what_an_error_knows() -> None:
    """The request of an error of the API, and the differences of a stale plan."""
    request = {"method": "POST", "path": "/x/", "status": 409, "detail": "No."}
    taken = ConflictError("taken", fields=[(("name",), "in use")], **request)  # type: ignore[arg-type]
    fields = [{"path": ["name"], "message": "in use"}]
    assert error_tree(taken)["request"] == {**request, "fields": fields}
    assert error_tree(StalePlanError("stale", differences=["a: gone"]))["differences"] == [
        "a: gone"
    ]


def test_the_base_makes_no_difference_to_the_digest() -> None:
    """The base only changes labels, which are displayed but not part of the digest."""
    declaration, found = desired(slack()), live()

    with_base = make_plan(declaration, found, previous=desired())

    assert with_base.digest == make_plan(declaration, found).digest


Fields = dict[str, Any]
BUILDERS: dict[str, Any] = {"slack": (slack, live_slack), "generic": (generic, live_generic)}
SET, UNSET = {"name": "A", "username": "u"}, {"name": "A"}


@pytest.mark.parametrize(
    ("kind", "base", "now", "found", "options", "lines"),
    [
        *rows(Path(__file__).with_name("attributions.yaml")),
        ("slack", [UNSET], [UNSET], [{"name": "A", "token": "*****"}], {"reviewed": (RESEND,)},
         ["A waiting-to-be-applied"]),
        # A field was added live; another one is removed by the files, too.
        ("generic", [SET], [UNSET], [{**SET, "verify": False}],
         {"committed_hosts": {HOOK: "https://a.example.com"}}, ["A partly-drift"]),
    ],
)  # fmt: skip
def test_drift_is_distinguished_from_this_change(
    kind: str, base: list[Fields], now: list[Fields], found: list[Fields], options: Any,
    lines: list[str],
) -> None:  # fmt: skip
    """An operation that the previous configuration also plans is drift.

    An older configuration explains it in the same way, except for the delete of a rename.
    """
    declared, shown = BUILDERS[kind]
    before, after = (
        desired(*(declared(**fields) for fields in entries)) for entries in (base, now)
    )
    existing = [shown(**fields) for fields in found]
    result = make_plan(after, *existing, previous=before, **options)
    summaries = map(operation_summary, result.operations)
    assert [f"{summary['name']} {summary['attribution']}" for summary in summaries] == lines
    if not options:
        earlier = by_webhook(make_plan(before, *existing))
        labels = [f"{each.name} {attribution_of(each, earlier, result.renamed)}"
                  for each in result.operations if each.name != "X"]  # fmt: skip
        assert labels == [line for line in lines if not line.startswith("X")]
    status = live_status(live(*existing), result)
    waiting = sum(line.endswith(("this-change", "applied")) for line in lines)
    assert (status.not_applied, sum(status.drift.values())) == (waiting, len(lines) - waiting)


def test_a_field_that_another_type_removes_does_not_hide_a_file_change() -> None:
    """A secret that the files change stays a file change, although both plans remove it."""
    base, now = (desired(slack(token=SecretRef("env", name))) for name in ("OLD", "NEW"))
    result = make_plan(now, live_generic("Deploys", "id-1", token="***"), previous=base)
    assert result.operations[0].attribution is Attribution.PARTLY_DRIFT
