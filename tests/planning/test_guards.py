"""A guard blocks a plan above its limit, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.findings import Position, Severity
from reconciler.model import Absent, Desired, FileScope, Pattern, Policy, Secret, SecretRef
from reconciler.planning.guards import edits, guard_all, max_later_deletes, relaxed
from reconciler.planning.match import Match
from reconciler.planning.plan import DeclaredElsewhere, FileState
from tests.goldens import rows
from tests.planning.builders import (
    blocking_guards,
    counted,
    desired,
    generic,
    live,
    live_slack,
    make_plan,
    slack,
    with_counts,
)

WAYS = ["keep", "ignore", "declare", "raise"]
ELSEWHERE = {
    "NOT_READ": DeclaredElsewhere("a.yaml", ("w0", "other"), FileState.NOT_READ),
    "NOT_SELECTED": DeclaredElsewhere("e.yaml", ("w0",), FileState.NOT_SELECTED),
    "REMOVED": DeclaredElsewhere("b.yaml", ("w0",), FileState.REMOVED),
    "GONE": DeclaredElsewhere("c d.yaml", ("w0", "w1"), FileState.GONE),
}


@pytest.mark.parametrize(
    ("numbers", "message", "hint"), rows(Path(__file__).with_name("guards.yaml"))
)
def test_a_guard_blocks_a_plan(
    numbers: dict[str, Any], message: str | None, hint: str | None
) -> None:
    """A guard checks limits, the configuration, the organization, or `--allow-deletes`.

    A guard that a user overrides does not block.
    """
    elsewhere = tuple(ELSEWHERE[state] for state in numbers.get("elsewhere", ()))
    blocks = blocking_guards(**{**numbers, "elsewhere": elsewhere})
    shown = [(each.severity, f"{each.rule}: {each.message}", each.hint) for each in blocks]
    assert shown == ([(Severity.ERROR, message, hint)] if message else [])


@pytest.mark.parametrize(
    ("numbers", "edit"),
    [
        ({}, "set `limits: {max_deletes: 6}` in the file"),
        ({"max_deletes": 5}, "set `limits: {max_deletes: 6}` in the file"),
        ({"max_deletes": 9, "any_declared": False}, "declare the webhooks `state: absent`"),
    ],
)
def test_where_no_command_has_the_option_hints_name_edits(
    numbers: dict[str, Any], edit: str
) -> None:
    ((block,),) = guard_all([counted(6, **numbers)], has_option=False)
    assert (block.hint or "").endswith(f"if this is intended, {edit}")


@pytest.mark.parametrize(
    ("absent", "names", "unknown", "counts", "expected"),
    [
        *rows(Path(__file__).with_name("unblocking.yaml")),
        (0, [f"u{n}" for n in range(25)], [], {"in_scope": 99}, WAYS),
        (0, [f"u{n}" for n in range(26)], [], {"in_scope": 99}, ["keep", "raise"]),
        (0, ["u" * 1024, *"abcdef"], [], {}, WAYS),
        (0, ["u" * 1025, *"abcdef"], [], {}, ["keep", "raise"]),
        (0, ["", *"abcdef"], [], {}, ["keep", "raise"]),
    ],
)
def test_edits_unblock_a_plan(
    absent: int, names: list[str], unknown: list[str], counts: dict[str, Any], expected: list[str]
) -> None:
    """Only edits that unblock the plan are offered, and none with a name that no glob can have."""
    gone = [f"a{n}" for n in range(absent)]
    files = desired(absent=tuple(Absent(name=name) for name in gone))
    listed = [live_slack(name, f"id-{n}") for n, name in enumerate([*gone, *names])]
    kept = [live_slack(name, f"new-{name}", events=("new_event",)) for name in unknown]
    plan = with_counts(make_plan(files, *listed, *kept), **counts)
    plan = plan._replace(blocked=guard_all([plan])[0])
    assert [purpose.split()[0] for purpose, _ in edits(plan, ())] == expected


def test_reading_another_file_unblocks_what_it_declares() -> None:
    """The other deletes count as before."""
    for deletes, is_offered in ((6, True), (7, False)):
        plan = counted(deletes, elsewhere=(ELSEWHERE["NOT_READ"],))
        plan = plan._replace(blocked=guard_all([plan])[0])
        assert ("read the other files, too" in dict(edits(plan, ()))) is is_offered


@pytest.mark.parametrize("declared", [0, 1])
def test_a_limit_of_one_organization_unblocks_no_run(declared: int) -> None:
    """Only an edit that leaves none of its deletes is offered."""
    plan = make_plan(
        desired(absent=tuple(Absent(name=f"a{n}") for n in range(declared))),
        *(live_slack(f"{'a' if n < declared else 'u'}{n}", f"id-{n}") for n in range(5)),
    )
    plan = with_counts(plan)
    blocks = guard_all([plan] * 5)
    assert list(map(len, blocks)) == [1] * 5
    offered = [how.split()[0] for how, _ in edits(plan._replace(blocked=blocks[0]), ())]
    assert offered == ([] if declared else ["keep", "ignore", "declare"])


TOGETHER = (
    "too-many-deletes: 31 webhooks would be deleted in 6 organizations, more than 20; if this is "
    "intended, add --allow-deletes 31"
)


LIMITS = rows(Path(__file__).with_name("limits.yaml"))


@pytest.mark.parametrize(("deletes", "allow", "expected"), LIMITS["together"])
def test_organizations_are_limited_together(
    deletes: list[int | list[int]], allow: int | None, expected: list[int]
) -> None:
    """A limit in the files, here the second of a pair, is for one; a high one is for all, too."""
    plans = []
    for number in deletes:
        count, limit = number if isinstance(number, list) else (number, None)
        plans.append(counted(count, max_deletes=limit, in_scope=99))
    blocks = guard_all(plans, allow)
    assert list(map(len, blocks)) == expected
    texts = {f"{each.rule}: {each.message}; {each.hint}" for block in blocks for each in block}
    if len(deletes) == 7:
        assert texts == {TOGETHER}
    if allow == 6:
        assert [text.partition(";")[0] for text in texts] == [
            "allow-deletes-differs: --allow-deletes is 6, but all organizations together delete 8"
        ]


@pytest.mark.parametrize(("deletes", "left_out", "is_blocked"), LIMITS["left out"])
def test_organizations_that_are_left_out_count(
    deletes: list[int], left_out: list[list[int | None]], is_blocked: bool
) -> None:
    """Each counts with what its own guard lets pass later."""
    later = 0
    for limit, number in left_out:
        later += max_later_deletes(limit, None if number is None else counted(number))
    blocks = guard_all([counted(number) for number in deletes], later_deletes=later)
    assert any(blocks) is is_blocked
    text = f"up to {later} in organizations that failed or are waiting, more than 20"
    assert all(text in block.message for blocked in blocks for block in blocked)


@pytest.mark.parametrize(("webhook", "glob", "is_declared"), LIMITS["only"])
def test_only_limits_what_counts_as_declared(
    webhook: dict[str, Any], glob: str, is_declared: bool
) -> None:
    """A selection without a declaration is treated like an empty file."""
    found = live(live_slack("b", "id-1"))
    table = Match(desired(slack(**webhook)), found.webhooks, only=(glob,), prune=True)
    assert table.any_declared is is_declared


def test_a_review_shows_new_hosts_that_are_not_ascii() -> None:
    """Each host appears once, unless the previous configuration has it; credentials do not."""
    literal = SecretRef(scheme="literal", name="D/url")
    at = Position(file="webhooks.yaml", line=1)
    old = generic("A", url="https://b\xfccher.example/a")
    now = desired(
        generic("B", url="https://xn--bcher-kva.example/b"),
        generic("C", url="https://g\u043e\u043ed.example"),
        generic("D", url=literal),
        generic("E", url="https://good.example"),
        slack("F", channel="#b\xfccher"),
    )._replace(literals={literal: Secret("https://a:4711@l\u00f8.example/")})
    notes = make_plan(now, previous=desired(old)).notes
    assert [(each.message, each.position) for each in notes if each.rule == "url-host"] == [
        (f"'{name}' delivers to a host that is not written in ASCII: https://{host}", at)
        for name, host in (("C", "xn--gd-fmca.example"), ("D", "xn--l-5ga.example"))
    ]
    assert all(each.rule != "url-host" for each in make_plan(now).notes)


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
    old = Desired(
        policy=STRICT._replace(max_deletes=before), organization="Acme", environment="prod"
    )
    found = relaxed(old, Desired(policy=LOOSE._replace(max_deletes=now)))
    expected = [each.format(limit=limit) for each in LIMITS["relaxed"]]
    assert [f"{finding.rule}: {finding.message}" for finding in found] == expected


def test_tightening_is_not_relaxing() -> None:
    """Only what permits more is listed, and another environment; a new file is no change."""
    tight = Desired(policy=STRICT._replace(max_deletes=1), organization="Acme", environment="prod")
    declaring = Desired(policy=LOOSE._replace(max_deletes=2), webhooks=(slack(),))
    assert list(relaxed(tight, tight)) == []
    assert list(relaxed(declaring._replace(webhooks=()), tight)) == []
    assert [each.message for each in relaxed(declaring, tight)] == [
        "the GitHub environment changes from the workflow's default to 'prod'"
    ]
