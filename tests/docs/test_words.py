"""Words that must not be used, with the terms to use instead; and the spelling of everything else.

The table covers every tracked text: documents, messages, docstrings, comments and names.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.folders import ROOT, tracked
from tests.goldens import rows

WORDS = rows(Path(__file__).with_name("words.yaml"))

_EXEMPT = {
    "tests/docs/words.yaml",
    "CHANGELOG.md",  # names the removed keys of JSON documents
}
_SUFFIXES = {".py", ".md", ".yml", ".yaml", ".toml", ".json", ".in", ".txt", ""}
_LOCKED = (".lock", "package-lock.json")
_WRAPPED = re.compile(r"[\s_]+(#:? )?")
_PATTERN = re.compile("|".join(rf"\b(?:{each})(?!\w)" for each in WORDS))


def test_no_text_has_a_replaced_word() -> None:
    """Neither prose nor a name uses a word of the table, even if it wraps to the next line."""
    found = []
    for file in tracked():
        if file in _EXEMPT or file.endswith(_LOCKED) or (ROOT / file).suffix not in _SUFFIXES:
            continue
        text = _WRAPPED.sub(" ", (ROOT / file).read_text("utf-8", "replace"))
        for match in _PATTERN.finditer(text):
            better = next(
                words for each, words in WORDS.items() if re.fullmatch(each, match[0], re.I)
            )
            shown = text[max(0, match.start() - 40) : match.end() + 40]
            found.append(f"{file}: ...{shown}...: not `{match[0]}`, but {better}")
    assert not found, "\n".join(found)
