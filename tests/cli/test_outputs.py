"""Output options never destroy existing files; see sessions/plan.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.main import program
from tests.cli.conftest import GOOD, SECRETS, File, Shell, expect

DB = ("--local-db", "local.db")
WRITERS = {
    "plan": ("plan", *DB, "--out"),
    "report": ("apply", *DB, "--yes", "--report"),
    "export": ("export", *DB, "-o"),
}
INPUTS = {
    "webhooks.yaml": GOOD,
    "teams.yaml": "x-note: 1\n" + GOOD,
    "api-key": "0123456789abcdef\n",
    "token": SECRETS["TOKEN"],
    "seed.json": "[]",
    "README.md": "Declare `webhooks:` in a file.\n",
}


@pytest.fixture
def inputs(file: File, tmp_path: Path, shell: Shell) -> dict[str, Path]:
    """Everything a run may read, a saved plan, a report, and links to configuration files."""
    found = {name: file(text, name) for name, text in INPUTS.items()}
    assert shell("plan", *DB, "--out", "plan.json", **SECRETS).code == 0
    assert shell("apply", *DB, "--yes", "--report", "report.json", **SECRETS).code == 0
    (tmp_path / "link").symlink_to("webhooks.yaml")
    (tmp_path / "hard").hardlink_to(tmp_path / "webhooks.yaml")
    (tmp_path / "empty").touch()  # like those of mktemp
    names = ("plan.json", "report.json", "link", "hard", "local.db", "empty")
    return {**found, **{name: tmp_path / name for name in names}}


@pytest.mark.parametrize(
    ("kind", "own"),
    [("plan", ("plan.json", "empty")), ("report", ("report.json", "empty")), ("export", ())],
)
def test_only_a_file_of_the_same_kind_is_replaced(
    shell: Shell, inputs: dict[str, Path], kind: str, own: tuple[str, ...]
) -> None:
    """Configuration files, keys, tokens, links and other documents are never replaced."""
    for name in inputs.keys() - set(own):
        before = inputs[name].read_bytes()
        done = shell(*WRITERS[kind], name, **SECRETS)
        expect(done, 64, "help: choose another file name, or rename")
        assert (done.out, inputs[name].read_bytes()) == ("", before)
    for name in own:
        assert shell(*WRITERS[kind], name, **SECRETS).code == 0, name


def test_every_option_with_a_file_is_in_this_test() -> None:
    """A new option must be an input, or be rejected like the others."""
    group = program()
    found = {
        (name, parameter.opts[-1])
        for name in group.commands
        for parameter in group.load(name).params
        if getattr(parameter, "metavar", None) == "FILE" and parameter not in group.params
    }
    written = {
        (words[0], "--out" if words[-1] == "-o" else words[-1]) for words in WRITERS.values()
    }
    new = {("init", "--file")}  # never replaced
    read = {("init", "--policy")}
    assert found == written | new | read
