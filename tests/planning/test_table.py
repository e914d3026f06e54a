"""Each row of the table of what happens to a live webhook."""

from __future__ import annotations

import pytest

from reconciler.errors import ConfigurationError
from reconciler.findings import Position
from reconciler.model import EVENT_TYPES, Absent, Desired, FileScope, LiveWebhook, Policy
from reconciler.planning.plan import Create, Delete, Reason, SetChange, Update, ValueChange
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.status import ManagementStatus, statuses
from tests.planning.builders import SECRETS, desired, live, live_slack, slack

STRANGE = LiveWebhook(
    id="id-7", name="Deploys", type="teams", event_types=frozenset(), configuration={"card": "x"}
)


def rules(error: pytest.ExceptionInfo[ConfigurationError]) -> list[str]:
    return [finding.rule for finding in error.value.findings]


def test_a_webhook_that_is_as_declared_is_matched():
    """Nothing differs: no change, and the id is known."""
    result = plan(desired(slack()), live(live_slack()), SECRETS)

    assert result.changes == ()
    assert [each.id for each in result.matched] == ["id-1"]


def test_a_declared_name_that_is_not_live_is_created():
    """Row: declared, not live."""
    result = plan(desired(slack()), live(), SECRETS)

    assert result.changes == (Create(after=slack()),)


def test_an_ignored_webhook_is_only_counted():
    """Row 1: matches `ignore`."""
    result = plan(desired(slack(), ignore=("manual-*",)), live(live_slack("manual-1")), SECRETS)

    assert (result.ignored, result.deletes, result.kept) == (1, (), ())


def test_ignore_wins_over_a_declaration_and_says_so():
    """Row 1: a fix made by hand can be held by ignoring what is declared."""
    found = live(live_slack(channel="#hotfix"))

    result = plan(desired(slack(), ignore=("Dep*",)), found, SECRETS)

    assert result.changes == ()
    assert [note.rule for note in result.notes] == ["ignored-and-declared"]


def test_an_ignored_declaration_is_not_created_either():
    """Row 1 holds for names that are not live."""
    assert plan(desired(slack(), ignore=("Deploys",)), live(), SECRETS).changes == ()


def test_an_entry_pinned_to_an_ignored_webhook_does_nothing():
    """Row 1 goes by the live name as well as by the declared one."""
    found = live(live_slack("manual-1", "id-1"))

    result = plan(desired(slack(id="id-1"), ignore=("manual-*",)), found, SECRETS)

    assert (result.changes, result.ignored) == ((), 1)


def test_a_webhook_held_by_ignore_is_not_counted_in_scope():
    """Row 1: what is left alone does not loosen the guard on half of those in scope."""
    found = live(live_slack("manual-1", "id-1"), live_slack("Other", "id-2"))

    result = plan(desired(slack(id="id-1"), ignore=("manual-*",)), found, SECRETS)

    assert (result.ignored, result.in_scope) == (1, 1)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_a_webhook_of_an_unknown_type_is_kept(declared: bool):
    """Row 2: never updated, never pruned."""
    strange = LiveWebhook(
        id="id-7", name="Deploys", type="teams", event_types=frozenset(), configuration={}
    )

    result = plan(desired(*[slack()] if declared else [slack("X")]), live(strange), SECRETS)

    assert [(each.reason, each.detail) for each in result.kept] == [(Reason.UNKNOWN_TYPE, "teams")]
    assert all(isinstance(change, Create) and change.name == "X" for change in result.changes)


def test_a_webhook_with_every_known_event_is_known():
    """It is pruned like any other."""
    result = plan(desired(), live(live_slack(events=EVENT_TYPES)), SECRETS)
    assert [type(each) for each in result.changes] == [Delete]


def test_a_webhook_with_an_unknown_event_is_kept():
    """Row 2: an update would drop an event that this version cannot name."""
    found = live(live_slack(events=("value_created", "tag_created")))

    result = plan(desired(slack()), found, SECRETS)

    assert result.changes == ()
    assert [(each.reason, each.detail) for each in result.kept] == [
        (Reason.UNKNOWN_EVENT, "tag_created")
    ]


