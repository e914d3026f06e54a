#!/usr/bin/env python3
"""Write docs/rules.md, a section for each rule of scripts/rules.toml: `python scripts/rules.py`.

A test compares the page with the table, and the table with what the program raises.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "rules.md"
TABLE: Final = Path(__file__).with_suffix(".toml")
_HEAD: Final = """\
# Rules

Every finding names a rule, as in `error[unknown-key]`; `webhooks help RULE` prints its section. An
error stops the run before anything is written; a warning only with `--strict`. Notes about files
are printed by `validate`, else with `-v`. Text and Markdown show the first 100 findings, GitHub 10,
JSON all.
"""


def table() -> dict[str, dict[str, dict[str, str]]]:
    """Return the rules of each chapter, and what the table says about each."""
    chapters: dict[str, dict[str, dict[str, str]]] = tomllib.loads(TABLE.read_text("utf-8"))
    return chapters


def page() -> str:
    """Return the complete page."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for chapter, rules in table().items():
        yield f"## {chapter}\n"
        for name, rule in rules.items():
            yield f"### `{name}`\n\n{rule['means']}\n"
            if "example" in rule:
                yield f"Example: {rule['example']}\n"
            if "fix" in rule:
                yield f"**Fix:** {rule['fix']}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
