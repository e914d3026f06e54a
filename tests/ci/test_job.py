"""Understanding the action's inputs and GitHub's variables."""

from __future__ import annotations

import pytest

from reconciler.ci.run import Command, Commenting, Job, Reviewing, lines, read_job, read_run
from reconciler.errors import UsageError

DIGEST = "sha256:" + "0" * 64


def test_empty_inputs_are_not_given() -> None:
    """An action passes every input, most of them empty."""
    given = dict.fromkeys(
        ("label", "comment", "reviewed-plan", "expect-digest", "allow-deletes", "resend-secret"),
        "",
    )
    assert read_job({"command": "apply", **given}) == Job(command=Command.APPLY)


def test_every_input_is_understood() -> None:
    """Spaces around values and the case of words do not matter."""
    job = read_job(
        {
            "command": " Plan ",
            "label": "eu",
            "comment": "changes-only",
            "reviewed-plan": "warn",
            "expect-digest": f" {DIGEST}\n",
            "allow-deletes": "12",
            "resend-secret": "env SLACK\n\n Audit \n",
        }
    )
    assert job == Job(
        command=Command.PLAN,
        label="eu",
        commenting=Commenting.CHANGES_ONLY,
        reviewing=Reviewing.WARN,
        expect_digest=DIGEST,
        allow_deletes=12,
        resend=("env SLACK", "Audit"),
    )


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("command", "destroy", "validate, plan, apply, drift"),
        ("command", "", "command"),
        ("comment", "yes", "changes-only"),
        ("reviewed-plan", "no", "require, warn, ignore"),
        ("expect-digest", "9c1e", "digest"),
        ("allow-deletes", "-1", "whole number"),
        ("allow-deletes", "1" * 30, "whole number"),
        ("label", "a\nb", "label"),
        ("label", "a`b", "label"),
    ],
)
def test_a_malformed_input_is_named(name: str, value: str, word: str) -> None:
    """What is wrong and what would be right is said, and nothing is done."""
    with pytest.raises(UsageError, match=word):
        read_job({"command": "plan", name: value})


def test_outside_github_nothing_is_known() -> None:
    """An empty environment is no error."""
    run = read_run({}, {})
    assert (run.url, run.workflow, run.repository) == ("", "", "")


def test_inputs_of_several_lines() -> None:
    """Lines are trimmed, empty ones dropped."""
    assert lines(" a \n\n b\r\n") == ("a", "b")
