"""Pages, pictures and definitions equal the output of their scripts."""

from __future__ import annotations

import re
from runpy import run_path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from tests.folders import ROOT
from tests.goldens import Golden

PICTURES = ("plan.svg", "plan-organizations.svg", "comment.svg")


def script(name: str) -> SimpleNamespace:
    """Import a script of the repository."""
    return SimpleNamespace(**run_path(str(ROOT / "scripts" / f"{name}.py")))


def test_the_page_of_commands(golden: Golden) -> None:
    """The page has the complete help of every command."""
    golden.file(ROOT / "docs" / "commands.md", script("commands").page())


def test_the_page_of_rules(golden: Golden) -> None:
    """The page has a section for each rule of the table."""
    golden.file(ROOT / "docs" / "rules.md", script("rules").page())


def test_the_schema_of_files(golden: Golden) -> None:
    """The definitions of webhook types and of references to secrets follow from their tables."""
    for file, text in script("schema").texts().items():
        golden.file(file, text)


def test_the_pictures(golden: Golden) -> None:
    """The README shows the program's current output."""
    drawn = script("pictures").pictures()
    assert tuple(drawn) == PICTURES
    for name, svg in drawn.items():
        golden.file(ROOT / "docs" / "images" / name, svg)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_self_contained(name: str) -> None:
    """A picture is well-formed, has a light and a dark theme, and loads no other resources."""
    svg = (ROOT / "docs" / "images" / name).read_text("utf-8")
    root = ElementTree.fromstring(svg)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"<(script|image|link)|@import|url\(|/(home|root|tmp|work)/", svg)
