"""Scenarios of teams that review on GitHub: what is applied, and what is reported.

GitHub is a fake over HTTP, CloudTruth is the emulator, and the repository is real.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from reconciler.ci.github import Pull
from reconciler.ci.marker import Marker, MarkerKind, decode
from reconciler.ci.reviews import MergedReview, unapproved
from reconciler.ci.workflows import CALLER, workflows
from reconciler.emulator.messages import bytes_response, json_value
from reconciler.errors import ExitCode, Terminated
from tests.ci.fake_github import BOT, refusal
from tests.ci.support import PUSH, SLACK, Done, World, only, plant, world
from tests.emulated.faults import Rule, Script, drop, status, with_fault
from tests.goldens import rows

TABLES = rows(Path(__file__).with_suffix(".yaml"))

# Which files and which reviews count.


def test_an_old_checkout_with_other_files_writes_nothing(here: World) -> None:
    """A workflow that checks out the commit of the event would apply outdated files."""
    old = here.merged(1, "Audit", "Deploys")
    here.merged(2, "Audit")
    late = here.push(at=old)
    assert (late.code, late.outputs["failure-reason"]) == (6, "not-the-tip")
    assert set(here.live()) == {"Audit"}
    assert re.search("(?s)### Failed: `not-the-tip`.*gh run rerun", here.github.bodies(1)[1])


def test_an_old_checkout_with_the_same_files_is_applied(here: World) -> None:
    """A later merge that does not change the files starts no run, so this run must continue."""
    old = here.merged(1, "Audit", "Deploys")
    here.put({"readme.md": "x"})
    assert here.push(at=old).code == 0
    assert set(here.live()) == {"Audit", "Deploys"}


def test_after_a_force_push_the_old_checkout_is_rejected(here: World) -> None:
    """The merged commit is no longer part of the branch."""
    start = here.git("rev-parse", "main")
    gone = here.merged(1, "Audit", "Deploys")
    here.git("reset", "-q", "--hard", start)
    here.declare("Audit", Audit="elsewhere")
    assert here.push(at=gone).outputs["failure-reason"] == "not-the-tip"
    rejected = here.push()
    assert (rejected.code, rejected.outputs["failure-reason"]) == (6, "not-reviewed")
    assert here.live() == {"Audit": "general"}


def test_a_usual_run_makes_at_most_ten_requests_to_github(here: World) -> None:
    """12,000 comments on pull requests that cannot matter, and 500 issues, are not read."""
    start = here.git("rev-parse", "main")
    for number in range(100, 220):
        here.github.merge(number, start)
    here.merged(1, "Audit", "Deploys")
    assert here.push().outputs["result"] == "applied"
    for number in range(220, 230):
        here.github.open(number, start)
    for index in range(12_000):
        here.github.comment(100 + index % 130, "nice", login="ann")
    for number in range(1_000, 1_500):
        here.github.issues.append({"number": number, "state": "open", "user": {"login": "ann"}})
    here.merged(2, "Audit", "Deploys", "Pager")
    here.github.log.clear()
    assert here.push().outputs["result"] == "applied"
    assert len(here.github.log) <= 10


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_reviews_are_read_back_to_an_outcome_before_which_none_is_pending(
    read_back_world: World,
) -> None:
    """A secret whose resend failed is sent by a later run, although a newer review is settled.

    The newer plan lacks it, with a warning: the older reviews could not be read.
    """
    here, old = read_back_world, read_back_world.git("rev-parse", "main")
    merge_rotation(here)
    with here.github.failing("/pulls", refusal(429, "Slow down")):
        done = here.propose(2, "Audit", "Deploys", version=2)
    assert "the merged reviews cannot be read" in done.stdout
    here.squash(2)
    here.emulator.faults = Script([Rule(fault=status(400), method="PATCH")])
    assert here.push().code == 7
    assert "**Applied** by" in here.github.bodies(2)[-1]
    assert here.push().code == 0
    assert here.token("Audit") == here.secrets["SLACK_BOT_TOKEN"]
    here.merged(3, "Audit", version=2)
    assert here.push().code == 0
    here.github.log.clear()
    assert here.push().outputs["result"] == "converged"
    assert {path.split("/")[-2] for _, path in here.github.log if "/comments" in path} == {"3"}
    # A re-run of the first push also reads the review that approves its secret.
    assert here.push(before=old).outputs["result"] == "converged"


def test_an_outcome_for_another_organization_does_not_end_the_search(tmp_path: Path) -> None:
    """A review is found although the same file was applied with another organization's key."""
    with world(tmp_path, any_key=False) as here:
        store = here.emulator.store
        keys = [f"ct-{name}-0123456789" for name in ("first", "second")]
        store.add_user(here.emulator.organization, key=keys[0])
        store.add_user(store.add_organization("Other").id, key=keys[1])
        for number, key in enumerate(keys, start=1):
            here.secrets["CLOUDTRUTH_API_KEY"] = key
            here.merged(number, "Audit", *(f"hook-{index}" for index in range(number)))
        assert here.push().outputs["result"] == "applied"
        here.secrets["CLOUDTRUTH_API_KEY"] = keys[0]
        assert here.push().code == 7
        assert set(here.live()) == {"Audit", "hook-0"}


# Two pull requests, and changes between them.


def test_a_manual_change_makes_a_review_stale(here: World) -> None:
    """A stale review writes nothing; the comment shows a command that applies exactly its plan."""
    here.propose(1, "Audit", "Deploys", Audit="mine")
    here.emulator.configure("Audit", channel="by-hand")
    here.squash(1)
    before = here.writes()
    stale = here.push()
    assert (stale.code, here.writes()) == (6, before)
    assert here.push().code == 6
    (failure,) = (each for each in here.github.bodies(1) if "`stale-plan`" in each)
    assert "webhooks plan" not in failure
    done = here.follow(failure)
    applied = "2 of 2 reviewed operations applied (this run applied a plan by its digest)"
    assert applied in here.github.bodies(1)[-1]
    assert (done.code, done.outputs["result"]) == (0, "applied")
    assert here.live() == {"Audit": "mine", "Deploys": "general"}
    assert "**Applied** by [this run]" in here.github.bodies(1)[-1]
    assert here.follow(failure).outputs["result"] == "converged"
    assert here.push().outputs["result"] == "converged"


def test_unreviewed_drift_is_kept_and_reviewed_changes_are_applied(here: World) -> None:
    """The run exits 7, because something was written; the comment lists what needs a review."""
    here.merged(1, "Audit", "Deploys")
    here.emulator.configure("Audit", channel="by-hand")
    done = here.push()
    assert (done.code, done.outputs["failure-reason"]) == (7, "not-reviewed")
    assert here.live() == {"Audit": "by-hand", "Deploys": "general"}
    outcome, failure = here.github.bodies(1)[1:]
    assert "**Applied** by" in outcome
    assert "To apply the plan above" in failure
    for text in (failure, done.summary):
        assert "0 to create, 1 to update, 0 to delete" in text
        assert "| `~` | `Audit` | update `slack #general`: `channel` |" in text
        assert "- Apply needs `env SLACK_BOT_TOKEN` for `slack #general`" in text
    assert here.follow(done.stdout).code == 0
    assert here.live() == {"Audit": "general", "Deploys": "general"}


def test_the_next_plan_shows_an_edit_made_during_the_review(here: World) -> None:
    """GitHub keeps the approvals, and notifies only of a new comment, which lists all changes."""
    here.propose(1, "Audit", "Deploys")
    here.emulator.configure("Audit", channel="by-hand")
    # Also after a plan that failed, or that did not change.
    for code in (4, 0, 0):
        fault = Rule(fault=status(401), times=None)
        here.emulator.faults = Script([fault] if code else [])
        assert here.pull(1).code == code
    replaced, comment = here.github.bodies(1)
    assert "see the newer comment" in replaced
    assert "**The plan of this commit failed or has changed**" in comment
    rows = {line.split("|")[2].strip(): line for line in comment.splitlines() if "| `" in line}
    assert "drift" in rows["`Audit`"]
    assert "this change" in rows["`Deploys`"]
    here.squash(1)
    assert here.push().code == 0
    assert here.live() == {"Audit": "general", "Deploys": "general"}


