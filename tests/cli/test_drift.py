"""`webhooks drift` as a program uses it, and while files change; see sessions/drift.txt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from reconciler.errors import UsageError
from reconciler.source.schema import schema_text
from reconciler.workflow.accepting import _EditedFile, _write_edits
from tests.cli.conftest import GOOD, Cloud, Done, File, Shell, expect
from tests.folders import commit, git, write
from tests.goldens import rows

FILE = f"organization: Acme\n{GOOD}"


@pytest.fixture
def drift(shell: Shell, server: Cloud, file: File, tmp_path: Path) -> Callable[..., Done]:
    """Run `drift`, or other words, after a commit and an apply of the file."""
    file(FILE)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    expect(shell("apply", "--yes", **server.environ), 0)
    return lambda *words: shell(*(words or ("drift",)), **server.environ)


class Editing:
    """Changes a file when the server receives a request: between reading and editing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self, method: str, path: str, body: bytes) -> None:
        self.path.write_text(f"{FILE}# saved\n", "utf-8")


def test_a_file_that_changes_is_not_edited(
    drift: Callable[..., Done], server: Cloud, tmp_path: Path
) -> None:
    """A file that a user saves during the run keeps what was saved."""
    server.emulator.configure("Deploys", channel="#live")
    server.emulator.faults = editing = Editing(tmp_path / "webhooks.yaml")
    done = drift("drift", "--accept")
    expect(done, 64, "webhooks.yaml was changed since it was read: nothing was written")
    edited = [_EditedFile(name, FILE.encode(), b"x") for name in ("other.yaml", "webhooks.yaml")]
    write(tmp_path, {"other.yaml": FILE})
    with pytest.raises(UsageError, match=r"webhooks\.yaml was changed since it was read"):
        _write_edits(edited, tmp_path)
    assert (tmp_path / "other.yaml").read_text("utf-8") == FILE
    assert editing.path.read_text("utf-8") == f"{FILE}# saved\n"


@pytest.mark.parametrize(
    ("line", "channel", "processes"), rows(Path(__file__).with_name("git_commands.yaml"))
)
def test_git_runs_only_for_what_a_command_needs(
    drift: Callable[..., Done],
    server: Cloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    channel: str,
    processes: int,
) -> None:
    """If nothing can be drift, no earlier commit is read; a file of a commit is read once."""
    server.emulator.configure("Deploys", channel=channel)
    real, log = shutil.which("git"), tmp_path / ".git" / "log"
    wrapper = tmp_path / ".git" / "bin" / "git"
    write(wrapper.parent, {"git": f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n'})
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=":")
    drift(*line.split())
    assert len(log.read_text().splitlines()) == processes


def test_json_has_both_ways_out(drift: Callable[..., Done], server: Cloud) -> None:
    """The document has the commands, the edits, and reasons where there is none."""
    server.emulator.configure("Deploys", channel="#live")
    document = json.loads(drift("drift", "--format", "json").out)
    schema = json.loads(schema_text("drift.schema.json"))
    assert [*Draft7Validator(schema).iter_errors(document)] == []
    (organization,) = document["organizations"]
    (webhook,) = organization["drifted"]
    assert webhook["revert"] == "webhooks apply --only Deploys"
    assert webhook["accept"] == "webhooks drift --accept --only Deploys"
    assert document["diffs"][0]["diff"].startswith("--- a/webhooks.yaml\n+++ b/webhooks.yaml\n")
