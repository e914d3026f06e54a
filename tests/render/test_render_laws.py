"""Laws of every format, for any plan, report and finding with any names."""

from __future__ import annotations

import json
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from reconciler.errors import (
    ConfigurationError,
    InvalidRequestError,
    ReconcilerError,
    StalePlanError,
)
from reconciler.findings import Finding
from reconciler.model import Organization
from reconciler.planning.plan import Plan
from reconciler.planning.run import LiveStatus, OrganizationResult, RunPlan, WebhookStatus
from reconciler.render import FINDINGS_RENDERERS, PLAIN, RENDERERS, STATE_RENDERERS, View
from reconciler.render.markdown import paged_run
from reconciler.render.quote import quote
from reconciler.report import Report
from tests.render.cases import render_plan, render_report
from tests.render.oracle import control_characters, read_markdown, runner_commands
from tests.render.strategies import (
    organizations,
    plans,
    references,
    reports,
    some_findings,
    statuses,
    texts,
)

DOCUMENTS = ("plan", "report", "findings", "error")
SCHEMAS = Path(__file__).parents[2] / "schemas"
views = st.builds(
    View,
    width=st.integers(20, 140),
    verbosity=st.integers(-1, 1),
    key_source=st.none() | texts,
    missing=st.frozensets(references, max_size=2),
    plan_file=st.none() | texts,
    apply_options=st.none() | st.lists(texts, max_size=2).map(tuple),
)
errors = st.one_of(
    st.builds(ReconcilerError, texts, hint=st.none() | texts),
    st.builds(ConfigurationError, texts, findings=some_findings),
    st.builds(StalePlanError, texts, differences=st.lists(texts, max_size=2)),
    st.builds(
        InvalidRequestError,
        texts,
        detail=st.none() | texts,
        status=st.just(400),
        fields=st.lists(st.tuples(st.lists(texts, max_size=2).map(tuple), texts), max_size=2),
    ),
)
FOOT = "Merging applies exactly what is shown here."
few = settings(max_examples=40, deadline=None)


@st.composite
def results(draw: st.DrawFn) -> tuple[Plan, Report, tuple[Finding, ...], ReconcilerError]:
    """Return one of each kind of result that a format renders."""
    return draw(plans()), draw(reports()), draw(some_findings), draw(errors)


def render_all(
    form: str, found: tuple[Plan, Report, tuple[Finding, ...], ReconcilerError], view: View = PLAIN
) -> list[str]:
    """Render a plan, a report, findings and an error as text."""
    renderer, (plan, report, findings, error) = RENDERERS[form](), found
    return [
        render_plan(plan, view, form),
        render_report(report, view, form),
        renderer.render_findings(findings, view),
        renderer.render_error(error, view),
    ]


def check_harmless(*texts: str) -> None:
    """Fail if the text controls a terminal or a runner."""
    for text in texts:
        assert control_characters(text) == []
        assert runner_commands(text) == []


@cache
def validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))
    Draft7Validator.check_schema(schema)
    Draft202012Validator.check_schema(schema)
    return Draft7Validator(schema)


def check_document(text: str, name: str) -> None:
    assert text.isascii()
    validator(name).validate(json.loads(text))


@pytest.mark.parametrize("form", sorted(RENDERERS))
@few
@given(found=results(), view=views)
def test_output_is_inert_and_deterministic(form: str, found: Any, view: View) -> None:
    """Output has no control characters and no workflow commands; equal values render equally."""
    texts = render_all(form, found, view)
    check_harmless(*texts)
    assert render_all(form, found, view) == texts
    assert all(text.endswith("\n") for text in texts if text)


@few
@given(findings=some_findings)
def test_annotations_are_only_our_commands(findings: tuple[Finding, ...]) -> None:
    """Each line of annotations is one command of this program, with escaped properties."""
    text = FINDINGS_RENDERERS["github"]()(findings)
    lines = text.splitlines()
    assert runner_commands(text) == lines
    assert control_characters(text) == []
    for line in lines:
        command, _, properties = line[2:].split("::", 1)[0].partition(" ")
        assert command in {"error", "warning", "notice"}
        assert {each.partition("=")[0] for each in properties.split(",")} <= {
            "file", "line", "col", "endColumn", "title",
        }  # fmt: skip


@few
@given(found=results(), view=views)
def test_color_changes_no_character(found: Any, view: View) -> None:
    """Colored text without escape sequences equals uncolored text."""
    colored = render_all("text", found, view._replace(color=True))
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in colored]
    assert plain == render_all("text", found, view)


@few
@given(found=results())
def test_documents_match_their_schemas(found: Any) -> None:
    """Every JSON document is valid by its published schema."""
    for text, name in zip(render_all("json", found), DOCUMENTS, strict=True):
        check_document(text, name)