def test_a_plan_job_rerun_after_the_merge_edits_nothing(here: World) -> None:
    """The approved comment does not change."""
    here.propose(1, "Audit", "Deploys")
    (review,) = here.github.bodies(1)
    here.squash(1)
    here.topic(1)
    here.declare("Audit", "Deploys", "Evil")
    event = here.opened(1)
    for branch in ("topic-1", "main"):  # GitHub checks out the target after the title is edited
        here.git("checkout", "-q", branch)
        rerun = only(here.run_here("plan", "pull_request", event))
        assert (rerun.code, "review-frozen" in rerun.stdout) == (0, True)
    assert here.github.bodies(1) == [review]


# Reviews that do not count.


@pytest.mark.parametrize(("edit", "why"), TABLES["changed reviews"])
def test_a_changed_review_approves_nothing(here: World, edit: str, why: str) -> None:
    """The comment was edited after the merge, damaged, deleted, or written by another user.

    Or the plan was made before files were added, which changes the label by default. Or only the
    old comment of a changed plan could be written.
    """
    here.propose(1, "Audit", "Deploys", plan=False)
    here.pull(1, WEBHOOKS_LABEL="x" if edit == "label" else "")
    comment = here.github.comments[0]
    if edit == "digest":
        here.github.edit(comment, comment["body"].replace('"v":5', '"v":5,'))
    if edit == "deleted":
        here.github.comments.remove(comment)
    if edit == "forged":
        here.github.comments[0] = {**comment, "user": {"login": "eve"}}
    if edit == "replaced":
        here.emulator.configure("Audit", channel="by-hand")
        with here.github.failing("/comments", FAULTS["500"], "POST"):
            assert here.pull().code == 1
        assert here.pull(CLOUDTRUTH_API_KEY="").outputs["failure-reason"] == "no-api-key"
    here.squash(1)
    if edit == "later":
        here.github.edit(comment, comment["body"] + "one more line")
    rejected = here.push()
    assert (rejected.code, rejected.outputs["failure-reason"]) == (6, "not-reviewed")
    assert f"pull request 1 has no approved plan: {why}" in rejected.stdout
    assert ("gh pr update-branch NUMBER" in here.github.bodies(1)[-1]) == (edit == "label")
    assert set(here.live()) == {"Audit"}
    assert here.follow(here.github.bodies(1)[-1]).code == 0
    assert set(here.live()) == {"Audit", "Deploys"}
    here.declare("Audit", "Deploys", "Sneak")
    assert "was edited" not in here.push().stdout


def test_a_direct_push_is_reported_on_the_newest_pull_request(here: World) -> None:
    """An unreviewed revert is not applied, reported, and applied by the digest in the comment."""
    here.merged(1, "Audit", "Deploys", head="prune: true\nscope: ['*']")
    assert here.push().code == 0
    here.declare("Audit", head="prune: true\nscope: ['*']")
    rejected = here.push()
    assert (rejected.code, set(here.live())) == (6, {"Audit", "Deploys"})
    assert here.follow(here.github.bodies(1)[-1]).code == 0
    assert set(here.live()) == {"Audit"}


def test_without_a_pull_request_an_issue_is_opened(here: World) -> None:
    """Each reason has one issue, which the next run updates, or replaces for another reason."""
    here.declare("Audit", "Deploys")
    for _ in range(2):
        assert here.push().code == 6
    (issue,) = here.github.issues
    assert issue["title"] == "CloudTruth webhooks: apply failed (not-reviewed)"
    key = here.secrets.pop("CLOUDTRUTH_API_KEY")
    assert (here.push().code, issue["state"]) == (4, "closed")
    here.secrets["CLOUDTRUTH_API_KEY"] = key
    assert here.follow(issue["body"]).code == 0
    assert [issue["state"] for issue in here.github.issues] == ["closed", "closed"]


@pytest.mark.parametrize(
    ("name", "file"), [("apply", "webhooks.yaml"), ("drift", "h\u00e4---<b>&'#1.yaml")]
)
def test_a_job_that_fails_before_its_command_has_one_issue(
    here: World, name: str, file: str
) -> None:
    """After two failed installations the issue names the later run; the next success closes it.

    It is found behind 150 issues of other workflows. The report imports nothing from the checkout.
    """
    for number in range(150):
        here.github.issues.append(
            {"number": number, "state": "open", "title": "x", "body": "", "user": {"login": BOT}}
        )
    here.git("mv", "-k", here.file, file)
    here.commit()
    here.file = file
    ran = plant(here.work)
    for run in ("7", "8"):
        assert here.not_run(name, run).code == 0
    assert not ran.exists()
    (issue,) = here.github.issues[150:]
    title = f": {name} in {name}-webhooks.yml reported no result (not-run)"
    assert issue["title"].endswith(title)
    assert f"runs/8 failed or was cancelled before `webhooks ci {name}` reported" in issue["body"]
    assert "If an input was malformed, start a new run" in issue["body"]
    assert (here.push() if name == "apply" else here.drift()).code == 0
    assert issue["state"] == "closed"
    (closing,) = here.github.bodies(issue["number"])
    assert ("rotated a secret without an approved plan, re-run" in closing) == (name == "apply")


def test_a_run_cancelled_before_its_first_write_is_reported(here: World) -> None:
    """The comment of a run that was cancelled while it plans has the command that continues."""
    here.merged(1, "Audit", "Deploys")
    # At the last request before the plan.
    stopped = here.interrupted("apply", "push", PUSH, at=lambda _, path: "/compare/" in path)
    assert (stopped.code, stopped.outputs["failure-reason"]) == (130, "interrupted")
    assert failures(here) == ["interrupted"]
    assert "gh run rerun" in here.github.bodies(1)[-1]
    assert set(here.live()) == {"Audit"}


def test_a_run_cancelled_at_its_last_write_has_nothing_to_continue(here: World) -> None:
    """If all is applied and compared, no command would do more."""
    here.merged(1, "Audit", "Deploys")
    stopped = here.interrupted("apply", "push", PUSH)
    assert (stopped.code, stopped.outputs["failure-reason"]) == (130, "interrupted")
    _, outcome, failure = here.github.bodies(1)
    assert "**Applied**" in outcome
    assert "`interrupted`" in failure
    # On a slow machine the signal leaves no time to compare.
    assert ("gh run rerun" in failure) == ("Read back and compared" not in failure)


def test_a_pull_request_to_another_branch_is_not_a_review(here: World) -> None:
    """Only main is applied, so a merge into another branch approves nothing."""
    here.git("branch", "release")
    here.propose(1, "Audit", "Deploys")
    assert here.pull(1, branch="release", WEBHOOKS_BRANCH="release").code == 0
    assert "Merging applies exactly" in here.github.bodies(1)[0]
    assert here.pull(1, branch="release").code == 0
    (comment,) = here.github.bodies(1)
    assert "This pull request targets `release`, but only `main` is applied" in comment
    assert "Merging applies" not in comment
    here.squash(1, into="release")
    here.git("checkout", "-q", "main")
    here.git("merge", "-q", "release")
    rejected = here.push()
    assert (rejected.code, set(here.live())) == (6, {"Audit"})


# The contents of plan comments.


@pytest.mark.parametrize(("count", "code"), [(400, 0), (1000, 7)])
def test_a_long_plan_has_up_to_ten_comments(here: World, count: int, code: int) -> None:
    """Only operations in the comments are approved; the first comment counts the others."""
    names = [f"hook-{number:04} " + "x" * 240 for number in range(count)]
    done = here.propose(1, "Audit", *names)
    assert (done.code, "did not fit into the comments" in done.stdout) == (0, bool(code))
    parts = here.github.bodies(1)
    assert 1 < len(parts) <= 10
    assert all(len(each) <= 65_536 for each in parts)
    text = "".join(each.partition("\n")[2] for each in parts)
    shown = {name for name in names if f"`{name}`" in text}
    assert f"Part 1 of {len(parts)}" in parts[0]
    assert ("**Not approved**" in parts[0], shown < set(names)) == (bool(code), bool(code))
    here.squash(1)
    assert here.push().code == code
    assert set(here.live()) == shown | {"Audit"}


