"""Usage errors, options that every command has, and internal errors."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from tests.cli.conftest import File, Shell, expect


@pytest.mark.parametrize("command", ["validate", "plan --local", "status --local"])
def test_paths_need_no_option(shell: Shell, file: File, command: str) -> None:
    """A path is read with and without -f; both are combined, and override the variable."""
    file("webhooks: []\n", "a/one.yaml")
    file("webhooks: [{}]\n", "b.yaml")
    for line, named, code in (("a", "", 0), ("a -f b.yaml", "", 3), ("", "b.yaml", 3),
                              ("a", "b.yaml", 0)):  # fmt: skip
        assert shell(*command.split(), *line.split(), WEBHOOKS_FILE=named).code == code


def test_common_options_are_accepted_anywhere(shell: Shell, file: File) -> None:
    """Options before and after the command mean the same; the later one wins."""
    file()
    wrong = ("--server-url", "ftp://x")
    before, after = shell(*wrong, "plan"), shell("plan", *wrong)
    both = shell("--server-url", "https://ok.example.com", "plan", *wrong)
    assert before.code == after.code == both.code == 64
    assert before.err == after.err == both.err


@pytest.mark.parametrize(
    ("problem", "code", "message"),
    [
        (ValueError("hunter2"), 70, "internal error: ValueError at reconciler/cli/commands/plan"),
        (KeyboardInterrupt(), 130, "error[interrupted]: stopped by a signal\n"),
    ],
)
def test_unexpected_errors(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, problem: BaseException, code: int, message: str
) -> None:
    """An internal error shows its type and location, never its text; Ctrl-C prints no traceback."""

    def broken(*_: object, **__: object) -> NoReturn:
        raise problem

    monkeypatch.setattr("reconciler.cli.session.Session.load_all", broken)
    done = shell("plan", "--format", "json", "--debug", "-vv")
    expect(done, code, message, without=("hunter2", "Traceback"))
    assert json.loads(done.out)["error"]["exit_code"] == code


@pytest.mark.parametrize(
    "name", ["webhooks", "plan", "report", "findings", "status", "drift", "checks", "error"]
)
def test_schemas(shell: Shell, name: str) -> None:
    """Each schema is printed as JSON, by default that of configuration files."""
    done = shell("schema", name)
    assert (done.code, "$schema" in json.loads(done.out)) == (0, True)
    assert name != "webhooks" or shell("schema").out == done.out
