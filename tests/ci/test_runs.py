"""`webhooks ci` in this process: inputs, errors, and situations that no workflow test covers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest

from reconciler.render import markdown, text
from tests.ci.fake_github import refusal
from tests.ci.support import World
from tests.folders import commit, git, write
from tests.goldens import rows

TABLES = rows(Path(__file__).with_suffix(".yaml"))


def test_validate_needs_only_the_files(fresh: World) -> None:
    """The command may come from a variable, as in the action; no server is contacted."""
    done = fresh.call("", WEBHOOKS_COMMAND="validate")
    assert fresh.emulator.log == []
    assert (done.code, done.outputs["result"]) == (0, "validated")
    assert "The files are valid: 1 webhook declared" in done.summary


def test_a_warning_about_a_file_fails_the_step(fresh: World) -> None:
    """A warning in a terminal is an error on a pull request."""
    fresh.declare("Audit", "audit ")
    done = fresh.call("validate")
    assert done.code == 3
    assert "::error file=webhooks.yaml" in done.stdout


def test_a_malformed_input_still_writes_outputs(fresh: World) -> None:
    """Later steps and the user learn the reason and the valid values."""
    done = fresh.call("plan --comment sometimes")
    assert (done.code, done.outputs["failure-reason"], done.outputs["result"]) == (64, "usage", "")
    assert "changes-only" in done.stderr + done.stdout + done.summary


@pytest.mark.parametrize(("command", "variables", "old"), TABLES["earlier versions"])
def test_workflows_of_an_earlier_version_are_refused(
    fresh: World, command: str, variables: dict[str, str], old: str
) -> None:
    """They have a job for each organization; the error names the command that writes new ones."""
    done = fresh.call(command, **variables)
    assert (done.code, done.outputs["result"]) == (64, "")
    assert f"WEBHOOKS_{old}" in done.stdout
    assert "webhooks init --github" in done.stdout
    assert fresh.emulator.log == []


def test_an_event_of_invalid_json_is_rejected(fresh: World) -> None:
    """An invalid event is never treated as "no pull request"."""
    for content in (b"[]", b"{", b"\xff"):
        (fresh.folder / "event").write_bytes(content)
        done = fresh.call("plan", GITHUB_EVENT_PATH=str(fresh.folder / "event"))
        assert done.code == 64
    assert fresh.call("plan", GITHUB_EVENT_PATH=str(fresh.folder / "missing")).code == 64


def test_debug_shows_requests_to_both_servers(fresh: World) -> None:
    """A slow job shows which server it waits for."""
    done = fresh.call("apply --reviewed-plan ignore --debug")
    assert "POST /api/v1/webhooks/ 201" in done.stderr
    assert f"/repos/{fresh.github.repository}/pulls 200" in done.stderr


@pytest.mark.parametrize(("what", "name", "code"), TABLES["unwritable files"])
def test_unwritable_github_files_are_an_error(
    fresh: World, what: str, name: str, code: int
) -> None:
    """The log shows what was applied, and the exit code."""
    done = fresh.call(what, **{name: f"{__file__}/folder"})
    assert done.code == code
    assert ("1 created" in done.stdout) is (code == 7)
    assert "error[output]: cannot write " in done.stderr
    assert name in done.stderr


@pytest.mark.parametrize(("mode", "comments"), [("true", 1), ("changes-only", 0), ("false", 0)])
def test_when_a_plan_without_changes_is_posted(fresh: World, mode: str, comments: int) -> None:
    """The setting decides: a comment for every plan, only for changes, or never.

    Without comments nothing is reviewed, so no merged reviews are read.
    """
    fresh.apply_main()
    assert fresh.pull(WEBHOOKS_COMMENT=mode).outputs["result"] == "no-changes"
    assert len(fresh.github.comments) == comments
    fresh.propose(1, "Audit", "Deploys", plan=False)
    with fresh.github.failing("/pulls", refusal(403, "Resource not accessible by integration")):
        done = fresh.pull(WEBHOOKS_COMMENT=mode)
    assert ("merged reviews cannot be read" in done.stdout) is (mode != "false")


@pytest.mark.parametrize(
    ("text", "base", "why"),
    [("", "b" * 40, "fetch-depth: 0"), ("webhooks: []\nwebhooks: []\n", "", "are not valid")],
)
def test_a_pull_request_without_a_base_is_planned(
    fresh: World, text: str, base: str, why: str
) -> None:
    """A warning gives the reason: a shallow clone, or files that the pull request fixes."""
    if text:
        fresh.put({"webhooks.yaml": text})
    fresh.propose(1, "Audit", "Deploys", plan=False)
    done = fresh.pull(base=base)
    assert done.code == 0
    assert "::warning title=no-base::" in done.stdout
    assert why in done.summary


@pytest.mark.parametrize("target", ["../link.yaml", "../../outside.yaml", ""])
def test_files_without_a_history_fail(fresh: World, target: str) -> None:
    """No plan could resend what a change rotates, and its apply would pass."""
    if target:
        (fresh.work / "conf").mkdir()
        (fresh.work / "conf" / "webhooks.yaml").symlink_to(target)
    else:
        write(fresh.work, {"conf/submodule/webhooks.yaml": "webhooks: []\n"})
        git(fresh.work / "conf/submodule", "init", "-q")
        commit(fresh.work / "conf/submodule")
    (fresh.work / "link.yaml").symlink_to("webhooks.yaml")
    (fresh.folder / "outside.yaml").write_text((fresh.work / "webhooks.yaml").read_text())
    fresh.commit()
    for file, codes in (("conf", (3, 3)), ("link.yaml", (0, 0))):
        fresh.file = file
        fresh.topic(1)
        assert (fresh.pull().code, fresh.push(WEBHOOKS_REVIEWED_PLAN="ignore").code) == codes


def test_apply_is_rejected_on_pull_requests(fresh: World) -> None:
    """A pull request is not merged, so nothing may be applied."""
    event = {"pull_request": {"number": 1, "head": {}, "base": {}}}
    write(fresh.folder, {"event": json.dumps(event)})
    file = str(fresh.folder / "event")
    done = fresh.call("apply", GITHUB_EVENT_NAME="pull_request", GITHUB_EVENT_PATH=file)
    assert (done.code, done.outputs["failure-reason"]) == (64, "usage")
    assert fresh.writes() == []


@pytest.mark.parametrize("command", ["apply", "matrix"])
@pytest.mark.parametrize("ref", ["heads/feature", "heads/Main", "tags/main", ""])
def test_only_the_branch_that_is_applied_is_applied(fresh: World, command: str, ref: str) -> None:
    """Neither its reviews nor a digest apply another one, whose name may differ only in case.

    No issue reports that the command did not start.
    """
    settings = {"WEBHOOKS_ENVIRONMENTS": "one two", "WEBHOOKS_REVIEWED_PLAN": "ignore"}
    values = {"GITHUB_REF": f"refs/{ref}" if ref else "", "WEBHOOKS_BRANCH": "main", **settings}
    for digest in ("", f"sha256:{'0' * 64}"):
        done = fresh.call(command, **values, WEBHOOKS_EXPECT_DIGEST=digest)
        assert (done.code, done.outputs["result"]) == (64, "failed")
        assert "is not the branch that is applied" in done.stdout
        assert "run it on main" in done.stdout
        assert "--ref" not in done.stdout
    assert fresh.writes() == []


@pytest.mark.parametrize(("mode", "code"), [("require", 6), ("warn", 0), ("ignore", 0)])
def test_unreviewed_operations_follow_the_setting(fresh: World, mode: str, code: int) -> None:
    """The setting decides: they are not applied, applied with a warning, or applied."""
    done = fresh.push(WEBHOOKS_REVIEWED_PLAN=mode)
    assert done.code == code
    assert bool(fresh.live()) is (code == 0)
    assert ("::warning title=not-reviewed::" in done.stdout) is (mode == "warn")
    assert ("error[not-reviewed]" in done.stdout) is (mode == "require")


def test_apply_needs_a_token_to_read_reviews(fresh: World) -> None:
    """Without a token, apply needs a digest or an explicit setting."""
    done = fresh.push(GITHUB_TOKEN="")
    assert (done.code, done.outputs["failure-reason"]) == (64, "usage")
    assert fresh.push(GITHUB_TOKEN="", WEBHOOKS_REVIEWED_PLAN="ignore").code == 0


def test_drift_without_a_token_is_reported(fresh: World) -> None:
    """Log and outputs have the drift, and a warning that the issue was not updated."""
    fresh.apply_main()
    fresh.emulator.configure("Audit", channel="by-hand")
    done = fresh.drift(GITHUB_TOKEN="")
    assert (done.code, done.outputs["result"]) == (0, "drift")
    assert "no-token" in done.stdout


def broken(*_: object, **__: object) -> NoReturn:
    raise AttributeError("a bug")


@pytest.mark.parametrize("renderer", [text, markdown])
def test_a_broken_report_does_not_change_the_result(
    fresh: World, monkeypatch: pytest.MonkeyPatch, renderer: object
) -> None:
    """Exit code and outputs are those of the apply; log or summary has the error in one line."""
    monkeypatch.setattr(renderer, "render_run_report", broken)
    done = fresh.push(WEBHOOKS_REVIEWED_PLAN="ignore")
    assert (done.code, done.outputs["result"]) == (0, "applied")
    assert fresh.live() == {"Audit": "general"}
    line = "applied 1 of 1 change: 1 created; the report cannot be shown"
    assert line in done.stdout + done.summary


def test_an_inapplicable_declaration_fails_the_run(fresh: World) -> None:
    """The plan is empty, but a declaration is not applied."""
    fresh.apply_main()
    fresh.declare("Audit", "Deploys")
    row = {"type": "slack", "event_types": ["role_created"], "configuration": {"channel": "#x"}}
    organization = fresh.emulator.organization
    fresh.emulator.store.save({"organization": organization, "name": "Deploys", **row})
    done = fresh.push(WEBHOOKS_REVIEWED_PLAN="ignore")
    assert (done.code, done.outputs["failure-reason"]) == (1, "apply-incomplete")
    assert "declaration not applied: unknown event" in done.summary