@pytest.mark.parametrize(
    ("before", "after"),
    [("protect: [Audit]", ""), ("limits: {max_deletes: 1}", "limits: {max_deletes: 9}")],
)
def test_a_change_that_only_relaxes_a_guard_gets_a_comment(
    here: World, before: str, after: str
) -> None:
    """Nothing will be applied, but a reviewer must see the change."""
    here.declare("Audit", head=before)
    planned = here.propose(1, "Audit", head=after)
    assert (planned.code, planned.outputs["result"]) == (0, "no-changes"), planned.stdout
    (comment,) = here.github.bodies(1)
    assert "**policy relaxed**" in comment


def test_a_pull_request_cannot_relax_its_own_policy(here: World) -> None:
    """The base branch's policy applies; the change is shown like a change of a guard."""
    names = {"properties": {"name": {"pattern": "^[AP]", "title": "Names begin with A or P"}}}
    policy = {"properties": {"webhooks": {"items": names}}}
    here.put({"policy.json": json.dumps(policy)})
    here.propose(1, "Audit", "Deploys", plan=False)
    here.put({"policy.json": "{}"})
    done = here.pull(1, WEBHOOKS_POLICY="policy.json")
    assert done.code == 3
    assert "Names begin with A or P" in done.stdout
    here.declare("Audit")
    done = here.pull(1, WEBHOOKS_POLICY="policy.json")
    assert (done.code, done.outputs["result"]) == (0, "no-changes"), done.stdout
    assert "this pull request changes the policy policy.json" in here.github.bodies(1)[-1]


def test_another_target_brings_no_policy_of_the_former_one(here: World) -> None:
    """GitHub then still checks out a merge into the former target, which may have no policy.

    The former target alone, without the commits of the pull request, has no plan.
    """
    here.put({"policy.json": '{"properties": {"webhooks": {"maxItems": 1}}}'})
    here.propose(1, "Audit", "Deploys")
    event = here.opened(1)
    here.git("checkout", "-q", "-b", "former", "main")
    here.put({"policy.json": "{}"})
    here.git("merge", "-q", "--no-ff", "-m", "merge", "topic-1")
    done = only(here.run_here("plan", "pull_request", event, WEBHOOKS_POLICY="policy.json"))
    assert (done.code, "webhooks" in done.stdout) == (3, True)
    here.git("checkout", "-q", "former~1")  # as on `pull_request_target`
    done = only(here.run_here("plan", "pull_request", event))
    assert (done.code, "does not contain the commits of the" in done.stdout) == (64, True)


def test_a_file_declares_the_key_of_its_organization(here: World) -> None:
    """The reference to the key needs no entry in the list of allowed secrets."""
    text = (here.work / "webhooks.yaml").read_text()
    here.put({"webhooks.yaml": f"api_key: {{env: OTHER_KEY}}\n{text}"})
    own = {"CLOUDTRUTH_API_KEY": "", "OTHER_KEY": here.secrets["CLOUDTRUTH_API_KEY"]}
    done = here.push(**own)
    assert (done.code, done.outputs["result"]) == (0, "converged"), done.stdout


def test_a_file_that_does_not_start_the_apply_fails_the_plan(here: World) -> None:
    """A file that is missing in `paths` of the apply workflow would change without an apply."""
    workflow = workflows(here.setup)[CALLER]
    here.put({CALLER: workflow})
    here.topic(1)
    text = (here.work / "webhooks.yaml").read_text()
    here.put({"webhooks.yaml": "extends: shared/base.yaml\n", "shared/base.yaml": text})
    rejected = here.pull(1)
    assert (rejected.code, rejected.outputs["result"]) == (3, "failed")
    assert f"{CALLER} does not run if shared/base.yaml changes" in rejected.stdout
    workflow = workflows(replace(here.setup, parents=("shared/base.yaml",)))[CALLER]
    here.put({CALLER: workflow})
    assert here.pull(1).code == 0
    here.put({CALLER: workflow.replace('"shared/base.yaml"', "'shared/**'")})
    assert here.pull(1).code == 0


def test_a_merge_that_would_start_no_apply_fails_the_plan(here: World) -> None:
    """The apply workflow runs on pushes to another branch, or its branch was renamed."""
    workflow = workflows(here.setup)[CALLER]
    here.put({CALLER: workflow})
    other = {CALLER: workflow.replace('branches: ["main"]', 'branches: ["rel*"]')}
    rejected = here.propose(1, files=other)
    assert (rejected.code, rejected.outputs["result"]) == (3, "failed")
    assert f"{CALLER} does not run on pushes to main" in rejected.stdout
    here.put({CALLER: workflow})
    assert here.pull(1).code == 0
    here.git("branch", "-m", "main", "trunk")
    here.git("update-ref", "-d", "refs/remotes/origin/main")
    assert here.pull(1, branch="trunk").code == 0  # this clone may lack other branches
    here.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    rejected = here.pull(1, branch="trunk")
    assert rejected.code == 3
    assert "the branch that is applied, main, does not exist" in rejected.stdout
    assert "webhooks init --github --branch" in rejected.stdout


def test_the_calling_workflows_can_be_copied_for_other_files(here: World) -> None:
    """The plan of a copy reads the `paths` of the apply workflow that was copied with it."""
    text = (here.work / "webhooks.yaml").read_text()
    copy = workflows(replace(here.setup, files=("brands.yaml",)))[CALLER]
    copies = {CALLER.replace("webhooks", "brands"): copy, "brands.yaml": text}
    here.put({CALLER: workflows(here.setup)[CALLER], **copies})
    here.propose(1, files={"brands.yaml": text.replace("general", "alerts")}, plan=False)
    here.file = "brands.yaml"
    for name, code in (("plan-webhooks", 3), ("plan-brands", 0)):
        caller = f"acme/hooks/.github/workflows/{name}.yml@refs/pull/1/merge"
        assert here.pull(1, GITHUB_WORKFLOW_REF=caller).code == code


def test_the_reports_of_two_setups_do_not_replace_each_other(here: World) -> None:
    """A job without a result has an issue for each setup; plans name their files."""
    text = (here.work / "webhooks.yaml").read_text()
    here.put({"webhooks.yaml": f"scope: [A*]\n{text}"})
    here.put({"brands.yaml": f"scope: [B*]\n{text.replace('Audit', 'Brand')}"})
    here.apply_main()
    for setup in ("webhooks", "brands"):
        assert here.not_run("apply", "7", caller=f"apply-{setup}.yml").code == 0
    mine, other = here.github.issues
    assert here.push().code == 0
    assert (mine["state"], other["state"]) == ("closed", "open")
    here.file = "brands.yaml"
    caller = "x/y/.github/workflows/apply-brands.yml@refs/heads/main"
    here.push(WEBHOOKS_REVIEWED_PLAN="ignore", GITHUB_WORKFLOW_REF=caller)
    assert other["state"] == "closed"
    here.topic(1)
    here.put({"webhooks.yaml": "scope: [A*]\nprune: true\nwebhooks: []\n"})
    here.put({"brands.yaml": "scope: [B*]\nprune: true\nwebhooks: []\n"})
    caller = caller.replace("apply", "plan")
    here.pull(1, GITHUB_WORKFLOW_REF=caller)
    here.file = "webhooks.yaml"
    here.pull(1)
    headings = [body.splitlines()[1] for body in here.github.bodies(1)]
    assert headings[0] == "**`brands.yaml`**"
    assert headings[1].startswith("### CloudTruth webhooks for `Acme`")


