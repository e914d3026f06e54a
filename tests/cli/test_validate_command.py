"""`webhooks validate`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SECRETS, File, Shell


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


def test_no_file(shell: Shell) -> None:
    """The error has the first command to run."""
    done = shell("validate")
    assert done.code == 3
    assert "there is no webhooks.yaml" in done.out
    assert "webhooks init" in done.out


@pytest.mark.parametrize(
    ("format", "shown"),
    [("text", "--> webhooks.yaml:8:19"), ("json", '"errors": 1'), ("github", "::error ")],
)
def test_formats(shell: Shell, file: File, format: str, shown: str) -> None:
    """Findings are the result: on standard output, as text, JSON and annotations."""
    file(value_updated="value_updatd")
    done = shell("validate", "--format", format)
    assert (done.code, done.err, shown in done.out) == (3, "", True)


def test_strict(shell: Shell, file: File) -> None:
    """A warning is an error if an option or a variable requests that."""
    file(Pager="'Pager '")
    assert shell("validate").code == 0
    assert shell("validate", "--strict").code == 3
    assert shell("validate", WEBHOOKS_STRICT="1").code == 3


def test_standard_input_and_folders(shell: Shell, file: File) -> None:
    """Files are also read from standard input and from folders."""
    text = file().read_text()
    file(name="folder/a.yaml")
    assert "<stdin>" in shell("validate", "-f", "-", keys=text).out
    assert "folder/a.yaml" in shell("-f", "folder", "validate").out
    assert shell("-f", "folder", "validate", "-f", "webhooks.yaml").code == 3  # declared twice


def test_allowed_secrets(shell: Shell, file: File) -> None:
    """A reference outside the list of this run is refused."""
    file()
    assert shell("validate", "--allow-secret", "env:*").code == 0
    assert shell("validate", "--allow-secret", "env:TOKEN").code == 3
    listed = {"WEBHOOKS_ALLOW_SECRETS": "env:TOKEN, env:PASSWORD"}
    assert shell("validate", **listed).code == 0
    assert shell("validate", "--allow-secret", "env:TOKEN", **listed).code == 3  # it replaces
    assert shell("validate", "--allow-secret", "PASSWORD").code == 64


def test_literal_tokens(shell: Shell, file: File) -> None:
    """A token in the file must be accepted explicitly, and is never shown."""
    token = SECRETS["TOKEN"]
    file(**{"{env: TOKEN}": token})
    done = shell("validate")
    assert done.code == 3
    assert shell("validate", "--allow-literal-secrets").code == 0
    assert token not in done.out + done.err
