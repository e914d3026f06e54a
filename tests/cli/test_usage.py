"""Usage errors."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from reconciler.cli.errors import _ELSEWHERE
from tests.cli.conftest import File, Shell, expect


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("aply", "Did you mean 'apply'?"),
        ("plan --formt json", "'--format'"),
        ("plan --format xml", "is not one of 'text'"),
        ("--no-color plan --timeout soon", "'soon' is not a valid float"),
        ("completion", "Missing argument"),
        ("plan --zz", "No such option '--zz'\n  = help: see `webhooks plan --help`"),
        ("plan --out=", "Invalid value for '-o' / '--out': the name is empty"),
        ("apply --dry-run", "did you mean `webhooks plan`?"),
        ("apply --auto-approve", "did you mean `--yes`?"),
        ("diff", "did you mean `webhooks plan`?"),
        ("apply --parallelism 20", "20 is not in the range 1<=x<=16"),
        ("schema plan more", "unexpected extra argument (more)"),
        ("export -f nope.yaml", "No such option '-f'"),
        ("-f nope.yaml export", "No such option '--file'"),
        ("validate --server-url https://example.com", "No such option '--server-url'"),
        ("help plann", "Did you mean 'plan'?"),
    ],
)
def test_usage(shell: Shell, line: str, message: str) -> None:
    """It exits with 64, names the error and the next step, and prints no result."""
    done = shell(*line.split())
    assert (done.code, done.out) == (64, "")
    assert message in done.err
    assert "--help" in done.err or "did you mean" in done.err


@pytest.mark.parametrize("command", ["validate", "plan --local", "status --local"])
def test_paths_need_no_option(shell: Shell, file: File, command: str) -> None:
    """A path is read with and without -f; both are combined, and override the variable."""
    file("webhooks: []\n", "a/one.yaml")
    file("webhooks: [{}]\n", "b.yaml")
    for line, named, code in (("a", "", 0), ("a -f b.yaml", "", 3), ("", "b.yaml", 3),
                              ("a", "b.yaml", 0)):  # fmt: skip
        assert shell(*command.split(), *line.split(), WEBHOOKS_FILE=named).code == code


def test_suggestions_for_words_of_other_tools_exist(shell: Shell) -> None:
    """Each suggestion is a valid command line."""
    for meant in _ELSEWHERE.values():
        words = meant.removeprefix("webhooks ").split()
        command = [] if meant.startswith("webhooks ") or words == ["--version"] else ["apply"]
        value = ["x"] if words == ["--only"] else []
        assert shell(*command, *words, *value, "--help").code == 0, meant


@pytest.mark.parametrize("line", ["--api-key hunter2hunter2 plan", "plan --api-key=hunter2hunter2"])
def test_a_key_on_the_command_line_is_refused(shell: Shell, line: str) -> None:
    """The error lists the safe ways, and does not repeat the key."""
    expect(shell(*line.split()), 64, "CLOUDTRUTH_API_KEY", without=("hunter2",))


@pytest.mark.parametrize(
    "wrong", ["--server-url ftp://x --format json", "--foo --format=json", "--foo --format json"]
)
def test_json_on_usage_errors(shell: Shell, file: File, wrong: str) -> None:
    """If the result would be JSON, a usage error is JSON too, even a parsing error."""
    file()
    done = shell("plan", *wrong.split())
    assert (done.code, json.loads(done.out)["error"]["code"]) == (64, "usage")
    assert shell("plan", "--foo", "--only", "the --format json team").out == ""


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
def test_unexpected_ends(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, problem: BaseException, code: int, message: str
) -> None:
    """An internal error has its type and place, never its text; Ctrl-C prints no traceback."""

    def broken(*_: object, **__: object) -> NoReturn:
        raise problem

    monkeypatch.setattr("reconciler.cli.commands.plan.load", broken)
    done = shell("plan", "--format", "json")
    expect(done, code, message, without=("hunter2", "Traceback"))
    assert json.loads(done.out)["error"]["exit_code"] == code


@pytest.mark.parametrize(
    "name", ["webhooks", "plan", "report", "findings", "status", "checks", "error"]
)
def test_schemas(shell: Shell, name: str) -> None:
    """Each schema is printed as JSON, by default that of configuration files."""
    done = shell("schema", name)
    assert (done.code, "$schema" in json.loads(done.out)) == (0, True)
    assert name != "webhooks" or shell("schema").out == done.out
