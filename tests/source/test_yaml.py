"""Strict YAML: accepted files, errors and their positions, with both parsers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reconciler.findings import Finding
from reconciler.source.document import Document
from reconciler.source.position import add_positions
from reconciler.source.syntax import PARSER
from reconciler.source.yaml import parse
from tests.goldens import rows

both_parsers = pytest.mark.parametrize(
    "parser", dict.fromkeys((yaml.SafeLoader, PARSER)), ids=lambda each: each.__name__
)


def read(text: str, parser: type = PARSER) -> Document:
    document = parse(text.encode(), "w.yaml", parser=parser)
    assert document.usable, document
    return document


def position_of(finding: Finding) -> str:
    """Return rule, line, column and width of a finding."""
    place = finding.position
    assert place is not None
    return f"{finding.rule} {place.line}:{place.column}+{place.width}"


def bomb(levels: int, width: int) -> str:
    lines = ["x0: &x0 {a: 1}"]
    for level in range(1, levels):
        parts = ", ".join(f"k{number}: *x{level - 1}" for number in range(width))
        lines.append(f"x{level}: &x{level} {{{parts}}}")
    return "\n".join(lines)


X0 = ", ".join(f"k{number}: 1" for number in range(200))
HOSTILE = {
    "5000 digits": ("a: " + "9" * 5000, "number-too-large 1:4+3"),
    "5000 levels": ("a: " + "[" * 5000, "too-deep"),
    "5000 levels, mapped": ("a: " + "{" * 5000, "too-deep"),
    "600 levels, mixed": ("a: " + "[{" * 600, "too-deep"),
    "600 levels, mixed (2)": ("a: " + "{[" * 600, "too-deep"),
    "40 levels of aliases": (
        "\n".join(["x0: &x0 [1]", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, 40))]),
        "alias-expansion 32:12+3",
    ),
    "bomb of aliases": (bomb(40, 9), "alias-expansion"),
    "bomb of merges": (
        f"x0: &x0 {{{X0}}}\n"
        + "".join(f"y{n}: {{<<: [{', '.join(['*x0'] * 400)}]}}\n" for n in range(10)),
        "alias-expansion",
    ),
}


@both_parsers
@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_rejected_immediately(text: str, expected: str, parser: type) -> None:
    """Each file has one error, regardless of its size when expanded."""
    assert len(text) < 40_000
    document = parse(text.encode(), "w.yaml", parser=parser)
    (finding,) = add_positions({"w.yaml": document}, document.findings)
    assert position_of(finding).startswith(expected)


@both_parsers
def test_ordinary_aliases_are_accepted(parser: type) -> None:
    """A thousand webhooks may share a long list of events and a configuration."""
    head = "x-e: &e [" + ", ".join(["value_created"] * 15) + "]\nx-c: &c {a: 1, b: 2, c: 3}\n"
    items = "".join(f"  - {{n: {n}, e: *e, c: {{<<: *c, d: 4}}}}\n" for n in range(1_000))
    document = read(head + "webhooks:\n" + items, parser)
    assert len(document.items["webhooks"]) == 1_000


@both_parsers
@pytest.mark.parametrize(("text", "places"), rows(Path(__file__).with_name("places.yaml")))
def test_each_webhook_and_glob_has_its_position(
    text: str, places: list[list[int]], parser: type
) -> None:
    """Webhooks and globs from an alias or a merge have their positions, too."""
    items = read(text, parser).items
    found = [*items.get("webhooks", ()), *items.get("protect", ())]
    assert [[each.line, each.column] for each in found] == places


def test_equal_keys_and_events_are_one_object() -> None:
    """Ten thousand webhooks keep each key and event name once in memory."""
    data = read("w:\n- {name: a, e: [value_created]}\n- {name: b, e: [value_created]}\n").data
    one, two = data["w"]
    assert [key is other for key, other in zip(one, two, strict=True)] == [True, True]
    assert one["e"][0] is two["e"][0]


def test_equal_files_are_parsed_once() -> None:
    """Organizations and revisions share what a parent has; only a large file is parsed again."""
    for raw, is_kept in ((b"webhooks: []\n", True), (b"webhooks: [] #" + b"#" * 140_000, False)):
        assert (parse(raw, "base.yaml") is parse(raw, "base.yaml")) is is_kept
