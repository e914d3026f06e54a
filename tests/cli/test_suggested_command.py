"""The command that a plan suggests runs as printed."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.cli.conftest import SECRETS, File, Shell

_ADVICE = re.compile(r"\(apply exactly this: webhooks (.*)\)$", re.MULTILINE)


def advised(text: str) -> list[str]:
    found = _ADVICE.search(text)
    assert found is not None, text
    return shlex.split(found[1])


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--only", "Dep*", "--only", "x y"),
        ("--local-db", "other db.sqlite", "--timeout", "7", "--organization", "Acme"),
        ("--no-prune", "--resend-secret", "*", "--base", "base.yaml"),
        ("--resend-secret", "env:TOKEN", "--allow-secret", "env:*", "--no-color", "-v"),
        ("--out", "my plan.json"),
    ],
)
def test_the_suggested_command_runs_as_printed(
    shell: Shell, file: File, options: tuple[str, ...]
) -> None:
    """It applies exactly that plan, whatever files, selection and server were used."""
    name = file(name="conf/hooks.yaml").parent.name
    file(name="base.yaml")
    planned = shell("plan", "-f", f"{name}/hooks.yaml", "--local", *options, **SECRETS)
    assert planned.code == 0, planned.err
    line = advised(planned.out)
    assert not {"--no-color", "-v"} & set(line)
    done = shell(*line, "--yes", **SECRETS)
    assert done.code == 0, done.err
    assert "created, 0 updated, 0 deleted" in done.out


def test_a_shown_plan_names_the_emulator(shell: Shell, file: File) -> None:
    """A saved plan of `--local` is shown without options and applied with `--local`."""
    file()
    assert shell("plan", "--local", "--out", "plan.json", **SECRETS).code == 0
    shown = shell("show", "plan.json")
    assert advised(shown.out) == ["apply", "plan.json", "--local"]
    assert shell(*advised(shown.out), "--yes", **SECRETS).code == 0


def test_apply_does_not_suggest_itself(shell: Shell, file: File) -> None:
    """The plan that `apply` shows has its digest, but no command to apply it."""
    file()
    done = shell("apply", "--local", "--yes", **SECRETS)
    assert "Digest sha256:" in done.err
    assert "apply exactly this" not in done.err
