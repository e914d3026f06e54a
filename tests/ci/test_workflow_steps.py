"""The steps of the shipped workflows, run against CloudTruth and GitHub over HTTP.

Each kind of step runs in a real shell somewhere here; where many of them lead to a situation, they
run inside this process, which takes a tenth of the time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.ci.marker import decode
from tests.ci.support import KEY, SLACK, World, world
from tests.emulated.faults import Rule, Script, delay, status

BRANCH = "topic"


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def here(quick: World) -> World:
    quick.shell = True
    return quick


def settle(here: World) -> None:
    """Bring live to what main declares."""
    shell, here.shell = here.shell, False
    done = here.step("apply", "push", {}, WEBHOOKS_REVIEWED_PLAN="ignore")
    assert done.code == 0, done.stderr + done.stdout
    here.shell = shell


def propose(here: World, *names: str, branch: str = BRANCH, **channels: str) -> None:
    """Make a pull request's branch that declares `names`."""
    here.git("checkout", "-q", "-b", branch, "main")
    here.declare(*names, **channels)
    here.commit()


def test_a_pull_request_is_planned_changed_merged_and_applied(here: World) -> None:
    """One comment follows the pull request; exactly its plan is applied on the merge."""
    settle(here)
    propose(here, "Audit", "Deploys")
    first = here.pull()
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
    applied = here.push(here.squash(1, BRANCH))
    assert (applied.code, applied.outputs["result"]) == (0, "applied"), applied.stdout
    assert applied.outputs["digest"] == second.outputs["digest"]
    assert set(here.live()) == {"Audit", "Deploys", "Pager"}
    assert len(here.writes()) == before + 2
    (comment,) = here.github.bodies(1)
    assert "**Applied** by [this run]" in comment
    assert decode(comment) is not None


def test_the_digest_is_the_same_without_the_token_and_across_a_squash(here: World) -> None:
    """The plan job has no Slack token, the apply job has it, and both compute one digest."""
    settle(here)
    propose(here, "Audit", "Deploys", Audit="audit-eu")
    planned = here.pull()
    assert SLACK not in planned.stdout + planned.summary
    applied = here.push(here.squash(1, BRANCH))
    assert applied.outputs["digest"] == planned.outputs["digest"] != ""
    assert applied.code == 0


def test_what_changed_live_meanwhile_is_refused_and_can_be_approved(here: World) -> None:
    """Nothing is written; the digest that is printed leads on by hand."""
    settle(here)
    propose(here, "Audit", "Deploys")
    here.pull()
    here.edit_live("Audit", channel="by-hand")
    before = here.writes()
    refused = here.push(here.squash(1, BRANCH))
    assert (refused.code, refused.outputs["result"]) == (6, "refused")
    assert refused.outputs["failure-reason"] == "not-reviewed"
    assert here.writes() == before
    assert "update Audit" in refused.stdout
    digest = refused.outputs["digest"]
    assert f"gh workflow run apply-webhooks.yml --ref main -f digest={digest}" in refused.stderr + (
        refused.stdout
    )
    assert digest in refused.summary
    assert "**Not applied** by" in here.github.bodies(1)[0]
    wrong = here.dispatch("sha256:" + "0" * 64)
    assert (wrong.code, here.writes()) == (6, before)
    approved = here.dispatch(digest)
    assert (approved.code, approved.outputs["result"]) == (0, "applied")
    assert here.live() == {"Audit": "general", "Deploys": "general"}
    assert here.dispatch(digest).outputs["result"] == "converged"


def test_a_comment_that_somebody_edited_is_no_review(quick: World) -> None:
    """A marker that cannot be read approves nothing, and the next plan writes a new comment."""
    settle(quick)
    propose(quick, "Audit", "Deploys")
    quick.pull()
    comment = quick.github.comments[0]
    comment["body"] = comment["body"].replace('"v":1', '"v":1,')
    refused = quick.push(quick.squash(1, BRANCH))
    assert refused.code == 6
    assert "pull request 1 approves nothing: it has no plan comment" in refused.stdout
    assert "Deploys" not in quick.live()


