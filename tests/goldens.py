"""Texts that the tests agree on with a reader: a file of the repository, or a part of one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

NEXT = "---- another file\n"
"""Separates the files of a case."""


class Golden(NamedTuple):
    """Compares outputs with golden texts. With `--update-golden` it writes them first."""

    update: bool

    def file(self, path: Path, text: str | bytes) -> None:
        """Compare a complete file; bytes may not be valid UTF-8."""
        output = text.encode() if isinstance(text, str) else text
        if self.update:
            path.write_bytes(output)
        assert path.read_bytes().decode("utf-8", "replace") == output.decode("utf-8", "replace")

    def part(self, path: Path, agreed: str, text: str) -> None:
        """Compare the part `agreed` of a file, which occurs once."""
        if self.update and text != agreed:
            page = path.read_text("utf-8")
            assert page.count(agreed) == 1, agreed
            path.write_text(page.replace(agreed, text), "utf-8")
        else:
            assert text == agreed

    def case(self, path: Path, title: str, output: str) -> None:
        """Compare the output of a case."""
        text, agreed = cases(path)[title]
        start = f"### {title}\n{text}=>\n"
        self.part(path, start + agreed, start + output)


def cases(path: Path) -> dict[str, tuple[str, str]]:
    """Return texts and outputs of a file of cases by title: `### title`, text, `=>`, output."""
    parts = re.split(r"^### (.*)\n", path.read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        assert title not in found, title
        text, _, agreed = body.partition("=>\n")
        found[title] = (text, agreed)
    return found


def rows(path: Path) -> Any:
    """Return the rows of a table."""
    return yaml.safe_load(path.read_text("utf-8"))
