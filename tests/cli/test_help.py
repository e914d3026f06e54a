"""The help of every command, and its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from runpy import run_path

import click
import pytest

from reconciler.api.origin import DEFAULT_DEADLINE, DEFAULT_TIMEOUT
from reconciler.cli.main import program
from reconciler.cli.options import CONNECTION_OPTIONS, Group, Option
from tests.cli.conftest import Shell
from tests.folders import ROOT

shortened = run_path(str(ROOT / "scripts" / "commands.py"))["shortened"]
PAGE = " ".join((ROOT / "docs" / "commands.md").read_text("utf-8").split())
RULES = re.findall(r"^### `(.+)`$", (ROOT / "docs" / "rules.md").read_text("utf-8"), re.M)
MAX_OPTIONS = 12
"""The maximum number of options in help for a command."""


def commands(group: Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command by its name, groups before their commands."""
    for name in group.commands:
        found = group.load(name)
        yield f"{before}{name}", found
        if isinstance(found, Group):
            yield from commands(found, f"{before}{name} ")


COMMANDS = dict(commands(program()))
RUNNABLE = [name for name, command in COMMANDS.items() if not isinstance(command, Group)]


@pytest.mark.parametrize("words", ["help options", *(f"{name} --help" for name in RUNNABLE)])
def test_help(shell: Shell, words: str) -> None:
    """The help of each command is in docs/commands.md, wrapped to another width.

    The page has no examples, and options that commands share once.
    """
    done = shell(*words.split())
    assert (done.code, done.err) == (0, "")
    text = done.out if words == "help options" else shortened(done.out)
    assert f"```text {' '.join(text.split())} ```" in PAGE


@pytest.mark.parametrize("name", ["", "plan", "slack manifest"])
def test_every_form_of_help_prints_the_same(shell: Shell, name: str) -> None:
    """`-h`, `--help` and `webhooks help` print the same."""
    shown = shell(*name.split(), "--help").out
    assert shell(*name.split(), "-h").out == shell("help", *name.split()).out == shown


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_explained(shell: Shell, rule: str) -> None:
    """`webhooks help RULE` prints the section of the rule and its address."""
    done = shell("help", rule)
    assert (done.code, done.err) == (0, "")
    assert ".\n\n" in done.out
    assert done.out.endswith(f"/docs/rules.md#{rule}\n")
    assert "](" not in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_options(name: str) -> None:
    """A command has at most 12 options, each with a sentence."""
    options = [each for each in COMMANDS[name].params if isinstance(each, Option)]
    assert all(each.help and each.help.endswith((".", "]")) for each in options)
    assert len([each for each in options if not each.common]) <= MAX_OPTIONS


def test_an_option_has_the_same_names_everywhere() -> None:
    """All commands use the same names for an option."""
    seen: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for each in command.params:
            if isinstance(each, Option):
                for name in each.opts:
                    seen.setdefault(name, set()).add(" ".join(each.opts))
    assert {name: names for name, names in seen.items() if len(names) > 1} == {}
    assert seen["--out"] == {"-o --out"}


def test_the_default_times_are_those_of_the_client() -> None:
    """They are text in the help: a command without a connection does not load the client."""
    helps = {option.name: option.help or "" for option in CONNECTION_OPTIONS}
    assert helps["timeout"].endswith(f"[default: {DEFAULT_TIMEOUT:g}]")
    assert helps["deadline"].endswith(f"[default: {DEFAULT_DEADLINE:g}]")


@pytest.mark.parametrize(
    ("columns", "widest"), [("20", 50), ("60", 58), ("300", 98), ("0", 78), ("wide", 78)]
)
def test_help_is_as_wide_as_the_terminal(shell: Shell, columns: str, widest: int) -> None:
    """The width is limited to a readable range; an invalid width is ignored."""
    lines = shell("doctor", "--help", COLUMNS=columns).out.splitlines()
    longest = max(len(line) for line in lines if not line.startswith("  webhooks "))
    assert widest - 8 < longest <= widest


def test_the_surface_is_small() -> None:
    """The program has at most 17 commands, 55 options and 20 variables: `pytest -s` prints them."""
    parameters = [option for command in COMMANDS.values() for option in command.params]
    options = [option for option in (*program().params, *parameters) if isinstance(option, Option)]
    variables = {str(option.envvar) for option in options if option.envvar is not None}
    surface = {
        "commands": (sorted(RUNNABLE), 17),
        "options": (sorted({option.opts[-1] for option in options}), 55),
        # Neither is the variable of an option.
        "variables": (sorted({*variables, "CLOUDTRUTH_API_KEY", "WEBHOOKS_COMMAND"}), 20),
    }
    for what, (found, limit) in surface.items():
        print(f"{len(found)} {what}: {', '.join(found)}")
        assert len(found) <= limit, what


def test_no_command(shell: Shell) -> None:
    """A run without a command prints help to standard error, and is a usage error."""
    done = shell()
    assert (done.code, done.out, "Usage: webhooks" in done.err) == (64, "", True)
