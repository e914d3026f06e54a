"""Words that must not be used, with the terms to use instead; and the spelling of everything else.

The table covers every tracked text: documents, messages, docstrings, comments and names.
"""

from __future__ import annotations

import re

from tests.folders import ROOT, tracked

WORDS = {
    r"at hand": "available",
    r"anew|once more|again and again": "again, repeatedly, `3 times`",
    r"mend|mends|mended|put right": "fix, correct",
    r"nothing but|no more than(?! \{)|none but": "only",
    r"(said|says|say) so|of (its|their|our|your) own|whole of": "(delete, or name the thing)",
    r"somebody|nobody|everybody": "another process, a user; `no terminal to confirm on`",
    r"what is (live|declared)": "the live webhooks, the configuration",
    r"(say|tell|ask|hear)s? (whether|what|how|why|which|who)": "print, report, receive, request",
    r"(is|are) (doomed|spared|to go)|doomed|left alone": "is deleted, kept, not changed",
    r"footing|kin|borne|surroundings|misfortune|deeds|betray\w*": "(the field's term)",
    r"remarks?|troubles?": "warning, failed attempt",
    r"last look|look at the end": "final verification",
    r"rewrit\w+ (a|the|its) secret": "resend a secret",
    r"dials?": "settings of the emulator",
    r"a bug of ours": "internal error",
    r"twins?": "duplicate",
    r"the person who": "the user, a reviewer",
    r"meanwhile|overt(akes?|aken|ook)": "changed since the plan, replaced",
    r"in turn|by no means|to the letter": "(delete)",
    r"gives? up in the end": "`4 attempts, then exit 1`",
    r"stands? where|where it stands|stands above": "is, exists; the line",
    r"(Promises|Refuses|For):(?= [a-z])": "a sentence",
}
"""What not to write, as regular expressions of whole words, and what to write instead."""

_EXEMPT = {
    "tests/docs/test_words.py",  # this table
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
