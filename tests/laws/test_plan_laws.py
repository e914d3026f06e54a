"""Laws of planning, for any declarations and any organization.

The oracle is `carry_out`, which changes a list of webhooks as the documentation of operations
describes. It shares no code with the engine that applies plans.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import assume, given, settings, strategies as st

from reconciler.errors import ConfigurationError
from reconciler.model import Desired, Live, LiveWebhook, Secret, SecretRef, Unknown, Webhook
from reconciler.planning.check import Listing, OperationState
from reconciler.planning.plan import Create, Delete, FieldRemoved, Operation, Plan, Reason, Update
from reconciler.planning.planner import PlanOptions, plan
from tests.laws.strategies import SECRETS, VALUES, declarations, live_organizations, masked

many = settings(max_examples=150, deadline=None, derandomize=True)


def planned(desired: Desired, live: Live, options: PlanOptions = PlanOptions()) -> Plan:  # noqa: B008
    try:
        return plan(desired, live, SECRETS, options)
    except ConfigurationError:
        assume(False)
        raise


def carry_out(operations: Iterable[Operation], live: Live, *, serial: int = 0) -> Live:
    webhooks = {each.id: each for each in live.webhooks}
    for number, operation in enumerate(operations):
        if isinstance(operation, Delete):
            del webhooks[operation.before.id]
            continue
        after = operation.after
        configuration = {
            name: SECRETS[value]
            if isinstance(value, SecretRef)
            else Secret(str(value))
            if name == "url"
            else value
            for name, value in after.configuration.items()
        }
        if isinstance(operation, Update):
            found = webhooks[operation.before.id]
            webhooks[found.id] = replace(
                found,
                name=after.name,
                type=after.type if "type" in operation.sent_fields else found.type,
                event_types=after.event_types
                if "event_types" in operation.sent_fields
                else found.event_types,
                configuration=configuration
                if "configuration" in operation.sent_fields
                else found.configuration,
            )
        else:
            new = f"new-{serial}-{number}"
            webhooks[new] = LiveWebhook(
                id=new,
                name=after.name,
                type=after.type,
                event_types=after.event_types,
                configuration=configuration,
            )
    return live._replace(webhooks=tuple(webhooks.values()))


@many
@pytest.mark.parametrize("shown", [lambda live: live, masked], ids=["plainly", "masked"])
@given(declarations(), live_organizations())
def test_an_applied_plan_leaves_nothing_to_do(
    shown: Callable[[Live], Live], desired: Desired, live: Live
) -> None:
    """Fixed point: a second plan is empty.

    One kind of operation may follow: for a secret that the plan could not read and that is
    readable after it was sent.
    """
    first = planned(desired, shown(live))
    after = carry_out(first.operations, live)
    second = plan(desired, shown(after), SECRETS)

    assert {
        (each.name, field.path[-1])
        for each in second.operations
        for field in each.fields  # type: ignore[union-attr]
        if not isinstance(field, FieldRemoved)
    } <= set(first.not_shown)
    after = carry_out(second.operations, after, serial=1)
    assert plan(desired, shown(after), SECRETS).operations == ()


def matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, each) for each in globs)


def looks_as_declared(found: LiveWebhook, wanted: Webhook, not_shown: set[str]) -> bool:
    """Compare with known secrets, without `#`, and without the server's defaults."""
    assert not isinstance(found.configuration, Unknown)
    shown = {"verify": True, **found.configuration}
    for name, value in wanted.configuration.items():
        seen = shown.get(name)
        if name == "url":
            value = Secret(str(value))
        if name == "channel":
            value, seen = str(value).lstrip("#"), str(seen).lstrip("#")
        if isinstance(value, SecretRef):
            value = SECRETS[value]
        if name not in not_shown and seen != value:
            return False
    return (found.type, found.event_types) == (wanted.type, wanted.event_types)