def test_pull_requests_merged_in_a_row_are_applied_each(quick: World) -> None:
    """Two pushes, then two pull requests in one push: the union of what they showed counts."""
    settle(quick)
    for number, names in enumerate([("Audit", "A"), ("Audit", "B")], start=1):
        propose(quick, *names, branch=f"topic-{number}")
        quick.pull(number)
    first = quick.squash(1, "topic-1")
    assert quick.push(first).code == 0
    quick.declare("Audit", "A", "B")
    second = quick.commit("squashed 2")
    quick.github.merge(2, second)
    assert quick.push(second).code == 0
    for number, name in ((3, "C"), (4, "D")):
        propose(quick, "Audit", "A", "B", name, branch=f"topic-{number}")
        quick.pull(number)
    quick.git("checkout", "-q", "main")
    commits = []
    for number, names in ((3, "C"), (4, "CD")):
        quick.declare("Audit", "A", "B", *names)
        commits.append(quick.commit(f"squashed {number}"))
        quick.github.merge(number, commits[-1])
    both = quick.push(*commits)
    assert (both.code, both.outputs["creates"]) == (0, "2")
    assert set(quick.live()) == {"Audit", "A", "B", "C", "D"}
    assert all("**Applied**" in quick.github.bodies(number)[0] for number in (3, 4))


def test_a_partial_apply_is_finished_by_running_it_again(quick: World) -> None:
    """What is left is a part of what was approved."""
    settle(quick)
    propose(quick, "Audit", "Deploys", "Pager")
    quick.pull()
    commit = quick.squash(1, BRANCH)
    quick.emulator.faults = Script([Rule(fault=status(400), method="POST")])
    partial = quick.push(commit)
    assert (partial.code, partial.outputs["failure-reason"]) == (7, "apply-incomplete")
    assert "**Applied in part**" in quick.github.bodies(1)[0]
    assert len(quick.live()) == 2
    again = quick.push(commit)
    assert (again.code, again.outputs["creates"]) == (0, "1")
    assert set(quick.live()) == {"Audit", "Deploys", "Pager"}
    assert "in part" not in quick.github.bodies(1)[0]
    assert quick.push(commit).outputs["result"] == "converged"


def test_an_apply_of_which_nothing_is_written_is_not_called_a_part(quick: World) -> None:
    """The comment says what happened: nothing."""
    settle(quick)
    propose(quick, "Audit", "Deploys")
    quick.pull()
    commit = quick.squash(1, BRANCH)
    quick.emulator.faults = Script([Rule(fault=status(400), method="POST")])
    assert quick.push(commit).code == 1
    assert "**Not applied**" in quick.github.bodies(1)[0]
    assert set(quick.live()) == {"Audit"}


def test_a_cancelled_apply_ends_in_order_and_is_finished_later(here: World) -> None:
    """The signal reaches the program: what is in flight ends, nothing starts, and it reports."""
    settle(here)
    names = [f"hook-{number}" for number in range(150)]
    propose(here, "Audit", *names)
    assert here.pull().code == 0
    commit = here.squash(1, BRANCH)
    event = {"ref": "refs/heads/main", "after": commit, "commits": []}
    # All answers together take far longer than it takes the program to hear the signal.
    here.emulator.faults = Script([Rule(fault=delay(0.4), method="POST", times=None)])
    stopped = here.interrupted("apply", event)
    assert stopped.code == 130, stopped.stdout + stopped.stderr
    assert stopped.outputs["failure-reason"] == "apply-incomplete"
    assert "**Applied in part**" in here.github.bodies(1)[0]
    assert 1 < len(here.live()) < 151
    here.emulator.faults = Script()
    assert here.push(commit).code == 0
    assert set(here.live()) == {"Audit", *names}


def test_a_revert_pushed_past_review_needs_a_digest(here: World) -> None:
    """A direct push has no pull request: it is refused, and approved by a manual start."""
    here.declare("Audit", "Deploys")
    here.commit()
    settle(here)
    here.declare("Audit")
    refused = here.push(here.commit("revert"))
    assert refused.code == 6
    assert set(here.live()) == {"Audit", "Deploys"}
    assert here.dispatch(refused.outputs["digest"]).code == 0
    assert set(here.live()) == {"Audit"}