def test_a_differing_webhook_is_updated_field_by_field():
    """Row 3: what differs is named, events as a set, a channel whatever its `#`."""
    found = live(live_slack(channel="other", events=("value_created", "value_deleted")))

    (update,) = plan(desired(slack()), found, SECRETS).updates

    assert update.fields == (
        SetChange(
            path=("event_types",), added=("value_updated",), removed=("value_deleted",), unchanged=1
        ),
        ValueChange(path=("configuration", "channel"), before="other", after="#deploys"),
    )
    assert update.sends == {"event_types", "configuration"}


def test_a_leading_number_sign_makes_no_difference():
    """`#deploys` and `deploys` are one channel."""
    assert plan(desired(slack()), live(live_slack(channel="deploys")), SECRETS).changes == ()


def test_an_id_under_another_name_is_a_rename():
    """Row 3: keyed by id."""
    found = live(live_slack("old", "id-1"))

    (update,) = plan(desired(slack(id="id-1")), found, SECRETS).updates

    assert update.reason is Reason.RENAMED
    assert update.fields == (ValueChange(path=("name",), before="old", after="Deploys"),)


def test_an_id_that_is_not_live_is_drift():
    """The entry is matched by its name, or created; the plan names the id that is gone."""
    matched = plan(desired(slack(id="gone")), live(live_slack()), SECRETS)
    created = plan(desired(slack(id="gone")), live(), SECRETS)

    assert (len(matched.matched), [each.name for each in created.creates]) == (1, ["Deploys"])
    for result in (matched, created):
        assert [each.rule for each in result.notes] == ["unknown-id"]


def test_deleting_one_of_two_pinned_webhooks_plans_to_create_it():
    """An export pins webhooks that share a name; the other one is not touched, nor is it later."""
    declared = desired(slack(id="id-1"), slack(id="id-2", channel="#x"))

    drifted = plan(declared, live(live_slack(id="id-1")), SECRETS)
    again = plan(
        declared, live(live_slack(id="id-1"), live_slack(id="id-9", channel="#x")), SECRETS
    )

    assert [(each.name, each.after.configuration["channel"]) for each in drifted.creates] == [
        ("Deploys", "#x")
    ]
    assert len(drifted.changes) == 1
    assert (again.changes, len(again.matched)) == ((), 2)


def test_an_entry_whose_id_is_gone_still_knows_its_previous_names():
    """It is as if it had no id."""
    result = plan(desired(slack(id="gone", previously=("old",))), live(live_slack("old")), SECRETS)

    assert [(each.before.id, each.name) for each in result.updates] == [("id-1", "Deploys")]


PINNED = (slack(id="id-1"), slack(id="id-2"), slack(id="id-3", channel="#third"))


def test_webhooks_that_share_a_name_are_created_one_in_each_apply():
    """Each apply then knows its own; equal ones are not taken for duplicates of each other."""
    declared = desired(*PINNED)
    found = [live_slack(id="id-1")]
    for nth, left in (("id-4", ["id-3"]), ("id-5", [])):
        made = plan(declared, live(*found), SECRETS)
        (create,) = made.changes
        assert isinstance(create, Create)
        later = [(each.webhooks[0].id, each.reason) for each in made.unapplied]
        assert later == [(id_, Reason.LATER) for id_ in left]
        missing = [
            each for each in statuses(live(*found), made) if each.state is ManagementStatus.MISSING
        ]
        assert len(missing) == len(left) + 1
        found.append(live_slack(id=nth, channel=str(create.after.configuration["channel"])))

    end = plan(declared, live(*found), SECRETS)

    assert (end.changes, end.kept, len(end.matched)) == ((), (), 3)


def test_what_may_be_a_webhook_whose_id_is_gone_is_kept():
    """Of a shared name only one that is as declared is recognized; others stop the create."""
    found = live(live_slack(id="id-1"), live_slack(id="id-9", channel="#somebody"))

    result = plan(desired(*PINNED), found, SECRETS)

    assert result.changes == ()
    assert [(each.reason, each.webhooks[0].id) for each in result.kept] == [
        (Reason.AMBIGUOUS, "id-9")
    ]
    assert result.unapplied


