"""Completion scripts, and the words they suggest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import File, Shell
from tests.waiting import TIMEOUT


def complete(directory: Path, words: str, stdin: int = subprocess.DEVNULL) -> list[str]:
    """Complete as bash does: the last of `words` is incomplete."""
    environ = {
        **os.environ,
        "_WEBHOOKS_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "reconciler"], cwd=directory, env=environ, stdin=stdin,
        capture_output=True, encoding="utf-8", check=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_scripts(shell: Shell, name: str, tmp_path: Path) -> None:
    """Each shell has a script that calls the program; bash accepts its script."""
    done = shell("completion", name)
    assert (done.code, f"_WEBHOOKS_COMPLETE={name}_complete" in done.out) == (0, True)
    if name == "bash":
        (tmp_path / "script").write_text(done.out)
        subprocess.run(["bash", "-n", str(tmp_path / "script")], check=True)


def test_commands_options_and_choices(tmp_path: Path) -> None:
    assert complete(tmp_path, "webhooks va") == ["validate"]
    assert "--expect-digest" in complete(tmp_path, "webhooks apply --exp")
    assert complete(tmp_path, "webhooks plan --format m") == ["markdown"]


def test_names_of_the_file(file: File, tmp_path: Path) -> None:
    """`--only` completes declared names, except those that a shell would interpret.

    The terminal belongs to the shell, so `-f -` offers no names.
    """
    assert complete(tmp_path, "webhooks plan --only D") == []  # no file yet
    file()
    assert complete(tmp_path, "webhooks plan --only D") == ["Deploys"]
    file(name="other.yaml", Deploys="D.v2@Öl/eu", Pager="D $(id)")
    assert complete(tmp_path, "webhooks plan -f other.yaml --only D") == ["D.v2@Öl/eu"]
    read_end, write_end = os.pipe()
    try:
        assert complete(tmp_path, "webhooks plan -f - --only D", stdin=read_end) == []
    finally:
        os.close(read_end)
        os.close(write_end)
