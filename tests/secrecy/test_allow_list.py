"""In CI a job sends only the secrets on its allow-list."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Cloud, File, MakeCloud, Shell

NAME = "WEBHOOKS_ALLOW_SECRETS"


@pytest.mark.parametrize(
    ("ci", "given", "hint"),
    [
        *((ci, {}, f"set {NAME}='env:PASSWORD env:TOKEN'") for ci in ("true", "True", "1", "yes")),
        ("true", {NAME: "env:PASSWORD"}, f"add 'env:TOKEN' to --allow-secret or {NAME}"),
    ],
)
def test_apply_in_ci_needs_the_list(
    shell: Shell, server: Cloud, ci: str, given: dict[str, str], hint: str
) -> None:
    """Without the list nothing is sent; the message names the setting, or what the list lacks."""
    assert shell("plan", "--out", "plan.json", **server.environ).code == 0
    for line in ("apply --yes", "apply plan.json --yes", "ci apply --reviewed-plan ignore"):
        done = shell(*line.split(), CI=ci, **given, **server.environ)
        assert (done.code, server.writes()) == (3, []), done.out + done.err
        assert hint in done.out + done.err
        assert not any(value in done.out + done.err for value in SECRETS.values())
    done = shell("apply", "--yes", CI=ci, **{NAME: "env:PASSWORD env:TOKEN"}, **server.environ)
    assert done.code == 0, done.err


@pytest.mark.parametrize("ci", ["", "0", "false", "False"])
def test_apply_outside_ci_needs_no_list(shell: Shell, server: Cloud, ci: str) -> None:
    """On a workstation every reference that is not forbidden may be sent."""
    assert shell("apply", "--yes", CI=ci, **server.environ).code == 0


def test_reading_in_ci_warns(shell: Shell, server: Cloud) -> None:
    """`validate` and `plan` succeed without a list and print what apply needs."""
    done = shell("validate", "--format", "json", CI="true")
    (finding,) = json.loads(done.out)["findings"]
    assert (done.code, finding["rule"], finding["severity"]) == (0, "no-allow-list", "warning")
    done = shell("plan", CI="true", **server.environ)
    assert done.code == 0
    assert "env:PASSWORD env:TOKEN" in done.out
    assert shell("validate", "--strict", CI="true").code == 3
    assert shell("validate", CI="true", WEBHOOKS_ALLOW_SECRETS="env:*").err == ""


def test_local_needs_no_list(shell: Shell, file: File) -> None:
    """A run with `--local` sends nothing over the network."""
    file()
    assert shell("apply", "--local", "--yes", CI="true", **SECRETS).code == 0


@pytest.mark.parametrize(
    ("name", "listed"),
    [("a b", "file:a?b"), ("a,b", "file:a?b"), ("[x]*", "'file:?x]?'")],
)
def test_the_printed_list_works_for_any_path(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path, name: str, listed: str
) -> None:
    """Characters with a meaning in patterns are replaced by a wildcard."""
    (tmp_path / name).write_text(SECRETS["TOKEN"])
    file(**{"{env: TOKEN}": f'{{file: "{name}"}}'})
    server = cloud()
    done = shell("apply", "--yes", CI="true", **server.environ)
    setting = next(each for each in done.err.split("set ") if each.startswith("WEBHOOKS_ALLOW"))
    printed = shlex.split(setting.splitlines()[0])[0].partition("=")[2]
    assert shlex.split(listed)[0] in printed
    done = shell("apply", "--yes", CI="true", WEBHOOKS_ALLOW_SECRETS=printed, **server.environ)
    assert done.code == 0, done.err
