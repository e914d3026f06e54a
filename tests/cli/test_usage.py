"""Errors as JSON, internal errors, schemas and standard input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cli.conftest import File, Shell, expect
from tests.goldens import rows


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


@pytest.mark.parametrize(("line", "code"), rows(Path(__file__).with_name("json_failures.yaml")))
def test_a_failure_is_json_if_the_result_would_be(
    shell: Shell, file: File, line: str, code: int
) -> None:
    """A failure is JSON even if parsing ends before the option; organizations have their own."""
    file()
    file(name="bad.yaml", value_updated="value_updatd")
    for form in (("--format", "json"), ("--format=json",)):
        done = shell(*line.split(), *form)
        document = json.loads(done.out)
        (document,) = document.get("organizations", [document])
        assert document["error"]["exit_code"] == done.code == code
    assert shell(*line.split(), "--only", "the --format json team").out == ""


@pytest.mark.parametrize(
    "command", ["slack check", "doctor --server-url http://127.0.0.1:1", "ci validate", "ci plan"]
)
def test_commands_read_standard_input_once(shell: Shell, file: File, command: str) -> None:
    """A second read finds no file; a missing key value does not cause another read."""
    text = file().read_text()
    for keyed in (text, f"api_key: {{env: ABSENT}}\n{text}"):
        done = shell(*command.split(), "-f", "-", keys=keyed)
        printed = done.out + done.err
        assert "empty-document" not in printed
        assert "invalid: " not in printed
