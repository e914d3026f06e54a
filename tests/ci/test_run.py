"""The inputs of the action, GitHub's variables and its event."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.ci.run import Run, read_run
from reconciler.errors import UsageError
from reconciler.workflow import Inputs
from tests.goldens import rows

DIGEST = "sha256:" + "0" * 64
REPOSITORY = "acme/hooks"
REACH: dict[str, Any] = {
    "inputs": Inputs(directory=Path(), environ={}, stdin=bytes),
    "connect": nullcontext,
    "github": None,
    "now": datetime(2026, 1, 2, tzinfo=UTC),
}


def test_an_input_may_have_spaces_blank_lines_and_capitals() -> None:
    """Spaces, blank lines and case make no difference."""
    values = {
        "comment": " Changes-only",
        "expect-digest": f" {DIGEST}\n",
        "resend-secret": "env SLACK\n\n Audit \r\n*",
    }
    found = read_run(values, {}, {}, **REACH)
    assert (found.commenting, found.expect_digest) == ("changes-only", DIGEST)
    assert found.resend == ("env SLACK", "Audit", "*")


@pytest.mark.parametrize(
    ("name", "value", "word"), rows(Path(__file__).with_name("malformed_inputs.yaml"))
)
def test_a_malformed_input_is_named(name: str, value: str, word: str) -> None:
    """The error names the input and its valid values."""
    with pytest.raises(UsageError, match=word) as error:
        read_run({name: value}, {}, {}, **REACH)
    assert error.value.hint or name == "label"


def pull(*, home: str | None = REPOSITORY, author: str = "ann", sender: str = "ann") -> Any:
    repo = None if home is None else {"full_name": home}
    return {
        "pull_request": {
            "number": 7,
            "head": {"sha": "a" * 40, "repo": repo},
            "base": {"sha": "b" * 40, "ref": "main"},
            "user": {"login": author},
        },
        "sender": {"login": sender},
    }


def event(name: str, payload: Any, repository: str = REPOSITORY) -> Run:
    environ = {"GITHUB_EVENT_NAME": name, "GITHUB_REPOSITORY": repository}
    return read_run({}, environ, payload, **REACH)


@pytest.mark.parametrize(
    ("fields", "repository", "word"), rows(Path(__file__).with_name("without_secrets.yaml"))
)
def test_a_run_without_secrets_has_a_reason(fields: Any, repository: str, word: str) -> None:
    """Forks, deleted forks, Dependabot and unknown authors get no secrets."""
    payload = {} if fields is None else pull(**fields)
    found = event("pull_request", payload, repository).no_secrets_reason
    assert word in (found or "") if word else found is None


def test_the_branch_of_a_merge_group_may_contain_a_slash() -> None:
    """A group for `team/main` is planned against `team/main`."""
    payload = {"merge_group": {"base_ref": "refs/heads/team/main"}}
    assert event("merge_group", payload).merge_queue == "team/main"


@pytest.mark.parametrize("server", ["https://github.com", "https://git.example.com", ""])
def test_a_command_names_the_server_of_the_repository(server: str) -> None:
    """Without a host, `gh` would use github.com, or what it is logged in to."""
    environ = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_SERVER_URL": server, "GITHUB_RUN_ID": "7"}
    host = "git.example.com/" if "example" in server else ""
    run = read_run({}, environ, {}, **REACH)
    assert run.rerun_command == f"gh run rerun 7 --repo {host}{REPOSITORY}"
    assert len(run.title("x" * 300)) == 256
