"""Accept drift in many files, with the embedded emulator."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import declaration
from benchmarks.line import PROGRAM, Line, compare
from benchmarks.measure import alternate, run
from benchmarks.workspace import Workspace, git

COUNT = 50  # webhooks in a file
FILES = 20


def drift(workspace: Workspace) -> Iterator[Line]:
    """`drift --accept` with every channel changed live, compared with `plan` of the same files."""
    folder = workspace.directory / "data" / "drift"
    shutil.rmtree(folder, ignore_errors=True)
    _write(folder, "live")
    run(workspace.webhooks(folder, "apply", "--local", "--yes", "webhooks"))
    git(folder, "init", "-q")
    for prefix in ("earlier", "declared"):
        _write(folder, prefix)
        git(folder, "add", "webhooks")
        git(folder, "commit", "-q", "-m", "files")
    # The edits of the last round are undone in both, which takes as long.
    program = Path(workspace.python()).parent / "webhooks"
    commands = {
        name: workspace.command(
            folder, "/bin/sh", "-c", f"git checkout -q . && {program} {words} --local webhooks"
        )
        for name, words in ((PROGRAM, "drift --accept --base HEAD"), ("plan", "plan"))
    }
    samples = alternate(commands, workspace.rounds(5))
    yield compare(
        f"`drift --accept` of {COUNT * FILES:,} webhooks in {FILES} files", samples, "plan", 3
    )


def _write(folder: Path, prefix: str) -> None:
    """Write the files, with channels that begin with `prefix`."""
    (folder / "webhooks").mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        text = "".join(declaration(COUNT, first=number * COUNT))
        text = text.replace("#channel", f"#{prefix}")
        name = folder / "webhooks" / f"{number:02}.yaml"
        name.write_text(f"organization: Acme\nprune: false\n{text}")
