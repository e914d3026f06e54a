"""The steps of the shipped workflows run against CloudTruth and GitHub over HTTP.

Each kind of step runs in a real shell in one test; preparing steps run in this process, which takes
a tenth of the time.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.ci.marker import decode
from tests.ci.support import PUSH, World, only
from tests.emulated.faults import Rule, Script, delay
from tests.goldens import rows

TABLES = rows(Path(__file__).with_suffix(".yaml"))


@pytest.fixture
def in_shell(here: World) -> World:
    """The same, with each step in a shell."""
    here.shell = True
    return here


def test_a_pull_request_is_planned_changed_merged_and_applied(in_shell: World) -> None:
    """The pull request's one comment is updated; exactly its plan is applied on the merge."""
    first = in_shell.propose(1, "Audit", "Deploys")
    assert (first.code, first.outputs["result"], first.outputs["creates"]) == (0, "planned", "1")
    assert json.loads(Path(first.outputs["plan-json"]).read_text())["digest"]
    in_shell.declare("Audit", "Deploys", "Pager")
    second = in_shell.pull()
    (comment,) = in_shell.github.bodies(1)
    assert "2 to create" in comment
    assert second.outputs["digest"] in comment
    assert "2 to create" in second.summary
    before = len(in_shell.writes())
    in_shell.squash(1)
    applied = in_shell.push()
    assert (applied.code, applied.outputs["result"]) == (0, "applied"), applied.stdout
    assert applied.outputs["digest"] == second.outputs["digest"]
    assert set(in_shell.live()) == {"Audit", "Deploys", "Pager"}
    assert len(in_shell.writes()) == before + 2
    review, outcome = in_shell.github.bodies(1)
    assert (review, "**Applied** by [this run]" in outcome) == (comment, True)
    writes = in_shell.writes()
    again = in_shell.push()
    assert (again.code, again.outputs["result"]) == (0, "converged")
    assert (in_shell.writes(), in_shell.github.bodies(1)) == (writes, [review, outcome])


def test_a_cancelled_apply_is_finished_by_the_next_run(in_shell: World) -> None:
    """After the signal, requests in flight finish, no other starts, and the report is written."""
    names = [f"hook-{number}" for number in range(150)]
    assert in_shell.propose(1, "Audit", *names).code == 0
    in_shell.squash(1)
    # All responses together take far longer than the program takes to receive the signal.
    in_shell.emulator.faults = Script([Rule(fault=delay(0.4), method="POST", times=None)])
    stopped = in_shell.interrupted("apply", "push", PUSH)
    assert stopped.code == 130, stopped.stdout + stopped.stderr
    assert stopped.outputs["failure-reason"] == "interrupted"
    assert any("**Partially applied**" in each for each in in_shell.github.bodies(1))
    assert 1 < len(in_shell.live()) < 151
    in_shell.emulator.faults = Script()
    assert in_shell.push().code == 0
    assert set(in_shell.live()) == {"Audit", *names}


@pytest.mark.parametrize(("key", "named"), TABLES["missing keys"])
@pytest.mark.parametrize("workflow", ["plan", "apply", "drift"])
def test_without_a_key_every_workflow_fails(
    here: World, workflow: str, key: str, named: str
) -> None:
    """The error names what is not set, and no other key is used instead."""
    if not key:
        here.secrets.clear()
    path = here.work / "webhooks.yaml"
    path.write_text(key + path.read_text())
    event = {"plan": "pull_request", "apply": "push", "drift": "schedule"}[workflow]
    before = len(here.emulator.log)
    payload = here.opened() if workflow == "plan" else PUSH
    done = only(here.run(workflow, event, payload, EMPTY_KEY=""))
    assert (done.code, len(here.emulator.log)) == (4, before), done.stdout
    assert done.outputs["failure-reason"] == "no-api-key"
    assert named in done.stdout
    assert named in done.summary


def test_a_secret_that_the_workflow_does_not_allow_names_the_command_to_run(here: World) -> None:
    """On GitHub, the list of allowed secrets is in a workflow that `init` updates."""
    here.topic(1)
    text = (here.work / "webhooks.yaml").read_text()
    here.put({"webhooks.yaml": text.replace("SLACK_BOT_TOKEN", "OTHER_TOKEN")})
    done = here.pull()
    assert done.code == 3
    assert "for GitHub's workflows, run `webhooks init --github` again" in done.stdout


def test_a_pull_request_without_file_changes_gets_no_comment(here: World) -> None:
    """With `changes-only`, a comment is not written for drift alone, unless a merge applies it."""
    here.emulator.configure("Audit", channel="by-hand")
    here.topic(1)
    here.put({"readme.md": "x"})
    done = here.pull()
    assert (done.code, done.outputs["updates"]) == (0, "1")
    assert here.github.comments == []
    here.put({".github/workflows/apply-webhooks.yml": "on: {push: {}}\n"})
    assert here.pull().outputs["updates"] == "1"
    assert len(here.github.comments) == 1


def test_a_commit_that_breaks_the_files_revokes_the_approval(here: World) -> None:
    """The comment for the previous commit is not a review of this one."""
    here.propose(1, "Audit", "Deploys")
    here.put({"webhooks.yaml": "webhooks: []\nwebhooks: []\n"})
    assert here.pull().code == 3
    (comment,) = here.github.bodies(1)
    marker = decode(comment)
    assert marker is not None
    assert (marker.digest, marker.operations) == (None, ())
    assert "Merging applies nothing" in comment


@pytest.mark.parametrize(("text", "code", "reason", "shown"), TABLES["rejected comments"])
def test_a_rejected_comment_does_not_hide_the_result(
    here: World, text: str, code: int, reason: str, shown: str
) -> None:
    """The job fails, and its log shows the errors in the files or the plan."""
    here.propose(1, "Audit", "Deploys", plan=bool(text))
    if text:
        here.put({"webhooks.yaml": text})
    here.github.read_only = True
    done = here.pull()
    assert (done.code, done.outputs["failure-reason"]) == (code, reason)
    assert shown in done.stdout
    assert ("could not edit the comment" in done.stdout) is bool(text)
