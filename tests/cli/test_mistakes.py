"""Common mistakes in a configuration file, and what `webhooks validate` prints for each.

mistakes.txt begins with a valid file. Each mistake has a title, an edit of that file as a diff, and
the output, which `--update-golden` writes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import File, Shell
from tests.goldens import Golden

AGREED = Path(__file__).parent / "mistakes.txt"
BASE, *MISTAKES = AGREED.read_text("utf-8").split("### ")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.partition("\n")[0])
def test_the_output_is_as_expected(mistake: str, shell: Shell, file: File, golden: Golden) -> None:
    """The output equals that in mistakes.txt."""
    edit = mistake.partition("exit ")[0].splitlines()[1:]
    right, wrong = ("\n".join(each[1:] for each in edit if each[0] == sign) for sign in "-+")
    assert right in BASE
    file(BASE.replace(right, wrong, 1))
    done = shell("validate")
    start = mistake.partition("exit ")[0]
    golden.part(AGREED, mistake, f"{start}exit {done.code}\n{done.out}{done.err}\n")
