"""Escape untrusted text: names, ids, channels, file names, messages of servers.

Such text comes from users and from the API. Control characters in it affect a terminal, bidi marks
reorder what a reviewer sees, and a CI runner executes `##[command]` anywhere in a log line and
`::command::` at its start. `quote` and `prose` remove all of that; the renderers of Markdown and
annotations escape what their formats need in addition. `quote` is lossless: text that begins with
`"` is a JSON string, all other text is unchanged.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from reconciler.findings import without_commands

# Printable for Python, but invisible or blank: joiners, fillers, variation selectors.
_HIDDEN: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0"
    "\U00016fe4\U0001d159"
).union(map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0)))
_NOT_ASCII: Final = re.compile(r"[^ -~]")
_COMMAND: Final = re.compile(r"`webhooks ([a-z]+)([^`]*)`")
_COLON_COMMAND: Final = re.compile(r"(?:(?<=^)|(?<=\s)):(?=:)")

# Text that looks like part of our layout (quotes, parentheses, columns, arrows), or like the header
# of a Buildkite group at the start of a line.
_FIRST: Final = ('"', " ", "(", "--- ", "+++ ", "~~~ ")

_CONNECTING: Final = frozenset(
    ("plan", "apply", "status", "drift", "check", "doctor", "export", "init")
)
_READING: Final = _CONNECTING - {"init"} | {"validate", "render"}
"""The commands that connect, and those that read files, as suggested commands do."""


def quote(text: str) -> str:
    """Return a value for display: unquoted if it is safe and unambiguous, else as a JSON string."""
    if _is_clear(text):
        return text
    escaped = _NOT_ASCII.sub(_visible, text.replace("\\", "\\\\").replace('"', '\\"'))
    # A combining character would be drawn on the quotation mark before it.
    if unicodedata.category(text[:1] or " ")[0] == "M" and escaped[0] != "\\":
        escaped = _escape(escaped[0]) + escaped[1:]
    return f'"{_escape_command(escaped)}"'


def prose(text: str) -> str:
    """Return a sentence that may contain untrusted text, with dangerous characters escaped."""
    return _escape_command(visible(text))


def visible(text: str) -> str:
    """Return text that no runner executes, with control and invisible characters escaped."""
    return _NOT_ASCII.sub(_visible, text)


def command_line(words: Iterable[str], redacted: Callable[[str], str] = str) -> str:
    """Return a command, ready to be copied into a shell; empty if a word cannot be shown as it is.

    Quotes of a shell keep an escape as text, so the command would concern another webhook. What
    replaces a secret that is `redacted` is a glob, which would match others.
    """
    line = shlex.join(words)
    return line if redacted(prose(line)) == line else ""


def repeated(option: str, values: Iterable[str]) -> list[str]:
    """Return the words of a command line with this option before each value."""
    return [word for value in values for word in (option, value)]


def without_option(name: str, options: Iterable[str]) -> list[str]:
    """Return the words of a command line without this option, and without the values after it."""
    words = iter(options)
    others: list[str] = []
    for word in words:
        if word == name:
            next(words)
        else:
            others.append(word)
    return others


def with_options(text: str, options: Sequence[str]) -> str:
    """Return text whose suggested commands have the options of files and of the server of this run.

    A suggested command is in backticks. It gets the `options` that it accepts, unless it has some.
    """
    if not options or "`webhooks " not in text:
        return text
    start = 2 * options.count("-f")  # each has a path, and files are first
    of_files, of_server = options[:start], options[start:]
    names = {word for word in of_server if word.startswith("--")}
    of_all = without_option("--organization", of_server)

    def complete(match: re.Match[str]) -> str:
        command, rest = match[1], match[2]
        words, added = rest.split(), list[str]()
        if "--help" in words:
            return match[0]
        # Its path may be a saved plan.
        has_path = rest.startswith(" ") and not rest.startswith(" -")
        if command in _READING and not has_path and "-f" not in words:
            added += of_files
        if command in _CONNECTING and names.isdisjoint(words):
            # Workflows are those of all organizations.
            added += of_all if "--github" in words else of_server
        shown = command_line(added)
        return f"`webhooks {command}{shown and ' '}{shown}{rest}`"

    return _COMMAND.sub(complete, text)


def _is_clear(text: str) -> bool:
    if not text or not text.isprintable() or text.startswith(_FIRST):
        return False
    if text.endswith(" ") or "  " in text or " -> " in text:
        return False
    if _has_command(text):
        return False
    return text.isascii() or (_HIDDEN.isdisjoint(text) and unicodedata.category(text[0])[0] != "M")


def _has_command(text: str) -> bool:
    # Almost no name has these marks, and finding them is much faster than a search by pattern.
    if "##" in text and without_commands(text) != text:
        return True
    return "::" in text and _COLON_COMMAND.search(text) is not None


def _visible(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable() and char not in _HIDDEN:
        return char
    return _escape(char)


def _escape(char: str) -> str:
    """Return `char` as JSON escapes."""
    shown = json.dumps(char)[1:-1]
    if shown == char:  # JSON keeps DEL as it is, which no terminal shows
        return f"\\u{ord(char):04x}"
    return shown


def _escape_command(text: str) -> str:
    return _COLON_COMMAND.sub(r"\\u003a", without_commands(text))
