"""Completion: the script, and what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.waiting import PATIENCE


def complete(directory: Path, words: str, stdin: int = subprocess.DEVNULL) -> list[str]:
    """Ask as bash does: the last of `words` is incomplete."""
    done = subprocess.run(
        [sys.executable, "-m", "reconciler"],
        cwd=directory,
        env={
            **os.environ,
            "_WEBHOOKS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        stdin=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_scripts(shell: Shell, name: str) -> None:
    """Each shell gets a script that asks the program."""
    done = shell("completion", name)
    assert done.code == 0
    assert f"_WEBHOOKS_COMPLETE={name}_complete" in done.out


def test_bash_script_is_sound(shell: Shell, tmp_path: Path) -> None:
    """bash accepts its script."""
    script = tmp_path / "script"
    script.write_text(shell("completion", "bash").out)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_commands_and_options(tmp_path: Path) -> None:
    """Commands, options and choices are completed."""
    assert complete(tmp_path, "webhooks va") == ["validate"]
    assert "--expect-digest" in complete(tmp_path, "webhooks apply --exp")
    assert complete(tmp_path, "webhooks plan --format m") == ["markdown"]


def test_names_of_the_file(file: Callable[..., Path]) -> None:
    """--only completes the names that the files declare."""
    directory = file().parent
    assert complete(directory, "webhooks plan --only D") == ["Deploys"]
    file(name="other.yaml", Deploys="Data")
    assert complete(directory, "webhooks plan -f other.yaml --only D") == ["Data"]


def test_standard_input_is_not_waited_for(tmp_path: Path) -> None:
    """While a word is completed the terminal is the shell's: `-f -` offers no names."""
    read_end, write_end = os.pipe()
    try:
        assert complete(tmp_path, "webhooks plan -f - --only D", stdin=read_end) == []
    finally:
        os.close(read_end)
        os.close(write_end)


def test_no_file(tmp_path: Path) -> None:
    """Without a readable file there is nothing to offer and nothing to complain of."""
    assert complete(tmp_path, "webhooks plan --only D") == []
