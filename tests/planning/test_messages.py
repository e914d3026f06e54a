"""The exact findings of planning, with their positions."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, Position
from reconciler.model import (
    Absent,
    Desired,
    FileScope,
    LiveWebhook,
    Pattern,
    Policy,
    SecretRef,
)
from reconciler.planning.guards import relaxed
from tests.planning.builders import (
    desired,
    generic,
    live_generic,
    live_slack,
    make_plan,
    slack,
)

TWO = desired(slack("b", id="1", line=1), slack("c d", id="2", line=2), slack("a"))
HELD = desired(slack("new", id="1", line=5), prune=False)
BEARER = desired(generic(token=SecretRef(scheme="env", name="BEARER")))


def at(line: int) -> Position:
    return Position(file="f", line=line)


def strange(name: str, id: str) -> LiveWebhook:
    return LiveWebhook(id=id, name=name, type="teams", event_types=frozenset(), configuration={})


def absent(name: str, line: int, id: str | None = None) -> Absent:
    return Absent(name=name, id=id, position=at(line))


def ignoring(glob: str, id: str | None = None) -> Desired:
    found = desired(slack(id=id, line=3))
    patterns = (Pattern(glob="other-*"), Pattern(glob=glob, position=at(11)))
    return found._replace(policy=found.policy._replace(ignore=patterns))


def format_finding(found: Finding) -> list[str]:
    where = "-" if found.position is None else found.position.line
    return [
        f"{where} {found.severity} {found.rule}: {found.message}",
        *(f"  {each.message}, line {each.position.line}" for each in found.related),
        *([f"  {found.hint}"] if found.hint else ()),
    ]


@pytest.mark.parametrize(
    ("declared", "found", "options", "lines"),
    [
        (
            desired(slack("new", previously=("a", "b", "c"), line=4)),
            [live_slack("a", "1"), live_slack("c", "2")],
            {},
            [
                "4 error several-previous: more than one live webhook would be renamed to 'new': "
                "'a' (id 1), 'c' (id 2)",
                "  keep only one name in `previously`, or set `id` to the intended one",
            ],
        ),
        (
            desired(slack("a", id="gone", line=4), slack("a", id="1", channel="#x", line=5)),
            [live_slack("a", "1", channel="#x"), live_slack("a", "2"), live_slack("b", "3")],
            {},
            [
                "4 note unknown-id: no live webhook has the id that 'a' is pinned to",
                "  it is matched by name; remove `id`, or copy it from `webhooks status`",
            ],
        ),
        *(
            (
                HELD._replace(absent=gone),
                [live_slack("old", "1"), live_slack("new", "2", channel="#x")],
                {},
                [
                    "5 error name-taken: 'old' cannot be renamed to 'new': another webhook with "
                    "that name is still live",
                    "  check the `id` of 'new', which is that of 'old'; if the rename is intended, "
                    "delete or rename that one in an earlier apply, or choose another name",
                ],
            )
            for gone in ((absent("new", 9, id="2"),), ())
        ),
        (
            TWO._replace(absent=(absent("a", 9, id="0"),)),
            [live_slack("a", "0"), live_slack("a", "1"), live_slack("b", "2")],
            {},
            [
                "1 error name-taken: 'a' cannot be renamed to 'b': another webhook with that "
                "name is renamed to 'c d' in this plan",
                "  check the `id` of 'b', which is that of 'a'; if the rename is intended, "
                "use two applies: the first with --only 'c d'",
                "1 error name-taken: cannot create 'a': another webhook with that name "
                "is renamed to 'b' in this plan",
                "  check the `id` of 'b', which is that of 'a'; if the rename is intended, "
                "use two applies: the first with --only b",
            ],
        ),
        (
            desired(slack("a"), protect=("tempaltes", "prod-*", "a"), ignore=("gone",)),
            [live_slack("a", "1"), live_slack("templates", "2")],
            {"prune": False},
            [
                "- note unused-pattern: `ignore` has 'gone', which matches no declared or live "
                "webhook",
                "  correct it, or remove it if the webhook is gone; `webhooks status` lists names",
                "7 note unused-pattern: `protect` has 'tempaltes', which matches no declared or "
                "live webhook",
                "  did you mean 'templates'?",
            ],
        ),
        (
            desired(slack("a"), protect=("tmp-*",)),
            [live_slack("a", "1"), live_slack("temp-1", "2")],
            {},
            [
                "7 note unused-pattern: `protect` has 'tmp-*', which matches no declared or live "
                "webhook",
                "  correct it, or remove it if the webhook is gone; `webhooks status` lists names",
            ],
        ),
        (
            desired(absent=(absent("prod-1", 6),), protect=("prod-*",)),
            [live_slack("prod-1", "1")],
            {},
            [
                "6 error absent-and-protected: 'prod-1' is both declared absent and protected",
                "  matched by 'prod-*', line 7",
                "  remove it from `protect`, or remove this entry",
            ],
        ),
        (
            desired(absent=(absent("b-zz", 4, id="id-1"),), scope=("b-*",)),
            [live_slack("a-x", "id-1")],
            {},
            [
                "4 error live-out-of-scope: 'b-zz' would delete 'a-x' (id id-1), which is not in "
                "the scope of this file",
                "  delete it in the file whose scope includes it, or extend `scope`",
            ],
        ),
        *(
            (
                ignoring(glob, pin),
                [live_slack("manual-1", "1")],
                {"prune": False},
                [
                    "3 warning ignored-and-declared: 'Deploys' is declared but also ignored, "
                    "so it is not changed",
                    f"  matched by {glob!r}, line 11",
                    "  remove it from `ignore` to manage it",
                ],
            )
            for glob, pin in (("Dep*", None), ("manual-*", "1"))
        ),
        (
            desired(slack(previously=("gone", "old"), line=3)),
            [live_slack(), live_slack("old", "2")],
            {},
            [
                "3 note previously-unused: 'Deploys' already exists, "
                "so `previously: old` has no effect",
                "  remove `previously`",
            ],
        ),
        (
            desired(slack("new: one", line=3)),
            [live_slack("früher", "1")],
            {},
            [
                "3 note looks-like-rename: deleting 'früher' and creating 'new: one' "
                "looks like a rename",
                "  to rename it, add `previously: [\"früher\"]` to 'new: one'",
            ],
        ),
        (
            desired(slack()),
            [live_slack()],
            {"only": ("deploys", "deploys", "Deploys")},
            [
                "- warning only-matches-nothing: --only 'deploys' matches no declared or "
                "live webhook",
                "  a glob must match the whole name, and case matters (`team-*`, not `team`); "
                "`webhooks status` lists names",
            ],
        ),
        (
            desired(slack()),
            [live_slack()],
            {"resend": ("SLAK", "Deploy", "Deploys")},
            [
                line
                for name in ("Deploy", "SLAK")
                for line in (
                    f"- error unknown-resend: --resend-secret {name!r} matches no declared "
                    "secret reference and no declared webhook with a secret",
                    "  pass a reference such as env:SLACK_BOT_TOKEN, or the name of a webhook",
                )
            ],
        ),
        (
            desired(slack("My ops", line=3)),
            [live_slack("My ops", token="changeme")],
            {},
            [
                "3 warning live-secret-malformed: the live token of 'My ops' is not a Slack token, "
                "so deliveries fail",
                "  resend the secret: `webhooks apply --resend-secret 'My ops'`",
            ],
        ),
        (
            desired(generic()),
            [live_generic()],
            {"previous": BEARER},
            [
                "1 note undeclared-secret: token of 'Pager' is no longer declared; the server does "
                "not show whether it is still set",
                "  the next change to the configuration removes it; or delete the webhook with "
                "`state: absent`, then declare it again",
            ],
        ),
    ],
)
def test_the_findings_of_a_plan(
    declared: Desired, found: list[LiveWebhook], options: dict[str, Any], lines: list[str]
) -> None:
    """Each finding has a line, a rule, a message and a hint; errors end the plan."""
    try:
        findings = make_plan(declared, *found, **options).notes
        assert not any("error" in line for line in lines)
    except ConfigurationError as error:
        findings = error.findings
    assert [line for each in findings for line in format_finding(each)] == lines


RELAXED = [
    "relaxed-protect: protect no longer covers 'p'",
    "relaxed-ignore: ignore no longer covers 'i'",
    "relaxed-prune: a.yaml now deletes undeclared webhooks",
    "relaxed-scope: the scope of c.yaml now includes 'b-*'",
    "relaxed-scope: the scope of c.yaml now includes 'd-*'",
    "relaxed-limits: limits.max_deletes {limit}",
    "relaxed-organization: `organization` was removed: any key is accepted",
]
STRICT = Policy(
    scopes=(
        FileScope(file="a.yaml", globs=("a-*",), prune=False),
        FileScope(file="same.yaml"),
        FileScope(file="c.yaml", globs=("c-*",)),
    ),
    protect=(Pattern(glob="p"), Pattern(glob="kept")),
    ignore=(Pattern(glob="i"), Pattern(glob="held")),
)
LOOSE = Policy(
    scopes=(
        FileScope(file="a.yaml", globs=("a-*",)),
        FileScope(file="new.yaml"),
        FileScope(file="same.yaml"),
        FileScope(file="c.yaml", globs=("c-*", "d-*", "b-*")),
    ),
    protect=(Pattern(glob="kept"),),
    ignore=(Pattern(glob="held"),),
)


@pytest.mark.parametrize(
    ("before", "now", "limit"),
    [
        (1, 2, "changes from 1 to 2"),
        (1, None, "changes from 1 to the built-in limit"),
        (None, 9, "changes from the built-in limit to 9"),
    ],
)
def test_everything_that_relaxes_a_policy_is_listed(
    before: int | None, now: int | None, limit: str
) -> None:
    """Each relaxed setting is one warning; a new file relaxes nothing."""
    old = Desired(policy=STRICT._replace(max_deletes=before), organization="Acme")
    found = relaxed(old, Desired(policy=LOOSE._replace(max_deletes=now)))
    expected = [f"- warning {each.format(limit=limit)}" for each in RELAXED]
    assert [line for each in found for line in format_finding(each)] == expected


def test_tightening_is_not_relaxing() -> None:
    """Only changes that permit more are listed."""
    tight = Desired(policy=STRICT._replace(max_deletes=1), organization="Acme")
    assert list(relaxed(tight, tight)) == []
    assert list(relaxed(Desired(policy=LOOSE._replace(max_deletes=2)), tight)) == []


def test_a_kept_webhook_points_at_its_entry() -> None:
    """A kept webhook that no entry matches by name or id has no position."""
    declaration = desired(
        slack("a", line=1),
        slack("b", id="2", line=2),
        slack("c", id="3", line=3),
        absent=(absent("d", 4),),
    )
    found = [strange(name, own) for name, own in zip("abcdea", "124567", strict=True)]
    others = live_slack("c", "8"), live_slack("c", "9", channel="#x")
    result = make_plan(declaration, live_slack("c", "3"), *others, *found)
    assert [(each.before.id, each.position) for each in result.deletes] == [
        ("8", Position(file="webhooks.yaml", line=3))
    ]
    lines = [(each.webhooks[0].id, each.position and each.position.line) for each in result.kept]
    assert lines == [("1", 1), ("7", 1), ("2", 2), ("4", 3), ("9", 3), ("5", 4), ("6", None)]


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (desired(absent=(absent("a", 1), absent("b", 2))), [live_slack("a", "1")]),
        (desired(slack(), absent=(absent("a", 1),)), [live_slack(), live_slack("a", "2")]),
        (desired(slack("a")), [strange("a", "1"), strange("a", "2")]),
    ],
)
def test_any_declared_webhook_identifies_the_organization(
    declared: Desired, found: list[LiveWebhook]
) -> None:
    """An absent webhook, or one of an unknown type, also identifies the organization."""
    result = make_plan(declared, *found, live_slack("z", "3"))
    assert result.deletes
    assert result.blocked == ()


def test_findings_are_sorted_by_position() -> None:
    """Not by the names of the rules, both as notes of a plan and as errors."""
    moved = slack("a", id="9", line=1), slack("new", line=2)
    made = make_plan(desired(*moved), live_slack("a", "1"), live_slack("old", "2"))
    assert [each.rule for each in made.notes] == ["unknown-id", "looks-like-rename"]
    entries = Absent(name="y", id="1", position=at(1)), Absent(name="p", position=at(2))
    declaration = desired(absent=entries, scope=("[py]",), protect=("p",))
    with pytest.raises(ConfigurationError) as caught:
        make_plan(declaration, live_slack("x", "1"), live_slack("p", "2"))
    rules = [each.rule for each in caught.value.findings]
    assert rules == ["live-out-of-scope", "absent-and-protected"]


def test_an_absent_entry_with_an_unknown_id_deletes_nothing() -> None:
    """The note explains how to delete the webhook of that name."""
    entry = Absent(name="a", id="9", position=at(1))
    made = make_plan(desired(absent=(entry,), prune=False), live_slack("a", "1"))
    assert made.deletes == ()
    (found,) = made.notes
    assert (found.rule, found.hint) == (
        "unknown-id", "nothing is deleted; remove `id` to delete by name"
    )  # fmt: skip
