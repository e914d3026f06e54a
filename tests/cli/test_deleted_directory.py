"""A deleted working directory: absolute paths work, relative ones are missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Done, File, Shell


@pytest.fixture
def run_in_deleted(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Run `webhooks` in a deleted working directory; `@` stands for an existing one."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    def run_in_deleted(*arguments: str) -> Done:
        words = [each.replace("@", str(tmp_path)) for each in arguments]
        return shell(*words, directory=Path(), **SECRETS)

    return run_in_deleted


def test_absolute_paths_work(
    run_in_deleted: Callable[..., Done], file: File, tmp_path: Path
) -> None:
    """Configuration files, their secrets, the base and outputs can be absolute paths."""
    file(name="d/teams/a.yaml", **{"{env: TOKEN}": "{file: token}"})
    file(SECRETS["TOKEN"], "d/teams/token")
    common = ("--local-db", "@/local.db", "-f", "@/d")
    assert run_in_deleted("validate", *common[2:]).code == 0
    done = run_in_deleted("plan", *common, "--out", "@/plan.json", "--base", "@/d")
    assert done.code == 0, done.err
    assert f"{tmp_path}/d/teams/a.yaml:2" in done.out
    done = run_in_deleted("apply", "--local-db", "@/local.db", "@/plan.json", "--yes")
    assert done.code == 0, done.err
    assert run_in_deleted("apply", *common, "--yes", "--report", "@/report.json").code == 0
    assert run_in_deleted("status", *common).code == 0
    assert run_in_deleted("export", *common[:2], "-o", "@/export.yaml").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("validate",), 3, "there is no webhooks.yaml in the working directory"),
        (("validate", "-f", "a.yaml"), 3, "there is no file a.yaml"),
        (("validate", "-f", "."), 3, "."),
        (("plan", "-f", "@/a.yaml", "--out", "plan.json"), 1, "no such file or directory"),
        (("plan", "-f", "@/a.yaml", "--base", "a.yaml"), 3, "--base a.yaml is not a path"),
        (("plan", "-f", "@/a.yaml", "--local"), 64, "cannot be opened as the emulator's database"),
        (("show", "plan.json"), 3, "there is no file plan.json"),
        (("export", "--local-db", "@/local.db", "-o", "a.yaml"), 1, "cannot write a.yaml"),
        (("init",), 1, "cannot write webhooks.yaml"),
        (("ci", "plan", "--local-db", "@/local.db"), 3, "there is no webhooks.yaml"),
        (("doctor", "--local-db", "@/local.db"), 0, ""),
        (("emulator", "--log", "log"), 1, "the log log cannot be written"),
    ],
)
def test_relative_paths_are_missing(
    run_in_deleted: Callable[..., Done],
    file: File,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    """The error names them; the command does not crash."""
    file(name="a.yaml")
    done = run_in_deleted(*arguments)
    assert (done.code, message in done.out + done.err) == (code, True), done