def test_an_absent_id_that_is_gone_deletes_nothing_by_name():
    """The id tells which one is meant."""
    result = plan(
        desired(slack("Other"), absent=(Absent(name="Deploys", id="gone"),), prune=False),
        live(live_slack("Other"), live_slack("Deploys", "id-2")),
        SECRETS,
    )

    assert (result.changes, [note.rule for note in result.notes]) == ((), ["unknown-id"])


def test_each_file_has_a_scope_of_its_own():
    """That another file of the same run is responsible for the live name does not help."""
    scopes = (
        FileScope(file="webhooks.yaml", globs=("b-*",)),
        FileScope(file="other.yaml", globs=("a-*",)),
    )
    declared = Desired(webhooks=(slack("b-x", id="id-1"),), policy=Policy(scopes=scopes))

    with pytest.raises(ConfigurationError) as error:
        plan(declared, live(live_slack("a-x")), SECRETS)

    assert rules(error) == ["live-out-of-scope"]


def test_only_passes_over_a_webhook_outside_the_scope_that_it_does_not_select():
    """Neither the declared nor the live name is selected."""
    declared = desired(slack("b-x", id="id-1"), slack("b-a"), scope=("b-*",))

    result = plan(declared, live(live_slack("a-x")), SECRETS, PlanOptions(only=("b-a",)))

    assert [each.name for each in result.changes] == ["b-a"]


def test_an_entry_reaches_outside_its_scope_only_by_adopt():
    """An id and a former name lead to a live webhook; deleting one outside is always an error."""
    outside = live(live_slack("a-x", "id-1"))
    for way in ({"id": "id-1"}, {"previously": ("a-x",)}):
        with pytest.raises(ConfigurationError) as error:
            plan(desired(slack("b-x", **way), scope=("b-*",)), outside, SECRETS)
        assert rules(error) == ["live-out-of-scope"]

        adopted = plan(desired(slack("b-x", adopt=True, **way), scope=("b-*",)), outside, SECRETS)
        assert [(each.name, each.reason) for each in adopted.updates] == [("b-x", Reason.ADOPTED)]

    gone = Absent(name="b-zz", id="id-1", position=Position(file="webhooks.yaml", line=4))
    with pytest.raises(ConfigurationError) as error:
        plan(desired(absent=(gone,), scope=("b-*",)), outside, SECRETS)
    assert rules(error) == ["live-out-of-scope"]


def test_an_absent_webhook_is_deleted_even_without_prune():
    """Row 3: `state: absent`."""
    entry = Absent(name="tmp", position=Position(file="webhooks.yaml", line=24))

    result = plan(
        desired(slack(), absent=(entry,), prune=False),
        live(live_slack(), live_slack("tmp", "id-2"), live_slack("other", "id-3")),
        SECRETS,
        PlanOptions(prune=False),
    )

    assert [(each.name, each.reason) for each in result.deletes] == [("tmp", Reason.ABSENT)]
    assert [each.name for each in result.unmanaged] == ["other"]


def test_an_absent_webhook_that_is_gone_needs_nothing():
    """A second apply makes no write."""
    assert (
        plan(desired(slack(), absent=(Absent(name="tmp"),)), live(live_slack()), {}).changes == ()
    )


def test_absent_and_protected_is_an_error():
    """Two lines of the file contradict each other."""
    with pytest.raises(ConfigurationError) as error:
        plan(
            desired(slack(), absent=(Absent(name="prod-1"),), protect=("prod-*",)),
            live(live_slack("prod-1")),
            SECRETS,
        )

    assert rules(error) == ["absent-and-protected"]


def test_a_previous_name_is_renamed_in_place():
    """Row 4: one update, never delete and create."""
    found = live(live_slack("deploys-old"))

    result = plan(desired(slack(previously=("deploys-old",))), found, SECRETS)

    assert [type(each) for each in result.changes] == [Update]
    assert result.changes[0].name == "Deploys"


