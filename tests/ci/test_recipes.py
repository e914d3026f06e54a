"""The recipes of the docs for GitLab and pre-commit run as written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tests.ci.actions import evaluate
from tests.ci.support import PUSH, Done, World
from tests.folders import ROOT


def script(fresh: World, job: dict[str, Any], code: int = 0, **variables: str) -> str:
    """Run the script of a job, which must end with `code`; return its output."""
    site = {"CLOUDTRUTH_SERVER_URL": fresh.url, "CI": "true", **fresh.secrets}
    environ = {**site, **job.get("variables", {}), **variables}
    done = fresh.script("\n".join(job["script"]), environ)
    assert done.code == code, done.stderr
    return done.stdout


def jobs_of_gitlab() -> dict[str, Any]:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text("utf-8"), re.DOTALL)
    jobs: dict[str, Any] = yaml.safe_load(text)
    variables = jobs[".webhooks"]["variables"]
    return {name: {**job, "variables": variables} for name, job in jobs.items() if "script" in job}


def checked_out(fresh: World, commit: str, folder: Path) -> World:
    """Clone the repository as a runner does: full history, detached head."""
    runner = replace(fresh, folder=folder)
    folder.mkdir()
    fresh.git("clone", "-q", f"file://{fresh.work}", str(runner.work))
    runner.git("checkout", "-q", "--detach", commit)
    return runner


def test_the_gitlab_recipe_from_the_merge_request_to_the_rotation(
    fresh: World, tmp_path: Path
) -> None:
    """A merge applies the plan of its pipeline, a new version once; a stale plan writes nothing."""
    jobs = jobs_of_gitlab()
    first = fresh.git("rev-parse", "HEAD")
    second = fresh.declare("Audit", "Deploys")
    runner = checked_out(fresh, second, tmp_path / "one")
    script(runner, jobs["validate"])
    planned = script(runner, jobs["plan"], CI_MERGE_REQUEST_DIFF_BASE_SHA=first)
    assert "2 to create" in planned
    assert "this change" in planned
    artifacts = jobs["plan"]["artifacts"]
    report = (runner.work / artifacts["reports"]["terraform"]).read_text("utf-8")
    assert json.loads(report) == {"create": 2, "update": 0, "delete": 0}
    assert (runner.work / "plan.txt").read_text("utf-8") == planned
    assert artifacts["paths"] == ["plan.txt", "plan.json"]
    script(runner, jobs["drift"], code=2)
    merged(runner, jobs, "0" * 40)
    assert set(fresh.live()) == {"Audit", "Deploys"}
    script(runner, jobs["drift"])

    third = fresh.declare("Audit", "Deploys", version=2)
    fresh.secrets["SLACK_BOT_TOKEN"] = "xoxb-rotated-0123456789"
    runner = checked_out(fresh, third, tmp_path / "two")
    planned = script(runner, jobs["plan"], CI_MERGE_REQUEST_DIFF_BASE_SHA=second)
    assert "2 to update" in planned
    merged(runner, jobs, second)
    tokens = {each["configuration"]["token"] for each in fresh.emulator.store.webhooks()}
    assert tokens == {"xoxb-rotated-0123456789"}

    fourth = fresh.declare("Audit", "Deploys", version=2, Audit="audit")
    runner = checked_out(fresh, fourth, tmp_path / "three")
    script(runner, jobs["plan"], CI_COMMIT_BEFORE_SHA=third)
    fresh.emulator.configure("Audit", channel="other")
    script(runner, jobs["apply"], code=6)
    assert fresh.live()["Audit"] == "other"


def merged(runner: World, jobs: dict[str, Any], before: str) -> None:
    """Run the jobs of a pipeline of the default branch."""
    script(runner, jobs["plan"], CI_COMMIT_BEFORE_SHA=before)
    script(runner, jobs["apply"])


def test_the_smallest_workflow_applies_and_rotates(fresh: World, tmp_path: Path) -> None:
    """Its apply step works in a clone with the fetch-depth 0 of actions/checkout.

    A run that waits is not cancelled, and applies the tip: only it sends what its push rotates.
    """
    page = (ROOT / "docs/github.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(on: {push.*?)```", page, re.DOTALL)
    workflow = yaml.safe_load(text)
    steps = workflow["jobs"]["apply"]["steps"]
    assert workflow["concurrency"]["queue"] == "max"
    assert steps[0]["with"] | {"ref": "${{ github.ref }}", "fetch-depth": 0} == steps[0]["with"]
    (step,) = (each for each in steps if "webhooks apply" in each.get("run", ""))
    allowed = {"WEBHOOKS_ALLOW_SECRETS": step["env"]["WEBHOOKS_ALLOW_SECRETS"]}
    job = {"script": [step["run"]], "variables": allowed}
    first = fresh.git("rev-parse", "HEAD")
    runner = checked_out(fresh, first, tmp_path / "one")
    script(runner, job, BEFORE="0" * 40)
    runner = checked_out(fresh, fresh.declare("Audit", version=2), tmp_path / "two")
    fresh.secrets["SLACK_BOT_TOKEN"] = "xoxb-rotated-0123456789"
    assert "1 updated" in script(runner, job, BEFORE=first)


def test_the_workflow_with_the_action_from_the_plan_to_the_drift(fresh: World) -> None:
    """Each printed command starts it, with inputs that it has, and is applied."""
    # A copy may have any name, and a command must have the same one.
    name = "webhooks-and-drift.yml"
    text = (ROOT / "examples/github-workflow.yml").read_text("utf-8")
    workflow = yaml.safe_load(text)
    jobs, declared = workflow["jobs"], workflow[True]["workflow_dispatch"]["inputs"]
    for job in jobs.values():
        assert job["steps"][0]["with"]["fetch-depth"] == 0
        # A copy has other groups, so that the two neither wait for nor cancel each other.
        assert "${{ github.workflow_ref }}" in job["concurrency"]["group"]

    def act(event: str, payload: dict[str, Any], **inputs: str) -> Done:
        contexts = {"github": {"event_name": event}}
        (job,) = (job for job in jobs.values() if evaluate(job["if"], contexts))
        return fresh.act(job, event, payload, **inputs)

    def follow(text: str) -> Done:
        given = fresh.inputs_of(text, name)
        assert set(given) <= set(declared)
        return act("workflow_dispatch", PUSH, **given)

    fresh.put({f".github/workflows/{name}": text})
    fresh.apply_main()
    fresh.propose(1, "Audit", "Deploys", plan=False)
    assert act("pull_request", fresh.opened(1)).outputs["result"] == "planned"
    assert fresh.github.bodies(1)[0].splitlines()[1].startswith("### ")
    fresh.squash(1)
    assert act("push", PUSH).outputs["result"] == "applied"
    fresh.emulator.configure("Audit", channel="by-hand")
    assert act("schedule", {}).outputs["result"] == "drift"
    (issue,) = fresh.github.issues
    assert follow(issue["body"]).outputs["result"] == "applied"
    assert act("schedule", {}).outputs["result"] == "no-drift"
    assert issue["state"] == "closed"
    fresh.propose(2, plan=False, head="prune: true")
    assert act("pull_request", fresh.opened(2)).outputs["result"] == "blocked"
    fresh.squash(2)
    fresh.git("checkout", "-q", "main")
    assert act("push", PUSH).outputs["failure-reason"] == "blocked"
    assert "allow-deletes" in fresh.github.bodies(2)[-1]
    assert follow(fresh.github.bodies(2)[-1]).outputs["result"] == "applied"
    assert fresh.live() == {}
    fresh.put({"base.yaml": "{}\n", "webhooks.yaml": "extends: base.yaml\nwebhooks: []\n"})
    rejected = act("pull_request", fresh.opened(3))
    assert f".github/workflows/{name} does not run if base.yaml changes" in rejected.stdout
    assert "init --github" not in rejected.stdout


def test_the_pre_commit_hook_checks_the_files(fresh: World) -> None:
    """The hook's entry is an existing command that fails on a broken file."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert hook["pass_filenames"] is False
    job = {"script": [hook["entry"]]}
    script(fresh, job)
    fresh.put({"webhooks.yaml": "webhooks: []\nwebhooks: []\n"})
    script(fresh, job, code=3)


def test_every_documented_reason_exists() -> None:
    """The table of failures has the program's identifiers."""
    text = (ROOT / "docs/github.md").read_text("utf-8")
    table = text.split("## Failures and fixes")[1].split("\n## ")[0]
    source = "".join(
        path.read_text("utf-8")
        for path in [
            *(ROOT / "reconciler").rglob("*.py"),
            *(ROOT / "reconciler/ci/templates").glob("*"),
        ]
        if "emulator" not in path.parts
    )
    words = re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)
    assert len(words) >= 7
    for word in words:
        assert f'"{word}"' in source
