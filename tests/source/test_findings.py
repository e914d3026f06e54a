"""Files with their expected results, in the files declared.txt, findings.txt and so on.

A case is a title, one or more files, `=>` and the declarations, findings or data. `--update-golden`
rewrites the results. A file that begins with `escaped:` has its bytes in Python syntax.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from reconciler.findings import Finding, Position, sort_key
from reconciler.source.load import Loaded, configurations
from reconciler.source.position import add_positions, excerpt
from reconciler.source.writer import yaml_text
from reconciler.source.yaml import parse
from tests import goldens
from tests.goldens import NEXT, Golden
from tests.loading import load_texts
from tests.source.test_yaml import both_parsers

HERE = Path(__file__).parent
SECRET = "hunter2"
"""A text in files that no finding may show."""


def cases(name: str) -> dict[str, tuple[str, str]]:
    """Return texts and results by title."""
    return goldens.cases(HERE / name)


def raw(text: str) -> bytes:
    if not text.startswith("escaped:"):
        return text.encode()
    return text[8:].strip().encode().decode("unicode_escape").encode("latin-1")


def format_findings(findings: Iterable[Finding]) -> str:
    lines = []
    for each in sorted(findings, key=sort_key):
        at = each.position
        assert at is not None
        where = f"{at}:{at.column}+{at.width}"
        lines.append(f"{each.severity}[{each.rule}] {where} {each.message}")
        lines += [f"  = {each.hint}"] if each.hint is not None else []
        lines += [f"  | {each.excerpt}"] if each.excerpt is not None else []
        for other in each.related:
            assert other.position is not None
            lines.append(f"  {other.message}: {other.position}:{other.position.column}")
    return "".join(f"{line}\n" for line in lines)


def check(name: str, title: str, found: str, golden: Golden) -> None:
    golden.case(HERE / name, title, found)
    assert SECRET not in found.lower()


def load(text: str) -> Loaded:
    names = ("a.yaml", "b.yaml", "c.yaml")
    return load_texts(dict(zip(names, map(raw, text.split(NEXT)), strict=False)))


@pytest.mark.parametrize("title", cases("declared.txt"))
def test_what_files_declare(title: str, golden: Golden) -> None:
    """Defaults and parents are merged, globs of events expanded; settings have their scope."""
    loaded = load(cases("declared.txt")[title][0])
    assert loaded.desired is not None
    found = NEXT.join(map(yaml_text, configurations(loaded.desired).values()))
    found = format_findings(loaded.findings) + found
    check("declared.txt", title, found, golden)


@pytest.mark.parametrize("title", cases("findings.txt"))
def test_findings(title: str, golden: Golden) -> None:
    """Each error has its findings at their positions."""
    loaded = load(cases("findings.txt")[title][0])
    check("findings.txt", title, format_findings(loaded.findings), golden)


@pytest.mark.parametrize("title", cases("excerpts.txt"))
def test_excerpts(title: str, golden: Golden) -> None:
    """Each line of a file as findings show it."""
    text = cases("excerpts.txt")[title][0]
    numbers = range(1, text.count("\n") + 1)
    found = (excerpt(text, Position(file="w.yaml", line=number))[1] for number in numbers)
    check("excerpts.txt", title, "".join(f"{line}\n" for line in found), golden)


@both_parsers
@pytest.mark.parametrize("title", cases("readable.txt"))
def test_what_yaml_means(title: str, parser: type, golden: Golden) -> None:
    """Words are those of YAML 1.2, numbers those of JSON, merges those of docker compose."""
    document = parse(raw(cases("readable.txt")[title][0]), "w.yaml", parser=parser)
    assert document.findings == ()
    data = (
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in document.data.items()
    )
    check("readable.txt", title, "".join(data), golden)


@both_parsers
@pytest.mark.parametrize("title", cases("unreadable.txt"))
def test_unreadable_files(title: str, parser: type, golden: Golden) -> None:
    """Each error is one finding, at its character, with any parser."""
    document = parse(raw(cases("unreadable.txt")[title][0]), "w.yaml", parser=parser)
    found = format_findings(add_positions({"w.yaml": document}, document.findings))
    assert found.count("[") >= 1
    check("unreadable.txt", title, found, golden)