def test_previously_is_inert_once_the_new_name_is_live():
    """Row 4: a note, no error, and the old one is an ordinary undeclared webhook."""
    found = live(live_slack(), live_slack("deploys-old", "id-2"))

    result = plan(desired(slack(previously=("deploys-old",))), found, SECRETS)

    assert [note.rule for note in result.notes] == ["previously-inert"]
    assert [each.name for each in result.deletes] == ["deploys-old"]


def test_two_live_previous_names_are_an_error():
    """Row 4: which one is meant cannot be told."""
    with pytest.raises(ConfigurationError) as error:
        plan(
            desired(slack(previously=("a", "b"))),
            live(live_slack("a", "id-1"), live_slack("b", "id-2")),
            SECRETS,
        )

    assert rules(error) == ["several-previous"]


def test_a_previous_name_that_several_bear_is_an_error():
    """Row 4: the ids are named, since pinning one is the cure."""
    with pytest.raises(ConfigurationError) as error:
        plan(
            desired(slack(previously=("a",))),
            live(live_slack("a", "id-1"), live_slack("a", "id-2")),
            SECRETS,
        )

    assert rules(error) == ["several-previous"]
    assert "id-1, id-2" in (error.value.findings[0].hint or "")


def test_a_rename_onto_a_name_that_is_to_be_deleted_is_an_error():
    """Row 4: deletes come last, so the name would be held twice."""
    found = live(live_slack("old", "id-1"), live_slack("Deploys", "id-2", channel="#x"))

    with pytest.raises(ConfigurationError) as error:
        plan(desired(slack(id="id-1")), found, SECRETS)

    assert rules(error) == ["name-held"]


@pytest.mark.parametrize("pins", [("b", "c"), ("b", "a")], ids=["in a row", "a swap"])
def test_a_name_that_another_rename_gives_up_is_not_free_yet(pins: tuple[str, str]):
    """Row 4: by `--only` the other rename goes first."""
    found = live(live_slack("a", "id-1"), live_slack("b", "id-2"))
    declared = desired(slack(pins[0], id="id-1"), slack(pins[1], id="id-2"))

    with pytest.raises(ConfigurationError) as error:
        plan(declared, found, SECRETS)

    assert set(rules(error)) == {"name-held"}


def test_a_name_that_a_rename_gives_up_is_created_in_the_next_apply():
    """Row 4: else a failed rename would leave two webhooks of the name."""
    declared = desired(slack("b", id="id-1"), slack("a"))

    with pytest.raises(ConfigurationError) as error:
        plan(declared, live(live_slack("a", "id-1")), SECRETS)
    first = plan(declared, live(live_slack("a", "id-1")), SECRETS, PlanOptions(only=("b",)))
    then = plan(declared, live(live_slack("b", "id-1")), SECRETS)

    assert rules(error) == ["name-held"]
    assert [(type(each), each.name) for each in first.changes] == [(Update, "b")]
    assert [(type(each), each.name) for each in then.changes] == [(Create, "a")]


def test_several_duplicates_count_as_deletes():
    """Row 5: more than one webhook of a name is never deleted without the guards' consent."""
    found = live(*(live_slack(id=f"id-{number}") for number in range(12)))

    result = plan(desired(slack(), prune=False, max_deletes=None), found, SECRETS)

    assert len(result.deletes) == 11
    assert [each.rule for each in result.blocked] == ["too-many-deletes"]


def test_a_single_equal_duplicate_is_deleted():
    """Row 5: whatever `prune`, `protect` and the guards say."""
    found = live(live_slack(id="id-2"), live_slack(id="id-1"))

    result = plan(desired(slack(), prune=False, protect=("*",), max_deletes=0), found, SECRETS)

    assert [(each.before.id, each.reason, each.keeps) for each in result.deletes] == [
        ("id-2", Reason.DUPLICATE, "id-1"),
    ]
    assert result.blocked == ()


def test_different_webhooks_of_one_name_are_kept():
    """Row 5: no guess which one is meant."""
    found = live(live_slack(id="id-1"), live_slack(id="id-2", channel="#x"))

    result = plan(desired(slack()), found, SECRETS)

    assert result.changes == ()
    assert [(each.reason, len(each.webhooks)) for each in result.kept] == [(Reason.AMBIGUOUS, 2)]


