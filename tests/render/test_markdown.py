"""Comments on pull requests have nothing that acts, and are cut to GitHub's limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.findings import warning
from reconciler.planning.plan import Create, Delete, Reason
from reconciler.render import View
from tests.render.cases import live, plan, render_plan, slack
from tests.render.oracle import read_markdown

GOLDENS = sorted(Path(__file__).parents[1].glob("golden/*/*.md"))
MANY = plan(
    *(Create(after=slack(f"`new|{index}`", line=index)) for index in range(300)),
    *(Delete(before=live(f"old-{index}"), reason=Reason.NOT_DECLARED) for index in range(20)),
)
TITLE = "### CloudTruth webhooks for `Acme`: 300 to create, 0 to update, 20 to delete"


@pytest.mark.parametrize("limit", [6_000, 20_000, 34_000, 60_000])
def test_a_long_plan_fits(limit: int) -> None:
    """Only complete lines are cut: counts, deletes and digest stay, and cut lines are counted."""
    text = render_plan(MANY, View(limit=limit), "markdown")
    assert len(text) <= limit
    assert text.startswith(TITLE)
    assert f"Digest `{MANY.digest}`" in text
    assert text.count("**delete**") == 20
    assert ("Cut to fit" in text) == (limit < 60_000)
    read_markdown(text)


def test_the_limit_is_in_bytes() -> None:
    """A character outside ASCII counts as several bytes."""
    wide = plan(*(Create(after=slack("漢字" * 50, line=index)) for index in range(100)))
    text = render_plan(wide, View(limit=20_000), "markdown")
    assert "Cut to fit" in text
    assert 15_000 < len(text.encode()) <= 20_000


def test_long_destinations_do_not_hide_the_other_notes() -> None:
    """The line of a secret with many destinations is cut; warnings above it are shown."""
    many = (Create(after=slack(f"new {index}", channel=f"c{index}")) for index in range(900))
    text = render_plan(
        plan(*many, relaxed=(warning("relaxed-protect", "protect no longer covers 'a'"),)),
        View(limit=12_000),
        "markdown",
    )
    assert "**policy relaxed**: `protect no longer covers 'a'`" in text
    assert "Apply needs" not in text
    assert "Cut to fit" in text


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.parent.name)
def test_examples_have_data_only_in_code(path: Path) -> None:
    """GitHub's parser finds no link, image or HTML in the examples, also of hostile names."""
    assert read_markdown(path.read_text("utf-8")).titles == 1


@pytest.mark.parametrize(
    "text",
    ["www.a.test", "a@a.test", "[a](b)", "![a](b)", "<b>a</b>", "<!-- a -->", "<details>\n", "@a",
     "    a *", "~~a~~", "- [ ] a", "a  \nb", "`a` &amp;", "<?a?>", "# a", "> a", "---"],
)  # fmt: skip
def test_anything_else_is_reported(text: str) -> None:
    """No other Markdown passes, whether GitHub's parser or its pages would act on it."""
    with pytest.raises(AssertionError):
        read_markdown(f"### a\n\n{text}\n")
