"""What failed command lines print: errors.txt has each with its output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import GOOD, Shell
from tests.folders import write
from tests.goldens import Golden

AGREED = Path(__file__).parent / "errors.txt"
FILES = {
    "webhooks.yaml": GOOD,
    "bad.yaml": GOOD.replace("value_updated", "value_updatd"),
    "mapping.json": "{}",
    "list.json": '[{"name": "a"}]',
    "folder/empty.txt": "",
}


@pytest.mark.parametrize(
    "error", AGREED.read_text("utf-8").split("### ")[1:], ids=lambda each: each.partition("\n")[0]
)
def test_a_failure_is_as_expected(shell: Shell, tmp_path: Path, error: str, golden: Golden) -> None:
    """A failure prints its message to standard error, and nothing to standard output."""
    write(tmp_path, FILES)
    done = shell(*error.partition("\n")[0].split())
    assert (done.out, done.code > 0) == ("", True)
    start, shown = error.partition("exit ")[0], done.err.replace(tmp_path.as_posix(), "@")
    golden.part(AGREED, error, f"{start}exit {done.code}\n{shown}\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("plan", 4),
        ("plan --local --out missing/plan.json", 1),
        ("plan --local -f bad.yaml", 3),
        ("plan --server-url ftp://x", 64),
        ("plan --foo", 64),
        ("show missing.json", 3),
    ],
)
def test_a_failure_is_json_if_the_result_would_be(
    shell: Shell, tmp_path: Path, line: str, code: int
) -> None:
    """A failure is JSON even if parsing ends before the option; organizations have their own."""
    write(tmp_path, FILES)
    for form in (("--format", "json"), ("--format=json",)):
        done = shell(*line.split(), *form)
        document = json.loads(done.out)
        (document,) = document.get("organizations", [document])
        assert document["error"]["exit_code"] == done.code == code
    assert shell(*line.split(), "--only", "the --format json team").out == ""
