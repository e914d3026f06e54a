"""Each row of the decision table for live webhooks."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.kinds.events import EVENT_TYPES
from reconciler.model import Absent, Desired, FileScope, LiveWebhook, Policy
from reconciler.planning.drift import ManagementStatus, statuses
from reconciler.planning.names import MAX_NORMALIZED_LENGTH, lookalike_key
from reconciler.planning.plan import Create, Delete, Plan, Reason, Update
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import SECRETS, desired, live, live_slack, make_plan, slack, unshown

STRANGE = LiveWebhook(
    id="id-7", name="Deploys", type="teams", event_types=frozenset(), configuration={"card": "x"}
)


def rules(error: pytest.ExceptionInfo[ConfigurationError]) -> list[str]:
    return [finding.rule for finding in error.value.findings]


def decisions(result: Plan) -> list[str]:
    """Return the decision about each webhook, one per line."""
    lines: list[str] = []
    for each in result.operations:
        match each:
            case Create():
                lines.append(f"create {each.name}")
            case Update():
                lines.append(f"update {each.before.id} {each.name} ({each.reason})")
            case Delete():
                keeps = f", {each.kept_id} stays" if each.kept_id else ""
                lines.append(f"delete {each.before.id} ({each.reason}{keeps})")
    lines += [f"match {each}" for each in result.matched]
    for kept in result.kept:
        why = f"{kept.reason} {kept.detail}".strip() + ", not applied" * kept.unapplied
        lines.append(f"keep {' '.join(each.id for each in kept.webhooks)} ({why})")
    lines += [f"unmanaged {each.webhooks[0].id} ({each.reason})" for each in result.unmanaged]
    lines += [f"ignored {result.counts.ignored}"] * bool(result.counts.ignored)
    return lines + [each.rule for each in result.notes]


def one(name: str = "Deploys", id: str = "1", **more: Any) -> LiveWebhook:
    return live_slack(name, id, **more)


NEW_EVENT = one(events=("value_created", "tag_created"))
TWO_SCOPES = Policy(
    scopes=(FileScope(file="a", prune=False), FileScope(file="b", globs=("t-*",))), max_deletes=10
)


@pytest.mark.parametrize(
    ("declared", "found", "lines"),
    [
        # Declared, live or not
        (desired(slack()), [one()], ["match 1"]),
        (desired(slack()), [one(channel="deploys")], ["match 1"]),
        (desired(slack()), [], ["create Deploys"]),
        (
            desired(slack("C", channel="#c"), slack("B")),
            [one("B", "1", channel="#x"), one("A", "2")],
            ["update 1 B (differs)", "create C", "delete 2 (not-declared)"],
        ),
        # Row 1
        (desired(slack("x"), ignore=("m-*",)), [one("m-1")], ["create x", "ignored 1"]),
        (
            desired(slack(), ignore=("Dep*",)),
            [one(channel="#hotfix")],
            ["ignored 1", "ignored-and-declared"],
        ),
        (desired(slack(), ignore=("Deploys",)), [], ["ignored-and-declared"]),
        (
            desired(ignore=("a-*", "b-*")),
            [one("a-1"), one("b-2", "2"), one("z", "3")],
            ["delete 3 (not-declared)", "ignored 2"],
        ),
        (
            desired(slack(id="1"), ignore=("m-*",)),
            [one("m-1")],
            ["ignored 1", "ignored-and-declared"],
        ),
        (
            desired(slack("m-1", previously=("Deploys",)), ignore=("m-*",)),
            [one()],
            ["ignored 1", "ignored-and-declared"],
        ),
        # Row 2
        (desired(slack()), [STRANGE], ["keep id-7 (unknown-type teams, not applied)"]),
        (desired(slack()), [STRANGE, one()], ["match 1", "keep id-7 (unknown-type teams)"]),
        (desired(slack(id="id-7")), [STRANGE], ["keep id-7 (unknown-type teams, not applied)"]),
        (
            desired(absent=(Absent(name="Deploys"),)),
            [STRANGE],
            ["keep id-7 (unknown-type teams, not applied)"],
        ),
        (desired(slack("X")), [STRANGE], ["create X", "keep id-7 (unknown-type teams)"]),
        (desired(slack()), [NEW_EVENT], ["keep 1 (unknown-event tag_created, not applied)"]),
        (desired(), [one(events=EVENT_TYPES)], ["delete 1 (not-declared)"]),
        # Row 3, by id
        (desired(slack(id="gone")), [one()], ["match 1", "unknown-id"]),
        (desired(slack(id="gone")), [], ["create Deploys", "unknown-id"]),
        (
            desired(slack(id="gone", previously=("old",))),
            [one("old")],
            ["update 1 Deploys (renamed)", "unknown-id"],
        ),
        (
            desired(slack(id="1"), slack(id="2", channel="#x")),
            [one(), one(id="2", channel="#x")],
            ["match 1", "match 2"],
        ),
        (
            desired(slack(id="gone"), slack(id="lost")),
            [STRANGE],
            [
                "keep id-7 (ambiguous or their destinations are hidden, not applied)",
                "unknown-id",
                "unknown-id",
            ],
        ),
        # Row 3, absent
        (
            desired(slack(), absent=(Absent(name="tmp"),), prune=False),
            [one(), one("tmp", "2"), one("other", "3")],
            ["delete 2 (absent)", "match 1", "unmanaged 3 (prune-off)"],
        ),
        (desired(slack(), absent=(Absent(name="tmp"),)), [one()], ["match 1"]),
        (desired(slack(), absent=(Absent(name="tmp", id="gone"),)), [one()], ["match 1"]),
        (
            desired(
                slack("Other"),
                absent=(Absent(name="x"), Absent(name="Deploys", id="gone")),
                prune=False,
            ),
            [one("Other"), one("Deploys", "2")],
            ["match 1", "unmanaged 2 (prune-off)", "unknown-id"],
        ),
        # Row 4
        (
            desired(slack(previously=("old",))),
            [one("old")],
            ["update 1 Deploys (renamed)"],
        ),
        (
            desired(slack(previously=("old",))),
            [one(), one("old", "2")],
            ["delete 2 (not-declared)", "match 1", "previously-unused"],
        ),
        (
            desired(slack(), slack("B", previously=("Deploys",))),
            [one()],
            ["create B", "match 1"],
        ),
        # Row 5
        (
            desired(slack()),
            [one(), one(id="2", channel="#x")],
            ["keep 1 2 (ambiguous, not applied)"],
        ),
        *(
            (desired(slack()), [one(), other], [f"keep 1 2 (ambiguous{detail}, not applied)"])
            for other, detail in (
                (unshown(one(id="2")), " or their destinations are hidden"),
                (one(id="2", token="enc:abcd"), ""),
            )
        ),
        (
            desired(slack(id="2")),
            [one(), one(id="2", channel="#x")],
            ["update 2 Deploys (differs)", "keep 1 (ambiguous)"],
        ),
        (
            desired(slack(id="2")),
            [one(), one(id="2")],
            ["delete 1 (duplicate, 2 stays)", "match 2"],
        ),
        *(
            (
                desired(*entries),
                [one(), one(id="2", channel="#x"), one(id="3", channel="#x")],
                ["delete 3 (duplicate, 2 stays)", "match 1", "match 2"],
            )
            for entries in permutations((slack(id="1"), slack(id="2", channel="#x")))
        ),
        (
            desired(slack(), prune=False, protect=("*",), max_deletes=0),
            [one(id="2"), one()],
            ["delete 2 (duplicate, 1 stays)", "match 1"],
        ),
        # Rows 6 and 7
        (
            desired(slack()),
            [one(), one("gone", "2"), one("also", "3")],
            ["delete 3 (not-declared)", "delete 2 (not-declared)", "match 1"],
        ),
        (
            desired(slack(), protect=("prod-*",)),
            [one(), one("prod-1", "2")],
            ["match 1", "keep 2 (protected)"],
        ),
        (
            desired(slack(), prune=False),
            [one(), one("other", "2")],
            ["match 1", "unmanaged 2 (prune-off)"],
        ),
        (
            desired(slack(), scope=("Dep*",)),
            [one(), one("other", "2")],
            ["match 1", "unmanaged 2 (out-of-scope)"],
        ),
        (
            Desired(webhooks=(slack(),), policy=TWO_SCOPES),
            [one(), one("t-1", "2"), one("u-1", "3")],
            ["delete 2 (not-declared)", "match 1", "unmanaged 3 (prune-off)"],
        ),
    ],
)
def test_the_table(declared: Desired, found: list[LiveWebhook], lines: list[str]) -> None:
    """Each row gives the operation or status of each webhook, and the warnings."""
    assert decisions(make_plan(declared, *found)) == lines


@pytest.mark.parametrize(
    ("declared", "found", "options", "lines"),
    [
        (
            desired(slack()),
            [one(), one("other", "2")],
            PlanOptions(prune=False),
            ["match 1", "unmanaged 2 (prune-off)"],
        ),
        (
            desired(slack(), absent=(Absent(name="tmp"),)),
            [one(), one("tmp", "2")],
            PlanOptions(prune=False),
            ["delete 2 (absent)", "match 1"],
        ),
        *(
            (
                desired(slack(previously=("old",)), slack("New")),
                [one("old"), one("other", "2")],
                PlanOptions(only=(glob,)),
                ["update 1 Deploys (renamed)"],
            )
            for glob in ("old", "Deploys")
        ),
        (
            desired(slack(id="1")),
            [one("old"), one("other", "2")],
            PlanOptions(only=("old",)),
            ["update 1 Deploys (renamed)"],
        ),
        (
            desired(slack("b-x", id="1"), slack("b-a"), scope=("b-*",)),
            [one("a-x")],
            PlanOptions(only=("b-a",)),
            ["create b-a"],
        ),
    ],
)
def test_the_table_with_options(
    declared: Desired, found: list[LiveWebhook], options: PlanOptions, lines: list[str]
) -> None:
    """`--only` matches declared and live names; `--no-prune` keeps undeclared webhooks."""
    assert decisions(plan(declared, live(*found), SECRETS, options)) == lines


def test_an_ignored_webhook_is_not_counted_in_scope() -> None:
    """Row 1: an ignored webhook does not relax the guard on half of the webhooks in scope."""
    found = live(live_slack("manual-1", "id-1"), live_slack("Other", "id-2"))

    result = make_plan(desired(slack(id="id-1"), ignore=("manual-*",)), found)

    assert (result.counts.ignored, result.counts.in_scope) == (1, 1)


def test_deleting_one_of_two_pinned_webhooks_plans_to_create_it() -> None:
    """An export pins webhooks that share a name; the remaining one never changes."""
    declared = desired(slack(id="id-1"), slack(id="id-2", channel="#x"))

    drifted = make_plan(declared, live_slack(id="id-1"))
    again = make_plan(declared, live_slack(id="id-1"), live_slack(id="id-9", channel="#x"))

    assert [(each.name, each.after.configuration["channel"]) for each in drifted.creates] == [
        ("Deploys", "#x")
    ]
    assert len(drifted.operations) == 1
    assert (again.operations, len(again.matched)) == ((), 2)


PINNED = (
    slack(id="id-1"),
    slack(id="id-2", line=2),
    slack(id="id-3", channel="#third", line=3),
)


def test_webhooks_that_share_a_name_are_created_one_in_each_apply() -> None:
    """Each apply can then identify its new webhook; equal webhooks are not duplicates."""
    declared = desired(*PINNED)
    found = [live_slack(id="id-1")]
    for nth, left in (("id-4", ["id-3"]), ("id-5", [])):
        result = make_plan(declared, *found)
        (create,) = result.operations
        assert isinstance(create, Create)
        later = [(each.webhooks[0].id, each.position) for each in result.unapplied]
        assert later == [(id_, PINNED[2].position) for id_ in left]
        assert {each.reason for each in result.kept} <= {Reason.LATER}
        assert make_plan(declared, *found, only=("other",)).kept == ()
        missing = [
            each
            for each in statuses(live(*found), result)
            if each.state is ManagementStatus.MISSING
        ]
        assert len(missing) == len(left) + 1
        found.append(live_slack(id=nth, channel=str(create.after.configuration["channel"])))

    end = make_plan(declared, *found)

    assert (end.operations, end.kept, len(end.matched)) == ((), (), 3)


def test_a_webhook_that_may_have_the_missing_id_is_kept() -> None:
    """Only a webhook equal to the declaration is recognized; others of its name block a create."""
    found = live(live_slack(id="id-1"), live_slack(id="id-9", channel="#manual"))

    result = make_plan(desired(*PINNED), found)

    assert result.operations == ()
    assert [(each.reason, each.webhooks[0].id, each.position) for each in result.kept] == [
        (Reason.AMBIGUOUS, "id-9", PINNED[1].position)
    ]
    assert result.unapplied
    assert make_plan(desired(*PINNED), *found.webhooks[1:]).counts.any_declared_live


def test_each_file_has_its_own_scope() -> None:
    """A live name in the scope of another file is still outside."""
    scopes = (
        FileScope(file="webhooks.yaml", globs=("b-*",)),
        FileScope(file="other.yaml", globs=("a-*",)),
    )
    declared = Desired(webhooks=(slack("b-x", id="id-1"),), policy=Policy(scopes=scopes))

    with pytest.raises(ConfigurationError) as error:
        make_plan(declared, live_slack("a-x"))

    assert rules(error) == ["live-out-of-scope"]


def test_an_absent_entry_outside_its_scope_has_one_error() -> None:
    """The other rules for a webhook to delete do not apply."""
    entry = Absent(name="b-x", id="id-1", file="webhooks.yaml")
    declared = desired(absent=(entry,), scope=("b-*",), protect=("a-*",))
    with pytest.raises(ConfigurationError) as error:
        make_plan(declared, live_slack("a-x"))
    assert rules(error) == ["live-out-of-scope"]


def test_an_entry_needs_adopt_outside_its_scope() -> None:
    """An id or a previous name needs `adopt`."""
    outside = live(live_slack("a-x", "id-1"))
    for way in ({"id": "id-1"}, {"previously": ("a-x",)}):
        with pytest.raises(ConfigurationError) as error:
            make_plan(desired(slack("b-x", **way), scope=("b-*",)), outside)
        assert rules(error) == ["live-out-of-scope"]

        adopted = make_plan(desired(slack("b-x", adopt=True, **way), scope=("b-*",)), outside)
        assert [(each.name, each.reason) for each in adopted.updates] == [("b-x", Reason.ADOPTED)]


def test_a_name_freed_by_a_rename_is_created_in_the_next_apply() -> None:
    """Row 4: otherwise a failed rename would leave two webhooks with the name."""
    declared = desired(slack("b", id="id-1"), slack("a"))

    with pytest.raises(ConfigurationError) as error:
        make_plan(declared, live_slack("a", "id-1"))
    first = make_plan(declared, live_slack("a", "id-1"), only=("b",))
    then = make_plan(declared, live_slack("b", "id-1"))

    assert rules(error) == ["name-taken"]
    assert [(type(each), each.name) for each in first.operations] == [(Update, "b")]
    assert [(type(each), each.name) for each in then.operations] == [(Create, "a")]


@pytest.mark.parametrize(
    ("names", "advice"),
    [("ab ba", "`name: b-temporary`"), ("ab bc ca", "`name: b-temporary`"), ("ab bc", "--only c")],
)
def test_exchanged_names_need_a_temporary_one(names: str, advice: str) -> None:
    """No order of applies frees one of the names, so the advice is another one."""
    pairs = names.split()
    found = [live_slack(old, f"id-{old}") for old, _ in pairs]
    declared = desired(*(slack(new, id=f"id-{old}") for old, new in pairs))
    with pytest.raises(ConfigurationError) as error:
        make_plan(declared, *found)
    first = min(error.value.findings, key=lambda finding: finding.message)
    assert advice in str(first.hint)


@pytest.mark.parametrize("name", ["hook", "HOOK", " Hook"])
def test_only_does_not_delete_a_possible_match_of_an_unselected_entry(name: str) -> None:
    """A server may store a declared webhook under another spelling of its name."""
    declaration, found = desired(slack("Hook")), live(live_slack(name, "id-1"))
    complete = make_plan(declaration, found)
    assert [(type(each), each.name) for each in complete.operations] == [
        (Create, "Hook"),
        (Delete, name),
    ]
    assert make_plan(declaration, found, only=(name,)).operations == ()
    both = live(live_slack("Hook", "id-2"), live_slack(name, "id-1"))
    [delete] = make_plan(declaration, both, only=(name,)).operations
    assert isinstance(delete, Delete)
    other = live(live_slack(name, "id-1"), live_slack("other", "id-3"))
    [delete] = make_plan(declaration, other, only=(name, "other")).operations
    assert (type(delete), delete.name) == (Delete, "other")


@pytest.mark.parametrize(("length", "alike"), [(MAX_NORMALIZED_LENGTH, True), (1001, False)])
def test_the_letters_of_very_long_names_are_not_compared(length: int, alike: bool) -> None:
    """That would take quadratic time."""
    cyrillic, latin = (lookalike_key(letter * length) for letter in ("\u0430", "a"))
    assert (cyrillic == latin) is alike


def test_only_ignores_errors_of_other_entries() -> None:
    """An error in an unselected entry does not stop the plan."""
    found = live(live_slack("was", "id-1"), live_slack("was", "id-2"), live_slack("x", "id-3"))
    declaration = desired(slack("now", previously=("was",)), slack("x"), slack("pin", id="id-9"))
    part = make_plan(declaration, found, only=("x",))
    assert (part.operations, part.kept, part.counts.in_scope) == ((), (), 1)
    with pytest.raises(ConfigurationError):
        make_plan(declaration, found, only=("was",))
