"""Fenced code blocks of Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

_BLOCK = re.compile(r"^[ ]*```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```$", re.M | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block: its position and its text.

    `name` does not depend on line numbers: the page, the heading above it and, if several blocks of
    one language follow a heading, a number.
    """

    name: str
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path, root: Path) -> Iterator[Block]:
    """Yield each fenced block of a page."""
    page = path.read_text("utf-8")
    seen: Counter[tuple[str, str]] = Counter()
    for found in _BLOCK.finditer(page):
        where = path.relative_to(root).as_posix()
        heading = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page[: found.start()]), flags=re.M)[-1]
        seen[heading, found["language"]] += 1
        number = seen[heading, found["language"]]
        yield Block(
            name=f"{where}: {heading}" + (f" ({number})" if number > 1 else ""),
            page=where,
            line=page[: found.start("language")].count("\n") + 1,
            language=found["language"],
            text=dedent(found["text"]),
        )
