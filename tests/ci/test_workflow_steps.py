"""The steps of the shipped workflows run against CloudTruth and GitHub over HTTP.

Each kind of step runs in a real shell in one test; preparing steps run in this process, which takes
a tenth of the time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.ci.marker import decode
from tests.ci.support import PUSH, World, only, world
from tests.emulated.faults import Rule, Script, delay


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[World]:
    """A world in which Audit is declared on main and live."""
    with world(tmp_path) as made:
        made.apply_main()
        yield made


@pytest.fixture
def here(quick: World) -> World:
    """The same, with each step in a shell."""
    quick.shell = True
    return quick


def test_a_pull_request_is_planned_changed_merged_and_applied(here: World) -> None:
    """The pull request's one comment is updated; exactly its plan is applied on the merge."""
    first = here.propose(1, "Audit", "Deploys")
    assert (first.code, first.outputs["result"], first.outputs["creates"]) == (0, "planned", "1")
    assert json.loads(Path(first.outputs["plan-json"]).read_text())["digest"]
    here.declare("Audit", "Deploys", "Pager")
    here.commit()
    second = here.pull()
    (comment,) = here.github.bodies(1)
    assert "2 to create" in comment
    assert second.outputs["digest"] in comment
    assert "2 to create" in second.summary
    before = len(here.writes())
    here.squash(1)
    applied = here.push()
    assert (applied.code, applied.outputs["result"]) == (0, "applied"), applied.stdout
    assert applied.outputs["digest"] == second.outputs["digest"]
    assert set(here.live()) == {"Audit", "Deploys", "Pager"}
    assert len(here.writes()) == before + 2
    review, outcome = here.github.bodies(1)
    assert (review, "**Applied** by [this run]" in outcome) == (comment, True)
    writes = here.writes()
    again = here.push()
    assert (again.code, again.outputs["result"]) == (0, "converged")
    assert (here.writes(), here.github.bodies(1)) == (writes, [review, outcome])


def test_a_cancelled_apply_is_finished_by_the_next_run(here: World) -> None:
    """After the signal, requests in flight finish, no other starts, and the report is written."""
    names = [f"hook-{number}" for number in range(150)]
    assert here.propose(1, "Audit", *names).code == 0
    here.squash(1)
    # All responses together take far longer than the program takes to receive the signal.
    here.emulator.faults = Script([Rule(fault=delay(0.4), method="POST", times=None)])
    stopped = here.interrupted("apply")
    assert stopped.code == 130, stopped.stdout + stopped.stderr
    assert stopped.outputs["failure-reason"] == "apply-incomplete"
    assert any("**Partially applied**" in each for each in here.github.bodies(1))
    assert 1 < len(here.live()) < 151
    here.emulator.faults = Script()
    assert here.push().code == 0
    assert set(here.live()) == {"Audit", *names}


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("", "CLOUDTRUTH_API_KEY"),
        ("api_key: {env: UNSET_KEY}\n", "UNSET_KEY"),
        ("api_key: {env: EMPTY_KEY}\n", "EMPTY_KEY"),
        ("api_key: {file: no-key}\n", "no-key"),
    ],
)
@pytest.mark.parametrize("workflow", ["plan", "apply", "drift"])
def test_without_a_key_every_workflow_passes_with_a_notice(
    quick: World, workflow: str, key: str, named: str
) -> None:
    """A repository that is not set up yet does not fail, and no other key is used instead."""
    if not key:
        quick.secrets.clear()
    path = quick.work / "webhooks.yaml"
    path.write_text(key + path.read_text())
    event = {"plan": "pull_request", "apply": "push", "drift": "schedule"}[workflow]
    before = len(quick.emulator.log)
    payload = quick.opened() if workflow == "plan" else PUSH
    done = only(quick.run(workflow, event, payload, EMPTY_KEY=""))
    assert (done.code, len(quick.emulator.log)) == (0, before), done.stdout
    assert "::warning title=no-api-key::" in done.stdout
    assert f"{named} is not set" in done.stdout
    assert named in done.summary
    assert done.outputs["result"] == ("validated" if workflow == "plan" else "skipped")


def test_a_pull_request_without_file_changes_gets_no_comment(quick: World) -> None:
    """With `changes-only`, a comment is not written for drift alone."""
    quick.edit_live("Audit", channel="by-hand")
    quick.git("checkout", "-q", "-b", "topic-1")
    (quick.work / "readme.md").write_text("x")
    quick.commit()
    done = quick.pull()
    assert (done.code, done.outputs["updates"]) == (0, "1")
    assert quick.github.comments == []


def test_a_commit_that_breaks_the_files_revokes_the_approval(quick: World) -> None:
    """The comment for the previous commit is not a review of this one."""
    quick.propose(1, "Audit", "Deploys")
    (quick.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    quick.commit()
    assert quick.pull().code == 3
    (comment,) = quick.github.bodies(1)
    marker = decode(comment)
    assert marker is not None
    assert (marker.digest, marker.operations) == (None, ())
    assert "Merging applies nothing" in comment


@pytest.mark.parametrize(
    ("text", "code", "reason", "shown"),
    [
        ("webhooks: []\nwebhooks: []\n", 3, "invalid-configuration", "duplicate-key"),
        ("", 1, "github", "+ Deploys"),
    ],
)
def test_a_rejected_comment_does_not_hide_the_result(
    quick: World, text: str, code: int, reason: str, shown: str
) -> None:
    """The job fails, and its log shows the errors in the files or the plan."""
    quick.propose(1, "Audit", "Deploys", plan=bool(text))
    if text:
        (quick.work / "webhooks.yaml").write_text(text)
        quick.commit()
    quick.github.read_only = True
    done = quick.pull()
    assert (done.code, done.outputs["failure-reason"]) == (code, reason)
    assert shown in done.stdout
    assert ("could not edit the comment" in done.stdout) is bool(text)
