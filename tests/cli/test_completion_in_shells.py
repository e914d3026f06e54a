"""Completion where it happens: in a real bash, zsh and fish.

A shell that is not installed is left out.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

from tests.cli.conftest import Shell
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

PLAIN = ("prod-pager", "team/Öl.v2@eu")
HOSTILE = ("Costs $HOME `id`", 'It\'s \\ "so"', "prod-*", "a, b")
"""Names that a shell would read as something else."""

INTERACTIVE = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
}
PREPARED = {"bash": "", "zsh": "autoload -U compinit; compinit -u -D;"}


@pytest.fixture
def folder(shell: Shell, tmp_path: Path) -> Path:
    """A folder with a file of such names, the scripts, and the program on the path."""
    lines = [
        f"  - {{name: {yaml_text(name)}, event_types: ['*']}}\n" for name in (*PLAIN, *HOSTILE)
    ]
    (tmp_path / "webhooks.yaml").write_text(
        "defaults: {type: slack, configuration: {token: {env: T}, channel: a, username: b}}\n"
        f"webhooks:\n{''.join(lines)}",
        "utf-8",
    )
    for name in ("bash", "zsh", "fish"):
        (tmp_path / f"script.{name}").write_text(shell("completion", name).out, "utf-8")
    program = tmp_path / "bin" / "webhooks"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    program.chmod(0o755)
    return tmp_path


def yaml_text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def surroundings(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(folder),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }


def words(name: str, folder: Path, typed: str) -> list[str]:
    """Type `typed` and the tab key, and return the words of the line as the shell then reads it."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    parent, child = pty.openpty()
    with subprocess.Popen(
        INTERACTIVE[name], cwd=folder, env=surroundings(folder),
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(child)
        # Ctrl-A: what is before the line prints its words, each on a line, instead of running it.
        keys = f"{PREPARED[name]} . ./script.{name}; echo REA''DY\r"
        keys += f"{typed}\t\x01printf '%s\\n' --words-- \x05 --end--\rexit\r"
        os.write(parent, keys.encode())
        seen = b""
        while select([parent], [], [], PATIENCE)[0]:
            try:
                seen += os.read(parent, 65536)
            except OSError:  # how Linux says that the other side has gone
                break
        else:
            process.kill()
    os.close(parent)
    lines = seen.decode().replace("\r", "").split("\n")
    assert "--words--" in lines, seen
    return lines[lines.index("--words--") + 1 : lines.index("--end--")]


@pytest.mark.parametrize("name", ["bash", "zsh"])
@pytest.mark.parametrize("declared", PLAIN)
def test_a_plain_name_is_completed(folder: Path, name: str, declared: str) -> None:
    """It is one word."""
    line = f"webhooks plan --only {declared[:3]}"
    assert words(name, folder, line) == ["webhooks", "plan", "--only", declared]


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_name_that_a_shell_would_read_is_not_completed(folder: Path, name: str) -> None:
    """Nothing of a file becomes part of a command line as code."""
    assert words(name, folder, "webhooks plan --only Co")[-1] == "Co"


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_commands_and_options(folder: Path, name: str) -> None:
    """A command and an option are completed."""
    assert words(name, folder, "webhooks va") == ["webhooks", "validate"]
    assert words(name, folder, "webhooks apply --exp")[1:] == ["apply", "--expect-digest"]


def test_fish(folder: Path) -> None:
    """fish offers plain names, commands with their summaries, choices and files."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")

    def offered(line: str) -> list[str]:
        code = f"source script.fish; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", code], cwd=folder, env=surroundings(folder),
            capture_output=True, encoding="utf-8", check=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.stdout.splitlines()

    assert set(offered("webhooks plan --only ")) == set(PLAIN)
    assert offered("webhooks va") == ["validate\tCheck files, without connecting."]
    assert offered("webhooks plan --format m") == ["markdown"]
    assert offered("webhooks plan -f webh") == ["webhooks.yaml"]
