"""Guards on both sides of their limits."""

from __future__ import annotations

import pytest

from reconciler.model import Webhook
from reconciler.planning.match import match
from tests.planning.builders import desired, guarded, live, live_slack, made, slack


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"deletes": 5}, []),
        ({"deletes": 6}, ["too-many-deletes"]),
        ({"deletes": 2, "in_scope": 4}, []),
        ({"deletes": 2, "in_scope": 3}, ["too-many-deletes"]),
        ({"deletes": 8, "max_deletes": 8}, []),
        ({"deletes": 9, "max_deletes": 8}, ["too-many-deletes"]),
        ({"deletes": 2, "in_scope": 3, "max_deletes": 2}, []),
        ({"deletes": 1, "max_deletes": 0}, ["too-many-deletes"]),
        ({"declared": False, "found": False}, ["nothing-declared"]),
        ({"declared": False, "found": False, "in_scope": 0}, []),
        ({"found": False}, []),
        ({"found": False, "deletes": 1}, ["no-declared-live"]),
        ({"deletes": 6, "allow_deletes": 6}, []),
        ({"deletes": 6, "allow_deletes": 5}, ["allow-deletes-differs"]),
        ({"deletes": 0, "allow_deletes": 1}, []),
        ({"deletes": 3, "declared": False, "found": False, "allow_deletes": 3}, []),
    ],
)
def test_a_guard_blocks_at_its_limit(numbers: dict[str, int], expected: list[str]):
    """Limits, an empty configuration, an unrecognized organization, a wrong --allow-deletes."""
    assert [each.rule for each in guarded(**numbers)] == expected


def test_a_blocked_plan_is_complete():
    """Only apply is blocked; a plan shows all operations."""
    found = live(*(live_slack(f"w{number}", f"id-{number}") for number in range(9)))

    result = made(desired(slack(), max_deletes=None), found)

    assert len(result.deletes) == 9
    assert {each.rule for each in result.blocked} == {"too-many-deletes", "no-declared-live"}


def test_only_limits_what_the_guards_count():
    """Guards check the plan after the filter."""
    found = live(*(live_slack(f"w{number}", f"id-{number}") for number in range(9)))

    result = made(desired(slack("w1"), slack("w2"), max_deletes=None), found, only=("w1", "w3"))

    assert ([each.name for each in result.deletes], result.blocked) == (["w3"], ())


@pytest.mark.parametrize(
    ("webhook", "glob", "declared"),
    [
        (slack("a"), "a", True),
        (slack("a"), "b", False),
        (slack("a", previously=("b",)), "b", True),
        (slack("pin", id="id-1"), "b", True),
        (slack("pin", id="id-9"), "b", False),
    ],
    ids=["by name", "not", "by an earlier name", "by the name that an id leads to", "by no id"],
)
def test_only_limits_what_counts_as_declared(webhook: Webhook, glob: str, declared: bool):
    """A selection without a declaration is as suspicious as an empty file."""
    found = live(live_slack("b", "id-1"))
    table = match(desired(webhook), found.webhooks, only=(glob,), prune=True)
    assert table.declared is declared