def test_one_workflow_of_two_commands_has_an_issue_for_each(here: World) -> None:
    """A drift check does not resolve the issue of an apply that was killed."""
    here.apply_main()
    for command in ("apply", "drift"):
        assert here.not_run(command, "7", caller="webhooks-all.yml").code == 0
    killed, other = here.github.issues
    caller = {"GITHUB_WORKFLOW_REF": "x/y/.github/workflows/webhooks-all.yml@refs/heads/main"}
    assert here.drift(**caller).code == 0
    assert (killed["state"], other["state"]) == ("open", "closed")
    assert here.push(**caller).code == 0
    assert killed["state"] == "closed"
    here.emulator.configure("Audit", channel="by-hand")
    for inputs, applying in (("", "apply-webhooks"), ("inputs: {digest: {}}", "webhooks-all")):
        here.put({".github/workflows/webhooks-all.yml": f"on: {{workflow_dispatch: {{{inputs}}}}}"})
        here.drift(**caller)
        assert f"gh workflow run {applying}.yml" in here.github.issues[-1]["body"]


def test_a_guard_removed_in_a_renamed_file_gets_a_comment(here: World) -> None:
    """The renamed file is recognized by its content; another setup leaves its comment."""
    here.declare("Audit", head="protect: [Audit]")
    here.propose(1, "Audit", "Deploys")
    files = {"other.yaml": "scope: [Other]\nwebhooks:\n  []\n"}
    files["hooks.yaml"] = (here.work / here.file).read_text()
    here.git("rm", "-q", here.file)
    for here.file, text in files.items():
        here.put({here.file: text})
        assert here.pull(WEBHOOKS_COMMENT="true").code == 0
    comment, _ = here.github.bodies(1)
    assert all(text in comment for text in ("**policy relaxed**", "Deploys"))
    here.squash(1)
    assert here.push().outputs["result"] == "applied"


@pytest.mark.parametrize("new", [None, "hooks.yaml"])
def test_a_removed_file_fails_the_plan_and_the_apply(here: World, new: str | None) -> None:
    """Nothing is deleted because a file is missing; the report has the command that helps."""
    here.topic(1)
    here.git(*(["rm", "-q", here.file] if new is None else ["mv", here.file, new]))
    here.commit("removed")
    assert here.pull(1).code == 3
    here.squash(1)
    assert here.push().code == 3
    assert here.live() == {"Audit": "general"}
    report = here.github.bodies(1)[-1]
    check = "To check:\n\n```sh\nwebhooks validate --strict --allow-secret env:SLACK_BOT_TOKEN -f w"
    assert (check in report) == (new is None)
    assert ("run `webhooks init --github -f hooks.yaml`, and" in report) == (new is not None)


def test_a_blocked_plan_fails_and_its_merge_needs_a_digest(here: World) -> None:
    """The comment on a merge of a blocked plan has the digest and the number of deletes."""
    here.file = "./webhooks.yaml"
    names = [f"hook-{number}" for number in range(8)]
    head = "prune: true\nscope: ['*']"
    here.merged(1, "Audit", *names, head=head)
    assert here.push().code == 0
    assert here.propose(2, "Audit", head=head).code == 5
    comment = here.github.bodies(2)[0]
    for edit in (
        "**BLOCKED**", "`prune: false`", 'ignore: ["hook-0", ', "`limits: {max_deletes: 8}`\n",
        "webhooks export -f ./webhooks.yaml --only hook-0 ",
        "if this is intended, set `limits: {max_deletes: 8}` in the file",
    ):  # fmt: skip
        assert edit in comment
    assert not any(option in comment for option in ("--allow-deletes", "--organization"))
    here.squash(2)
    blocked = here.push()
    assert (blocked.code, len(here.live())) == (5, 9)
    failure = here.github.bodies(2)[-1]
    assert "allow-deletes=8" in failure
    assert not any("webhooks apply -" in each for each in (comment, failure, blocked.stdout))
    here.push(before=here.git("rev-parse", "main~1"), WEBHOOKS_REVIEWED_PLAN="warn")
    assert (here.follow(failure).code, here.github.issues[0]["state"]) == (0, "open")
    assert (here.push().code, here.github.issues[0]["state"]) == (0, "closed")
    assert here.live() == {"Audit": "general"}


# Secrets.


def merge_rotation(here: World, *others: str, **channels: str) -> None:
    """Merge a pull request that raises the token's version, and set the new token."""
    here.merged(1, "Audit", *others, version=2, **channels)
    here.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")


