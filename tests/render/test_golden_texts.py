"""The complete output for users equals golden/; `--update-golden` rewrites it.

tests/golden/ has the plans; here are other views of them, and reports, findings, errors and states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from reconciler.planning.run import OrganizationResult
from reconciler.planning.status import drift
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, STATE_RENDERERS, LiveStatus, View
from tests.goldens import Golden
from tests.render.cases import (
    ACME,
    ERRORS,
    FINDINGS,
    PLANS,
    REPORTS,
    STATUSES,
    TOKEN,
    UNCOMPARED,
    render_plan,
    render_report,
)

GOLDEN = Path(__file__).parent / "golden"
VIEW = View(
    key_source="CLOUDTRUTH_API_KEY",
    missing=frozenset({TOKEN}),
    verbosity=1,
)


def of(status: LiveStatus) -> list[OrganizationResult[LiveStatus]]:
    return [OrganizationResult(status.organization.name, value=status)]


def appearances() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the name of each golden file, and the function that renders it."""
    states = STATE_RENDERERS["text"]()
    text, markdown, json = (RENDERERS[form]() for form in ("text", "markdown", "json"))
    narrow = VIEW._replace(width=40, verbosity=0)
    for name in ("mixed", "hostile"):
        yield f"plan-{name}.40.txt", partial(render_plan, PLANS[name], narrow)
    yield "report-partial.40.txt", partial(render_report, REPORTS["partial"], narrow)
    for name, report in REPORTS.items():
        yield f"report-{name}.txt", partial(render_report, report, VIEW._replace(verbosity=0))
        yield f"report-{name}.md", partial(render_report, report, VIEW, form="markdown")
    yield "plan-resent.folded.md", partial(render_plan, PLANS["resent"], form="markdown")
    for name in ("resent", "kept"):
        yield f"plan-{name}.verbose.txt", partial(render_plan, PLANS[name], View(verbosity=1))
    colored = View(color=True, verbosity=1, plan_file="my plan.json")
    yield "plan-mixed.color.txt", partial(render_plan, PLANS["mixed"], colored)
    yield "report-partial.json", partial(render_report, REPORTS["partial"], form="json")
    for form, load in FINDINGS_RENDERERS.items():
        for name, findings in FINDINGS.items():
            yield f"findings-{name}.{form}", partial(load().render_findings, findings)
    for name, error in ERRORS.items():
        yield f"error-{name}.text", partial(text.render_error, error)
        yield f"error-{name}.json", partial(json.render_error, error)
    yield "error-configuration.md", partial(markdown.render_error, ERRORS["configuration"])
    for name, found in STATUSES.items():
        live_count = sum(webhook.id is not None for webhook in found)
        status = LiveStatus(ACME, found, live_count, drift(found))
        yield f"status-{name}.txt", partial(states.render_statuses, of(status))
    failing = STATUSES["failing"]
    selected = LiveStatus(ACME, failing, live_count=9, failing_only=True)
    yield "status-no-file.txt", partial(states.render_statuses, of(selected))
    uncompared = LiveStatus(ACME, failing, len(failing), {}, UNCOMPARED)
    for verbosity in (0, 1):
        view = VIEW._replace(verbosity=verbosity)
        yield (
            f"status-uncompared.{verbosity}.txt",
            partial(states.render_statuses, of(uncompared), view),
        )
    yield "status-failing.json", partial(json.render_statuses, of(selected))
    yield "status-uncompared.json", partial(json.render_statuses, of(uncompared))


APPEARANCES = dict(appearances())


@pytest.mark.parametrize("name", sorted(APPEARANCES))
def test_output_is_as_expected(name: str, golden: Golden) -> None:
    """Each rendering equals its reviewed golden file."""
    golden.file(GOLDEN / name, APPEARANCES[name]())


def test_every_golden_file_is_used() -> None:
    """Each file in golden/ belongs to a rendering."""
    assert {path.name for path in GOLDEN.iterdir()} == set(APPEARANCES)
