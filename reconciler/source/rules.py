"""Explanations of rules: the sections of docs/rules.md, which the wheel includes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = "https://github.com/cloudtruth-webhooks/cloudtruth-webhooks/blob/main/docs/rules.md"
_PACKAGE: Final = Path(__file__).resolve().parent.parent
_IN_WHEEL: Final = _PACKAGE / "_docs" / "rules.md"


def explanation(rule: str) -> str | None:
    """Return what a rule means, an example and the fix, as plain text; None for no rule."""
    path = _IN_WHEEL if _IN_WHEEL.is_file() else _PACKAGE.parent / "docs" / "rules.md"
    parts = re.split(r"^### `(.+)`\n", path.read_text("utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if rule not in sections:
        return None
    # The last rule of a chapter ends at the next heading.
    text = re.split(r"^## ", sections[rule], flags=re.MULTILINE)[0].strip()
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("**Fix:**", "Fix:")
