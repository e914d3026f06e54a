"""The fenced blocks of Markdown, each with the remark above it that says what to do with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<remark>[^\n]*?) -->\n\s*)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```$",
    re.M | re.S,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block: where it is, what is written above it, and its text."""

    page: str
    line: int
    language: str
    remark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path, root: Path) -> Iterator[Block]:
    """Yield each fenced block of a page."""
    page = path.read_text("utf-8")
    for found in _BLOCK.finditer(page):
        yield Block(
            page=path.relative_to(root).as_posix(),
            line=page[: found.start("language")].count("\n") + 1,
            language=found["language"],
            remark=found["remark"] or "",
            text=dedent(found["text"]),
        )
