"""The command that a plan suggests runs as printed."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from reconciler.cli.main import program
from reconciler.render.quote import _CONNECTING, _READING, with_options
from tests.cli.conftest import SECRETS, File, Shell, expect
from tests.folders import ROOT
from tests.goldens import rows

TABLES = rows(Path(__file__).with_suffix(".yaml"))


@pytest.mark.parametrize("options", TABLES["options"])
def test_the_suggested_command_runs_as_printed(
    shell: Shell, file: File, options: list[str]
) -> None:
    """The command applies exactly that plan, with the same files, selection and server."""
    name = file(name="conf/hooks.yaml").parent.name
    file(name="base.yaml")
    planned = shell("plan", "-f", f"{name}/hooks.yaml", "--local", *options, **SECRETS)
    command = re.search(r"^To apply exactly this plan:\s+webhooks (.*)$", planned.out, re.MULTILINE)
    assert command is not None, planned.out
    line = shlex.split(command[1])
    assert not {"--no-color", "-v"} & set(line)
    expect(shell(*line, "--yes", **SECRETS), 0, " created.")


@pytest.mark.parametrize(("text", "expected"), TABLES["suggested commands"])
def test_a_suggested_command_keeps_the_options_of_the_run(text: str, expected: str) -> None:
    """It has the files and the server of the run, so far as it accepts them and has none."""
    shown = with_options(text, ("-f", "a b", "--local"))
    assert "|".join(re.findall("`webhooks (.*?)`", shown.replace("'", ""))) == expected


def test_every_suggested_command_is_completed() -> None:
    """The tables are those of the program, and each command of a message is in backticks."""
    commands = program()
    accepted: dict[str, set[str | None]] = {}
    for name in set(commands.commands) - {"ci", "reconcile", "slack"}:
        accepted[name] = {parameter.name for parameter in commands.load(name).params}
    assert {name for name, options in accepted.items() if "local" in options} == _CONNECTING
    reads = {name for name, options in accepted.items() if "file" in options}
    assert reads - {"init"} == _READING
    bare = re.compile(rf"(?<!`)\bwebhooks ({'|'.join(accepted)})\b(?!`)")
    messages = [
        f"{path.name}: {text.value}"
        for path in sorted((ROOT / "reconciler").glob("*/*.py"))
        if path.parent.name != "cli"  # has help
        for text in _texts(ast.parse(path.read_text("utf-8")))
        if bare.search(text.value)
    ]
    assert messages == ["slack.py:  posts here. (Sent by webhooks check.)"]


def _texts(tree: ast.Module) -> list[ast.Constant]:
    """Return the texts of a module, without docstrings."""
    statements = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in statements
    ]
