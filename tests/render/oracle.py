"""Checkers that share no code with the renderers: a CI runner, and GitHub's Markdown parser."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options

_LINE = re.compile(r"\r\n|\r|\n")
_DETAILS = "<details><summary>Details</summary>"
_TAGS = re.compile("code|details|em|h3|li|p|pre|strong|summary|table|tbody|td|th|thead|tr|ul")
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9 ,.:;()'~+\n-]*")


def runner_commands(text: str) -> list[str]:
    """Return the commands that GitHub's runner may find in a log, in both of its syntaxes.

    A line ends at LF, CRLF or a lone CR. `::name ...::` counts at the start of a line, after
    optional white space; `##[name ...]` counts anywhere.
    """
    found = []
    for line in _LINE.split(text):
        start = line.lstrip()
        if start.startswith("::") and "::" in start[2:]:
            found.append(start)
        else:
            at = line.find("##[")
            if at >= 0 and "]" in line[at:]:
                found.append(line[at:])
    return found


def control_characters(text: str) -> list[str]:
    """Return the characters of a string, except LF, that may control a terminal or deceive."""
    return [
        char
        for char in text
        if char != "\n"
        and (
            unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
            or (unicodedata.category(char) == "Zs" and char != " ")
            or 0xFE00 <= ord(char) <= 0xFE0F
            or 0xE0100 <= ord(char) <= 0xE01EF
        )
    ]


class Read(HTMLParser):
    """A comment as GitHub shows it: codes of each cell below a table's head, and other codes."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[list[list[str]]] = []
        self.codes: list[str] = []
        self.fences: list[str] = []
        self.titles = 0
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert _TAGS.fullmatch(tag), tag
        assert attributes == ([("lang", "diff")] if tag == "pre" else []), attributes
        self._open.append(tag)
        self.titles += tag == "h3"
        if tag == "tr":
            self.cells.append([])
        elif tag == "td":
            self.cells[-1].append([])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "thead":
            self.cells.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["code"]:
            assert _PLAIN_WORDS.fullmatch(data), data
        elif "pre" in self._open:
            self.fences.append(data)
        else:
            self.codes.append(data)
            if "td" in self._open:
                self.cells[-1][-1].append(data)

    def unexpected(self, data: str) -> None:
        """Fail at a comment, a declaration or an instruction."""
        raise AssertionError(data)

    handle_comment = handle_decl = handle_pi = unknown_decl = unexpected


def read_markdown(text: str) -> Read:
    """Parse a comment; fail if text outside code is more than plain words.

    Plain words are letters and punctuation that do not link, mention or format. There is no HTML
    except our details.
    """
    html = github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)
    assert html.count("<details") == html.count(f"{_DETAILS}\n") == text.count(f"\n{_DETAILS}\n")
    read = Read()
    read.feed(html)
    read.close()
    return read
