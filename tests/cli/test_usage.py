"""Mistakes on the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from reconciler.cli.errors import _ELSEWHERE, explain, translate
from reconciler.cli.invocation import Invocation
from reconciler.cli.process import Process
from reconciler.errors import ExitCode
from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("aply",), "did you mean `apply`?"),
        (("plan", "--formt", "json"), "did you mean `--format`?"),
        (("plan", "--format", "xml"), "is not one of 'text'"),
        (("--color", "never", "plan", "--timeout", "soon"), "is not a number"),
        (("schema", "plans"), "is not one of"),
        (("completion",), "missing argument: one of bash|zsh|fish"),
        (("plan", "--foo"), "there is no option `--foo`"),
        (("plan", "--format", "jsn"), "did you mean `json`?"),
        (("plan", "--only"), "option `--only` needs a value\n  = help: see `webhooks plan --help`"),
        (("plan", "--out", ""), "invalid value for '--out': it is empty"),
        (("apply", "--dry-run"), "did you mean `webhooks plan`?"),
        (("apply", "-y"), "did you mean `--yes`?"),
        (("diff",), "did you mean `webhooks plan`?"),
        (("help",), "did you mean `webhooks --help`?"),
        (("apply", "--parallelism", "20"), "is not from 1 to 16"),
        (("apply", "--parallelism", "x"), "is not a whole number"),
        (("apply", "--allow-deletes", "-1"), "is less than 0"),
        (("schema", "plan", "more"), "unexpected argument: more"),
    ],
)
def test_usage(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    """A usage error exits with 64, says what is wrong and where to look, and prints no result."""
    done = shell(*arguments)
    assert done.code == 64
    assert message in done.err
    assert "--help" in done.err or "did you mean" in done.err
    assert "\\n" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("command", ["validate", "plan", "status"])
def test_a_file_without_its_option(shell: Shell, command: str) -> None:
    """The first thing that people try is answered with how files are named."""
    done = shell(command, "webhooks.yaml")
    assert (done.code, done.out) == (64, "")
    assert (
        "unexpected argument: webhooks.yaml\n  = help: files are named with `-f FILE`" in done.err
    )


def test_what_other_tools_call_it_is_ours(shell: Shell) -> None:
    """Each suggestion for a word of another tool is a command line that exists here."""
    for meant in _ELSEWHERE.values():
        words = meant.removeprefix("webhooks ").split()
        command = [] if meant.startswith("webhooks ") else ["apply"]
        value = ["x"] if words == ["--only"] else []
        if words == ["--version"]:
            command = []
        assert shell(*command, *words, *value, "--help").code == 0, meant


@pytest.mark.parametrize(
    "arguments",
    [("--api-key", "hunter2hunter2", "plan"), ("plan", "--api-key=hunter2hunter2")],
)
def test_no_key_on_the_command_line(shell: Shell, arguments: tuple[str, ...]) -> None:
    """A key on the command line is refused with the ways that are safe, and is not repeated."""
    done = shell(*arguments)
    assert done.code == 64
    assert "CLOUDTRUTH_API_KEY" in done.err
    assert "hunter2" not in done.err


def test_json_on_usage_errors(shell: Shell, tmp_path: Path) -> None:
    """Where the result would be JSON, a usage error is JSON as well."""
    (tmp_path / "webhooks.yaml").write_text("webhooks: []\n")
    done = shell("plan", "--format", "json", "--server-url", "ftp://x")
    assert done.code == 64
    assert json.loads(done.out)["error"]["code"] == "usage"


def test_common_options_stand_anywhere(shell: Shell, tmp_path: Path) -> None:
    """Options before and after the command mean the same; the later one wins."""
    (tmp_path / "webhooks.yaml").write_text("webhooks: []\n")
    before = shell("--server-url", "ftp://x", "plan")
    after = shell("plan", "--server-url", "ftp://x")
    both = shell("--server-url", "https://ok.example.com", "plan", "--server-url", "ftp://x")
    assert before.code == after.code == both.code == 64
    assert before.err == after.err == both.err


def test_an_option_that_is_none_is_json_as_well(shell: Shell) -> None:
    """What cannot be parsed still answers in the format that was asked for, and in no other."""
    for asked in (("--format", "json"), ("--format=json",)):
        done = shell("plan", "--foo", *asked)
        assert done.code == 64
        assert json.loads(done.out)["error"]["code"] == "usage"
    assert shell("plan", "--foo", "--only", "the --format json team").out == ""


def test_a_switch_that_says_neither_yes_nor_no(shell: Shell, tmp_path: Path) -> None:
    """A misspelt WEBHOOKS_STRICT stops the run: warnings would silently pass."""
    (tmp_path / "webhooks.yaml").write_text("webhooks: []\n")
    done = shell("validate", WEBHOOKS_STRICT="ture")
    assert (done.code, "WEBHOOKS_STRICT" in done.err) == (64, True)
    assert shell("validate", WEBHOOKS_STRICT="off").code == 0


def test_bugs_are_reported_without_values() -> None:
    """An exception that should not happen exits with 70 and shows type and place, not its text."""
    with pytest.raises(ValueError) as caught:
        int("hunter2")
    error = translate(caught.value)
    assert error.exit_code == 70
    assert "ValueError" in error.message
    assert "hunter2" not in f"{error} {error.hint}"


def nobody() -> Invocation:
    """A command that nobody watches."""
    streams = {name: io.StringIO() for name in ("stdin", "stdout", "stderr")}
    return Invocation(Process(environ={}, directory=Path(), **streams))


def test_bugs_name_our_lines() -> None:
    """The report of a bug names the places in the program, the innermost first."""
    invocation = nobody()
    with pytest.raises(ValueError) as caught:
        invocation.give("color", "purple")
    assert "at reconciler/cli/invocation.py:" in translate(caught.value).message


def test_interruption() -> None:
    """Ctrl-C is an exit code and a sentence, not a traceback; JSON has the same code."""
    out, err = io.StringIO(), io.StringIO()
    stopped = Invocation(
        Process(environ={}, directory=Path(), stdin=io.StringIO(), stdout=out, stderr=err)
    )
    stopped.machine_readable = True
    assert explain(KeyboardInterrupt(), stopped) is ExitCode.SIGINT
    assert err.getvalue() == "error[interrupted]: stopped by a signal\n"
    assert json.loads(out.getvalue())["error"]["exit_code"] == 130


@pytest.mark.parametrize(
    "name", ["webhooks", "plan", "report", "findings", "status", "checks", "error"]
)
def test_schemas(shell: Shell, name: str) -> None:
    """Each schema is printed as JSON; the files' own unless another is asked for."""
    done = shell("schema", name)
    assert done.code == 0
    assert "$schema" in json.loads(done.out)
    if name == "webhooks":
        assert shell("schema").out == done.out
