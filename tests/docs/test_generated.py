"""Pages, pictures and definitions equal the output of their scripts."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from tests.folders import ROOT

PICTURES = ("plan.svg", "comment.svg")


def script(name: str) -> SimpleNamespace:
    """Import a script of the repository."""
    return SimpleNamespace(**run_path(str(ROOT / "scripts" / f"{name}.py")))


def compare(path: Path, text: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text


def test_the_page_of_commands(request: pytest.FixtureRequest) -> None:
    """The page has the complete help of every command."""
    compare(ROOT / "docs" / "commands.md", script("commands").page(), request)


def test_the_page_of_rules(request: pytest.FixtureRequest) -> None:
    """The page has a section for each rule of the table."""
    compare(ROOT / "docs" / "rules.md", script("rules").page(), request)


def test_the_schema_of_files(request: pytest.FixtureRequest) -> None:
    """The definitions of webhook types and of references to secrets follow from their tables."""
    for file, text in script("schema").texts().items():
        compare(file, text, request)


def test_the_pictures(request: pytest.FixtureRequest) -> None:
    """The README shows the program's current output."""
    drawn = script("pictures").pictures()
    assert tuple(drawn) == PICTURES
    for name, svg in drawn.items():
        compare(ROOT / "docs" / "images" / name, svg, request)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_self_contained(name: str) -> None:
    """A picture is well-formed, has a light and a dark theme, and loads no other resources."""
    svg = (ROOT / "docs" / "images" / name).read_text("utf-8")
    root = ElementTree.fromstring(svg)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"<(script|image|link)|@import|url\(|/(home|root|tmp|work)/", svg)
