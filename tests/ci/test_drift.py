"""The drift issue: what changed live, both ways out, and apart from it what is not applied yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ci.fake_github import refusal
from tests.ci.support import World, world

WAITING = "Waiting to be applied, from merged pull requests:"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """Audit, Deploys and Pager are declared and live; an applied review is the newest one."""
    with world(tmp_path) as here:
        here.apply_main()
        here.merged(1, "Audit", "Deploys", "Pager")
        assert here.push().code == 0
        yield here


def sections(body: str) -> tuple[str, str]:
    """Return what an issue shows as drift, and what it lists as not applied yet."""
    shown = body.partition("<details>")[0].partition("Found by")[0]
    drift, title, others = shown.partition("Waiting to be applied")
    if not title:
        drift, _, others = shown.partition("erhaps not applied yet")
    return drift, others


def open_issue(here: World) -> dict[str, Any]:
    """Run the drift check, and return its only open issue."""
    assert here.drift().outputs["result"] == "drift"
    (issue,) = [each for each in here.github.issues if each["state"] == "open"]
    return issue


@pytest.mark.parametrize("channel", ["general", "by-hand"])
def test_a_merge_that_waits_is_no_drift(here: World, channel: str) -> None:
    """Also if the webhook was changed live since its review, which its apply reports as stale."""
    here.merged(2, "Audit", "Deploys", "Pager", Audit="reviewed")
    here.emulator.configure("Audit", channel=channel)
    done = here.drift()
    assert (done.code, done.outputs["result"], here.github.issues) == (0, "no-drift", [])
    assert WAITING in done.stdout
    here.emulator.configure("Deploys", channel="by-hand")
    drift, waiting = sections(open_issue(here)["body"])
    assert ("Audit" in drift, "Audit" in waiting, "Deploys" in drift) == (False, True, True)


def test_a_return_to_the_value_before_an_applied_review_is_drift(here: World) -> None:
    """The outcome of the review shows that the change was applied."""
    here.merged(2, "Audit", "Deploys", "Pager", Audit="reviewed")
    assert here.push().code == 0
    here.emulator.configure("Audit", channel="general")
    assert "`Audit`" in sections(open_issue(here)["body"])[0]


def test_pushes_without_a_review_since_the_last_one_may_not_be_applied(here: World) -> None:
    """All of them count, not only the last one."""
    here.git("checkout", "-q", "main")
    here.declare("Audit", "Deploys", "Pager", Audit="pushed")
    here.declare("Audit", "Deploys", "Pager", "More", Audit="pushed")
    done = here.drift()
    assert (done.outputs["result"], here.github.issues) == ("no-drift", [])
    assert "Perhaps not applied yet" in done.stdout


def test_without_the_merged_reviews_drift_is_not_known(here: World) -> None:
    """The issue shows the differences, and offers no edit."""
    here.emulator.configure("Audit", channel="by-hand")
    here.github.fault = lambda method, path: (
        refusal(403, "Resource not accessible by integration") if path.endswith("/pulls") else None
    )
    body = open_issue(here)["body"]
    assert "the merged reviews cannot be read" in body
    assert "pull-requests: read" in body
    assert "Differences that may be drift or changes of the files:" in body
    assert "accept:" not in body