def test_pinning_an_id_settles_an_ambiguous_name():
    """Row 5: the pinned one is managed, the other stays and is shown."""
    found = live(live_slack(id="id-1"), live_slack(id="id-2", channel="#x"))

    result = plan(desired(slack(id="id-2")), found, SECRETS)

    assert [each.before.id for each in result.updates] == ["id-2"]
    assert [each.webhooks[0].id for each in result.kept] == ["id-1"]


def test_an_equal_copy_of_a_pinned_webhook_goes():
    """Row 5: the pinned one stays, whichever id is smaller."""
    found = live(live_slack(id="id-1"), live_slack(id="id-2"))

    result = plan(desired(slack(id="id-2")), found, SECRETS)

    assert [(each.before.id, each.keeps) for each in result.deletes] == [("id-1", "id-2")]


@pytest.mark.parametrize("first", [0, 1])
def test_a_duplicate_of_any_of_several_pinned_webhooks_goes(first: int):
    """Whichever of the entries that share the name comes first."""
    found = live(
        live_slack(id="id-1"),
        live_slack(id="id-2", channel="#x"),
        live_slack(id="id-3", channel="#x"),
    )
    entries = (slack(id="id-1"), slack(id="id-2", channel="#x"))

    result = plan(desired(entries[first], entries[1 - first]), found, SECRETS)

    assert [(each.before.id, each.keeps) for each in result.deletes] == [("id-3", "id-2")]


def test_several_pinned_ids_may_share_a_name():
    """Row 3: keys are ids, so both are managed."""
    found = live(live_slack(id="id-1"), live_slack(id="id-2", channel="#x"))

    result = plan(desired(slack(id="id-1"), slack(id="id-2", channel="#x")), found, SECRETS)

    assert (result.changes, len(result.matched)) == ((), 2)


def test_an_undeclared_webhook_in_scope_is_deleted():
    """Row 6."""
    found = live(live_slack(), live_slack("gone", "id-2"), live_slack("also", "id-3"))

    result = plan(desired(slack()), found, SECRETS)

    assert [(each.name, each.reason) for each in result.deletes] == [
        ("also", Reason.NOT_DECLARED),
        ("gone", Reason.NOT_DECLARED),
    ]


def test_a_protected_undeclared_webhook_is_kept():
    """Row 6: with the line that protects it."""
    result = plan(
        desired(slack(), protect=("prod-*",)), live(live_slack("prod-1", "id-2")), SECRETS
    )

    assert result.deletes == ()
    assert [(each.reason, each.position and each.position.line) for each in result.kept] == [
        (Reason.PROTECTED, 7)
    ]


@pytest.mark.parametrize(
    ("declaration", "options", "reason"),
    [
        (desired(slack(), prune=False), PlanOptions(), Reason.PRUNE_OFF),
        (desired(slack()), PlanOptions(prune=False), Reason.PRUNE_OFF),
        (desired(slack(), scope=("Dep*",)), PlanOptions(), Reason.OUT_OF_SCOPE),
    ],
    ids=["prune false", "no-prune", "out of scope"],
)
def test_everything_else_is_unmanaged(declaration: Desired, options: PlanOptions, reason: Reason):
    """Row 7."""
    result = plan(declaration, live(live_slack(), live_slack("other", "id-2")), SECRETS, options)

    assert [(each.name, each.reason) for each in result.unmanaged] == [("other", reason)]


def test_the_scope_of_one_pruning_file_is_enough():
    """Two files may be responsible for a name; one that prunes decides."""
    policy = Policy(
        scopes=(FileScope(file="a", prune=False), FileScope(file="b", globs=("t-*",))),
        max_deletes=10,
    )

    result = plan(
        Desired(webhooks=(slack(),), policy=policy),
        live(live_slack(), live_slack("t-1", "id-2"), live_slack("u-1", "id-3")),
        SECRETS,
    )

    assert [each.name for each in result.deletes] == ["t-1"]
    assert [each.name for each in result.unmanaged] == ["u-1"]


