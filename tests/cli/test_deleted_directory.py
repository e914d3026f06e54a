"""In a deleted working directory, absolute paths work and relative ones are missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Done, File, Shell, expect
from tests.goldens import Golden

AGREED = Path(__file__).parent / "deleted_directory.txt"
RunInDeleted = Callable[[str], Done]


@pytest.fixture
def run_in_deleted(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunInDeleted:
    """Run `webhooks` in a deleted working directory; `@` stands for an existing one."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    def run_in_deleted(line: str) -> Done:
        words = [each.replace("@", str(tmp_path)) for each in line.split()]
        return shell(*words, directory=Path(), **SECRETS)

    return run_in_deleted


def test_absolute_paths_work(run_in_deleted: RunInDeleted, file: File, tmp_path: Path) -> None:
    """Configuration files, their secrets, the base and outputs can be absolute paths."""
    file(name="d/teams/a.yaml", **{"{env: TOKEN}": "{file: token}"})
    file(SECRETS["TOKEN"], "d/teams/token")
    local = "--local-db @/local.db"
    for line, shown in (
        ("validate -f @/d", ""),
        (f"plan {local} -f @/d --out @/plan.json --base @/d", f"{tmp_path}/d/teams/a.yaml:2"),
        (f"apply {local} @/plan.json --yes", "2 created"),
        (f"apply {local} -f @/d --yes --report @/report.json", "No changes."),
        (f"status {local} -f @/d", "No drift."),
        (f"export {local} -o @/export.yaml", "2 webhooks written"),
        (f"doctor {local}", "no webhooks.yaml in the working directory"),
    ):
        expect(run_in_deleted(line), 0, shown)


@pytest.mark.parametrize(
    "error", AGREED.read_text("utf-8").split("### ")[1:], ids=lambda each: each.partition("\n")[0]
)
def test_relative_paths_are_missing(
    run_in_deleted: RunInDeleted,
    file: File,
    tmp_path: Path,
    error: str,
    golden: Golden,
) -> None:
    """The error names the path; the command does not crash."""
    file(name="a.yaml")
    done = run_in_deleted(error.partition("\n")[0])
    output = f"{error.partition('exit ')[0]}exit {done.code}\n{done.out}{done.err}\n"
    golden.part(AGREED, error, output.replace(str(tmp_path), "@"))
