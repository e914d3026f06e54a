"""Details of the decision table: duplicates, `--only`, and hints about renames."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ConfigurationError
from reconciler.model import Absent, LiveWebhook, Webhook
from reconciler.planning.plan import Create, Reason
from tests.planning.builders import (
    OTHER_TOKEN,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    make_plan,
    slack,
    unshown,
)

ONE = live_slack(id="id-1")
HIDDEN = unshown(ONE)
HOOK = live_generic(id="id-1")
PASSWORD = live_generic(id="id-1", username="u", password="the password")
NO_DELETES = desired(slack("Deploys"), generic("Pager"), max_deletes=0)


def second(found: LiveWebhook, **more: object) -> LiveWebhook:
    return replace(found, id="id-2", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ONE, second(ONE)),
        (ONE, second(live_slack(channel="deploys"))),
        (HOOK, second(live_generic(verify=True))),
        (HOOK, second(live_generic(username=""))),
        (HOOK, second(live_generic(username=None, token=""))),
        (PASSWORD, second(PASSWORD)),
    ],
    ids=[
        "all fields",
        "a channel without `#`",
        "a default that is shown",
        "an empty field that is shown",
        "a null that is shown",
        "a password",
    ],
)
def test_a_single_fully_visible_duplicate_is_deleted_without_a_guard(
    one: LiveWebhook, other: LiveWebhook
) -> None:
    """Deleting a fully visible duplicate loses nothing."""
    result = make_plan(NO_DELETES, one, other)

    assert [(each.before.id, each.reason, each.may_differ) for each in result.deletes] == [
        ("id-2", Reason.DUPLICATE, False)
    ]
    assert result.blocked == ()


@pytest.mark.parametrize(
    "shown",
    [
        live_slack(token="*****"),
        live_slack(token="xoxb*****AAAA"),
        live_slack(token=...),
        live_slack(token=None),
        live_slack(token="[hidden]"),
        live_generic(username="u"),
        live_generic(username="u", password="*****"),
        live_generic(token="*****"),
    ],
    ids=[
        "a masked token",
        "a partially masked token",
        "no token",
        "a null",
        "a word in place of a token",
        "no password for a user name",
        "a masked password",
        "a masked bearer token",
    ],
)
def test_a_duplicate_with_hidden_fields_counts_as_a_delete(shown: LiveWebhook) -> None:
    """The duplicate may differ from the webhook to keep, so a limit blocks the plan."""
    result = make_plan(NO_DELETES, replace(shown, id="id-1"), second(shown))

    assert [(each.reason, each.may_differ) for each in result.deletes] == [(Reason.DUPLICATE, True)]
    assert [each.rule for each in result.blocked] == ["too-many-deletes"]


@pytest.mark.parametrize("letter", ["a", "b"])
def test_encrypted_secrets_that_differ_are_hidden(letter: str) -> None:
    """Some servers encrypt a secret differently at each read."""
    one, other = (live_slack(token=f"gAAAAA{each * 60}") for each in ("a", letter))

    result = make_plan(NO_DELETES, one, second(other))

    assert [each.may_differ for each in result.deletes] == [True]


def test_several_duplicates_of_a_name_need_permission() -> None:
    """Only a single duplicate can be deleted without losing anything."""
    found = [replace(ONE, id=f"id-{number}") for number in range(3)]

    assert [each.rule for each in make_plan(NO_DELETES, *found).blocked] == ["too-many-deletes"]
    assert make_plan(NO_DELETES, *found, allow_deletes=2).blocked == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ONE, second(live_slack(token=OTHER_TOKEN))),
        (ONE, second(live_slack(token="*****"))),
        (HOOK, second(live_generic(url="https://***"))),
        (ONE, second(live_slack(events=("value_created",)))),
        (ONE, second(live_slack(username="other"))),
        (HIDDEN, second(HIDDEN)),
        (live_slack(channel="*****"), second(live_slack(channel="*****"))),
        (live_generic(url="https://***"), second(live_generic(url="https://***"))),
        (HIDDEN, second(HIDDEN, type="generic")),
        (HIDDEN, second(HIDDEN, event_types=frozenset({"value_created"}))),
        (HOOK, second(live_generic(url="https://elsewhere.example.com/ct"))),
        (HOOK, second(live_generic(verify=False))),
        (live_slack(token="xoxb*****AAAA"), second(live_slack(token="xoxb*****BBBB"))),
        (PASSWORD, second(live_generic(username="u", password="another"))),
        (PASSWORD, second(live_generic(username="u"))),
        (HOOK, second(live_generic(token="t"))),
        (HOOK, second(live_generic(url=None))),
    ],
    ids=[
        "another token",
        "a token that only one shows",
        "a URL that only one shows",
        "events",
        "a field",
        "no configuration",
        "a hidden channel",
        "a masked URL",
        "type",
        "events of hidden webhooks",
        "the URL",
        "a flag",
        "the shown parts of masked tokens",
        "the password",
        "a password that only one shows",
        "a token that only one has",
        "no URL",
    ],
)
def test_a_differing_webhook_is_not_a_duplicate(one: LiveWebhook, other: LiveWebhook) -> None:
    """A user must choose, so both are kept."""
    declared = desired(slack("Deploys"), generic("Pager"))

    result = make_plan(declared, one, other)

    assert result.deletes == ()
    assert [(each.reason, len(each.webhooks)) for each in result.kept] == [(Reason.AMBIGUOUS, 2)]


def test_a_webhook_selected_by_its_new_name_is_in_scope() -> None:
    """Guards count a webhook that the plan renames, or deletes by id."""
    declared = desired(slack("new", id="id-1"), absent=(Absent(name="new-2", id="id-2"),))
    found = live(live_slack("old", "id-1"), live_slack("old-2", "id-2"), live_slack("z", "id-3"))

    result = make_plan(declared, found, only=("new*",))

    assert (len(result.operations), result.counts.in_scope) == (2, 2)


OLD_HOOK = live_generic("old")


def suggests_rename(declared: tuple[Webhook, ...], *found: LiveWebhook) -> bool:
    notes = make_plan(desired(*declared), *found).notes
    return "looks-like-rename" in {each.rule for each in notes}


@pytest.mark.parametrize(
    ("declared", "found", "alike"),
    [
        (slack("new"), live_slack("old"), True),
        (slack("new"), live_slack("old", token=OTHER_TOKEN), True),
        (slack("new"), live_slack("old", channel="deploys"), True),
        (slack("new"), live_slack("old", extra="x"), True),
        (generic("new"), live_generic("old", verify=True), True),
        (generic("new", verify=True), OLD_HOOK, True),
        (generic("new", url="https://elsewhere.example.com/"), OLD_HOOK, True),
        (slack("new"), live_slack("old", channel="#x"), False),
        (slack("new"), live_slack("old", events=("value_created",)), False),
        (generic("new"), live_generic("old", verify=False), False),
        (generic("new", verify=False), OLD_HOOK, False),
        (generic("new"), live_slack("old"), False),
    ],
)
def test_webhooks_with_equal_visible_fields_are_alike(
    declared: Webhook, found: LiveWebhook, alike: bool
) -> None:
    """Secrets, defaults, and unknown fields make no difference."""
    assert suggests_rename((declared,), found) is alike


def test_no_rename_is_suggested_if_several_webhooks_match() -> None:
    """With two creates or two deletes the match is ambiguous."""
    assert not suggests_rename((slack("new"), slack("newer")), live_slack("old"))
    assert not suggests_rename((slack("new"),), live_slack("old", "1"), live_slack("older", "2"))


@pytest.mark.parametrize("glob", ["new", "old", "live-*", "*"])
def test_a_glob_that_matches_something_gives_no_warning(glob: str) -> None:
    """A glob may match a declared name, a previous name or a live name."""
    declared = desired(slack("new", previously=("old",)))
    result = make_plan(declared, live_slack("live-1"), secrets={}, only=(glob,))
    assert "only-matches-nothing" not in {each.rule for each in result.notes}


@pytest.mark.parametrize("glob", ["gone", "live"])
def test_an_absent_webhook_is_selected_by_either_of_its_names(glob: str) -> None:
    """An entry with `id` is selected by its declared name or by the live name of the webhook."""
    declared = desired(slack(), absent=(Absent(name="gone", id="id-1"),))
    result = make_plan(declared, live_slack("live"), secrets={}, only=(glob,))
    assert [each.before.id for each in result.operations] == ["id-1"]  # type: ignore[union-attr]


@pytest.mark.parametrize("glob", ["new", "old", "older"])
def test_an_ambiguous_rename_is_rejected_under_each_of_its_names(glob: str) -> None:
    """Whichever name is selected, the webhook is ambiguous."""
    declared = desired(slack("new", previously=("old", "older")))
    found = live(live_slack("old", "id-1"), live_slack("older", "id-2"))
    with pytest.raises(ConfigurationError):
        make_plan(declared, found, secrets={}, only=(glob,))


def test_duplicates_of_a_pinned_name_are_not_renamed() -> None:
    """The webhooks are duplicates of an entry that is not selected."""
    declared = desired(slack("A", id="id-1"), slack("B", previously=("A",)))
    found = live(*(live_slack("A", f"id-{number}") for number in (1, 2, 3)))
    result = make_plan(declared, found, secrets={}, only=("B",))
    assert [(type(each), each.name) for each in result.operations] == [(Create, "B")]
