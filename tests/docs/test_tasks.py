"""Every task of docs/tasks.md: make the edit, run the commands, compare the output."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from tests.cli.conftest import MakeCloud, Shell
from tests.docs.block_setups import SECRETS, Block, blocks
from tests.docs.test_shell_blocks import commit, run, stand_in_environment
from tests.folders import ROOT

PAGE = "docs/tasks.md"
START, *REST = blocks(ROOT / PAGE, ROOT)
TASKS = {
    title: list(steps)
    for title, steps in groupby(
        REST, key=lambda each: each.name.removeprefix(f"{PAGE}: ").split(" (")[0]
    )
}
MERGED = {"Undo a merge": ("#audit", "#security")}
"""Files changed by a commit after the start."""
IGNORED = "Declare a webhook that init ignored"
DRIFTED = "Someone changed a webhook by hand"
WITHOUT_FILE = {"Adopt an organization", IGNORED}


@pytest.mark.slow
@pytest.mark.parametrize("title", TASKS)
def test_a_task_works(title: str, tmp_path: Path, cloud: MakeCloud, shell: Shell) -> None:
    """Every command succeeds and prints what the page shows."""
    made = cloud(any_key=True, read_back="mask")
    environ = {**made.environ, **SECRETS}
    folder = tmp_path / "work"
    folder.mkdir()
    commit(folder, {"webhooks.yaml": START.text})
    apply(shell, folder, environ)
    if title in MERGED:
        commit(folder, {"webhooks.yaml": START.text.replace(*MERGED[title])})
        apply(shell, folder, environ)
    if title == IGNORED:
        made.emulator.configure("Audit", channel="#Audit Log!")
    if title == DRIFTED:
        made.emulator.configure("Deploys", channel="#ops")
        made.emulator.store.delete(made.emulator.webhook("Audit")["id"])
    if title in WITHOUT_FILE:
        (folder / "webhooks.yaml").unlink()
    screen = ""
    for step in TASKS[title]:
        match step.language:
            case "diff":
                file = folder / "webhooks.yaml"
                file.write_text(apply_diff(file.read_text("utf-8"), step), "utf-8")
            case "sh":
                user = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER")
                        for what in ("NAME", "EMAIL")}  # fmt: skip
                code, screen = run(
                    step.text, folder, {**stand_in_environment(tmp_path), **environ, **user}
                )
                assert code == 0, screen
            case _:
                rest = strip_indentation(screen)
                for part in step.text.split("...\n"):
                    assert strip_indentation(part) in rest, screen
                    rest = rest.partition(strip_indentation(part))[2]


def strip_indentation(text: str) -> str:
    """Return `text` without indentation and blank lines."""
    return "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip())


def apply(shell: Shell, folder: Path, environ: dict[str, str]) -> None:
    """Apply the file of `folder`."""
    done = shell("apply", "--yes", "-f", str(folder / "webhooks.yaml"), **environ)
    assert done.code == 0, done.err


def apply_diff(text: str, block: Block) -> str:
    """Return `text` with the lines of a diff removed and added; without a removal, at the end."""
    at = len(text)
    for line in block.text.splitlines(keepends=True):
        if line.startswith("-"):
            assert text.count(line[1:]) == 1
            at = text.index(line[1:])
            text = text.replace(line[1:], "")
        else:
            text = text[:at] + line[1:] + text[at:]
            at += len(line[1:])
    return text
