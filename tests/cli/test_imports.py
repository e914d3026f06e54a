"""What a start may load: checked by name, not by the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"yaml", "jsonschema_rs", "httpx", "deepdiff", "asyncio", "starlette", "sqlite3"}
GOOD = """
webhooks:
  - name: Deploys
    type: slack
    event_types: ["*"]
    configuration: {token: {env: TOKEN}, channel: "#deploys", username: CloudTruth}
"""

_PROBE = """
import json, sys
from reconciler.cli.main import run
from reconciler.cli.process import Process
code = run(sys.argv[1:], Process.of_this_process())
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def surroundings() -> dict[str, str]:
    """The environment without what makes child processes measure coverage, which loads much."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def loaded(directory: Path, *arguments: str, **environ: str) -> tuple[int, set[str]]:
    """Run a command line in a process of its own; return its exit code and all it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        cwd=directory,
        env={**surroundings(), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--help"),
        ("apply", "-h"),
        ("validate", "-h"),
        ("emulator", "-h"),
    ],
)
def test_help_of_a_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The help of a command loads no YAML, client, differ or schema."""
    code, modules = loaded(tmp_path, *arguments)
    assert code == 0
    assert not modules & HEAVY


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("help", "options"), ("completion", "bash")]
)
def test_start(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Version, help and completion scripts load none of the heavy packages."""
    code, modules = loaded(tmp_path, *arguments)
    assert code == 0
    assert not modules & HEAVY


def test_completing_loads_nothing_heavy(tmp_path: Path) -> None:
    """Completing a command's name loads no command at all."""
    program = "from reconciler.__main__ import main; import atexit, sys, json;" + (
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={
            **surroundings(),
            "_WEBHOOKS_COMPLETE": "bash_complete",
            "COMP_WORDS": "webhooks va",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert "validate" in done.stdout
    assert not modules & HEAVY
    assert not [name for name in modules if name.startswith("reconciler.cli.commands.")]


def test_refusal_before_a_request_needs_no_http(tmp_path: Path) -> None:
    """A run that ends before its first request does not load the HTTP library."""
    (tmp_path / "webhooks.yaml").write_text("webhooks: [{}]\n")
    code, modules = loaded(tmp_path, "plan")
    assert code == 3
    assert "httpx" not in modules


def test_a_small_plan_enters_few_modules(tmp_path: Path) -> None:
    """At most 60 modules of the program, packages and the emulator not counted."""
    (tmp_path / "webhooks.yaml").write_text(GOOD)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "reconciler", "plan", "--local"],
        cwd=tmp_path,
        env=surroundings(),
        capture_output=True,
        text=True,
        check=True,
    )
    entered = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    packages = {name.rpartition(".")[0] for name in entered}
    ours = {name for name in entered - packages if name.startswith("reconciler.")}
    assert len([name for name in ours if ".emulator." not in name]) <= 60
