"""A deleted working directory: absolute paths work, relative ones are missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Done, File, Shell, expect

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
    ):
        expect(run_in_deleted(line), 0, shown)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("validate", 3, "there is no webhooks.yaml in the working directory"),
        ("validate -f a.yaml", 3, "there is no file a.yaml"),
        ("validate -f .", 3, "."),
        ("plan -f @/a.yaml --out plan.json", 1, "no such file or directory"),
        ("plan -f @/a.yaml --base a.yaml", 3, "--base a.yaml is not a path"),
        ("plan -f @/a.yaml --local", 64, "cannot be opened as the emulator's database"),
        ("show plan.json", 3, "there is no file plan.json"),
        ("export --local-db @/local.db -o a.yaml", 1, "cannot write a.yaml"),
        ("init", 1, "cannot write webhooks.yaml"),
        ("ci plan --local-db @/local.db", 3, "there is no webhooks.yaml"),
        ("doctor --local-db @/local.db", 0, ""),
        ("emulator --log log", 1, "the log log cannot be written"),
    ],
)
def test_relative_paths_are_missing(
    run_in_deleted: RunInDeleted, file: File, line: str, code: int, message: str
) -> None:
    """The error names them; the command does not crash."""
    file(name="a.yaml")
    expect(run_in_deleted(line), code, message)
