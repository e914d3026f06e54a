"""The digest changes exactly when a reviewer sees something different."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.findings import Position
from reconciler.model import Absent, Desired, Live, Scheme, SecretRef
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    made,
    slack,
)


def digest(declaration: object, found: Live, secrets: object = SECRETS) -> str:
    return made(declaration, found, secrets=secrets).digest  # type: ignore[arg-type]


def test_available_secrets_do_not_change_the_digest():
    """The job of a pull request has none, the apply job has all."""
    declaration = desired(slack(), slack("B", channel="#b"), slack("New"))
    found = live(live_slack(token=OTHER_TOKEN), live_slack("B", "id-2", token=OTHER_TOKEN))

    with_all, with_none = made(declaration, found), made(declaration, found, secrets={})

    assert with_all.digest == with_none.digest
    assert len(with_all.operations) == len(with_none.operations) + 1
    assert with_all.digests.count(()) == 1


def test_positions_guards_and_hash_marks_do_not_change_the_digest():
    """Moving lines in a file changes nothing that is reviewed."""
    one = slack(channel="#deploys")
    two = replace(slack(channel="deploys"), position=Position(file="other.yaml", line=99))

    assert digest(desired(one), live()) == digest(desired(two, max_deletes=3), live())


@pytest.mark.parametrize(
    "other",
    [
        desired(slack(channel="#other")),
        desired(slack(events=("value_created",))),
        desired(slack(token=SecretRef(scheme=Scheme.ENV, name="OTHER"))),
        desired(slack(token=SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN", version=2))),
        desired(slack(token=SecretRef(scheme=Scheme.LITERAL, name="Deploys/token"))),
        desired(slack("Other")),
        desired(generic("Deploys")),
        desired(slack(), slack("More")),
        desired(),
    ],
    ids=["channel", "events", "reference", "version", "literal", "name", "type", "more", "none"],
)
def test_every_visible_change_changes_the_digest(other: object):
    """Each of these needs a new approval."""
    assert digest(desired(slack()), live()) != digest(other, live())


def test_the_digest_covers_the_previous_live_state():
    """The same result from another previous state is another operation."""
    declaration = desired(slack())

    digests = {
        digest(declaration, live(live_slack(channel="#x"))),
        digest(declaration, live(live_slack(channel="#y"))),
        digest(declaration, live(live_slack(id="id-2", channel="#x"))),
        digest(declaration, live()),
    }

    assert len(digests) == 4


def test_the_digest_covers_organization_and_origin():
    """A digest approved for one organization is not valid in another."""
    here = live()
    there = replace(here, organization=replace(here.organization, id="org-2"))
    elsewhere = replace(here, origin="https://other.example.com")

    assert len({digest(desired(slack()), each) for each in (here, there, elsewhere)}) == 3


def test_a_plain_url_is_reviewed_completely():
    """Everyone can read it in the file."""
    found = live(live_generic())

    assert digest(desired(generic(url="https://a.example.com/1")), found) != digest(
        desired(generic(url="https://a.example.com/2")), found
    )


def test_the_digest_covers_a_removed_field_with_and_without_secrets():
    """The removal of a field is a visible line of a change; its value does not matter."""
    reference = SecretRef(scheme=Scheme.ENV, name="BEARER")
    base, now = desired(generic(token=reference)), desired(generic())
    found = live(live_generic(token="abcdef"))

    result = made(now, found, secrets={}, previous=base)

    assert len(result.updates) == 1
    assert () not in result.digests


LITERAL = SecretRef(scheme=Scheme.LITERAL, name="Deploys/token")
BUMPED = SecretRef(scheme=Scheme.ENV, name="T", version=2)
REMOVED = desired(absent=(Absent(name="Deploys"),))
HALF_HIDDEN = live_slack(channel=["#deploys"], username="old")


@pytest.mark.parametrize(
    ("declaration", "found", "digest"),
    [
        (
            desired(slack(token=LITERAL)),
            live(),
            "fdfe0c0f70e067f94ee822b17d5c1301",
        ),
        (
            desired(slack(token=BUMPED)),
            live(),
            "e919b0df83a55d7c7f6043a07e603905",
        ),
        (
            desired(slack()),
            live(HALF_HIDDEN),
            "a82a8504ec43637b91f105bbda666368",
        ),
        (
            REMOVED,
            live(live_slack(channel="#x")),
            "09d29580015e8c375c3960b6829d7c5a",
        ),
    ],
    ids=["a literal", "a version", "a field that is not shown", "a delete"],
)
def test_a_digest_never_changes_between_versions(declaration: Desired, found: Live, digest: str):
    """A plan reviewed with one version of the program can be applied with the next."""
    ((operation,),) = made(declaration, found, secrets={}).digests

    assert operation.digest == digest
