"""The command that a plan suggests runs as printed."""

from __future__ import annotations

import pytest

from tests.cli.conftest import SECRETS, File, MakeCloud, Shell, command_in, expect


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--only", "Dep*", "--only", "D*s"),
        ("--local-db", "other db.sqlite", "--timeout", "7", "--organization", "Acme"),
        ("--no-prune", "--resend-secret", "*", "--base", "base.yaml"),
        ("--resend-secret", "env:TOKEN", "--allow-secret", "env:*", "--no-color", "-v"),
        ("--out", "my plan.json"),
    ],
)
def test_the_suggested_command_runs_as_printed(
    shell: Shell, file: File, options: tuple[str, ...]
) -> None:
    """The command applies exactly that plan, with the same files, selection and server."""
    name = file(name="conf/hooks.yaml").parent.name
    file(name="base.yaml")
    planned = shell("plan", "-f", f"{name}/hooks.yaml", "--local", *options, **SECRETS)
    line = command_in(planned.out)
    assert not {"--no-color", "-v"} & set(line)
    expect(shell(*line, "--yes", **SECRETS), 0, " created.")


def test_the_hint_of_a_saved_plan_has_its_files(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """The hint about an invalid live token has a command with the files of the plan."""
    there = cloud()
    file(name="other.yaml")
    assert shell("apply", "-f", "other.yaml", "--yes", **there.environ).code == 0
    there.emulator.configure("Deploys", token="some other text")
    assert shell("plan", "-f", "other.yaml", "-o", "plan.json", **there.environ).code == 0
    done = shell("apply", "plan.json", "--timeout", "7", "--yes", **there.environ)
    line = command_in(done.err + done.out, r"resend the secret: `webhooks (apply -f .*)`")
    assert line[-4:-2] == ["--timeout", "7"]
    assert shell(*line, "--yes", **there.environ).code == 0
