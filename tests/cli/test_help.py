"""What people read before they start."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from reconciler.cli.command import Group
from reconciler.cli.main import TABLE, program
from reconciler.cli.options import Option
from tests.cli.conftest import Shell


def load(name: str) -> click.Command:
    """Load a command, as `slack check` too."""
    found: click.Command = program()
    for word in name.split():
        assert isinstance(found, Group)
        loaded = found.get_command(click.Context(found), word)
        assert loaded is not None
        found = loaded
    return found


def names(group: Group, before: str = "") -> Iterator[tuple[str, str]]:
    """Each command's name, groups before what is in them, with the summary of its table."""
    for name, entry in group.table.items():
        yield f"{before}{name}", entry.summary
        found = group.get_command(click.Context(group), name)
        if isinstance(found, Group):
            yield from names(found, f"{before}{name} ")


SUMMARIES = dict(names(program()))
NAMES = list(SUMMARIES)


@pytest.mark.parametrize("name", NAMES)
def test_summary_in_the_table(name: str) -> None:
    """The table says what the command itself says, so that help need not load it."""
    assert load(name).name == name.split()[-1]
    assert load(name).short_help == SUMMARIES[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_each_command(shell: Shell, name: str, flag: str) -> None:
    """Each command has help on standard output, with examples before the options."""
    done = shell(*name.split(), flag)
    assert done.code == 0
    assert done.err == ""
    assert done.out.startswith(f"Usage: webhooks {name}")
    assert 0 < done.out.index("\nExamples:\n") < done.out.index("ptions:\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained(name: str) -> None:
    """No option and no argument is without help."""
    for parameter in load(name).params:
        assert getattr(parameter, "help", None), parameter.name


def test_variables_are_shown(shell: Shell) -> None:
    """An option that has an environment variable names it."""
    variables = {
        option.env
        for option in load("apply").params
        if isinstance(option, Option) and option.env is not None
    }
    assert {"CLOUDTRUTH_SERVER_URL", "CLOUDTRUTH_PROFILE", "WEBHOOKS_STRICT"} <= variables
    text = " ".join(shell("apply", "--help").out.split())
    assert all(f"[env: {variable}]" in text for variable in variables)


@pytest.mark.parametrize(
    ("columns", "widest"), [("20", 50), ("60", 58), ("300", 98), ("0", 78), ("wide", 78)]
)
def test_help_is_as_wide_as_the_terminal(shell: Shell, columns: str, widest: int) -> None:
    """Within bounds that can be read; what is no width counts as none."""
    lines = shell("doctor", "--help", COLUMNS=columns).out.splitlines()
    longest = max(len(line) for line in lines if not line.startswith("  webhooks "))
    assert widest - 8 < longest <= widest


def test_help_of_the_program(shell: Shell) -> None:
    """The program's help lists commands in the order of need, and the exit codes."""
    done = shell("--help")
    assert done.code == 0
    places = [done.out.index(f"\n  {name} ") for name in TABLE]
    assert places == sorted(places)
    assert "Exit codes:" in done.out


def test_nothing_asked(shell: Shell) -> None:
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
