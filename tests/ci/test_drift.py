"""Drift on GitHub, in the issue and in the plan of a pull request, is only what changed live.

What a merge waits to apply, and what cannot be told apart, is named as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.ci.workflows import RequiredSecrets
from reconciler.model import SecretRef
from tests.ci.fake_github import refusal
from tests.ci.support import SLACK, World, world
from tests.cli.conftest import perform
from tests.emulated.faults import Rule, Script, status

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
        drift, _, others = shown.partition("ossibly not applied yet")
    return drift, others


def open_issue(here: World, **environ: str) -> dict[str, Any]:
    """Run the drift check, and return its only open issue."""
    assert here.drift(**environ).outputs["result"] == "drift"
    (issue,) = [each for each in here.github.issues if each["state"] == "open"]
    return issue


@pytest.mark.parametrize("channel", ["general", "by-hand"])
def test_a_merge_that_waits_is_not_drift(here: World, channel: str) -> None:
    """Also if the webhook was changed live since its review, which its apply reports as stale."""
    here.merged(2, "Audit", "Deploys", "Pager", Audit="reviewed")
    here.emulator.configure("Audit", channel=channel)
    done = here.drift()
    assert (done.code, done.outputs["result"], here.github.issues) == (0, "no-drift", [])
    assert WAITING in done.stdout
    here.emulator.configure("Deploys", channel="by-hand")
    drift, waiting = sections(open_issue(here)["body"])
    assert ("Audit" in drift, "Audit" in waiting, "Deploys" in drift) == (False, True, True)


@pytest.mark.parametrize("later", [(), ("replaced",)])
def test_a_merge_that_no_run_applies_is_reported_after_a_day(
    here: World, later: tuple[str, ...]
) -> None:
    """GitHub may not start the apply; a newer merge of the webhook does not start a new day."""
    here.github.time -= timedelta(days=1, hours=1)
    here.merged(2, "Audit", "Deploys", "Pager", Audit="reviewed")
    here.github.time += timedelta(days=1, hours=1)
    for channel in later:
        here.merged(3, "Audit", "Deploys", "Pager", Audit=channel)
    issue = open_issue(here)
    assert issue["title"].endswith("1 change possibly not applied")
    assert "`Audit`" in sections(issue["body"])[1]
    assert "To apply the files:" in issue["body"]
    assert here.follow(issue["body"]).outputs["result"] == "applied"
    assert (here.drift().outputs["result"], issue["state"]) == ("no-drift", "closed")


@pytest.mark.parametrize("days", [0, 3])
@pytest.mark.parametrize("unsent", ["2 changes", "1 change"], ids=["no apply", "one failed"])
def test_a_rotation_that_is_not_sent_waits_like_a_change(
    tmp_path: Path, days: int, unsent: str
) -> None:
    """Live shows no difference: on "No drift." someone would revoke the old token."""
    with world(tmp_path, read_back="mask") as here:
        here.apply_main("Audit", "Deploys", version=9)
        here.github.time -= timedelta(days=days)
        here.merged(1, "Audit", "Deploys", version=10)
        here.secrets["SLACK_BOT_TOKEN"] = SLACK.replace("canary", "rotated")
        if unsent == "1 change":
            here.emulator.faults = Script([Rule(fault=status(400), method="PATCH")])
            assert here.push().code == 7
        here.github.time += timedelta(days=days)
        done = here.drift()
        assert WAITING in done.stdout
        # The outcome comment shows that the other secret was sent.
        assert "version-not-sent" not in done.stdout
        assert done.outputs["result"] == ("drift" if days else "no-drift")
        issues = [issue for issue in here.github.issues if "possibly" in issue["title"]]
        assert len(issues) == bool(days)
        for issue in issues:
            assert issue["title"].endswith(f" {unsent} possibly not applied")
            assert "(version 10)" in sections(issue["body"])[1]
            assert here.follow(issue["body"]).outputs["result"] == "applied"
            for name in ("Audit", "Deploys"):
                assert here.token(name) == here.secrets["SLACK_BOT_TOKEN"]
            done = here.drift()
            assert (done.outputs["result"], issue["state"]) == ("no-drift", "closed")
            assert WAITING not in done.stdout


@pytest.mark.parametrize("channel", ["general", "by-hand"])
def test_the_issue_lists_what_its_command_leaves_out(tmp_path: Path, channel: str) -> None:
    """No digest covers the value of a secret: only a new `version` replaces the live one."""
    with world(tmp_path, read_back="plain") as here:
        here.apply_main("Audit", "Deploys")
        here.emulator.configure("Audit", token=f"{SLACK}-by-hand")
        here.emulator.configure("Deploys", channel=channel)
        body = open_issue(here, SLACK_BOT_TOKEN=SLACK)["body"]
        assert ("revert:" in body, "revert all" in body) == (False, False)
        _, _, left_out = body.partition(" these changes")
        assert "- `Audit`: ``only the value of a secret differs" in left_out
        assert "(`token: {env: SLACK_BOT_TOKEN, version: 2}`)" in left_out
        if channel == "general":
            assert "No command applies these changes" in body
            assert "gh workflow run" not in body
        else:
            assert "To apply the rest" in body
            assert here.follow(body).code == 7
            assert here.live() == {"Audit": "general", "Deploys": "general"}


def test_the_issue_has_the_command_that_adds_a_webhook_with_a_new_secret(tmp_path: Path) -> None:
    """The workflows allow the secrets of the files only, so no edit is proved there."""
    with world(tmp_path) as here:
        here.apply_main("Audit", head="scope: ['*']")
        record = here.emulator.webhook("Audit")
        record["type"] = "generic"
        record["configuration"] = {"url": "https://hooks.example.com/x?sig=0123456789abcdef01"}
        id_ = here.emulator.store.new_id()
        here.emulator.store.save({**record, "id": id_, "name": "By hand", "url": f"/{id_}/"})
        body = open_issue(here)["body"]
        base = f"--base {here.git('rev-parse', '--short=12', 'HEAD')}"
        assert f"`webhooks drift --accept -f webhooks.yaml {base} --only 'By hand'` adds it" in body
        assert "then run `webhooks init --github`" in body


def test_the_command_beside_the_diff_accepts_only_what_the_diff_has(tmp_path: Path) -> None:
    """A terminal, which has no list of secrets, could accept also what this job refuses."""
    with world(tmp_path) as here:
        here.apply_main("Audit", head="scope: ['*']")
        id_ = here.emulator.store.new_id()
        url = {"url": "https://hooks.example.com/x?sig=0123456789abcdef01"}
        added = {"id": id_, "name": "By hand", "url": f"/{id_}/"}
        record = here.emulator.webhook("Audit")
        here.emulator.store.save({**record, **added, "type": "generic", "configuration": url})
        here.emulator.configure("Audit", channel="by-hand")
        body = open_issue(here)["body"]
        (command,) = re.findall("To accept 1 change, .*or run:\n\n```sh\n(.*)\n", body)
        assert "--only Audit" in command
        done = perform(*command.split()[1:], directory=here.work, **here.urls, **here.secrets)
        text = (here.work / here.file).read_text()
        assert ("by-hand" in text, "By hand" in text) == (True, False), (done.out, done.err)


def test_the_issue_has_the_command_that_accepts_a_change_of_a_webhook_just_added(
    here: World,
) -> None:
    """Only the job knows that the last merge is applied: the command says it with `--base`."""
    here.merged(2, "Audit", "Deploys", "Pager", "New")
    assert here.push().code == 0
    here.emulator.configure("New", channel="by-hand")
    (command,) = re.findall("accept: `webhooks (.*)`", open_issue(here)["body"])
    done = perform(*command.split(), directory=here.work, **here.urls, **here.secrets)
    assert (done.code, done.err) == (0, "")
    assert "by-hand" in (here.work / here.file).read_text()


def test_a_malformed_live_token_is_replaced_by_a_pull_request(here: World) -> None:
    """Its fix is an increment of the version, not an apply from a terminal."""
    here.emulator.configure("Audit", token="none")
    del here.secrets["SLACK_BOT_TOKEN"]
    stdout = here.drift().stdout
    assert "live-secret-malformed" in stdout
    assert ("increment the `version`" in stdout, "webhooks apply" in stdout) == (True, False)


def test_a_drift_issue_that_cannot_be_written_does_not_hide_the_drift(here: World) -> None:
    """The job fails, for example without issues in the repository; its log shows the drift."""
    here.emulator.configure("Audit", channel="by-hand")
    here.github.read_only = True
    done = here.drift()
    assert (done.code, done.outputs["result"]) == (1, "drift")
    assert done.outputs["failure-reason"] == "github"
    assert "Audit" in done.stdout


def test_a_return_to_the_value_before_an_applied_review_is_drift(here: World) -> None:
    """The outcome of the review shows that the change was applied."""
    here.merged(2, "Audit", "Deploys", "Pager", Audit="reviewed")
    assert here.push().code == 0
    here.emulator.configure("Audit", channel="general")
    issue = open_issue(here)
    assert "`Audit`" in sections(issue["body"])[0]
    assert here.follow(issue["body"]).outputs["result"] == "applied"
    assert issue["state"] == "closed"


@pytest.mark.parametrize("days", [0, 3])
@pytest.mark.parametrize("edit", ["accepted", "reverted"])
def test_a_merge_whose_plan_had_no_changes_is_applied(here: World, edit: str, days: int) -> None:
    """So a later live change is drift: after drift was accepted, or a blocked merge reverted."""
    here.github.time -= timedelta(days=days)
    if edit == "reverted":
        here.merged(2, head="prune: true")
        assert here.push().outputs["failure-reason"] == "blocked"
    channel = "general" if edit == "reverted" else "accepted"
    here.emulator.configure("Audit", channel=channel)
    here.merged(3, "Audit", "Deploys", "Pager", Audit=channel)
    assert here.push().outputs["result"] == "converged"
    assert here.drift().outputs["result"] == "no-drift"
    here.emulator.configure("Audit", channel="general" if edit == "accepted" else "by-hand")
    assert "`Audit`" in sections(open_issue(here)["body"])[0]


@pytest.mark.parametrize("is_late", [True, False])
def test_pushes_without_a_review_since_the_last_one_may_not_be_applied(
    here: World, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """All of them count, not only the last one. After a day, no run may have started."""
    here.git("checkout", "-q", "main")
    if is_late:
        monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
    here.declare("Audit", "Deploys", "Pager", Audit="pushed")
    monkeypatch.delenv("GIT_COMMITTER_DATE", raising=False)
    here.declare("Audit", "Deploys", "Pager", "More", Audit="pushed")
    assert "Possibly not applied yet" in here.drift().stdout
    titles = [issue["title"].split(": ")[1] for issue in here.github.issues]
    assert titles == ["2 changes possibly not applied"] * is_late


def test_a_merge_without_webhooks_does_not_hide_pushes_that_wait(tmp_path: Path) -> None:
    """No review was applied yet, so both pushes may wait: the issue must not undo the first one."""
    with world(tmp_path) as here:
        here.apply_main()
        here.merged(1, files={"readme.md": "x"})
        here.declare("Audit", Audit="pushed")
        here.declare("Audit", "More", Audit="pushed")
        drift, waiting = sections(open_issue(here)["body"])
        assert ("Audit" in drift, "Audit" in waiting, "More" in waiting) == (False, True, True)


def test_without_the_merged_reviews_drift_is_not_known(here: World) -> None:
    """The issue shows the differences, and offers no edit."""
    here.emulator.configure("Audit", channel="by-hand")
    with here.github.failing("/pulls", refusal(403, "Resource not accessible by integration")):
        body = open_issue(here)["body"]
    assert "the merged reviews cannot be read" in body
    assert "pull-requests: read" in body
    assert "Differences that may be drift or file changes:" in body
    assert "accept:" not in body


# The plan of a pull request uses the word in the same sense.


def labels(body: str) -> dict[str, str]:
    """Return the label of each webhook in the table of a plan comment."""
    rows = (line.split("|") for line in body.splitlines() if line.startswith("| `"))
    return {row[2].strip(" `"): row[4].rpartition("(")[2].strip(" )`") for row in rows}


def plan_labels(here: World, *names: str, **channels: str) -> dict[str, str]:
    """Open a pull request, and return the label of each webhook in its comment."""
    here.requests.clear()
    done = here.propose(3, *names, **channels)
    assert done.code == 0, done.stdout + done.stderr
    assert max(here.requests) <= 10
    return labels(here.github.bodies(3)[0])


TOKEN_FILE = SecretRef(scheme="file", name="secrets/token")
LIVE = ("Audit", "Deploys", "Pager")


@pytest.mark.parametrize("channel", ["general", "by-hand"])
def test_a_plan_names_a_merge_that_waits(here: World, channel: str) -> None:
    """Also if its webhook was changed live since the review; only real drift is called so."""
    here.merged(2, *LIVE, Audit="reviewed")
    here.emulator.configure("Audit", channel=channel)
    here.emulator.configure("Pager", channel="by-hand")
    assert plan_labels(here, *LIVE, "More", Audit="reviewed") == {
        "Audit": "waiting to be applied", "More": "this change", "Pager": "drift"
    }  # fmt: skip
    assert "Waiting to be applied, from merged pull requests: 1\n" in here.github.bodies(3)[0]


def test_a_plan_that_changes_what_waits_is_not_drift(here: World) -> None:
    """A live change of a webhook that a pull request changes, too, is partly drift."""
    here.merged(2, *LIVE, Audit="reviewed")
    here.emulator.configure("Pager", channel="by-hand")
    assert plan_labels(here, *LIVE, Audit="proposed", Pager="proposed") == {
        "Audit": "this change", "Pager": "partly drift"
    }  # fmt: skip


def test_a_plan_names_pushes_without_a_review(here: World) -> None:
    """They may not be applied, so the plan says only what it knows."""
    here.git("checkout", "-q", "main")
    here.declare(*LIVE, Audit="pushed")
    here.declare(*LIVE, "More", Audit="pushed")
    here.emulator.configure("Pager", channel="by-hand")
    assert plan_labels(here, *LIVE, "More", "New", Audit="pushed") == {
        "Audit": "possibly waiting", "More": "possibly waiting", "New": "this change",
        "Pager": "drift",
    }  # fmt: skip


@pytest.mark.parametrize("forbidden", ["/pulls", "nothing, but the history lacks"])
def test_a_plan_that_cannot_know_does_not_say_drift(here: World, forbidden: str) -> None:
    """Neither without a permission nor in a shallow checkout; a warning has the reason."""
    here.merged(2, *LIVE, Audit="reviewed")
    if forbidden != "/pulls":
        start = here.git("rev-list", "--max-parents=0", "HEAD")
        (here.work / ".git/shallow").write_text(f"{start}\n")
    with here.github.failing(forbidden, refusal(403, "Resource not accessible by integration")):
        labels = plan_labels(here, *LIVE, "More", Audit="reviewed")
    assert labels == {"Audit": "possibly waiting", "More": "this change"}
    (body,) = here.github.bodies(3)
    assert "drift" not in body.partition("<details>")[0]
    assert "a merged change may not be applied yet" in body


def test_a_plan_reads_few_merged_pull_requests(here: World) -> None:
    """If more were merged since the last apply, it says only what it knows, in ten requests."""
    for number in range(10, 20):
        here.merged(number, *LIVE, Audit=f"reviewed-{number}")
    here.emulator.configure("Pager", channel="by-hand")
    assert plan_labels(here, *LIVE, "More", Audit="reviewed-19") == {
        "Audit": "waiting to be applied", "More": "this change", "Pager": "possibly waiting"
    }  # fmt: skip


@pytest.mark.parametrize("change", ["this change", "possibly waiting", "drift or rotated here"])
def test_a_secret_in_a_tracked_file(tmp_path: Path, change: str) -> None:
    """Its earlier content is compared, too: a changed value is not drift."""
    with world(tmp_path) as here:
        here.declare(*LIVE)
        text = (here.work / "webhooks.yaml").read_text()
        text = text.replace("env: SLACK_BOT_TOKEN", "file: secrets/token")
        here.git("update-ref", "-d", "HEAD")  # what is applied might have another token

        def put(value: str, comment: str) -> None:
            here.put({"webhooks.yaml": f"# {comment}\n{text}", "secrets/token": value})

        here.setup = replace(here.setup, organizations=(RequiredSecrets(references=(TOKEN_FILE,)),))
        put(SLACK, "first")
        put(SLACK, "applied")
        here.apply_main()
        if change.startswith("drift"):
            for name in LIVE:
                here.emulator.configure(name, token=f"{SLACK}-by-hand")
        if change == "possibly waiting":
            put(f"{SLACK}-2", "merged")
        here.topic(3)
        put(SLACK if change.startswith("drift") else f"{SLACK}-2", "proposed")
        assert here.pull(3).code == 0
        assert labels(here.github.bodies(3)[0]) == dict.fromkeys(LIVE, change)