def test_a_fork_is_checked_and_told_so(here: World) -> None:
    """No secret, no comment, no request to CloudTruth: valid files pass, invalid ones fail."""
    here.secrets.clear()
    here.github.read_only = True
    propose(here, "Audit", "Deploys")
    head = {"sha": "a" * 40, "repo": {"full_name": "eve/hooks"}}
    done = here.pull(head=head)
    assert (done.code, done.outputs["result"]) == (0, "validated")
    assert "comes from a fork" in done.stdout
    assert "comes from a fork" in done.summary
    (here.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    bad = here.pull(head=head)
    assert (bad.code, bad.outputs["result"]) == (3, "failed")
    assert "::error file=webhooks.yaml,line=2," in bad.stdout
    assert here.github.log == []
    assert here.emulator.store.log() == []


def test_dependabot_is_checked_and_told_so(quick: World) -> None:
    """Its runs have the tokens of a fork's."""
    quick.secrets.clear()
    done = quick.pull(user={"login": "dependabot[bot]"})
    assert (done.code, done.outputs["result"]) == (0, "validated")
    assert "Dependabot" in done.stdout


@pytest.mark.parametrize("workflow", ["plan", "apply", "drift"])
def test_without_a_key_every_workflow_passes_and_says_so(here: World, workflow: str) -> None:
    """A repository that is not set up yet is no failure, and no silence either."""
    here.secrets.clear()
    event = {"plan": "pull_request", "apply": "push", "drift": "schedule"}[workflow]
    done = here.step(workflow, event, {})
    assert done.code == 0
    assert "::warning title=no-api-key::" in done.stdout
    assert "CLOUDTRUTH_API_KEY" in done.summary
    assert done.outputs["result"] == ("validated" if workflow == "plan" else "skipped")


def test_a_plan_that_a_guard_holds_back_fails_the_check(quick: World) -> None:
    """The comment says BLOCKED; what is relaxed by the pull request is listed."""
    quick.declare(*(f"hook-{number}" for number in range(8)), head="protect: [hook-1]")
    quick.commit()
    settle(quick)
    propose(quick, "hook-7")
    done = quick.pull()
    assert (done.code, done.outputs["result"]) == (5, "blocked")
    (comment,) = quick.github.bodies(1)
    assert "**BLOCKED**" in comment
    assert "merging applies nothing" in comment
    assert "protect" in comment


def test_changes_are_told_apart_from_drift(quick: World) -> None:
    """What the pull request does and what happened by hand stand under different names."""
    settle(quick)
    quick.edit_live("Audit", channel="by-hand")
    propose(quick, "Audit", "Deploys")
    quick.pull()
    (comment,) = quick.github.bodies(1)
    rows = {line.split("|")[2].strip(): line for line in comment.splitlines() if "| `" in line}
    assert "drift" in rows["`Audit`"]
    assert "this change" in rows["`Deploys`"]


def test_a_pull_request_that_leaves_the_files_alone_gets_no_comment(quick: World) -> None:
    """With changes-only drift alone is no reason to speak."""
    settle(quick)
    quick.edit_live("Audit", channel="by-hand")
    quick.git("checkout", "-q", "-b", BRANCH)
    (quick.work / "readme.md").write_text("x")
    quick.commit()
    done = quick.pull()
    assert (done.code, done.outputs["updates"]) == (0, "1")
    assert quick.github.comments == []


def test_a_commit_that_breaks_the_files_takes_the_approval_back(quick: World) -> None:
    """The comment of the commit before is no review of this one."""
    settle(quick)
    propose(quick, "Audit", "Deploys")
    quick.pull()
    (quick.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    quick.commit()
    assert quick.pull().code == 3
    (comment,) = quick.github.bodies(1)
    marker = decode(comment)
    assert marker is not None
    assert (marker.digest, marker.operations) == (None, ())
    assert "Nothing is approved" in comment


def test_a_comment_that_cannot_be_written_hides_no_mistake_in_the_files(quick: World) -> None:
    """What is wrong with the files is said, and that GitHub refused the comment as well."""
    settle(quick)
    propose(quick, "Audit", "Deploys")
    quick.pull()
    (quick.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    quick.commit()
    quick.github.read_only = True
    done = quick.pull()
    assert (done.code, done.outputs["failure-reason"]) == (3, "invalid-configuration")
    assert "duplicate-key" in done.stdout
    assert "comment-not-edited" in done.stdout


def test_a_comment_that_cannot_be_written_hides_no_plan(quick: World) -> None:
    """The job fails, and its log has the plan all the same."""
    settle(quick)
    propose(quick, "Audit", "Deploys")
    quick.github.read_only = True
    done = quick.pull()
    assert (done.code, done.outputs["failure-reason"], done.outputs["creates"]) == (
        1,
        "github",
        "1",
    )
    assert "+ Deploys" in done.stdout


def test_three_hundred_changes_fit_into_a_comment_and_are_approved(here: World) -> None:
    """The comment is cut by whole rows, the counts are whole, and all of them are applied."""
    settle(here)
    names = [f"hook-{number:03} " + "x" * 100 for number in range(300)]
    propose(here, "Audit", *names)
    done = here.pull()
    assert done.code == 0
    (comment,) = here.github.bodies(1)
    assert len(comment) <= 60_000
    assert "300 to create" in comment.splitlines()[1]
    assert "Cut to fit" in comment
    assert comment.count("```") % 2 == 0
    applied = here.push(here.squash(1, BRANCH))
    assert (applied.code, applied.outputs["creates"]) == (0, "300")
    assert len(here.live()) == 301


HOSTILE = (
    "``` ` ``",
    "a|b",
    "@org/team",
    "##[set-output name=result]hacked",
    "::set-output name=result::hacked",
    "<img src=x onerror=alert(1)>",
    "--> <!-- cloudtruth-webhooks",
    "[x](javascript:alert(1))",
)


def test_names_that_attack_are_only_names(here: World) -> None:
    """No name runs a command, mentions a team, ends a comment or forges an output."""
    settle(here)
    propose(here, "Audit", *HOSTILE)
    planned = here.pull()
    assert planned.code == 0, planned.stdout
    assert planned.outputs["result"] == "planned"
    applied = here.push(here.squash(1, BRANCH))
    assert applied.code == 0
    drifted = here.drift()
    assert drifted.outputs["result"] == "no-drift"
    for done in (planned, applied, drifted):
        for line in re.split(r"[\n\r\u2028]", done.stdout + done.stderr):
            assert "##[" not in line
            assert not re.match(r"\s*::(?!notice |warning |error |notice::)", line)
        assert "hacked" not in done.outputs["result"]
    (comment,) = here.github.bodies(1)
    for found in re.finditer(r"@org/team", comment):
        assert comment[found.start() - 1] == "`" or "```diff" in comment[: found.start()]
    assert comment.count("-->") == comment.count("<!--")


def test_drift_is_one_issue_while_it_lasts(here: World) -> None:
    """Opened, left alone while nothing changes, edited when it does, closed when it is gone."""
    settle(here)
    assert here.drift().outputs["result"] == "no-drift"
    assert here.github.issues == []
    here.edit_live("Audit", channel="by-hand")
    found = here.drift()
    assert (found.code, found.outputs["result"], found.outputs["updates"]) == (0, "drift", "1")
    (issue,) = here.github.issues
    assert "1 to update" in issue["title"]
    body = issue["body"]
    here.drift()
    assert (len(here.github.issues), issue["body"]) == (1, body)
    here.edit_live("Audit", channel="by-hand-again")
    here.drift()
    assert issue["body"] != body
    here.edit_live("Audit", channel="general")
    here.drift()
    assert issue["state"] == "closed"
    assert "gone" in here.github.bodies(issue["number"])[0]


def test_a_change_of_a_secret_alone_needs_no_review(quick: World) -> None:
    """Nobody can see it on a pull request, so the push that comes next sends it."""
    settle(quick)
    quick.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
    done = quick.push(quick.commit("unrelated"))
    assert (done.code, done.outputs["updates"]) == (0, "1")


def test_no_secret_leaves(here: World) -> None:
    """Neither key nor tokens appear in logs, summaries, outputs, comments or plans."""
    settle(here)
    propose(here, "Audit", "Deploys")
    runs = [here.pull(), here.push(here.squash(1, BRANCH)), here.drift()]
    seen = "".join(f"{done.stdout}{done.stderr}{done.summary}{done.outputs}" for done in runs)
    seen += str(here.github.comments) + str(here.github.issues)
    seen += "".join(each.read_text() for each in here.folder.glob("run-*/webhooks-plan-*.json"))
    for secret in (KEY, SLACK, here.github.token):
        assert secret not in seen


def test_the_world_is_real(quick: World) -> None:
    """The harness fails where the program does: a wrong workflow input is an error."""
    done = quick.step("plan", "schedule", {}, WEBHOOKS_COMMENT="sometimes")
    assert (done.code, done.outputs["failure-reason"]) == (64, "usage")