@pytest.fixture(params=["plain", "mask", "null", "omitted", "configuration-missing"])
def read_back_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Like `here`, for each form in which a secret may read back."""
    with world(tmp_path, read_back=request.param) as made:
        made.apply_main("Audit", version=1)
        yield made


def test_a_rotation_is_reviewed_and_sent(read_back_world: World) -> None:
    """After a merge that increments `version`, the secret is sent once, in every read-back form."""
    old = read_back_world.git("rev-parse", "main")
    merge_rotation(read_back_world)
    assert "1 to update" in read_back_world.github.bodies(1)[0]
    before = len(read_back_world.writes())
    done = read_back_world.push(before=old)
    assert (done.code, "resent-each-time" in done.stdout) == (0, False)
    assert len(read_back_world.writes()) == before + 1
    assert read_back_world.token("Audit") == read_back_world.secrets["SLACK_BOT_TOKEN"]
    assert "**Applied** by" in read_back_world.github.bodies(1)[1]
    assert read_back_world.push().outputs["result"] == "converged"
    assert len(read_back_world.writes()) == before + 1


@pytest.mark.parametrize("read_back_world", ["plain"], indirect=True)
def test_a_rotation_without_a_new_value_is_not_called_applied(read_back_world: World) -> None:
    """Nobody revokes the old token: the plan has the step before the merge, the outcome a warning.

    The same command names the environment of apply, not that of the plan.
    """
    here = read_back_world
    here.put(workflows(here.setup))
    here.merged(1, "Audit", version=2)
    step = "gh secret set SLACK_BOT_TOKEN --env cloudtruth-production --repo acme/hooks"
    assert "Before the merge, set the new value, or the old one" in here.github.bodies(1)[0]
    assert f": run `{step}`." in here.github.bodies(1)[0]
    done = here.push()
    assert done.outputs["result"] == "converged"  # nothing was written
    outcome = here.github.bodies(1)[1]
    assert "**Applied**" not in outcome
    for text in (outcome, " ".join(done.stdout.split())):
        value = "the value of env SLACK_BOT_TOKEN (version 2)"
        assert f"{value} was already live: if another one is meant, set that" in text


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_change_and_a_resend_are_one_operation(read_back_world: World) -> None:
    """The outcome counts what the plan showed: one update."""
    here = read_back_world
    merge_rotation(here, Audit="elsewhere")
    assert here.push().code == 0
    assert "1 of 1 reviewed operation applied" in here.github.bodies(1)[-1]


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_rotation_that_was_merged_since_is_not_sent_again(read_back_world: World) -> None:
    """The event of a pull request names an older base than the merge that GitHub checks out."""
    here, old = read_back_world, read_back_world.git("rev-parse", "main")
    here.topic(2)
    here.put({"readme.md": "x"})
    merge_rotation(here)
    assert here.push(before=old).outputs["result"] == "applied"
    here.git("checkout", "-q", "topic-2")
    assert here.pull(2, base=old).outputs["result"] == "no-changes"


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
@pytest.mark.parametrize("name", ["a ##[stop-commands]x", "b ::add-mask::b", "c '\\ ##[x]"])
def test_a_command_names_a_webhook_that_a_runner_would_execute(
    read_back_world: World, name: str
) -> None:
    """The log contains no command for the runner, and the shell reads the name from it."""
    here = read_back_world
    here.apply_main("Audit", name, version=1)
    old = here.git("rev-parse", "main")
    here.declare("Audit", name, version=2)
    done = here.push(before=old)
    assert done.outputs["failure-reason"] == "rotation-not-reviewed"
    assert "No changes" not in done.stdout
    assert not re.search(r"##\[|\s::add-mask", done.stdout)
    assert here.follow(done.stdout).outputs["result"] == "applied"


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
@pytest.mark.parametrize("most_names", [20, 1000])
def test_a_rotation_of_many_webhooks_is_always_reported(
    read_back_world: World, monkeypatch: pytest.MonkeyPatch, most_names: int
) -> None:
    """A command has the reference that all of them use; without one it would be too long."""
    monkeypatch.setattr("reconciler.planning.resend._MAX_NAMES", most_names)
    here = read_back_world
    names = ["Audit", *(f"{number} {'x' * 240}" for number in range(150))]
    here.apply_main(*names, version=1)
    here.github.time -= timedelta(days=2)
    here.merged(1, *names, version=2)
    here.github.time += timedelta(days=2)
    here.drift()
    before = here.git("rev-parse", "main")
    here.declare(*names, version=3)
    failed = here.push(before=before)
    assert not re.findall("not-reported|not updated", failed.stdout)
    drift, failure = here.github.issues
    for body in (drift["body"], failure["body"]):
        command = re.findall(" -f resend-secret=.*", body)
        assert command == [" -f resend-secret=env:SLACK_BOT_TOKEN"] * (most_names == 20)
    assert ("would be too long for GitHub" in drift["body"]) is (most_names == 1000)


def test_a_comment_about_a_failure_is_resolved_by_the_command_that_it_shows(here: World) -> None:
    """Nobody has to look elsewhere; the next failure is a new comment, which notifies."""
    here.merged(1, "Audit", "Deploys", plan=False)
    assert here.push().code == 6
    (failure,) = here.github.bodies(1)
    assert here.follow(failure).code == 0
    resolved, outcome = here.github.bodies(1)
    assert "Resolved: [this run]" in resolved
    assert "**Applied** by [this run]" in outcome
    here.declare("Audit", "Deploys", Audit="elsewhere")
    assert here.push().code == 6
    assert len(here.github.bodies(1)) == 3


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_rotation_is_not_sent_after_the_files_changed(read_back_world: World) -> None:
    """Versions 2 and 4 were reviewed and never sent; then there is no review, and a newer one."""
    here = read_back_world
    here.merged(1, "Audit", version=2)
    here.declare("Audit", version=3)
    assert here.push().outputs["result"] == "converged"
    here.merged(2, "Audit", version=4)
    here.merged(3, "Audit", version=3)
    assert here.push().outputs["result"] == "applied"
    states = ["Nothing left to apply", "Replaced", "Applied"]
    for number, state in enumerate(states, start=1):
        assert f"\n**{state}**" in here.github.bodies(number)[1]
    assert "1 no longer pending" in here.github.bodies(1)[1]


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_rotation_that_failed_is_sent_after_its_file_was_moved(read_back_world: World) -> None:
    """The next pull request also rewrites the file; the issue is of the same organization."""
    here = read_back_world
    before = here.git("rev-parse", "main")
    merge_rotation(here, head="organization: Acme")
    here.emulator.faults = Script([Rule(fault=status(401), times=None)])
    assert here.push(before=before).code == 4
    here.emulator.faults = Script()
    here.topic(2)
    text = yaml.safe_dump(yaml.safe_load((here.work / here.file).read_text()))
    here.git("mv", here.file, "hooks.yaml")
    here.file = "hooks.yaml"
    here.put({here.file: text})
    assert here.pull(2).code == 0
    before = here.git("rev-parse", "main")
    here.squash(2)
    assert here.push(before=before).outputs["result"] == "applied"
    assert here.token("Audit") == here.secrets["SLACK_BOT_TOKEN"]
    assert {issue["state"] for issue in here.github.issues} == {"closed"}


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_rotation_that_waits_stays_with_its_review(read_back_world: World) -> None:
    """A plan that shows it sends no later value, and its version replaces no newer one."""
    here = read_back_world
    merge_rotation(here)
    here.propose(2, "Audit", "Other", version=2)
    assert "Before the merge" not in here.github.bodies(2)[0]
    assert here.push().code == 0
    rotated, here.secrets["SLACK_BOT_TOKEN"] = here.secrets["SLACK_BOT_TOKEN"], SLACK
    here.squash(2)
    assert (here.push().code, here.token("Audit")) == (0, rotated)
    here.merged(3, "Audit", "Other", version=3, Audit="x")
    here.git("branch", "topic-5", "main")
    here.propose(4, "Audit", "Other", version=3)  # its resend has another channel
    here.merged(5, "Audit", "Other", version=4, Audit="x")
    here.squash(4)
    stale = here.push()
    assert (stale.code, here.follow(stale.stdout).code, here.token("Audit")) == (6, 0, SLACK)


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_newer_change_of_the_webhook_keeps_a_rotation(read_back_world: World) -> None:
    """One command applies both: no review covers the token in the new channel.

    The log has it on one line, with the names of both webhooks, and both reviews are then applied.
    """
    here = read_back_world
    here.apply_main("Audit", "Deploys", version=1)
    here.propose(2, "Audit", "Deploys", version=1, Audit="elsewhere")
    merge_rotation(here, "Deploys")
    here.squash(2)
    stale = here.push()
    assert (stale.code, here.token("Audit")) == (6, SLACK)
    assert here.follow(stale.stdout).code == 0
    assert here.live() == {"Audit": "elsewhere", "Deploys": "general"}
    for name in here.live():
        assert here.token(name) == here.secrets["SLACK_BOT_TOKEN"]
    assert "2 of 2 reviewed operations applied (this run" in here.github.bodies(1)[-1]
    assert "1 of 1 reviewed operation applied (this run" in here.github.bodies(2)[-1]
    assert here.push().outputs["result"] == "converged"


@pytest.mark.parametrize(
    ("shown", "host"), [("plain", "old"), ("plain", "new"), ("configuration-missing", "new")]
)
def test_a_newer_change_of_the_webhook_keeps_the_rotation_of_its_url(
    tmp_path: Path, shown: str, host: str
) -> None:
    """One push applies both reviews, and sends the URL that the older one shows."""
    declared = "webhooks: [{name: Pager, type: generic, event_types: [%s], configuration: %s}]\n"
    url = "{url: {env: SLACK_BOT_TOKEN, version: %s}}"
    with world(tmp_path, read_back=shown) as here:
        here.secrets["SLACK_BOT_TOKEN"] = "https://old.example.com/first"
        here.put({here.file: declared % ("value_created", url % 1)})
        here.apply_main()
        here.secrets["SLACK_BOT_TOKEN"] = f"https://{host}.example.com/second"
        for number, event in enumerate(("value_created", "value_updated"), start=1):
            here.merged(number, files={here.file: declared % (event, url % 2)})
        done = here.push()
        assert (done.code, done.outputs["result"]) == (0, "applied")
        webhook = here.emulator.webhook("Pager")
        assert webhook["configuration"]["url"] == here.secrets["SLACK_BOT_TOKEN"]
        outcomes = [here.github.bodies(number)[-1] for number in (1, 2)]
        assert all("1 of 1 reviewed operation applied" in outcome for outcome in outcomes)
        assert here.push().outputs["result"] == "converged"


@pytest.mark.parametrize("read_back_world", ["mask", "omitted", "plain"], indirect=True)
@pytest.mark.parametrize(
    ("others", "fails"), [([], ""), (["Deploys"], ""), ([], "/pulls"), ([], "CloudTruth")]
)
def test_a_rotation_without_a_review_is_not_lost(
    read_back_world: World, others: list[str], fails: str
) -> None:
    """The push fails, and its command sends the secret, which no later plan would approve.

    If GitHub or CloudTruth failed, the run of the next push fails so, also if it moves the file and
    adds more, or if another failure is of a commit that is gone.
    """
    here = read_back_world
    before = here.git("rev-parse", "main")
    here.github.merge(1, before)  # later runs need not read its comments
    here.declare("Audit", *others, version=2)
    here.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
    if fails:
        here.emulator.faults = Script([Rule(fault=status(401), times=None)])
        with here.github.failing(fails, FAULTS["500"]):
            old, new, before = before, here.put({"readme.md": "x"}), here.put({"readme.md": "y"})
            for base in (new, old, before):  # the run of the first push starts late
                assert here.push(before=base).code in (1, 4)
        here.emulator.faults = Script()
        gone = re.sub(r'"head":"\w+"', f'"head":"{"f" * 40}"', here.github.issues[0]["body"])
        here.github.issues.insert(0, here.github.issues[0] | {"number": 99, "body": gone})
        text = (here.work / here.file).read_text()
        here.git("mv", here.file, "hooks.yaml")
        here.file = "hooks.yaml"
        here.put({here.file: f"{'# Moved here, and explained.' * 50}\n{text}"})
    rejected = here.push(before=before)
    reason = "rotation-not-reviewed"
    assert (rejected.code, rejected.outputs["failure-reason"]) == (6, reason)
    shown = rejected.outputs["creates"], rejected.outputs["updates"]
    assert f"Plan: {shown[0]} to create, {shown[1]} to update" in rejected.stdout
    assert rejected.outputs["digest"] in rejected.stdout
    assert here.token("Audit") == SLACK
    *earlier, issue = here.github.issues
    assert {each["state"] for each in earlier} <= {"closed"}
    assert "left nothing to apply" not in "".join(here.github.bodies(1))
    assert ("compared its secrets" in "".join(here.github.bodies(99))) is bool(fails)
    assert (reason in issue["title"], issue["body"].count(f"### Failed: `{reason}`")) == (True, 1)
    # To increment the version is what the push did.
    words = "version: 3}", "create Deploys"
    assert [word in issue["body"] for word in words] == [False, bool(others)]
    if not others:
        here.push()  # an unrelated push does not close the issue
        assert issue["state"] == "open"
    # Without its last argument the command sends nothing.
    shortened = here.follow(re.sub(r" -f '?resend-secret=.*", "", issue["body"]))
    assert (shortened.code, here.token("Audit"), issue["state"]) == (6, SLACK, "open")
    rotated = here.secrets["SLACK_BOT_TOKEN"]
    assert (here.follow(issue["body"]).code, here.token("Audit")) == (0, rotated)
    assert (here.push().outputs["result"], issue["state"]) == ("converged", "closed")


def push_rotation(here: World, name: str) -> Done:
    """Push version 2 of the token of one webhook without a review."""
    before, text = here.git("rev-parse", "main"), (here.work / here.file).read_text()
    entry = f'name: "{name}", event_types: [value_created], configuration: {{'
    token = "token: {env: SLACK_BOT_TOKEN, version: 2}, "
    here.put({here.file: text.replace(entry, entry + token)})
    return here.push(before=before)


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_each_rotation_has_its_comment_without_issues(read_back_world: World) -> None:
    """The command for other webhooks replaces no earlier one."""
    here = read_back_world
    here.apply_main("Audit", "Other", version=1)
    here.merged(1, "Audit", "Other", version=1)
    here.push()
    for name in ("Audit", "Other"):
        with here.github.failing("/issues", refusal(410, "off")):
            push_rotation(here, name)
    assert sum("resend-secret=" in text for text in here.github.bodies(1)) == 2


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_each_rotation_without_a_review_has_its_command(read_back_world: World) -> None:
    """A run closes only the issue of the secrets that it sent. A stale review hides no rotation."""
    here = read_back_world
    here.apply_main("Audit", "Other", version=1)
    for name in ("Audit", "Other"):
        assert push_rotation(here, name).outputs["failure-reason"] == "rotation-not-reviewed"
    first, second = here.github.issues
    with here.github.failing("/issues", FAULTS["500"]):
        assert "close by hand" in here.follow(second["body"]).stdout
    assert here.follow(second["body"]).code == 0
    assert (first["state"], second["state"]) == ("open", "closed")
    before = here.git("rev-parse", "main")
    here.propose(1, "Audit", "Other", version=2, Audit="x")
    here.declare("Audit", "Other", version=3, Audit="x")
    here.squash(1)
    done = here.push(before=before)
    assert done.outputs["failure-reason"] == "stale-plan"
    assert "a new pull request sends the secret of Other only if it increments" in done.stdout


@pytest.mark.parametrize("how", ["warn", "ignore"])
@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_rotation_that_needs_no_review_is_sent(read_back_world: World, how: str) -> None:
    before = read_back_world.git("rev-parse", "main")
    read_back_world.declare("Audit", version=2)
    read_back_world.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
    assert read_back_world.push(before=before, WEBHOOKS_REVIEWED_PLAN=how).code == 0
    assert read_back_world.token("Audit") == read_back_world.secrets["SLACK_BOT_TOKEN"]


def test_a_secret_changed_without_a_version_is_not_sent(here: World) -> None:
    """No review can show the change; the run lists the reference whose `version` must change."""
    here.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
    rejected = here.push()
    assert (rejected.code, here.token("Audit")) == (6, SLACK)
    edit = "increment `version` (`token: {env: SLACK_BOT_TOKEN, version: 2}`)"
    (issue,) = here.github.issues
    for text in (rejected.stdout, issue["body"]):
        assert "update Audit" in text
        assert "correct or remove env SLACK_BOT_TOKEN where apply runs, and repeat it;" in text
        assert edit in text


def test_a_reviewed_change_does_not_carry_another_value_of_a_secret(here: World) -> None:
    """The reviewed events are sent without the configuration, as the comment shows them."""
    text = (here.work / "webhooks.yaml").read_text("utf-8")
    here.merged(1, files={"webhooks.yaml": text.replace("value_created", "value_deleted")})
    here.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
    done = here.push()
    assert (done.code, done.outputs["failure-reason"]) == (7, "not-reviewed")
    assert here.emulator.webhook("Audit")["event_types"] == ["value_deleted"]
    assert here.token("Audit") == SLACK
    outcome = here.github.bodies(1)[-2]
    assert "1 of 1 reviewed operation applied" in outcome
    # The rest needs another version; with the live value, nothing is left.
    assert (here.push().code, here.token("Audit")) == (6, SLACK)
    here.secrets["SLACK_BOT_TOKEN"] = SLACK
    assert here.push().outputs["result"] == "converged"


def test_a_reviewed_configuration_names_the_other_secret_it_carried(here: World) -> None:
    """CloudTruth replaces a configuration as a whole, with the environment's other token."""
    here.merged(1, "Audit", Audit="alerts")
    here.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
    done = here.push()
    sent = "also sent: token from env SLACK_BOT_TOKEN, which differed from the live one"
    assert (done.code, sent in " ".join(done.stdout.split())) == (0, True), done.stdout


