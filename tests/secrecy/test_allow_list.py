"""In CI a job sends only the secrets that its own definition lists."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, File, MakeCloud, Shell

LIST = "WEBHOOKS_ALLOW_SECRETS='env:PASSWORD env:TOKEN'"


@pytest.mark.parametrize("ci", ["true", "True", "1", "yes"])
def test_apply_in_ci_needs_the_list(shell: Shell, file: File, cloud: MakeCloud, ci: str) -> None:
    """Without a list nothing is sent, and the message holds the setting that permits it."""
    there = cloud()
    file()
    assert shell("plan", "--out", "plan.json", **there.environ).code == 0
    commands = (
        ["apply", "--yes"],
        ["apply", "plan.json", "--yes"],
        ["ci", "apply", "--reviewed-plan", "ignore"],
    )
    for command in commands:
        done = shell(*command, CI=ci, **there.environ)
        assert done.code == 3, done.out + done.err
        assert LIST in done.out + done.err
        assert there.writes() == []
        assert not any(value in done.out + done.err for value in SECRETS.values())
    (name, _, listed) = LIST.partition("=")
    done = shell("apply", "--yes", CI=ci, **{name: shlex.split(listed)[0]}, **there.environ)
    assert done.code == 0, done.err


def test_a_list_that_lacks_some(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """The message has the setting that permits all: the list as it is, and what it lacks."""
    there = cloud()
    file()
    assert shell("plan", "--out", "plan.json", **there.environ).code == 0
    (name, _, _) = LIST.partition("=")
    for command in (
        ["apply"],
        ["apply", "plan.json"],
        ["ci", "apply", "--reviewed-plan", "ignore"],
    ):
        partial = {"CI": "true", name: "env:SLACK_* env:PASSWORD", **there.environ}
        done = shell(*command, **partial)
        assert done.code == 3
        assert f"set {name}='env:SLACK_* env:PASSWORD env:TOKEN'" in done.out + done.err
        assert there.writes() == []


@pytest.mark.parametrize("ci", ["", "0", "false", "False"])
def test_apply_elsewhere_needs_none(shell: Shell, file: File, cloud: MakeCloud, ci: str) -> None:
    """On a workstation everything that is not forbidden may be sent."""
    file()
    assert shell("apply", "--yes", CI=ci, **cloud().environ).code == 0


def test_reading_in_ci_warns(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """`validate` and `plan` succeed without a list and say what apply will need."""
    there = cloud()
    file()
    done = shell("validate", "--format", "json", CI="true")
    (finding,) = json.loads(done.out)["findings"]
    assert (done.code, finding["rule"], finding["severity"]) == (0, "no-allow-list", "warning")
    done = shell("plan", CI="true", **there.environ)
    assert done.code == 0
    assert LIST in done.out
    assert shell("validate", "--strict", CI="true").code == 3
    assert shell("validate", CI="true", WEBHOOKS_ALLOW_SECRETS="env:*").err == ""


def test_the_emulator_in_the_process_needs_no_list(shell: Shell, file: File) -> None:
    """`--local` sends nothing anywhere."""
    file()
    assert shell("apply", "--local", "--yes", CI="true", **SECRETS).code == 0


@pytest.mark.parametrize(
    ("name", "listed"),
    [("a b", "file:a?b"), ("a,b", "file:a?b"), ("[x]*", "'file:?x]?'")],
)
def test_the_printed_list_works_for_any_path(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path, name: str, listed: str
) -> None:
    """Characters that the list gives a meaning are replaced by a wildcard."""
    (tmp_path / name).write_text(SECRETS["TOKEN"])
    file(**{"{env: TOKEN}": f'{{file: "{name}"}}'})
    there = cloud()
    done = shell("apply", "--yes", CI="true", **there.environ)
    setting = next(each for each in done.err.split("set ") if each.startswith("WEBHOOKS_ALLOW"))
    printed = shlex.split(setting.splitlines()[0])[0].partition("=")[2]
    assert shlex.split(listed)[0] in printed
    done = shell("apply", "--yes", CI="true", WEBHOOKS_ALLOW_SECRETS=printed, **there.environ)
    assert done.code == 0, done.err
