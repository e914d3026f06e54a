"""The requests to GitHub, byte for byte, as cassettes recorded from the fake.

They prove that the wire is exactly this, not that GitHub answers so. After a wanted change record
anew with `RECORD_CASSETTES=1 pytest tests/ci/test_github_cassettes.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
from reconciler.ci.sticky import find, put, with_status

from reconciler.ci.github import GitHub
from reconciler.ci.marker import Marker
from tests.ci.fake_github import FakeGitHub
from tests.ci.support import adapter, client

FOLDER = Path(__file__).resolve().parents[1] / "cassettes" / "emulated" / "github"
RECORDING = bool(os.environ.get("RECORD_CASSETTES"))
SENT = {"accept", "content-type", "x-github-api-version"}
RECEIVED = {"content-type"}
CANARY = FakeGitHub().token
MARKER = Marker(
    kind="plan",
    label="",
    file="webhooks.yaml",
    organization="org-1",
    origin="https://api.cloudtruth.io",
    digest="sha256:" + "1" * 64,
    operations=("2" * 32,),
    run="https://github.com/acme/hooks/actions/runs/1",
    version="1.0.0",
)


def scrub_request(request: Any) -> Any:
    """Keep the headers that mean something, and no other."""
    request.headers = {
        name: request.headers[name] for name in request.headers if name.lower() in SENT
    }
    return request


def scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    """The same for what comes back."""
    headers = response["headers"]
    response["headers"] = {name: headers[name] for name in headers if name.lower() in RECEIVED}
    return response


def refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError("a request left the cassette")


@contextmanager
def tape(name: str, fake: FakeGitHub) -> Iterator[GitHub]:
    """Yield a client whose requests are on the cassette `name`, all of them and in order."""
    path = FOLDER / f"{name}.yaml"
    if RECORDING:
        path.unlink(missing_ok=True)
    recorder = vcr.VCR(
        record_mode="all" if RECORDING else "none",
        match_on=["method", "scheme", "host", "port", "path", "query", "body"],
        before_record_request=scrub_request,
        before_record_response=scrub_response,
        decode_compressed_response=True,
    )
    transport = adapter(fake) if RECORDING else httpx.MockTransport(refuse)
    with recorder.use_cassette(str(path)) as cassette, client(fake, transport) as github:
        yield github
        assert RECORDING or cassette.all_played


@pytest.fixture
def fake() -> FakeGitHub:
    return FakeGitHub()


def test_a_plan_is_written_and_edited(fake: FakeGitHub) -> None:
    """Listing, creating, listing with 100 on a page, editing."""
    with tape("comment", fake) as github:
        put(github, 7, MARKER, "one\n", create=True)
        if RECORDING:
            for number in range(100):
                fake.comment(7, str(number), login="ann")
        put(github, 7, replace(MARKER, run="r2"), "two\n", create=True)


def test_a_merged_plan_is_found_and_marked(fake: FakeGitHub) -> None:
    """From a commit to its pull request, its comment, and what became of it."""
    commit = "c" * 40
    fake.merge(7, commit)
    with tape("apply", fake) as github:
        put(github, 7, MARKER, "plan\n", create=True)
        assert github.merged_pulls(commit, branch="main") == (7,)
        found = find(github, 7, MARKER)
        assert found is not None
        assert found.marker == MARKER
        github.edit_comment(found.id, with_status(found.body, "**Applied**."))


def test_drift_opens_edits_and_closes(fake: FakeGitHub) -> None:
    """One issue's whole life."""
    with tape("drift", fake) as github:
        assert github.open_issues() == ()
        github.open_issue("drifted", "body")
        (issue,) = github.open_issues()
        github.edit_issue(issue.number, "drifted more", "body 2")
        github.close_issue(issue.number, "The drift is gone.")
        assert github.open_issues() == ()


def test_cassettes_hold_no_credential() -> None:
    """Neither the token nor a header that could carry one is on any tape."""
    tapes = sorted(FOLDER.glob("*.yaml"))
    assert [each.stem for each in tapes] == ["apply", "comment", "drift"]
    for each in tapes:
        text = each.read_text()
        assert CANARY not in text
        assert "uthorization" not in text
        assert "ookie" not in text
