"""Mistakes on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.errors import _ELSEWHERE, explain, translate
from reconciler.cli.options import Context
from reconciler.cli.process import Process
from reconciler.errors import ExitCode
from tests.cli.conftest import Shell

File = Callable[..., Path]


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
    """A usage error exits with 64, names the mistake and the next step, and prints no result."""
    done = shell(*arguments)
    assert done.code == 64
    assert message in done.err
    assert "--help" in done.err or "did you mean" in done.err
    assert done.out == ""


@pytest.mark.parametrize("command", ["validate", "plan", "status"])
def test_paths_need_no_option(shell: Shell, file: File, command: str) -> None:
    """A path is read with and without -f; both add up."""
    file("webhooks: []\n", "a/one.yaml")
    file("webhooks: [{}]\n", "b.yaml")
    local = () if command == "validate" else ("--local",)
    assert shell(command, "a", *local).code == 0
    assert shell(command, "a", "-f", "b.yaml", *local).code == 3
    assert shell(command, *local, WEBHOOKS_FILE="b.yaml").code == 3
    assert shell(command, "a", *local, WEBHOOKS_FILE="b.yaml").code == 0


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


def nobody() -> Context:
    """A command that nobody watches."""
    streams = {name: io.StringIO() for name in ("stdin", "stdout", "stderr")}
    return Context(Process(environ={}, directory=Path(), **streams))


def test_bugs_name_our_lines() -> None:
    """The report of a bug names the places in the program, the innermost first."""
    context = nobody()
    with pytest.raises(TypeError) as caught:
        context.console.hide(None)  # type: ignore[arg-type]
    assert "at reconciler/cli/console.py:" in translate(caught.value).message


def test_interruption() -> None:
    """Ctrl-C is an exit code and a sentence, not a traceback; JSON has the same code."""
    out, err = io.StringIO(), io.StringIO()
    stopped = Context(
        Process(environ={}, directory=Path(), stdin=io.StringIO(), stdout=out, stderr=err)
    )
    stopped.options["format"] = "json"
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