@many
@given(declarations(), live_organizations())
def test_declared_webhooks_are_live_and_absent_ones_are_gone(desired: Desired, live: Live) -> None:
    """Soundness: one webhook of each declared name, as declared, and none to be pruned.

    Ignored names, and those that the plan keeps, are exempt.
    """
    result = planned(desired, live)
    after = carry_out(result.operations, live)
    policy = desired.policy
    ignored = [each.glob for each in policy.ignore]
    protected = [each.glob for each in policy.protect]
    kept = {each.name for each in result.kept}
    for webhook in desired.webhooks:
        names = {webhook.name, *webhook.previously}
        if names.isdisjoint(kept) and not matches(webhook.name, ignored):
            not_shown = {field for name, field, _ in result.not_shown if name == webhook.name}
            (found,) = [each for each in after.webhooks if each.name == webhook.name]
            assert looks_as_declared(found, webhook, not_shown)
    for gone in desired.absent:
        if gone.name not in kept and not matches(gone.name, ignored):
            assert gone.name not in {each.name for each in after.webhooks}
    declared = {each.name for each in desired.webhooks}
    (scope,) = policy.scopes
    understood = [each for each in after.webhooks if each.type != "teams"]
    for found in understood if scope.prune else ():
        assert (
            found.name in declared | kept
            or matches(found.name, [*ignored, *protected])
            or not matches(found.name, scope.globs)
        )


@many
@given(declarations(), live_organizations())
def test_undeclared_webhooks_are_not_changed(desired: Desired, live: Live) -> None:
    """Frame: every operation has its reason in a file, and all other webhooks stay unchanged."""
    result = planned(desired, live)
    after = carry_out(result.operations, live)
    policy = desired.policy
    named = {each.before.id for each in result.operations if not isinstance(each, Create)}
    untouched = {each.id: each for each in live.webhooks if each.id not in named}
    assert {each.id: each for each in after.webhooks if each.id in untouched} == untouched
    declared = {each.name for each in desired.webhooks} | {each.name for each in desired.absent}
    declared |= {old for each in desired.webhooks for old in each.previously}
    (scope,) = policy.scopes
    for found in live.webhooks:
        if found.id in named:
            assert found.type != "teams"
            assert not matches(found.name, [each.glob for each in policy.ignore])
            assert found.name in declared or (
                scope.prune
                and matches(found.name, scope.globs)
                and not matches(found.name, [each.glob for each in policy.protect])
            )


@many
@given(declarations(), live_organizations(), st.data())
def test_any_part_of_a_plan_converges_to_the_same_end(
    desired: Desired, live: Live, data: st.DataObject
) -> None:
    """Convergence: after a run that failed half-way, the next plan reaches the same end."""
    result = planned(desired, live)
    first = [
        each
        for each in result.operations
        if not isinstance(each, Delete) or each.reason is Reason.DUPLICATE
    ]
    some = [each for each in first if data.draw(st.booleans())]
    waiting = {
        each.kept_id for each in first if isinstance(each, Delete) and each not in some
    }  # an update waits until the duplicates of its webhook are deleted
    some = [each for each in some if not isinstance(each, Update) or each.before.id not in waiting]
    names = {each.before.name for each in first if isinstance(each, Update)}
    taken = {each.after.name for each in some if isinstance(each, Update)}
    assume(not (taken & names))  # a rename in a chain never precedes the one that frees its name
    part = carry_out(some, live)

    try:
        rest = plan(desired, part, SECRETS)
    except ConfigurationError:
        raise AssertionError(
            "a plan carried out in part left a declaration that no longer fits"
        ) from None
    end = _settled(desired, carry_out(rest.operations, part, serial=1))

    assert _contents(end) == _contents(_settled(desired, carry_out(result.operations, live)))


def _settled(desired: Desired, live: Live) -> Live:
    """Plan again after secrets that became readable are fixed too."""
    return carry_out(plan(desired, live, SECRETS).operations, live, serial=2)


def _contents(live: Live) -> list[object]:
    return sorted(
        (
            (each.name, each.type, sorted(each.event_types), repr(each.configuration))
            for each in live.webhooks
        ),
        key=repr,
    )


@many
@given(declarations(), live_organizations(), st.integers())
def test_order_makes_no_difference(desired: Desired, live: Live, seed: int) -> None:
    """Files and pages in any order give an equal plan."""
    shuffle = random.Random(seed).sample
    other = desired._replace(webhooks=tuple(shuffle(desired.webhooks, len(desired.webhooks))))
    pages = live._replace(webhooks=tuple(shuffle(live.webhooks, len(live.webhooks))))

    assert planned(desired, live) == planned(other, pages)


