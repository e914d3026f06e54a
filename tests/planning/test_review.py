"""Digests, and operations that are reviewed, stale, unreviewed or done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.findings import Position
from reconciler.model import Absent, Desired, Live, Secret, SecretRef
from reconciler.planning.plan import Create, Plan, SecretCause, SecretChange, Update
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.review import (
    Review,
    ReviewComparison,
    approve_all,
    compare_with_review,
    operation_digest,
    values_apart,
)
from reconciler.planning.run import OrganizationResult, RunPlan
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    make_plan,
    slack,
)


def digest(declaration: object, found: Live, secrets: object = SECRETS) -> str:
    return make_plan(declaration, found, secrets=secrets).digest  # type: ignore[arg-type]


def test_available_secrets_do_not_change_the_digest() -> None:
    """The job of a pull request has no secrets, the apply job has all."""
    declaration = desired(slack(), slack("B", channel="#b"), slack("New"))
    found = live(live_slack(token=OTHER_TOKEN), live_slack("B", "id-2", token=OTHER_TOKEN))

    with_all, with_none = make_plan(declaration, found), make_plan(declaration, found, secrets={})

    assert with_all.digest == with_none.digest
    assert len(with_all.operations) == len(with_none.operations) + 1
    assert with_all.digests.count(()) == 1


def test_positions_guards_and_hash_marks_do_not_change_the_digest() -> None:
    """Moving lines in a file changes nothing that is reviewed."""
    one = slack(channel="#deploys")
    two = replace(slack(channel="deploys"), position=Position(file="other.yaml", line=99))

    assert digest(desired(one), live()) == digest(desired(two, max_deletes=3), live())


HERE = live()
PLANS = [
    *((desired(*webhooks), HERE) for webhooks in (
        (slack(),), (slack(channel="#other"),), (slack(events=("value_created",)),),
        (slack(token=SecretRef(scheme="env", name="OTHER")),),
        (slack(token=SecretRef(scheme="env", name="SLACK_BOT_TOKEN", version=2)),),
        (slack(token=SecretRef(scheme="literal", name="Deploys/token")),),
        (slack("Other"),), (generic("Deploys"),), (slack(), slack("More")), (),
        # a literal URL is readable in the file, so its path counts
        (generic("Deploys", url="https://a.example.com/1"),),
        (generic("Deploys", url="https://a.example.com/2"),),
        (generic("Deploys", verify=True),), (generic("Deploys", verify=False),),
    )),
    # the same result from a different live state
    *((desired(slack()), live(webhook)) for webhook in (
        live_slack(channel="#x"), live_slack(channel="#y"), live_slack(id="id-2", channel="#x"),
    )),
    (desired(slack()), HERE._replace(organization=HERE.organization._replace(id="org-2"))),
    (desired(slack()), HERE._replace(origin="https://other.example.com")),
]  # fmt: skip


def test_every_visible_difference_changes_the_digest() -> None:
    """Each of these plans needs another approval; without operations, there is no digest."""
    assert len({digest(*each) for each in PLANS}) == len(PLANS)


def test_the_digest_of_a_run_covers_each_plan_with_operations() -> None:
    """The order of the plans, and plans without operations, do not matter."""
    one, two, three = (make_plan(desired(slack(name))) for name in ("a", "b", "c"))
    nothing = make_plan(desired(slack()), live_slack())

    def of(*plans: Plan) -> str:
        return RunPlan(tuple(OrganizationResult("Acme", value=result) for result in plans)).digest

    assert (of(), of(nothing), of(one, nothing)) == ("", "", one.digest)
    assert of(one, two) == of(two, nothing, one)
    assert len({of(one), of(one, two), of(one, three), of(one, two, three)}) == 4


def test_the_digest_covers_a_removed_field_with_and_without_secrets() -> None:
    """A reviewer sees that a field is removed; its value does not matter."""
    reference = SecretRef(scheme="env", name="BEARER")
    base, now = desired(generic(token=reference)), desired(generic())
    found = live(live_generic(token="abcdef"))

    result = make_plan(now, found, secrets={}, previous=base)

    assert len(result.updates) == 1
    assert () not in result.digests


LITERAL = SecretRef(scheme="literal", name="Deploys/token")
BUMPED = SecretRef(scheme="env", name="T", version=2)
REMOVED = desired(absent=(Absent(name="Deploys"),))
HALF_HIDDEN = live_slack(channel="#x", username=["old"])
HOOK = SecretRef(scheme="file", name="hooks/pager")
OLD, NEW = "https://hooks.example.com", "https://new.example.com"


ENCRYPTED = {"url": f"{OLD}/a", "token": "*****", "extra": "x"}
PATH = desired(generic(url=f"{OLD}/b"))
RESENT = desired(generic(url=HOOK._replace(version=2), token=BUMPED))


@pytest.mark.parametrize(
    ("declaration", "found", "expected"),
    [
        (desired(slack(token=LITERAL)), live(), "8755800799b8d729222667fc3903c2ec"),
        (desired(slack(token=BUMPED)), live(), "61fce0b8ef2986ad17dba2ac85dc0b76"),
        (desired(slack()), live(HALF_HIDDEN), "8b8618672ef5e49ed8ece97a4a39f9be"),
        (REMOVED, live(live_slack(channel="#x")), "56b3d3bf0f8ef8db8c3ccb74ec12a6ed"),
        (desired(generic(url=HOOK)), live(), "b58e22d180f56262a45ad2f492271b6e"),
        (PATH, live(live_generic(token="t")), "4c6ef528f28501b7386ac63cbdf94abf"),
        (PATH, live(live_generic(url=NEW)), "574f557907cc8c3fbc206865e74f8b44"),
        (
            RESENT,
            live(live_generic(**ENCRYPTED)),
            "1905d6a6c680495a6d5c3980eff850b6 fd1917b52443408c1b95a9cb1e82d322 "
            "70e54707024d846ce5edff134e562b15 a1bff9150245e745a2675c62e8d6cd58",
        ),
    ],
    ids=["literal", "version", "not shown", "delete", "committed", "path", "host", "resent"],
)
def test_a_digest_never_changes_between_versions(
    declaration: Desired, found: Live, expected: str
) -> None:
    """A plan reviewed with one version of the program can be applied with the next.

    A comment has only the contents, from which the digests follow.
    """
    options = {"committed_hosts": {HOOK: OLD}, "previous": desired(generic(url=HOOK, token=BUMPED))}
    planned = make_plan(declaration, found, secrets={}, **options)
    (reviewed,) = planned.digests

    assert " ".join(shown.digest for shown in reviewed) == expected
    for shown in reviewed:
        assert operation_digest(shown.content, shown.id, shown.name) == shown


MOVED = {HOOK: Secret(f"{NEW}/secret")}


def classify(result: Plan, review: Review, *, values: bool = False) -> tuple[list[str], ...]:
    """Return the names of the reviewed, unreviewed and stale operations."""
    found: ReviewComparison = compare_with_review(result, review, allow_value_changes=values)
    return (
        [result.operations[index].name for index in sorted(found.reviewed)],
        [result.operations[index].name for index in sorted(found.unreviewed)],
        [each.name for each in found.stale],
    )


TWO = desired(slack("A", channel="#a"), slack("B", channel="#b"))


def test_a_review_covers_its_operations_until_they_are_done() -> None:
    """A review of one webhook does not approve changes to another."""
    both, only_a = approve_all(make_plan(TWO)), approve_all(make_plan(desired(TWO.webhooks[0])))
    a, b = live_slack("A", channel="#a"), live_slack("B", "id-2", channel="#b")
    assert classify(make_plan(TWO, a), both) == (["B"], [], [])
    assert classify(make_plan(TWO, a, b), both) == ([], [], [])
    assert classify(make_plan(TWO), only_a) == (["A"], ["B"], [])


@pytest.mark.parametrize(
    ("reviewed", "found"),
    [
        (live(), live(live_slack("A", channel="#other"))),
        (live(live_slack("A", channel="#x")), live(live_slack("A", channel="#y"))),
        (live(live_slack("A", channel="#x")), live()),
        (live(live_slack("old", channel="#x")), live(live_slack("A", channel="#y"))),
    ],
    ids=["created", "changed", "deleted", "renamed"],
)
def test_a_different_change_of_a_reviewed_webhook_is_stale(reviewed: Live, found: Live) -> None:
    """A review matches a webhook by id, or by name if it has no id."""
    declared = desired(slack("A", channel="#a", previously=("old",)), slack("B", channel="#b"))
    review = approve_all(make_plan(declared, reviewed))
    assert classify(make_plan(declared, found), review)[2] == ["A"]


def test_a_reviewed_webhook_that_is_kept_is_stale() -> None:
    """Two webhooks with the name differ, so neither is written and the review is stale."""
    review = approve_all(make_plan(TWO))
    namesakes = live(live_slack("A", "1", channel="#x"), live_slack("A", "2", channel="#y"))
    result = make_plan(TWO, namesakes)
    assert classify(result, review)[2] == ["A"]
    assert classify(result, approve_all(make_plan(desired(slack("C")))))[2] == []


def test_a_reviewed_webhook_is_found_by_id_under_another_name() -> None:
    """It was renamed in the file, or it has an unknown event and keeps its previous name."""
    was = live_slack("was", channel="#x")
    review = approve_all(make_plan(desired(slack("A", previously=("was",))), was))
    renamed = desired(slack("C", previously=("was",)))
    assert classify(make_plan(renamed, was), review)[2] == ["C"]
    unknown = live_slack("was", events=("unheard_of",))
    assert classify(make_plan(renamed, unknown), review)[2] == ["was"]


def test_a_change_of_only_a_value_needs_a_review_unless_allowed() -> None:
    """No review can show a value; with the option, it is sent without one."""
    rotated = live(live_slack("A", channel="#a", token=OTHER_TOKEN))
    review = approve_all(make_plan(TWO, rotated, secrets={}))
    result = make_plan(TWO, rotated)
    assert classify(result, review) == (["B"], ["A"], [])
    assert classify(result, review, values=True) == (["A", "B"], [], [])
    other = live(live_slack("A", channel="#x", token=OTHER_TOKEN))
    review = approve_all(make_plan(TWO, other, secrets={}))
    assert classify(make_plan(TWO, other), review)[0] == ["A", "B"]


def test_a_value_is_apart_where_the_rest_needs_no_configuration() -> None:
    """The rest has the digests of a plan that was made without the values."""
    found = live(
        live_slack("A", events=("project_created",), token=OTHER_TOKEN, note="by hand"),
        live_slack("0", "id-0", events=("project_created",)),
    )
    declared = desired(slack("0"), slack("A"), slack("B"))
    result = values_apart(make_plan(declared, found), dict)
    first, events, value, create = result.operations
    assert (first.name, create.name, len(result.digests)) == ("0", "B", 4)
    assert isinstance(events, Update)
    assert isinstance(value, Update)
    assert (events.sent_fields, value.sent_fields) == ({"event_types"}, {"configuration"})
    without = make_plan(declared, found, secrets={}).digests
    assert result.digests == (*without[:2], (), without[2])
    # With another difference of the configuration, all of it is sent, and the plan shows that.
    moved = make_plan(desired(slack("A", channel="#new")), found)
    assert values_apart(moved, dict) == moved


def test_a_change_of_only_a_value_removes_no_field_unseen() -> None:
    """No digest covers it, so no review can show a field that it removes along with the change."""
    rotated = live(live_slack("A", channel="#a", token=OTHER_TOKEN, note="by hand"))
    result = make_plan(desired(slack("A", channel="#a")), rotated)
    compared = compare_with_review(result, approve_all(result), allow_value_changes=True)
    (why,) = compared.unreviewed.values()
    assert why.startswith("it also removes note, which no review shows: increment `version`")


def test_a_change_of_only_a_value_replaces_no_hidden_field_unseen() -> None:
    """No digest covers it, so the review must show each field that it replaces."""
    declared, hidden = desired(slack("A", channel="#a")), {"channel": "*****"}
    review = approve_all(make_plan(declared, live(live_slack("A", **hidden))))
    result = make_plan(declared, live(live_slack("A", **hidden, token=OTHER_TOKEN)))
    (why,) = compare_with_review(result, review, allow_value_changes=True).unreviewed.values()
    assert why.startswith("it also replaces channel, which no review shows: increment `version`")
    assert classify(result, approve_all(result), values=True) == (["A"], [], [])


@pytest.mark.parametrize(
    ("reference", "edit"), [(HOOK, " (`url: {file: hooks/pager, version: 2}`)"), (LITERAL, "")]
)
@pytest.mark.parametrize("url", [f"{OLD}/ct", f"{OLD}/***"])
def test_another_host_behind_a_reference_is_not_reviewed(
    reference: SecretRef, edit: str, url: str
) -> None:
    """The new host is not visible in the commit, even if the rest of the webhook was reviewed."""
    declared = desired(generic(url=reference, verify=False))
    found = live(live_generic(verify=True, url=url))
    review = approve_all(make_plan(declared, found, secrets={}))
    moved = make_plan(declared, found, secrets={reference: MOVED[HOOK]})
    (why,) = compare_with_review(moved, review, allow_value_changes=True).unreviewed.values()
    end = f"increment `version`{edit}"
    assert why == f"the secret would be sent to a different scheme or host: {end}"
    same = {reference: Secret(f"{OLD}/another")}
    assert classify(make_plan(declared, found, secrets=same), review)[0] == ["Pager"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{OLD}/ct", (["Pager"], [], [])),
        (f"{NEW}/secret", (["Pager"], [], [])),
        ("https://third.example.com/ct", ([], [], ["Pager"])),
    ],
    ids=["first", "again", "another host"],
)
def test_incrementing_the_version_makes_a_new_host_reviewable(
    url: str, expected: tuple[list[str], ...]
) -> None:
    """A reviewer sees the reference and its version in place of the host.

    A review that is applied again finds the new host, but a third one was not reviewed.
    """
    rotated, other = HOOK._replace(version=2), live_generic("Other", "1")
    declared = desired(generic("Other"), generic(url=rotated))
    found = (other, live_generic("Other", "2"), live_generic())
    # The webhook may be added in the same change.
    for before in (desired(generic("Other"), generic(url=HOOK)), desired(generic("Other"))):
        review = approve_all(make_plan(declared, *found, secrets={}, previous=before))
        now = {"secrets": {rotated: MOVED[HOOK]}, "reviewed": review.resends}
        result = make_plan(declared, other, live_generic(url=url), **now)
        assert classify(result, review) == expected


def test_a_shown_host_is_reviewed() -> None:
    """A review whose plan had the value approves only that host, with the same digest."""
    rotated = HOOK._replace(version=2)
    declared, before = desired(generic(url=rotated)), desired(generic(url=HOOK))

    def planned(url: str) -> Plan:
        return make_plan(declared, live_generic(), secrets={rotated: Secret(url)}, previous=before)

    review = approve_all(planned(f"{NEW}/a"))
    third = planned("https://third.example.com/a")
    assert approve_all(third).digest == review.digest
    assert classify(third, review) == ([], [], ["Pager"])
    assert classify(planned(f"{NEW}/b"), review) == (["Pager"], [], [])


def test_a_resend_request_does_not_review_another_host() -> None:
    """A resend does not approve a different host."""
    declared, found = desired(generic(url=HOOK)), live(live_generic())
    review = approve_all(make_plan(declared, found, secrets={}, resend=("*",)))
    result = make_plan(declared, found, secrets=MOVED, reviewed=review.resends)
    assert classify(result, review, values=True) == ([], ["Pager"], [])


def test_a_host_visible_in_the_commit_is_reviewed() -> None:
    """The digest covers the host in a tracked file, but not the rest of the URL."""
    declared, found = desired(generic(url=HOOK)), live(live_generic())
    shown = PlanOptions(committed_hosts={HOOK: NEW})
    result = plan(declared, found, MOVED, shown)
    ((operation,),) = result.digests
    (change,) = result.updates[0].fields
    assert isinstance(change, SecretChange)
    assert change.cause is SecretCause.DESTINATION
    resent = plan(declared, found, MOVED, shown._replace(resend=("*",)))
    (change,) = resent.updates[0].fields
    assert isinstance(change, SecretChange)
    assert change.cause is SecretCause.REQUESTED
    assert classify(result, approve_all(result)) == (["Pager"], [], [])
    elsewhere = live(live_generic(url="https://third.example.com/x"))
    assert plan(declared, elsewhere, MOVED, shown).digests != ((operation,),)
    nothing = Review(origin=result.origin, organization=result.organization.id)
    assert classify(result, nothing, values=True) == ([], ["Pager"], [])


def test_a_create_with_another_visible_host_has_another_digest() -> None:
    """A push that changes only the tracked file is therefore not reviewed."""
    declared = desired(generic(url=HOOK))
    digests = {
        make_plan(declared, secrets={}, committed_hosts=shown).digest
        for shown in ({}, {HOOK: OLD}, {HOOK: NEW})
    }
    assert len(digests) == 3


def test_a_half_done_resend_is_still_reviewed() -> None:
    """The visible part of an update is done; the resend, which cannot be verified, is repeated."""
    declared = desired(slack("A", channel="#a"))
    before, half = (live_slack("A", channel=channel, token="***") for channel in ("#x", "#a"))
    review = approve_all(make_plan(declared, before, secrets={}, resend=("A",)))
    result = make_plan(declared, half, reviewed=review.resends)
    assert len(review.operations) == 3  # the channel, the resend, and that the token is hidden
    assert classify(result, review) == (["A"], [], [])


def test_part_of_a_plan_can_be_selected() -> None:
    """The part has only the reviewed operations, with their digests and secrets."""
    result = make_plan(TWO)
    half = result.select({1})
    assert [each.name for each in half.operations] == ["B"]
    assert half.digests == result.digests[1:]
    assert {each.webhook for each in half.secrets} == {"B"}
    assert not {type(each) for each in half.operations} - {Create, Update}
