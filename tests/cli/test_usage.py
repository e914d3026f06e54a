"""Usage errors."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from reconciler.cli.errors import _ELSEWHERE
from tests.cli.conftest import File, Shell


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("aply",), "Did you mean 'apply'?"),
        (("plan", "--formt", "json"), "'--format'"),
        (("plan", "--format", "xml"), "is not one of 'text'"),
        (("--no-color", "plan", "--timeout", "soon"), "'soon' is not a valid float"),
        (("completion",), "Missing argument"),
        (("plan", "--zz"), "No such option '--zz'\n  = help: see `webhooks plan --help`"),
        (("plan", "--out", ""), "Invalid value for '-o' / '--out': the name is empty"),
        (("apply", "--dry-run"), "did you mean `webhooks plan`?"),
        (("apply", "--auto-approve"), "did you mean `--yes`?"),
        (("diff",), "did you mean `webhooks plan`?"),
        (("apply", "--parallelism", "20"), "20 is not in the range 1<=x<=16"),
        (("schema", "plan", "more"), "unexpected extra argument (more)"),
        (("export", "-f", "nope.yaml"), "No such option '-f'"),
        (("-f", "nope.yaml", "export"), "No such option '--file'"),
        (("validate", "--server-url", "https://example.com"), "No such option '--server-url'"),
        (("help", "plann"), "Did you mean 'plan'?"),
    ],
)
def test_usage(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    """It exits with 64, names the error and the next step, and prints no result."""
    done = shell(*arguments)
    assert done.code == 64
    assert message in done.err
    assert "--help" in done.err or "did you mean" in done.err
    assert done.out == ""


@pytest.mark.parametrize("command", ["validate", "plan", "status"])
def test_paths_need_no_option(shell: Shell, file: File, command: str) -> None:
    """A path is read with and without -f; both add up, and override the variable."""
    file("webhooks: []\n", "a/one.yaml")
    file("webhooks: [{}]\n", "b.yaml")
    local = () if command == "validate" else ("--local",)
    for arguments, named, code in (
        (("a",), "", 0),
        (("a", "-f", "b.yaml"), "", 3),
        ((), "b.yaml", 3),
        (("a",), "b.yaml", 0),
    ):
        assert shell(command, *arguments, *local, WEBHOOKS_FILE=named).code == code


def test_suggestions_for_words_of_other_tools_exist(shell: Shell) -> None:
    """Each suggestion is a valid command line."""
    for meant in _ELSEWHERE.values():
        words = meant.removeprefix("webhooks ").split()
        command = [] if meant.startswith("webhooks ") or words == ["--version"] else ["apply"]
        value = ["x"] if words == ["--only"] else []
        assert shell(*command, *words, *value, "--help").code == 0, meant


@pytest.mark.parametrize(
    "arguments",
    [("--api-key", "hunter2hunter2", "plan"), ("plan", "--api-key=hunter2hunter2")],
)
def test_a_key_on_the_command_line_is_refused(shell: Shell, arguments: tuple[str, ...]) -> None:
    """The error lists the safe ways, and does not repeat the key."""
    done = shell(*arguments)
    assert (done.code, "CLOUDTRUTH_API_KEY" in done.err) == (64, True)
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    "wrong",
    [("--server-url", "ftp://x", "--format", "json"), ("--foo", "--format=json"),
     ("--foo", "--format", "json")],
)  # fmt: skip
def test_json_on_usage_errors(shell: Shell, file: File, wrong: tuple[str, ...]) -> None:
    """If the result would be JSON, a usage error is JSON too, even a parsing error."""
    file()
    done = shell("plan", *wrong)
    assert (done.code, json.loads(done.out)["error"]["code"]) == (64, "usage")
    assert shell("plan", "--foo", "--only", "the --format json team").out == ""


def test_common_options_are_accepted_anywhere(shell: Shell, file: File) -> None:
    """Options before and after the command mean the same; the later one wins."""
    file()
    before = shell("--server-url", "ftp://x", "plan")
    after = shell("plan", "--server-url", "ftp://x")
    both = shell("--server-url", "https://ok.example.com", "plan", "--server-url", "ftp://x")
    assert before.code == after.code == both.code == 64
    assert before.err == after.err == both.err


def test_an_invalid_boolean_variable_is_an_error(shell: Shell, file: File) -> None:
    """With a misspelled WEBHOOKS_STRICT warnings would pass silently."""
    file()
    done = shell("validate", WEBHOOKS_STRICT="ture")
    assert (done.code, "WEBHOOKS_STRICT" in done.err) == (64, True)
    assert shell("validate", WEBHOOKS_STRICT="off").code == 0


def test_internal_errors_are_reported_without_values(
    shell: Shell, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 70 with the type and place of the exception, without its text."""

    def broken(*_: object, **__: object) -> NoReturn:
        raise ValueError("hunter2")

    monkeypatch.setattr("reconciler.cli.commands.plan.load", broken)
    done = shell("plan", "--format", "json")
    assert (done.code, json.loads(done.out)["error"]["exit_code"]) == (70, 70)
    assert "internal error: ValueError at reconciler/cli/commands/plan.py:" in done.err
    assert "hunter2" not in done.err + done.out


def test_interruption(shell: Shell, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C gives an exit code and a sentence, no traceback; JSON has the same code."""

    def stopped(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("reconciler.cli.commands.plan.load", stopped)
    done = shell("plan", "--format", "json")
    assert (done.code, done.err) == (130, "error[interrupted]: stopped by a signal\n")
    assert json.loads(done.out)["error"]["exit_code"] == 130


@pytest.mark.parametrize(
    "name", ["webhooks", "plan", "report", "findings", "status", "checks", "error"]
)
def test_schemas(shell: Shell, name: str) -> None:
    """Each schema is printed as JSON, by default that of configuration files."""
    done = shell("schema", name)
    assert (done.code, "$schema" in json.loads(done.out)) == (0, True)
    if name == "webhooks":
        assert shell("schema").out == done.out
