"""Pages, pictures and definitions are what their scripts write."""

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
    """Every command's help is on the page, word for word."""
    compare(ROOT / "docs" / "commands.md", script("commands").page(), request)


def test_the_schema_of_files(request: pytest.FixtureRequest) -> None:
    """Its definitions of webhook types follow from `reconciler.kinds`."""
    schema = script("schema")
    compare(schema.FILE, schema.text(), request)


def test_the_pictures(request: pytest.FixtureRequest) -> None:
    """The README shows the program's current output."""
    drawn = script("pictures").pictures()
    assert tuple(drawn) == PICTURES
    for name, svg in drawn.items():
        compare(ROOT / "docs" / "images" / name, svg, request)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_self_contained(name: str) -> None:
    """It is well-formed, has a light and a dark theme, and loads nothing."""
    svg = (ROOT / "docs" / "images" / name).read_text("utf-8")
    root = ElementTree.fromstring(svg)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"<(script|image|link)|@import|url\(|/(home|root|tmp|work)/", svg)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_every_color_is_legible(dark: bool) -> None:
    """The contrast is at least 4.5 to 1 (WCAG AA), light and dark."""
    light_part, _, dark_part = script("pictures")._THEME.partition("@media")
    fills = dict(re.findall(r"\.(\w+) \{ fill: (#\w{6})", dark_part if dark else light_part))
    page = luminance(fills["page"])
    for name in ("plain", "add", "edit", "cut", "note", "faint"):
        low, high = sorted((page, luminance(fills[name])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
