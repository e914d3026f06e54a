"""`webhooks validate`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SECRETS, File, Shell, expect


def test_a_valid_file(shell: Shell, file: File) -> None:
    """The file is reported as valid, with the secrets that apply may need."""
    file()
    done = shell("validate", TOKEN=SECRETS["TOKEN"])
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Valid: 2 webhooks in webhooks.yaml.\nNot set here, needed only to create a webhook or to "
        "change its configuration: env PASSWORD.\n"
    )
    assert shell("validate", **SECRETS).out == "Valid: 2 webhooks in webhooks.yaml.\n"
    assert json.loads(shell("validate", "--format", "json").out)["findings"] == []


@pytest.mark.parametrize(
    ("format", "shown"),
    [("text", "--> webhooks.yaml:8:19"), ("json", '"errors": 1'), ("github", "::error ")],
)
def test_formats(shell: Shell, file: File, format: str, shown: str) -> None:
    """Findings are the result: on standard output, as text, JSON and annotations.

    For people, one line of standard error names the command that explains the rule.
    """
    file(value_updated="value_updatd")
    done = shell("validate", "--format", format)
    hint = "note: `webhooks help unknown-event` explains this rule\n"
    assert (done.code, done.err) == (3, hint if format == "text" else "")
    assert shown in done.out
    assert shell("validate", "--format", format, "-q").err == ""


def test_strict(shell: Shell, file: File) -> None:
    """A warning is an error if an option requests that."""
    file(Pager="'Pager '")
    assert [shell("validate", *more).code for more in ((), ("--strict",))] == [0, 3]


def test_standard_input_and_folders(shell: Shell, file: File) -> None:
    """Files are also read from standard input and from folders."""
    text = file().read_text()
    file(name="folder/a.yaml")
    expect(shell("validate", "-f", "-", keys=text), 0, "<stdin>")
    expect(shell("-f", "folder", "validate"), 0, "folder/a.yaml")
    assert shell("-f", "folder", "validate", "-f", "webhooks.yaml").code == 3  # declared twice


@pytest.mark.parametrize(
    "command",
    [
        ("slack", "check"),
        ("doctor", "--server-url", "http://127.0.0.1:1"),
        ("ci", "validate"),
        ("ci", "plan"),
    ],
    ids=" ".join,
)
def test_commands_read_standard_input_once(
    shell: Shell, file: File, command: tuple[str, ...]
) -> None:
    """A second read finds no file; a missing key value does not cause another read."""
    text = file().read_text()
    for keyed in (text, f"api_key: {{env: ABSENT}}\n{text}"):
        done = shell(*command, "-f", "-", keys=keyed)
        printed = done.out + done.err
        assert "empty-document" not in printed
        assert "invalid: " not in printed


def test_allowed_secrets(shell: Shell, file: File) -> None:
    """A reference outside the list of this run is rejected; the option replaces the variable."""
    file()
    for given, code in (("env:*", 0), ("env:TOKEN", 3), ("PASSWORD", 64)):
        assert shell("validate", "--allow-secret", given).code == code
    listed = {"WEBHOOKS_ALLOW_SECRETS": "env:TOKEN, env:PASSWORD"}
    assert shell("validate", **listed).code == 0
    assert shell("validate", "--allow-secret", "env:TOKEN", **listed).code == 3