@many
@given(declarations(), live_organizations())
def test_every_operation_is_necessary(desired: Desired, live: Live) -> None:
    """Minimality: without any one of them something remains to be done, and no id appears twice."""
    result = planned(desired, live)
    ids = [each.before.id for each in result.operations if not isinstance(each, Create)]
    assert len(ids) == len(set(ids))
    for left_out in result.operations:
        if isinstance(left_out, Update) and left_out.before.name != left_out.after.name:
            continue  # the rest of the chain could not be applied without it
        if isinstance(left_out, Delete) and left_out.reason is Reason.DUPLICATE:
            continue  # the update of the duplicate to keep could not be applied without it
        rest = carry_out([each for each in result.operations if each is not left_out], live)
        assert plan(desired, rest, SECRETS).operations != ()


@many
@given(declarations(), live_organizations())
def test_no_prune_omits_only_deletes(desired: Desired, live: Live) -> None:
    """Monotone: with `--no-prune` the plan is the same without deletes of undeclared webhooks."""
    full = planned(desired, live)
    gentle = planned(desired, live, PlanOptions(prune=False))

    assert set(map(repr, gentle.operations)) <= set(map(repr, full.operations))
    missing = [each for each in full.operations if each not in gentle.operations]
    assert all(isinstance(each, Delete) and each.reason is Reason.NOT_DECLARED for each in missing)


@many
@given(declarations(), live_organizations())
def test_no_plan_contains_a_secret(desired: Desired, live: Live) -> None:
    """No output of a plan contains a token."""
    text = repr(planned(desired, live))

    assert not any(value in text for value in (*VALUES, "xoxb-3333333333-CCCC"))


@many
@pytest.mark.parametrize("shown", [lambda live: live, masked], ids=["plainly", "masked"])
@pytest.mark.parametrize("secrets", [SECRETS, {}], ids=["with", "without"])
@given(declarations(), live_organizations())
def test_an_update_shows_each_secret_that_it_may_replace(
    shown: Callable[[Live], Live], secrets: dict[SecretRef, Secret], desired: Desired, live: Live
) -> None:
    """A secret that is sent and not known to be equal has a line."""
    webhooks = {webhook.id: webhook for webhook in shown(live).webhooks}
    planned(desired, shown(live))
    for update in plan(desired, shown(live), secrets).updates:
        lines = {change.path[-1] for change in update.fields}
        for name, value in update.after.references:
            if "configuration" in update.sent_fields and name not in lines:
                assert secrets[value] == webhooks[update.before.id].value(name)


@many
@pytest.mark.parametrize("shown", [lambda live: live, masked], ids=["plainly", "masked"])
@given(declarations(), live_organizations())
def test_the_digest_does_not_depend_on_secrets(
    shown: Callable[[Live], Live], desired: Desired, live: Live
) -> None:
    """A plan made without secrets has the same digest as one made with all."""
    assert planned(desired, shown(live)).digest == plan(desired, shown(live), {}).digest


def _states(made: Plan, live: Live) -> set[OperationState]:
    listing = Listing(made, live.webhooks, SECRETS)
    return {listing.check(each).state for each in made.operations}


@many
@given(declarations(), live_organizations(), live_organizations())
def test_a_plan_matches_only_its_own_live_state(desired: Desired, live: Live, other: Live) -> None:
    """Staleness:

    operations are pending before the apply and done after it; stale ones are reported.
    """
    result = planned(desired, live)
    after = carry_out(result.operations, live)

    assert _states(result, live) <= {OperationState.PENDING}
    assert _states(result, after) <= {OperationState.DONE}
    elsewhere = {each.id: each for each in other.webhooks}
    listing = Listing(result, other.webhooks, SECRETS)
    for operation in result.operations:
        if listing.check(operation).state is OperationState.PENDING and not isinstance(
            operation, Create
        ):
            found = elsewhere[operation.before.id]
            assert (found.name, found.event_types) == (
                operation.before.name,
                operation.before.event_types,
            )


@many
@given(declarations(), live_organizations())
def test_a_plan_is_blocked_whenever_it_deletes_more_than_the_limit(desired: Desired, live: Live):
    """No delete bypasses the guards."""
    result = planned(desired, live)
    duplicates = Counter(each.name for each in result.deletes if each.reason is Reason.DUPLICATE)
    counted = [
        each
        for each in result.deletes
        if each.reason is not Reason.DUPLICATE or each.may_differ or duplicates[each.name] > 1
    ]
    limit = desired.policy.max_deletes
    over = (
        len(counted) > limit
        if limit is not None
        else len(counted) > 5 or len(counted) * 2 > result.counts.in_scope
    )

    assert not over or result.blocked
    allowed = planned(desired, live, PlanOptions(allow_deletes=len(counted)))
    assert allowed.blocked == ()
