"""What people read before they start."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from reconciler.cli.main import TABLE, program
from reconciler.cli.options import COMMON, Group, Option
from tests.cli.conftest import Shell
from tests.folders import ROOT

PAGE = " ".join((ROOT / "docs" / "commands.md").read_text("utf-8").split())
MOST = 12
"""The most options that the help of a command shows."""


def commands(group: Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command by its name, groups before what is in them."""
    for name in group.commands:
        found = group.load(name)
        yield f"{before}{name}", found
        if isinstance(found, Group):
            yield from commands(found, f"{before}{name} ")


COMMANDS = dict(commands(program()))


@pytest.mark.parametrize(
    "words", ["--help", "help options", *(f"{each} --help" for each in COMMANDS)]
)
def test_help(shell: Shell, words: str) -> None:
    """The help of each command is on docs/commands.md, in lines of another length."""
    done = shell(*words.split())
    assert (done.code, done.err) == (0, "")
    assert f"```text {' '.join(done.out.split())} ```" in PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_same_by_every_way(shell: Shell, name: str) -> None:
    """`-h`, `--help` and `webhooks help` show the same."""
    shown = shell(*name.split(), "--help").out
    assert shell(*name.split(), "-h").out == shell("help", *name.split()).out == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_options(name: str) -> None:
    """A command shows at most 12 options, each with a sentence."""
    options = [each for each in COMMANDS[name].params if isinstance(each, Option)]
    assert all(each.help and each.help.endswith((".", "]")) for each in options)
    assert len([each for each in options if not each.common]) <= MOST


def test_an_option_is_the_same_everywhere() -> None:
    """The names of an option are those of the option in other commands."""
    seen: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for each in command.params:
            if isinstance(each, Option):
                for name in each.opts:
                    seen.setdefault(name, set()).add(" ".join(each.opts))
    assert {name: names for name, names in seen.items() if len(names) > 1} == {}
    assert seen["--out"] == {"-o --out"}


def test_the_common_options_are_explained(shell: Shell) -> None:
    """Each is on the page, with its variable."""
    page = " ".join(shell("help", "options").out.split())
    for option in COMMON:
        assert option.opts[-1] in page
        assert option.envvar is None or str(option.envvar) in page


@pytest.mark.parametrize(
    ("columns", "widest"), [("20", 50), ("60", 58), ("300", 98), ("0", 78), ("wide", 78)]
)
def test_help_is_as_wide_as_the_terminal(shell: Shell, columns: str, widest: int) -> None:
    """Within bounds that can be read; what is no width counts as none."""
    lines = shell("doctor", "--help", COLUMNS=columns).out.splitlines()
    longest = max(len(line) for line in lines if not line.startswith("  webhooks "))
    assert widest - 8 < longest <= widest


def test_commands_are_in_the_order_of_use(shell: Shell) -> None:
    """The program's help lists the table as it is."""
    out = shell("--help").out
    places = [out.index(f"\n  {name} ") for name in TABLE]
    assert places == sorted(places)


def test_no_command(shell: Shell) -> None:
    """Without a command the help goes to standard error and the run is a usage error."""
    done = shell()
    assert (done.code, done.out) == (64, "")
    assert "Usage: webhooks" in done.err


def test_version(shell: Shell) -> None:
    """The version is one line."""
    done = shell("--version")
    assert done.code == 0
    assert done.out.startswith("webhooks ")
    assert done.out.count("\n") == 1
