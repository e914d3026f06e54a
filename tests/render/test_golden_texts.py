"""The complete output for users, compared with golden/; `--update-golden` rewrites it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.planning.status import drift
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, View
from tests.render.cases import ACME, ERRORS, FINDINGS, PLANS, REPORTS, STATUSES, TOKEN

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = {"100": 100, "80": 80, "40": 40}
VIEW = View(
    key_source="CLOUDTRUTH_API_KEY",
    now=datetime(2026, 11, 25, tzinfo=UTC),
    missing=frozenset({TOKEN}),
    verbosity=1,
)


def appearances() -> dict[str, str]:
    """Return every rendering by the name of its golden file."""
    found: dict[str, str] = {}
    for width, columns in WIDTHS.items():
        view = View(key_source=VIEW.key_source, now=VIEW.now, missing=VIEW.missing, width=columns)
        text = RENDERERS["text"]()
        for name, plan in PLANS.items():
            found[f"plan-{name}.{width}.txt"] = text.render_plan(plan, view)
        for name, report in REPORTS.items():
            found[f"report-{name}.{width}.txt"] = text.render_report(report, view)
    markdown, json = RENDERERS["markdown"](), RENDERERS["json"]()
    for name, plan in PLANS.items():
        found[f"plan-{name}.md"] = markdown.render_plan(plan, VIEW)
    found["plan-resent.folded.md"] = markdown.render_plan(PLANS["resent"])
    found["plan-resent.verbose.txt"] = text.render_plan(PLANS["resent"], View(verbosity=1))
    for name, report in REPORTS.items():
        found[f"report-{name}.md"] = markdown.render_report(report, VIEW)
    found["plan-mixed.color.txt"] = RENDERERS["text"]().render_plan(
        PLANS["mixed"], View(color=True, verbosity=1, plan_file="my plan.json")
    )
    found["report-partial.json"] = json.render_report(REPORTS["partial"])
    for form in ("text", "json", "github"):
        renderer = FINDINGS_RENDERERS[form]()
        for name, findings in FINDINGS.items():
            found[f"findings-{name}.{form}"] = renderer.render_findings(findings)
        for name, error in ERRORS.items():
            found[f"error-{name}.{form}"] = renderer.render_error(error)
    found["findings-several.md"] = markdown.render_findings(FINDINGS["several"])
    found["findings-none.md"] = markdown.render_findings(())
    found["error-configuration.md"] = markdown.render_error(ERRORS["configuration"])
    for name, statuses in STATUSES.items():
        found[f"status-{name}.txt"] = RENDERERS["text"]().render_status(
            ACME, statuses, drift(statuses), VIEW
        )
    found["status-no-file.txt"] = RENDERERS["text"]().render_status(
        ACME, STATUSES["failing"], None, VIEW
    )
    found["status-failing.json"] = RENDERERS["json"]().render_status(
        ACME, STATUSES["failing"], None
    )
    return found


APPEARANCES = appearances()


@pytest.mark.parametrize("name", sorted(APPEARANCES))
def test_output_is_as_expected(name: str, request: pytest.FixtureRequest) -> None:
    """Each rendering equals its reviewed golden file."""
    path = GOLDEN / name
    shown = APPEARANCES[name].encode()
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(shown)
    assert path.read_bytes() == shown


def test_every_golden_file_is_used() -> None:
    """Each file in golden/ belongs to a rendering."""
    assert {path.name for path in GOLDEN.iterdir()} == set(APPEARANCES)


@pytest.mark.parametrize(
    "name", [name for name in sorted(APPEARANCES) if ".40." in name and "hostile" not in name]
)
def test_narrow_lines_are_wrapped(name: str) -> None:
    """At 40 columns only unbreakable text and lines to copy are wider."""
    for line in APPEARANCES[name].splitlines():
        words = line.split()
        widest = max(map(len, words), default=0)
        copied = ("=", "-->", "prune:", "ignore:", "limits:", "webhooks")
        to_copy = "::" in line or "webhooks apply" in line or (words[:1] and words[0] in copied)
        assert len(line) <= 40 or widest > 18 or to_copy or "[" in words[0], line
