"""What a start may load: checked by name, not by the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import File

HEAVY = {"yaml", "jsonschema_rs", "httpx", "deepdiff", "asyncio", "starlette", "sqlite3"}
_PROGRAM = """
import atexit, json, sys
from reconciler.__main__ import main
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
main()
"""


def surroundings() -> dict[str, str]:
    """The environment without what makes child processes measure coverage, which loads much."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def loaded(directory: Path, *arguments: str, **environ: str) -> tuple[int, set[str]]:
    """Run a command line in a process of its own; return its exit code and all it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], cwd=directory,
        env={**surroundings(), **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "line",
    ["--version", "--help", "help options", "completion bash", "plan --help", "apply -h",
     "validate -h", "emulator -h"],
)  # fmt: skip
def test_help_and_version_load_nothing_heavy(tmp_path: Path, line: str) -> None:
    code, modules = loaded(tmp_path, *line.split())
    assert (code, modules & HEAVY) == (0, set())


def test_completing_a_command_loads_none(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "webhooks va", "COMP_CWORD": "1"}
    code, modules = loaded(tmp_path, _WEBHOOKS_COMPLETE="bash_complete", **words)
    assert (code, modules & HEAVY) == (0, set())
    assert not [name for name in modules if name.startswith("reconciler.cli.commands.")]


def test_refusal_before_a_request_needs_no_http(file: File, tmp_path: Path) -> None:
    file("webhooks: [{}]\n")
    code, modules = loaded(tmp_path, "plan")
    assert (code, "httpx" in modules) == (3, False)


def test_a_small_plan_enters_few_modules(file: File, tmp_path: Path) -> None:
    """At most 60 modules of the program, packages and the emulator not counted."""
    file()
    code, modules = loaded(tmp_path, "plan", "--local")
    packages = {name.rpartition(".")[0] for name in modules}
    packages.add("reconciler.__main__")  # the start
    ours = {name for name in modules - packages if name.startswith("reconciler.")}
    assert (code, len([name for name in ours if ".emulator." not in name]) <= 60) == (0, True)
