"""`webhooks ci` in this process: inputs, refusals and the ways on that no workflow shows daily."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from reconciler.ci.marker import decode
from reconciler.render import json as json_renderer
from reconciler.render import markdown, text
from tests.ci.support import World, world


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def test_validate_needs_nothing_but_the_files(here: World) -> None:
    """The command may come from a variable, as the action gives it; no server is asked."""
    done = here.call("", WEBHOOKS_COMMAND="validate")
    assert here.emulator.store.log() == []
    assert (done.code, done.outputs["result"]) == (0, "validated")
    assert "The files are valid: 1 webhook declared" in done.summary


def test_a_warning_about_a_file_is_an_error_here(here: World) -> None:
    """What a person may overlook in a terminal stops a pull request."""
    here.declare("Audit", "audit ")
    done = here.call("validate")
    assert done.code == 3
    assert "::error file=webhooks.yaml" in done.stdout


def test_a_malformed_input_leaves_outputs_too(here: World) -> None:
    """Later steps can tell why, and a person reads what would be right."""
    done = here.call("plan --comment sometimes")
    assert (done.code, done.outputs["failure-reason"], done.outputs["result"]) == (64, "usage", "")
    assert "changes-only" in done.stderr + done.stdout + done.summary


def test_an_event_that_is_no_json_is_refused(here: World) -> None:
    """A broken event never reads as "no pull request"."""
    for content in (b"[]", b"{", b"\xff"):
        (here.folder / "event").write_bytes(content)
        done = here.call("plan", GITHUB_EVENT_PATH=str(here.folder / "event"))
        assert done.code == 64
    assert here.call("plan", GITHUB_EVENT_PATH=str(here.folder / "missing")).code == 64


def test_outside_github_it_is_a_plan(here: World) -> None:
    """With nothing of GitHub in the environment there is still a log and an exit code."""
    done = here.bare("plan", CLOUDTRUTH_API_KEY="k", CLOUDTRUTH_SERVER_URL=here.cloudtruth_url)
    assert done.code == 0
    assert "Plan: 1 to create" in done.stdout


@pytest.mark.parametrize(
    ("what", "name", "code"),
    [
        ("validate", "GITHUB_OUTPUT", 1),
        ("apply --reviewed-plan ignore", "GITHUB_OUTPUT", 7),
        ("apply --reviewed-plan ignore", "GITHUB_STEP_SUMMARY", 7),
        ("apply --reviewed-plan ignore", "RUNNER_TEMP", 7),
    ],
)
def test_files_of_github_that_cannot_be_written_are_an_error(
    here: World, what: str, name: str, code: int
) -> None:
    """What is lost must not look well; the log has what was done, and the code that it was."""
    done = here.call(what, **{name: str(here.folder / "no" / "folder")})
    assert done.code == code
    assert ("1 created" in done.stdout) is (code == 7)
    assert "error[output]: cannot write " in done.stderr
    assert name in done.stderr


@pytest.mark.parametrize(("mode", "comments"), [("true", 1), ("changes-only", 0), ("false", 0)])
def test_when_a_plan_without_changes_is_a_comment(here: World, mode: str, comments: int) -> None:
    """Always, only with changes, or never."""
    here.settle()
    done = here.pull(WEBHOOKS_COMMENT=mode)
    assert done.outputs["result"] == "no-changes"
    assert len(here.github.comments) == comments


def test_a_comment_is_brought_up_to_date_when_its_changes_go(here: World) -> None:
    """With changes-only an old comment does not go on promising what is no more."""
    here.settle()
    here.propose(1, "Audit", "Deploys")
    here.declare("Audit")
    here.commit()
    here.pull()
    (comment,) = here.github.bodies(1)
    assert "no changes" in comment


def test_labels_have_comments_of_their_own(here: World) -> None:
    """Two uses on one pull request do not overwrite each other, and each finds its own."""
    here.propose(1, "Audit", "Deploys", plan=False)
    for label in ("eu", "us", "eu"):
        here.pull(WEBHOOKS_LABEL=label)
    assert [decode(each).label for each in here.github.bodies(1)] == ["eu", "us"]  # type: ignore[union-attr]
    here.squash(1)
    assert here.push(WEBHOOKS_LABEL="ap").code == 6
    assert here.push(WEBHOOKS_LABEL="us").code == 0


def test_a_shallow_clone_is_told_how_to_know_more(here: World) -> None:
    """Without the base commit the plan stands, and a warning says what is missing."""
    here.propose(1, "Audit", "Deploys", plan=False)
    done = here.pull(base="b" * 40)
    assert done.code == 0
    assert "::warning title=no-base::" in done.stdout
    assert "fetch-depth: 0" in done.summary


def test_a_base_that_was_invalid_is_told(here: World) -> None:
    """A pull request that repairs the files is planned without attribution."""
    (here.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    here.commit()
    done = here.propose(1, "Audit", "Deploys")
    assert done.code == 0
    assert "not valid" in done.stdout


def test_a_fork_is_checked_and_told_so(here: World) -> None:
    """No secret, no comment, no request to CloudTruth: valid files pass, invalid ones fail."""
    here.secrets.clear()
    here.github.read_only = True
    here.propose(1, "Audit", "Deploys", plan=False)
    done = here.pull(home="eve/hooks")
    assert (done.code, done.outputs["result"]) == (0, "validated")
    assert "comes from a fork" in done.stdout
    assert "comes from a fork" in done.summary
    (here.work / "webhooks.yaml").write_text("webhooks: []\nwebhooks: []\n")
    bad = here.pull(home="eve/hooks")
    assert (bad.code, bad.outputs["result"]) == (3, "failed")
    assert "::error file=webhooks.yaml,line=2," in bad.stdout
    assert here.github.log == []
    assert here.emulator.store.log() == []


def test_apply_is_refused_on_pull_requests(here: World) -> None:
    """Nobody has merged it yet."""
    event = {"pull_request": {"number": 1, "head": {}, "base": {}}}
    done = here.step("apply", "pull_request", event)
    assert (done.code, done.outputs["failure-reason"]) == (64, "usage")
    assert here.writes() == []


@pytest.mark.parametrize(("mode", "code"), [("require", 6), ("warn", 0), ("ignore", 0)])
def test_what_happens_to_operations_nobody_reviewed(here: World, mode: str, code: int) -> None:
    """Refused, applied with a warning, or applied silently."""
    done = here.push(WEBHOOKS_REVIEWED_PLAN=mode)
    assert done.code == code
    assert bool(here.live()) is (code == 0)
    assert ("::warning title=not-reviewed::" in done.stdout) is (mode == "warn")
    assert ("error[not-reviewed]" in done.stdout) is (mode == "require")


def test_apply_needs_a_token_to_find_reviews_with(here: World) -> None:
    """Without one only a digest or an explicit choice leads on."""
    done = here.push(GITHUB_TOKEN="")
    assert (done.code, done.outputs["failure-reason"]) == (64, "usage")
    assert here.push(GITHUB_TOKEN="", WEBHOOKS_REVIEWED_PLAN="ignore").code == 0


def test_drift_without_a_token_is_still_seen(here: World) -> None:
    """Log and outputs tell, and a warning says that no issue was looked at."""
    done = here.step("drift", "schedule", {}, GITHUB_TOKEN="")
    assert (done.code, done.outputs["result"]) == (0, "drift")
    assert "no-token" in done.stdout


def test_more_than_ten_findings_are_counted(here: World) -> None:
    """GitHub would hide the rest without a word."""
    lines = ["webhooks:"] + ["  - {name: w, state: absent}"] * 15
    (here.work / "webhooks.yaml").write_text("\n".join(lines) + "\n")
    done = here.call("validate")
    assert done.stdout.count("\n::error") + done.stdout.startswith("::error") == 10
    assert "::notice::and " in done.stdout


def broken(*_: object, **__: object) -> NoReturn:
    raise AttributeError("a bug")


@pytest.mark.parametrize(
    "renderer",
    [(text, "render_report"), (markdown, "render_report"), (json_renderer, "render_plan")],
)
def test_a_report_that_cannot_be_shown_changes_nothing(
    here: World, monkeypatch: pytest.MonkeyPatch, renderer: tuple[object, str]
) -> None:
    """Exit code and outputs are those of the apply; log or summary say it in one line."""
    monkeypatch.setattr(*renderer, broken)
    done = here.step("apply", "push", {}, WEBHOOKS_REVIEWED_PLAN="ignore")
    assert (done.code, done.outputs["result"]) == (0, "applied")
    assert here.live() == {"Audit": "general"}
    if renderer[0] is not json_renderer:
        line = "applied 1 of 1 change: 1 created, 0 updated, 0 deleted; the report cannot be shown"
        assert line in done.stdout + done.summary


def test_a_declaration_that_cannot_be_applied_fails_the_run(here: World) -> None:
    """Nothing is left to change, and still not all is as declared."""
    here.settle()
    here.declare("Audit", "Deploys")
    here.commit()
    row = {"type": "slack", "event_types": ["role_created"], "configuration": {"channel": "#x"}}
    organization = here.emulator.organization
    here.emulator.store.insert({"organization": organization, "name": "Deploys", **row})
    done = here.step("apply", "push", {}, WEBHOOKS_REVIEWED_PLAN="ignore")
    assert (done.code, done.outputs["failure-reason"]) == (1, "apply-incomplete")
    assert "declaration not applied: with an event this version does not know" in done.summary