@few
@given(plan=plans(), view=views)
def test_markdown_has_data_only_in_code(plan: Plan, view: View) -> None:
    """A Markdown parser sees plain words, names as quoted, and no other structure."""
    read = read_markdown(render_plan(plan, view, "markdown"))
    assert read.titles == 1
    named = [each.name for each in (*plan.operations, *plan.unapplied)]
    if view.verbosity > 0:
        named = [each.name for each in (*plan.operations, *plan.kept, *plan.unmanaged)]
        named += [each.name for each in plan.matched.values()]
    assert sorted(row[1][0] for row in read.cells) == sorted(map(quote, named))
    assert all(len(row) == 5 for row in read.cells)
    assert len(read.fences) <= 1


@few
@given(report=reports(), findings=some_findings, error=errors)
def test_other_markdown_has_data_only_in_code(
    report: Report, findings: tuple[Finding, ...], error: ReconcilerError
) -> None:
    """The law also holds for reports, findings and errors."""
    markdown = RENDERERS["markdown"]()
    read = read_markdown(render_report(report, form="markdown"))
    shown = sorted(row[1][0] for row in read.cells)
    names = [each.operation.name for each in report.outcomes]
    names += [each.name for each in (*report.duplicates_removed, *report.plan.unapplied)]
    assert shown == sorted(map(quote, names))
    assert read_markdown(markdown.render_findings(findings)).titles == 1
    assert read_markdown(markdown.render_error(error)).titles == 1


@few
@given(plan=plans(), report=reports(), percent=st.integers(0, 110))
def test_markdown_keeps_its_limit(plan: Plan, report: Report, percent: int) -> None:
    """A text over its limit is cut by complete lines, marked, and still well-formed.

    Parts that are never cut may exceed the limit.
    """
    for render in (
        partial(render_plan, plan, form="markdown"),
        partial(render_report, report, form="markdown"),
    ):
        complete, least = render(), render(view=View(limit=0))
        limit = len(complete) * percent // 100
        cut = render(view=View(limit=limit))
        assert len(cut) <= max(limit, len(least))
        assert cut.splitlines()[0] == complete.splitlines()[0]
        added = set(cut.splitlines()) - set(complete.splitlines())
        assert [line[:12] for line in added] == ["_Cut to fit:"] * (cut != complete)
        assert "Cut to fit: 0 rows" not in cut
        read = read_markdown(cut)
        # Details are cut before rows.
        assert not read.fences or len(read.cells) == len(read_markdown(complete).cells)


@few
@given(plan=plans(), data=st.data())
def test_the_schema_requires_exactly_the_keys(plan: Plan, data: st.DataObject) -> None:
    """A document with an extra or a missing key is invalid."""
    tree = json.loads(render_plan(plan, form="json"))
    key = data.draw(st.sampled_from(sorted(tree.keys() - {"unblock"})))  # keys that only some have
    assert not validator("plan").is_valid({**tree, "more": 1})
    assert not validator("plan").is_valid({name: tree[name] for name in tree if name != key})


@few
@given(organization=organizations, found=statuses, width=st.integers(40, 140), plan=plans())
def test_a_status_is_inert(
    organization: Organization, found: list[WebhookStatus], width: int, plan: Plan
) -> None:
    """A status is harmless and cuts no name, and its JSON document has the original names."""
    status = LiveStatus(organization, found, len(found), plan)
    results = [OrganizationResult(organization.name, value=status)]
    text = STATE_RENDERERS["text"]().render_statuses(results, View(width=width))
    document = STATE_RENDERERS["json"]().render_statuses(results)
    check_document(document, "status")
    check_harmless(text, document)
    assert [each for each in found if quote(each.webhook.name) not in text] == []
    assert [each["name"] for each in json.loads(document)["organizations"][0]["webhooks"]] == [
        each.webhook.name for each in found
    ]


@few
@given(
    plans=st.lists(plans(), min_size=1, max_size=3),
    limit=st.integers(4_000, 20_000),
    max_pages=st.integers(1, 4),
    extra=st.integers(0, 5_000),
)
def test_each_operation_is_on_one_page_or_omitted(
    plans: list[Plan], limit: int, max_pages: int, extra: int
) -> None:
    """No page exceeds its limit, and the first one has the number of omitted operations."""
    run = RunPlan(tuple(OrganizationResult(each.organization.name, value=each) for each in plans))
    pages = paged_run(
        run, limit=limit, max_pages=max_pages, extra=lambda found: extra * len(found), foot=FOOT
    )
    assert 1 <= len(pages) <= max_pages
    shown = [member for _, members in pages for member in members]
    assert len(shown) == len(set(shown))
    for text, members in pages:
        assert len(text) + extra * len(members) <= limit
        for number, place in members:
            assert quote(plans[number].operations[place].name).replace("|", "\\|") in text
            assert len(plans) == 1 or quote(plans[number].organization.name) in text
    count = sum(len(each.operations) for each in plans)
    assert ("**Not approved**" in pages[0][0]) is (len(shown) < count)
    assert FOOT in pages[0][0]
