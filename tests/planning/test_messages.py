"""The findings of planning, word by word, with the line of the file that each points at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, Position, Related, Severity
from reconciler.model import (
    Absent,
    Desired,
    FileScope,
    LiveWebhook,
    Pattern,
    Policy,
    Scheme,
    SecretRef,
)
from reconciler.planning.guards import relaxed
from tests.planning.builders import (
    desired,
    generic,
    guarded,
    live_generic,
    live_slack,
    made,
    slack,
)

FILE = "webhooks.yaml"


def at(line: int) -> Position:
    return Position(file=FILE, line=line)


def strange(name: str, id: str) -> LiveWebhook:
    return LiveWebhook(id=id, name=name, type="teams", event_types=frozenset(), configuration={})


def absent(name: str, line: int, id: str | None = None) -> Absent:
    return Absent(name=name, id=id, position=at(line))


def refused(declaration: Desired, *found: LiveWebhook) -> list[Finding]:
    with pytest.raises(ConfigurationError) as caught:
        made(declaration, *found)
    assert str(caught.value) == "the configuration conflicts with the live webhooks"
    return list(caught.value.findings)


def error(rule: str, line: int, message: str, hint: str, *related: Related) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        position=at(line),
        hint=hint,
        related=related,
    )


# Errors: refused rows of the table


def test_several_live_previous_names_are_all_named():
    """Only live ones can be meant."""
    declaration = desired(slack("new", previously=("a", "b", "c"), line=4))
    assert refused(declaration, live_slack("a", "1"), live_slack("c", "2")) == [
        error(
            "several-previous",
            4,
            "'new' would be renamed from more than one live webhook: 'a', 'c'",
            "keep only one of them in `previously`",
        )
    ]


def test_a_previous_name_of_several_webhooks_lists_their_ids():
    """Pinning one of them is the fix."""
    declaration = desired(slack("new", previously=("a",), line=4))
    assert refused(declaration, live_slack("a", "2"), live_slack("a", "1")) == [
        error(
            "several-previous",
            4,
            "2 live webhooks are named 'a'",
            "set `id` to the intended one: 1, 2",
        )
    ]


@pytest.mark.parametrize(
    ("pruned", "why"), [(True, "is deleted only at the end"), (False, "is kept")]
)
def test_a_name_in_use_is_reported_with_its_webhook(pruned: bool, why: str):
    """That webhook is deleted later, or not at all."""
    declaration = desired(slack("new", id="1", line=5), prune=pruned)
    found = (live_slack("old", "1"), live_slack("new", "2", channel="#x"))
    if pruned:
        declaration = replace(declaration, absent=(absent("new", 9, id="2"),))
    assert refused(declaration, *found) == [
        error(
            "name-held",
            5,
            f"'old' cannot become 'new': another webhook of that name {why}",
            "delete or rename it in an earlier apply, or choose another name",
        )
    ]


def test_a_name_freed_by_a_rename_is_reported_at_each_entry():
    """The hint has the command that frees it."""
    declaration = desired(slack("b", id="1", line=1), slack("c d", id="2", line=2), slack("a"))
    found = (live_slack("a", "1"), live_slack("b", "2"))
    assert refused(declaration, *found) == [
        error(
            "name-held",
            1,
            "'a' cannot become 'b': another webhook of that name becomes 'c d' in this plan",
            "use two applies: the first with --only 'c d'",
        ),
        error(
            "name-held",
            1,
            "cannot create 'a': another webhook of that name becomes 'b' in this plan",
            "use two applies: the first with --only b",
        ),
    ]


def test_an_absent_and_protected_webhook_is_reported_with_both_lines():
    """One of them is wrong."""
    declaration = desired(absent=(absent("prod-1", 6),), protect=("prod-*",))
    assert refused(declaration, live_slack("prod-1", "1")) == [
        error(
            "absent-and-protected",
            6,
            "'prod-1' is both declared absent and protected",
            "remove it from `protect`, or remove this entry",
            Related(message="matched by 'prod-*'", position=at(7)),
        )
    ]


# Warnings and notes


@pytest.mark.parametrize(
    ("glob", "id"), [("Dep*", None), ("manual-*", "1")], ids=["declared name", "live name"]
)
def test_a_declared_and_ignored_webhook_is_reported_with_both_lines(glob: str, id: str | None):
    """It is, whichever of its names is ignored."""
    declaration = desired(slack(id=id, line=3))
    ignoring = Pattern(glob=glob, position=at(11))
    policy = replace(declaration.policy, ignore=(Pattern(glob="other"), ignoring))
    result = made(replace(declaration, policy=policy), live_slack("manual-1", "1"))
    assert result.notes == (
        Finding(
            rule="ignored-and-declared",
            severity=Severity.WARNING,
            message="'Deploys' is declared but also ignored, so it is not changed",
            position=at(3),
            hint="remove it from `ignore` to manage it",
            related=(Related(message=f"matched by {glob!r}", position=at(11)),),
        ),
    )


def test_an_unused_previous_name_is_a_warning():
    """One warning for each such name that is live."""
    declaration = desired(slack(previously=("gone", "old"), line=3))
    result = made(declaration, live_slack(), live_slack("old", "2"))
    assert result.notes == (
        Finding(
            rule="previously-inert",
            severity=Severity.NOTE,
            message="'Deploys' already exists, so `previously: old` has no effect",
            position=at(3),
            hint="remove `previously`",
        ),
    )


def test_a_delete_and_a_create_like_a_rename_are_a_hint():
    """The hint has the line to add, as valid YAML."""
    declaration = desired(slack("new: one", line=3))
    result = made(declaration, live_slack("früher", "1"))
    assert result.notes == (
        Finding(
            rule="looks-like-rename",
            severity=Severity.NOTE,
            message="deleting 'früher' and creating 'new: one' looks like a rename",
            position=at(3),
            hint="to rename in place, add to 'new: one': previously: [\"früher\"]",
        ),
    )


def test_a_glob_of_only_that_matches_nothing_is_reported_once():
    """It is reported once however often it is given, with similar names."""
    result = made(desired(slack()), live_slack(), only=("deploys", "deploys", "Deploys"))
    assert result.notes == (
        Finding(
            rule="only-matches-nothing",
            severity=Severity.WARNING,
            message="--only 'deploys' matches no declared or live webhook",
            hint="a glob must match the whole name, and case matters (`team-*`, not `team`); "
            "`webhooks status` lists them",
        ),
    )


def test_a_resend_of_an_undeclared_secret_is_an_error():
    """One error for each request."""
    with pytest.raises(ConfigurationError) as caught:
        made(desired(slack()), live_slack(), resend=("SLAK", "Deploy", "Deploys"))
    assert list(caught.value.findings) == [
        Finding(
            rule="unknown-resend",
            severity=Severity.ERROR,
            message=f"--resend-secret {name!r} matches no declared secret reference "
            "and no declared webhook that has one",
            hint="give a reference such as env:SLACK_BOT_TOKEN, or the name of a webhook",
        )
        for name in ("Deploy", "SLAK")
    ]


@pytest.mark.parametrize(
    ("before", "now", "limit"),
    [
        (1, 2, "changes from 1 to 2"),
        (1, None, "changes from 1 to the built-in limit"),
        (None, 9, "is now 9"),
    ],
)
def test_everything_that_relaxes_a_policy_is_listed(
    before: int | None, now: int | None, limit: str
):
    """Line by line; a new file relaxes nothing, and an unchanged one hides nothing."""
    old = Policy(
        scopes=(
            FileScope(file="a.yaml", globs=("a-*",), prune=False),
            FileScope(file="same.yaml"),
            FileScope(file="c.yaml", globs=("c-*",)),
        ),
        protect=(Pattern(glob="p"), Pattern(glob="kept")),
        ignore=(Pattern(glob="i"), Pattern(glob="held")),
        max_deletes=before,
    )
    new = Policy(
        scopes=(
            FileScope(file="a.yaml", globs=("a-*",)),
            FileScope(file="new.yaml"),
            FileScope(file="same.yaml"),
            FileScope(file="c.yaml", globs=("c-*", "d-*", "b-*")),
        ),
        protect=(Pattern(glob="kept"),),
        ignore=(Pattern(glob="held"),),
        max_deletes=now,
    )
    base = Desired(policy=old, organization="Acme")
    assert [
        (each.rule, each.severity, each.message) for each in relaxed(base, Desired(policy=new))
    ] == [
        (rule, Severity.WARNING, message)
        for rule, message in (
            ("relaxed-protect", "protect no longer covers 'p'"),
            ("relaxed-ignore", "ignore no longer covers 'i'"),
            ("relaxed-prune", "a.yaml now deletes undeclared webhooks"),
            ("relaxed-scope", "the scope of c.yaml now includes 'b-*'"),
            ("relaxed-scope", "the scope of c.yaml now includes 'd-*'"),
            ("relaxed-limits", f"limits.max_deletes {limit}"),
            ("relaxed-organization", "`organization` was removed: any key is accepted"),
        )
    ]


# Positions


def test_an_unknown_event_points_at_the_entry_of_the_webhook():
    """By name, by id, as another webhook of the name, or as absent; otherwise at no line."""
    declaration = desired(
        slack("a", line=1),
        slack("b", id="2", line=2),
        slack("c", id="3", line=3),
        absent=(absent("d", 4),),
    )
    result = made(
        declaration,
        strange("a", "1"),
        strange("b", "2"),
        live_slack("c", "3"),
        strange("c", "4"),
        strange("d", "5"),
        strange("e", "6"),
    )
    assert result.operations == ()
    assert [(each.webhooks[0].id, each.position) for each in result.kept] == [
        ("1", at(1)),
        ("2", at(2)),
        ("4", at(3)),
        ("5", at(4)),
        ("6", None),
    ]


def test_several_with_unknown_events_point_at_their_declaration():
    """They also show that the configuration is for this organization."""
    declaration = desired(slack("a", line=3))
    result = made(declaration, strange("a", "1"), strange("a", "2"), live_slack("z", "3"))
    assert [(each.webhooks[0].id, each.position) for each in result.kept] == [
        ("1", at(3)),
        ("2", at(3)),
    ]
    assert (len(result.deletes), result.blocked) == (1, ())


def test_a_removed_secret_that_is_unreadable_is_a_warning():
    """The hint has the way to remove it surely."""
    base = desired(generic(token=SecretRef(scheme=Scheme.ENV, name="BEARER")))
    result = made(desired(generic()), live_generic(), previous=base)
    assert result.notes == (
        Finding(
            rule="dropped-unseen",
            severity=Severity.NOTE,
            message="token of 'Pager' is no longer declared; the server does not show "
            "whether it is still set",
            position=at(1),
            hint="the next change of the configuration removes it; "
            "or delete the webhook with `state: absent`, then declare it again",
        ),
    )


# Guards


def test_a_live_absent_webhook_identifies_the_organization():
    """It does however many others are gone already, or declared as well."""
    away = (absent("a", 1), absent("b", 2))
    assert made(desired(absent=away), live_slack("a", "1"), live_slack("z", "2")).blocked == ()
    declaration = desired(slack(), absent=(absent("a", 1),))
    assert made(declaration, live_slack(), live_slack("a", "2")).blocked == ()


@pytest.mark.parametrize(
    ("numbers", "message", "hint"),
    [
        (
            {"deletes": 1, "max_deletes": 0},
            "1 webhook would be deleted; limits.max_deletes is 0",
            "if this is intended, add --allow-deletes 1",
        ),
        (
            {"deletes": 6},
            "6 webhooks would be deleted, more than 5",
            "if this is intended, add --allow-deletes 6, or set limits.max_deletes in the file",
        ),
        (
            {"deletes": 2, "in_scope": 3},
            "2 webhooks would be deleted, more than half of the 3 in scope",
            "if this is intended, add --allow-deletes 2, or set limits.max_deletes in the file",
        ),
        (
            {"deletes": 5, "in_scope": 9},
            "5 webhooks would be deleted, more than half of the 9 in scope",
            "if this is intended, add --allow-deletes 5, or set limits.max_deletes in the file",
        ),
        (
            {"declared": False, "found": False},
            "no webhooks are declared, but the scope has 20 webhooks",
            "check that the right file was read; if this is intended, add --allow-deletes 0",
        ),
        (
            {"deletes": 1, "found": False},
            "no declared webhook is live, but 1 webhook would be deleted",
            "check that the key belongs to the right organization; "
            "if this is intended, add --allow-deletes 1",
        ),
        (
            {"deletes": 6, "allow_deletes": 5},
            "--allow-deletes is 5, but the plan deletes 6",
            "review the deletes, then use --allow-deletes 6",
        ),
    ],
)
def test_a_guard_has_its_count_and_the_next_step(numbers: dict[str, int], message: str, hint: str):
    """Each guard blocks the plan as an error."""
    (block,) = guarded(**numbers)
    assert (block.severity, block.message, block.hint) == (Severity.ERROR, message, hint)
