"""Checkers that share no code with the renderers: a CI runner and a Markdown parser."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

_LINE = re.compile(r"\r\n|\r|\n")
_DETAILS = ("<details><summary>Details</summary>\n", "</details>\n")
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9 ,.:;()'~+-]*")


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


@dataclass
class Read:
    """A comment as a Markdown parser reads it."""

    cells: list[list[list[str]]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    fences: list[str] = field(default_factory=list)
    titles: int = 0


def read_markdown(text: str) -> Read:
    """Parse a comment; fail if text outside code is more than plain words.

    Plain words are letters and punctuation that do not link, mention or format.
    """
    read = Read()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        match token.type:
            case "html_block":
                assert token.content in _DETAILS, token.content
            case "fence":
                read.fences.append(token.content)
            case "inline":
                read.codes += _code_of(token)
                if read.cells and read.cells[-1] and token.level >= 4:
                    read.cells[-1][-1] += _code_of(token)
            case "tr_open":
                read.cells.append([])
            case "td_open" | "th_open":
                read.cells[-1].append([])
            case "thead_close":
                read.cells.pop()
            case "tr_close":
                pass
            case "heading_open":
                read.titles += 1
            case "code_block":
                raise AssertionError(token.content)
            case other:
                assert re.fullmatch(
                    r"(paragraph|heading|table|thead|tbody|td|th|bullet_list|list_item)_\w+", other
                ), other
    return read


def _code_of(inline: Token) -> list[str]:
    codes = []
    for token in inline.children or ():
        match token.type:
            case "code_inline":
                codes.append(token.content)
            case "text":
                assert _PLAIN_WORDS.fullmatch(token.content), token.content
            case "strong_open" | "strong_close" | "em_open" | "em_close" | "softbreak":
                pass
            case other:
                raise AssertionError((other, token.content))
    return codes