# Every failure is reported.


def failures(here: World, number: int = 1) -> list[str]:
    """Return the codes of the failures in the comments on a pull request."""
    found = [decode(each) for each in here.github.bodies(number)]
    return [each.code for each in found if each is not None and each.kind is MarkerKind.FAILURE]


@pytest.mark.parametrize(
    ("code", "secrets", "rule", "exit_code"),
    [
        ("no-api-key", {"CLOUDTRUTH_API_KEY": ""}, None, 4),
        ("authentication", {}, Rule(fault=status(401), times=None), 4),
        ("unresolved-secrets", {"SLACK_BOT_TOKEN": ""}, None, 3),
        ("unresolved-secrets", {"SLACK_BOT_TOKEN": f"'{SLACK}'"}, None, 3),
        ("server-error", {}, Rule(fault=status(500), times=None), 1),
    ],
)
def test_an_unapplied_merge_is_reported_once(
    here: World, code: str, secrets: dict[str, str], rule: Rule | None, exit_code: int
) -> None:
    """The first run adds a comment, because edits notify no user; a second run adds none."""
    here.merged(1, "Audit", "Deploys")
    good = dict(here.secrets)
    here.secrets |= secrets
    here.emulator.faults = Script([rule] if rule is not None else [])
    for _ in range(2):
        done = here.push()
        assert (done.code, done.outputs["failure-reason"]) == (exit_code, code), done.stdout
    assert failures(here) == [code]
    comment = here.github.bodies(1)[-1]
    assert f"gh run rerun {here.runs} --repo acme/hooks" in comment
    assert "same command" not in comment
    for name in secrets:
        assert f"gh secret set {name} --env cloudtruth-production --repo acme/hooks" in comment
    assert set(here.live()) == {"Audit"}
    here.secrets = good
    here.emulator.faults = Script()
    assert here.push().code == 0
    assert set(here.live()) == {"Audit", "Deploys"}