def test_only_filters_by_live_and_declared_name():
    """A rename is selected by either of its names; everything else is out of sight."""
    found = live(live_slack("old", "id-1"), live_slack("other", "id-2"))
    declaration = desired(slack(previously=("old",)), slack("New"))

    for glob in ("old", "Deploys"):
        result = plan(declaration, found, SECRETS, PlanOptions(only=(glob,)))

        assert [(each.name, type(each)) for each in result.changes] == [("Deploys", Update)]


@pytest.mark.parametrize("name", ["hook", "HOOK", " Hook"])
def test_only_deletes_nothing_that_may_be_what_it_leaves_out(name: str):
    """A server may keep a declared webhook under another spelling of its name."""
    declaration, found = desired(slack("Hook")), live(live_slack(name, "id-1"))
    whole = plan(declaration, found, SECRETS)
    assert [(type(each), each.name) for each in whole.changes] == [(Create, "Hook"), (Delete, name)]
    assert plan(declaration, found, SECRETS, PlanOptions(only=(name,))).changes == ()
    both = live(live_slack("Hook", "id-2"), live_slack(name, "id-1"))
    [delete] = plan(declaration, both, SECRETS, PlanOptions(only=(name,))).changes
    assert isinstance(delete, Delete)
    other = live(live_slack("other", "id-3"))
    [delete] = plan(declaration, other, SECRETS, PlanOptions(only=("other",))).changes
    assert isinstance(delete, Delete)


def test_only_is_silent_about_the_other_entries():
    """What is wrong with an entry that is not selected stops nobody."""
    found = live(live_slack("was", "id-1"), live_slack("was", "id-2"), live_slack("x", "id-3"))
    declaration = desired(slack("now", previously=("was",)), slack("x"), slack("pin", id="id-9"))
    part = plan(declaration, found, SECRETS, PlanOptions(only=("x",)))
    assert (part.changes, part.kept, part.in_scope) == ((), (), 1)
    with pytest.raises(ConfigurationError):
        plan(declaration, found, SECRETS, PlanOptions(only=("was",)))


def test_only_by_id_selects_by_the_live_name():
    """An entry pinned by id is selected by the name its webhook bears now."""
    found = live(live_slack("old", "id-1"), live_slack("other", "id-2"))

    result = plan(desired(slack(id="id-1")), found, SECRETS, PlanOptions(only=("old",)))

    assert [each.name for each in result.changes] == ["Deploys"]


def test_a_delete_and_a_create_alike_get_a_rename_hint():
    """The line to add is spelled out, whatever the old name looks like."""
    found = live(live_slack("yes: #x", "id-1"), live_slack("Other", "id-2", channel="#o"))

    result = plan(desired(slack(), slack("Other", channel="#o")), found, SECRETS)

    (note,) = [note for note in result.notes if note.rule == "looks-like-rename"]
    assert 'previously: ["yes: #x"]' in (note.hint or "")


def test_changes_stand_in_the_order_in_which_they_are_carried_out():
    """Updates, creates, deletes; deletes last."""
    found = live(live_slack("B", "id-1", channel="#x"), live_slack("A", "id-2"))

    result = plan(desired(slack("C"), slack("B")), found, SECRETS)

    assert [type(each) for each in result.changes] == [Update, Create, Delete]


@pytest.mark.parametrize(
    ("declared", "found", "unapplied"),
    [
        (desired(slack()), (STRANGE,), 1),
        (desired(slack()), (STRANGE, live_slack(id="id-2")), 0),
        (desired(slack(id="id-7")), (STRANGE,), 1),
        (desired(absent=(Absent(name="Deploys"),)), (STRANGE,), 1),
        (desired(), (STRANGE,), 0),
        (desired(slack()), (live_slack(id="id-1"), live_slack(id="id-2", channel="#x")), 1),
        (desired(slack(id="id-1")), (live_slack(), live_slack(id="id-2", channel="#x")), 0),
        (desired(protect=("*",)), (live_slack(),), 0),
    ],
)
def test_what_keeps_a_declaration_from_being_applied(
    declared: Desired, found: tuple[LiveWebhook, ...], unapplied: int
):
    """What is kept counts only where a declaration is not carried out because of it."""
    made = plan(declared, live(*found), SECRETS, PlanOptions(prune=True))

    assert made.kept
    assert len(made.unapplied) == unapplied
