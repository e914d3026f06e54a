"""Mistakes in files, and what is found: findings.txt and unreadable.txt, as agreed.

A case is a title, a file or several, `=>` and the findings. `--update-golden` writes them. A file
that begins with `escaped:` has its bytes as Python writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from reconciler.findings import Finding, sort_key
from reconciler.source.files import SourceFile, Sources
from reconciler.source.load import load_files
from reconciler.source.position import placed
from reconciler.source.yaml import PARSER, parse

HERE = Path(__file__).parent
NEXT = "---- another file\n"


def cases(name: str) -> dict[str, tuple[str, str]]:
    """Texts and findings by title."""
    parts = re.split(r"^### (.*)\n", (HERE / name).read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        text, _, agreed = body.partition("=>\n")
        found[title] = (text, agreed)
    return found


def raw(text: str) -> bytes:
    if not text.startswith("escaped:"):
        return text.encode()
    return text[8:].strip().encode().decode("unicode_escape").encode("latin-1")


def shown(findings: Iterable[Finding]) -> str:
    lines = []
    for each in sorted(findings, key=sort_key):
        at = each.position
        assert at is not None
        where = f"{at}:{at.column}+{at.width}"
        lines += [f"{each.severity}[{each.rule}] {where} {each.message}", f"  = {each.hint}"]
        lines += [f"  | {each.excerpt}"] if each.excerpt is not None else []
        for other in each.related:
            assert other.position is not None
            lines.append(f"  {other.message}: {other.position}:{other.position.column}")
    return "".join(f"{line}\n" for line in lines)


def check(name: str, title: str, found: str, request: pytest.FixtureRequest) -> None:
    agreed = cases(name)
    if request.config.getoption("--update-golden"):
        agreed[title] = (agreed[title][0], found)
        whole = (f"### {key}\n{text}=>\n{said}" for key, (text, said) in agreed.items())
        (HERE / name).write_text("".join(whole), "utf-8")
    assert found == agreed[title][1]


@pytest.mark.parametrize("title", cases("findings.txt"))
def test_what_is_wrong_with_files(title: str, request: pytest.FixtureRequest) -> None:
    """Each mistake yields the findings that help, at their places."""
    texts = cases("findings.txt")[title][0].split(NEXT)
    named = zip(("a.yaml", "b.yaml", "c.yaml"), texts, strict=False)
    files = tuple(SourceFile(file=name, raw=raw(text)) for name, text in named)
    check("findings.txt", title, shown(load_files(Sources(files=files)).findings), request)


@pytest.mark.parametrize("parser", {yaml.SafeLoader, PARSER}, ids=lambda each: each.__name__)
@pytest.mark.parametrize("title", cases("unreadable.txt"))
def test_files_that_cannot_be_read(
    title: str, parser: type, request: pytest.FixtureRequest
) -> None:
    """Each mistake yields one finding, at the character it is about, whatever the parser."""
    document = parse(raw(cases("unreadable.txt")[title][0]), "w.yaml", parser=parser)
    found = shown(placed({"w.yaml": document}, document.findings))
    assert found.count("[") >= 1
    check("unreadable.txt", title, found, request)