def test_a_later_failure_replaces_an_earlier_one(here: World) -> None:
    """Its reason is gone, and its command would not help."""
    here.merged(1, "Audit", "Deploys")
    good = dict(here.secrets)
    here.secrets["SLACK_BOT_TOKEN"] = ""
    assert here.push().outputs["failure-reason"] == "unresolved-secrets"
    here.secrets = good
    here.emulator.configure("Audit", channel="by-hand")
    assert here.push().outputs["failure-reason"] == "not-reviewed"
    assert sorted(failures(here)) == ["not-reviewed", "resolved"]
    assert any("Replaced: [this run]" in body for body in here.github.bodies(1))


@pytest.mark.parametrize(
    ("text", "exit_code", "code", "expected"), TABLES["files that cannot be applied"]
)
def test_files_that_cannot_be_applied_are_reported(
    here: World, text: str, exit_code: int, code: str, expected: str
) -> None:
    """A direct push breaks files or changes the organization; the comment shows the position."""
    here.merged(1, "Audit", "Deploys")
    here.put({"webhooks.yaml": text})
    assert here.push().code == exit_code
    assert failures(here) == [code]
    assert re.search(expected, here.github.bodies(1)[-1])


def test_a_partly_failed_apply_lists_what_was_applied(here: World) -> None:
    """The comment lists what was applied, what was not, and how to finish."""
    here.merged(1, "Audit", "Deploys", "Pager")
    here.emulator.faults = Script([Rule(fault=status(400), method="POST")])
    assert here.push().code == 7
    review, outcome, failure = here.github.bodies(1)
    assert "**Partially applied** by [this run]" in outcome
    assert "1 of 2 reviewed operations" in outcome
    assert "`apply-incomplete`" in failure
    assert "To continue:\n\n```sh\ngh run rerun" in failure
    assert here.push().code == 0
    assert "**Applied** by" in here.github.bodies(1)[1]
    assert here.github.bodies(1)[0] == review


def test_a_copy_of_a_pinned_webhook_needs_an_edit(here: World) -> None:
    """Plans show it, with or without an operation; no command repeats the run that leaves it."""
    pinned = here.emulator.webhook("Audit")
    copy = {key: value for key, value in pinned.items() if key not in ("id", "url")}
    copy["configuration"] = {"channel": "#copy"}
    here.emulator.store.save({"organization": here.emulator.organization, **copy})
    here.topic(1)
    here.declare("Audit", "Deploys")
    page = (here.work / "webhooks.yaml").read_text("utf-8")
    page = page.replace('"Audit",', f'"Audit", id: "{pinned["id"]}",')
    here.put({"webhooks.yaml": page})
    here.pull(1)
    here.squash(1)
    done = here.push()
    assert (done.code, done.outputs["failure-reason"]) == (7, "apply-incomplete")
    plan, _, failure = here.github.bodies(1)
    here.propose(2, files={"webhooks.yaml": page + "# without an operation\n"})
    for text in (plan, failure, *here.github.bodies(2)):
        assert "another live webhook has the name of one that is pinned by `id`: declare" in text
    assert "gh run rerun" not in failure
    assert len(here.github.bodies(2)) == 1


def test_a_shallow_checkout_is_reported_with_its_fix(here: World) -> None:
    """Without the history the merged pull requests are unknown."""
    here.merged(1, "Audit", "Deploys")
    (here.work / ".git" / "shallow").write_text(here.git("rev-parse", "HEAD") + "\n")
    assert here.push().code == 64
    assert "fetch-depth: 0" in here.github.bodies(1)[-1]


