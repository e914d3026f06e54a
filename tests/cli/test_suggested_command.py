"""The command that a plan suggests runs as printed."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.cli.conftest import SECRETS, File, MakeCloud, Shell

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


def test_the_advice_of_a_saved_plan_names_its_files(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """The live token is no token; `apply PLANFILE` has no -f, its advice to resend has."""
    there = cloud()
    file(name="other.yaml")
    assert shell("apply", "-f", "other.yaml", "--yes", **there.environ).code == 0
    (row,) = (each for each in there.emulator.store.webhooks() if each["name"] == "Deploys")
    broken = {**row, "configuration": {**row["configuration"], "token": "some other text"}}
    there.emulator.store.update(row["id"], broken)
    assert shell("plan", "-f", "other.yaml", "-o", "plan.json", **there.environ).code == 0
    done = shell("apply", "plan.json", "--timeout", "7", "--yes", **there.environ)
    found = re.search(r"resend the secret: `webhooks (apply -f .*)`", done.err + done.out)
    assert found is not None, done.err
    assert "--timeout 7" in found[1]
    assert shell(*shlex.split(found[1]), "--yes", **there.environ).code == 0