FAULTS = {
    "403": refusal(403, "Resource not accessible by integration"),
    "500": refusal(500, "Server Error"),
    "HTML": bytes_response(200, b"<html>Unicorn!</html>", "text/html"),
    "dropped": with_fault(bytes_response(200), drop()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", ["/pulls", "/issues/1/comments", "...main", "/graphql"])
def test_missing_responses_of_github_are_not_guessed(here: World, fault: str, path: str) -> None:
    """Unreadable reviews approve nothing; the next run with GitHub available applies them.

    The workflow's own token may not read its login, which is known: that alone is not a failure.
    """
    if path == "/graphql":
        here.github.login = BOT if fault == "403" else "our-app[bot]"
    here.merged(1, "Audit", "Deploys")
    before = here.writes()
    with here.github.failing(path, FAULTS[fault], "POST" if path == "/graphql" else "GET"):
        done = here.push()
    if (fault, path) == ("403", "/graphql"):
        assert done.outputs["result"] == "applied"
        return
    assert (done.code, done.outputs["failure-reason"]) == (1, "github"), done.stdout
    assert here.writes() == before
    if path == "...main":
        assert failures(here) == ["github"]
    elif path == "/graphql":  # without the login, an earlier comment or issue cannot be found
        assert len(here.github.bodies(1)) == 1
    else:  # without the pull request or its comments the report is an issue
        assert here.github.issues[0]["title"].endswith("apply failed (github)")
    assert here.push().code == 0


def test_a_failed_comment_does_not_undo_an_apply(here: World) -> None:
    """The log shows GitHub's error, and nothing is sent twice."""
    here.merged(1, "Audit", "Deploys")
    with here.github.failing("/comments", FAULTS["403"], "POST"):
        done = here.push()
    assert (done.code, done.outputs["result"]) == (0, "applied")
    assert "could not post the outcome on the pull request" in done.stdout
    before = here.writes()
    assert here.push().outputs["result"] == "converged"
    assert here.writes() == before
    assert "no longer pending" in here.github.bodies(1)[1]


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), Terminated(ExitCode.SIGTERM)])
def test_a_signal_after_the_writes_does_not_hide_them(
    here: World, signal: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that a signal stops while it writes outcome comments reports what it applied."""

    def stop(*_: object, **__: object) -> None:
        raise signal

    here.merged(1, "Audit", "Deploys")
    monkeypatch.setattr("reconciler.ci.apply.settle", stop)
    done = here.push()
    assert (done.code, done.outputs["result"]) == (0, "applied")
    assert "a signal stopped the run before it posted the outcome" in done.stdout
    assert "nothing was written" not in done.stdout
    assert set(here.live()) == {"Audit", "Deploys"}


def test_a_signal_right_after_the_last_write(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not reported as one before the first write."""
    here.merged(1, "Audit", "Deploys")
    monkeypatch.setattr(
        "reconciler.ci.apply._require_planned", lambda *_: signal.raise_signal(signal.SIGINT)
    )
    done = here.push()
    assert (done.code, done.outputs["result"]) == (0, "applied"), done.stdout


def test_a_failure_without_a_comment_is_reported_elsewhere(here: World) -> None:
    """A read-only token is named in the log; a locked pull request's report is an issue."""
    here.propose(1, "Audit", "Deploys", Audit="mine")
    here.emulator.configure("Audit", channel="by-hand")
    here.squash(1)
    here.github.read_only = True
    done = here.push()
    assert done.code == 6
    assert "::warning title=not-reported::" in done.stdout
    assert "pull-requests: write" in done.stdout
    here.github.read_only = False
    with here.github.failing("/issues/1/comments", refusal(403, "issue is locked."), "POST"):
        assert here.push().code == 6
    (issue,) = here.github.issues
    assert here.follow(issue["body"]).code == 0


def test_a_merge_that_changes_no_file_is_not_the_reason(here: World) -> None:
    """A commit without a review is: the newest pull request only changes the readme."""
    here.merged(1, "Audit", "Deploys")
    assert here.push().code == 0
    here.merged(2, files={"readme.md": "x"})
    here.declare("Audit", "Deploys", "Pushed")
    rejected = here.push()
    assert rejected.outputs["failure-reason"] == "not-reviewed"
    assert "no-review" not in rejected.stdout


@pytest.mark.parametrize(("has_operations", "code"), [(True, 0), (False, 6)])
def test_a_merge_without_a_plan_is_named_unless_a_newer_plan_has_operations(
    here: World, has_operations: bool, code: int
) -> None:
    """Such a plan includes what earlier merges left, here nothing after an apply by hand."""
    here.merged(1, "Audit", "Deploys", plan=False)
    here.apply_main()
    files = None if has_operations else {"readme.md": "x"}
    here.merged(2, "Audit", "Deploys", "Pager", files=files)
    here.declare("Audit", "Deploys", "Pager")
    done = here.push()
    is_named = "pull request 1 has no approved plan" in done.stdout
    assert (done.code, is_named) == (code, not has_operations)


def test_the_limit_of_merged_pull_requests_is_named() -> None:
    """An older approved plan is not read, which no other message would explain."""
    pull = Pull(1, is_open=False, head="", branch="main", merged_at="x", merge_commit="")
    review = MergedReview(pull=pull, marker=Marker(kind=MarkerKind.PLAN))
    (finding,) = unapproved([review] * 100, lambda commit: True)
    assert "only the newest 100 merged pull requests were read" in finding.message
    assert unapproved([review] * 99, lambda commit: True) == []


# The merge queue.


@pytest.mark.parametrize("read_back_world", ["mask"], indirect=True)
def test_a_merge_group_includes_merges_not_applied_yet(read_back_world: World) -> None:
    """Pull request 1 is merged and its run still waits; 2 is in the queue.

    A rotation of 1, which live does not show, is in the plan of 2, and both are applied at once.
    """
    here = read_back_world
    merge_rotation(here, Audit="one")
    for channel in ("two", "general"):
        here.propose(2, "Audit", version=2, Audit=channel)
        assert here.queue_up(2).code == 0
    assert "a secret is resent (waiting to be applied)" in here.github.bodies(2)[0]
    here.squash(2)
    assert here.push().outputs["result"] == "applied"
    assert here.token("Audit") == here.secrets["SLACK_BOT_TOKEN"]


def test_a_merge_group_without_a_plan_fails_before_the_merge(here: World) -> None:
    """What changed live does not fail a group that does not declare it."""
    here.propose(3, files={"notes.md": "x"})
    assert "has no approved plan" not in here.queue_up(3).stdout
    here.emulator.configure("Audit", channel="by-hand")
    here.propose(1, "Audit", "Deploys", plan=False)
    here.github.open(1, here.git("rev-parse", "HEAD"))
    rejected = here.queue_up(1)
    assert (rejected.code, rejected.outputs["failure-reason"]) == (6, "not-reviewed")
    assert "1 operation of this group has no approved plan: Deploys" in rejected.stdout
    done = here.propose(2, files={"readme.md": "x"})
    assert (done.code, here.requests[-1]) == (0, 2)  # the login, its comments
    assert here.queue_up(2).code == 0
    here.propose(1, "Audit", "Deploys")
    assert here.queue_up(1).code == 0


def test_a_plan_without_its_key_fails(here: World) -> None:
    """It replaces the plan of an earlier commit; a merge queue accepts no change without a plan."""
    here.environments["cloudtruth-plan"] = secrets = dict(here.secrets)
    here.propose(1, "Audit", "Deploys")
    here.put({"webhooks.yaml": "webhooks: {}\n"})
    assert here.pull().code == 3
    secrets.clear()
    here.declare("Audit", "Other")
    assert here.pull().outputs["failure-reason"] == "no-api-key"
    (comment,) = here.github.bodies(1)
    assert "Deploys" not in comment
    assert "Merging applies nothing" in comment
    here.squash(1)
    assert here.push(CLOUDTRUTH_API_KEY="").code == 4
    assert here.propose(2, "Audit").code == 4
    assert here.queue_up(2).code == 4


# Drift.


def test_a_failing_drift_check_uses_the_same_issue(here: World) -> None:
    """While the key is invalid the issue shows the error; it closes after a success."""
    here.emulator.faults = Script([Rule(fault=status(401), times=None)])
    for _ in range(2):
        assert here.drift().code == 4
    (issue,) = here.github.issues
    assert "the drift check cannot run (authentication)" in issue["title"]
    assert "To try again:\n\n```sh\ngh run rerun" in issue["body"]
    here.emulator.faults = Script()
    here.emulator.configure("Audit", channel="by-hand")
    here.drift()
    assert "1 to update" in issue["title"]
    here.emulator.configure("Audit", channel="general")
    here.drift()
    assert (len(here.github.issues), issue["state"]) == (1, "closed")


def test_a_stopped_drift_check_opens_no_issue(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels the job knows that it did not run."""

    def stop(*_: object, **__: object) -> None:
        raise Terminated(ExitCode.SIGTERM)

    monkeypatch.setattr("reconciler.ci.drift.plan_all", stop)
    assert (here.drift().code, here.github.issues) == (143, [])


def test_a_drift_check_without_a_key_fails_and_opens_the_issue(here: World) -> None:
    """A removed key is never treated as "no drift"."""
    here.secrets.clear()
    assert here.drift().code == 4
    (issue,) = here.github.issues
    assert "cannot run (no-api-key)" in issue["title"]


def test_an_inapplicable_declaration_is_drift(here: World) -> None:
    """The plan is empty, and yet a declaration is not applied."""
    here.emulator.change("Audit", type="carrier-pigeon")
    assert here.drift().outputs["result"] == "drift"
    (issue,) = here.github.issues
    assert issue["title"].endswith(": 1 declaration not applied")
    assert "`Audit`" in issue["body"]


def test_failing_deliveries_are_in_the_issue(here: World) -> None:
    """The time of the first failure is kept; the issue closes after a run that succeeded."""
    error = {"timestamp": "2026-01-01T00:00:00Z", "code": "channel_not_found", "text": "gone"}
    here.emulator.change("Audit", last_error=error)
    here.drift()
    (issue,) = here.github.issues
    assert "1 webhook cannot deliver" in issue["title"]
    assert "`Audit`: `channel_not_found gone`, since `2026-01-01T00:00:00Z`" in issue["body"]
    assert "`webhooks check` shows the cause and the fix." in issue["body"]
    here.emulator.change("Audit", last_error={**error, "timestamp": "2026-01-05T00:00:00Z"})
    here.emulator.configure("Audit", channel="by-hand")
    here.drift()
    assert "since `2026-01-01T00:00:00Z`" in issue["body"]
    here.emulator.change("Audit", last_run="2026-01-06T00:00:00Z")  # last_error stays
    here.emulator.configure("Audit", channel="general")
    here.drift()
    assert issue["state"] == "closed"


def test_a_merge_that_github_does_not_list_any_more_is_looked_up(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub lists the 100 pull requests that changed last; older merges are found by commit."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
    here.github.time -= timedelta(hours=2)
    merged = here.merged(1, "Audit", "Deploys")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    here.put({"README": "later, without a pull request"})
    here.github.time += timedelta(hours=1)  # an hour before the commit of the README
    for number in range(100, 200):
        here.github.open(number, merged)
        here.github.pulls[number]["state"] = "closed"
    here.github.fault = lambda method, path: (
        json_value([here.github.pulls[1]]) if path.endswith(f"/commits/{merged}/pulls") else None
    )
    here.github.log.clear()
    done = here.push()
    assert (done.code, done.outputs["result"]) == (0, "applied"), done.stdout
    assert len([path for _, path in here.github.log if "/commits/" in path]) == 1
    assert len(here.github.log) <= 10
