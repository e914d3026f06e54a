"""What holds for every format and every plan, report and finding, whatever they are named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from reconciler.errors import (
    ConfigurationError,
    InvalidRequestError,
    ReconcilerError,
    StalePlanError,
)
from reconciler.findings import Finding
from reconciler.planning.plan import Plan
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, View
from reconciler.render.layout import strip
from reconciler.render.markdown import render_plan, render_report
from reconciler.render.quote import quote
from reconciler.report import Report
from tests.render.oracle import obeyed_characters, read_markdown, runner_commands
from tests.render.strategies import plans, references, reports, some_findings, texts

SCHEMAS = Path(__file__).parents[2] / "schemas"
views = st.builds(
    View,
    width=st.integers(20, 140),
    show_unchanged=st.booleans(),
    key_source=st.none() | texts,
    missing=st.frozensets(references, max_size=2),
    now=st.none() | st.just(datetime(2026, 11, 25, tzinfo=UTC)),
    plan_file=st.none() | texts,
    again=st.none() | st.lists(texts, max_size=2).map(tuple),
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
few = settings(max_examples=40, deadline=None)


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
@given(plan=plans(), view=views)
def test_a_plan_is_harmless_and_always_the_same(form: str, plan: Plan, view: View) -> None:
    """No control character and no workflow command survives, and equal plans give equal text."""
    text = RENDERERS[form]().render_plan(plan, view)
    assert text.endswith("\n")
    assert obeyed_characters(text) == []
    assert runner_commands(text) == []
    assert RENDERERS[form]().render_plan(plan, view) == text


@pytest.mark.parametrize("form", sorted(RENDERERS))
@few
@given(report=reports(), view=views)
def test_a_report_is_harmless(form: str, report: Report, view: View) -> None:
    """No control character and no workflow command survives in a report."""
    text = RENDERERS[form]().render_report(report, view)
    assert obeyed_characters(text) == []
    assert runner_commands(text) == []


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
@few
@given(findings=some_findings, error=errors, view=views)
def test_findings_and_errors_are_harmless(
    form: str, findings: tuple[Finding, ...], error: ReconcilerError, view: View
) -> None:
    """Messages, excerpts and places of findings obey the same law."""
    renderer = RENDERERS[form]()
    for text in (renderer.render_findings(findings, view), renderer.render_error(error, view)):
        assert obeyed_characters(text) == []
        assert runner_commands(text) == []


@few
@given(findings=some_findings, error=errors)
def test_annotations_are_exactly_our_commands(
    findings: tuple[Finding, ...], error: ReconcilerError
) -> None:
    """Each line of annotations is one command, with properties that nothing breaks out of."""
    github = FINDINGS_RENDERERS["github"]()
    for text in (github.render_findings(findings), github.render_error(error)):
        lines = text.splitlines()
        assert runner_commands(text) == lines
        assert obeyed_characters(text) == []
        for line in lines:
            command, _, properties = line[2:].split("::", 1)[0].partition(" ")
            assert command in {"error", "warning", "notice"}
            assert {each.partition("=")[0] for each in properties.split(",")} <= {
                "file", "line", "col", "endColumn", "title",
            }  # fmt: skip


@few
@given(plan=plans(), report=reports(), findings=some_findings, error=errors, view=views)
def test_colour_changes_no_character(
    plan: Plan,
    report: Report,
    findings: tuple[Finding, ...],
    error: ReconcilerError,
    view: View,
) -> None:
    """Text without its colour is the text that is printed without colour."""
    text = RENDERERS["text"]()
    coloured = replace(view, color=True)
    assert strip(text.render_plan(plan, coloured)) == text.render_plan(plan, view)
    assert strip(text.render_report(report, coloured)) == text.render_report(report, view)
    assert strip(text.render_findings(findings, coloured)) == text.render_findings(findings, view)
    assert strip(text.render_error(error, coloured)) == text.render_error(error, view)


@few
@given(plan=plans(), report=reports(), findings=some_findings, error=errors)
def test_documents_follow_their_schemas(
    plan: Plan, report: Report, findings: tuple[Finding, ...], error: ReconcilerError
) -> None:
    """Every JSON document is what the published schema says."""
    json_ = RENDERERS["json"]()
    check_document(json_.render_plan(plan), "plan")
    check_document(json_.render_report(report), "report")
    check_document(json_.render_findings(findings), "findings")
    check_document(json_.render_error(error), "error")


@few
@given(plan=plans(), view=views)
def test_markdown_holds_data_in_code_only(plan: Plan, view: View) -> None:
    """A reader of Markdown sees our words, the names as quoted, and no other structure."""
    read = read_markdown(RENDERERS["markdown"]().render_plan(plan, view))
    assert read.titles == 1
    assert len(read.cells) == len(plan.changes) + len(plan.kept)
    shown = sorted(row[1][0] for row in read.cells)
    assert shown == sorted(quote(each.name) for each in (*plan.changes, *plan.kept))
    assert all(len(row) == 5 for row in read.cells)
    assert len(read.fences) <= 1


@few
@given(report=reports(), findings=some_findings, error=errors)
def test_other_markdown_holds_data_in_code_only(
    report: Report, findings: tuple[Finding, ...], error: ReconcilerError
) -> None:
    """Reports, findings and errors obey the same law."""
    markdown = RENDERERS["markdown"]()
    read = read_markdown(markdown.render_report(report))
    shown = sorted(row[1][0] for row in read.cells)
    names = [each.change.name for each in report.outcomes]
    names += [each.name for each in report.plan.kept]
    assert shown == sorted(map(quote, names))
    assert read_markdown(markdown.render_findings(findings)).titles == 1
    assert read_markdown(markdown.render_error(error)).titles == 1


@few
@given(plan=plans(), report=reports(), percent=st.integers(0, 110))
def test_markdown_fits_its_limit(plan: Plan, report: Report, percent: int) -> None:
    """A text over its limit is cut by whole lines, says so, and stays well formed.

    What is never cut may by itself be over it.
    """
    for render in (partial(render_plan, plan), partial(render_report, report)):
        whole, least = render(), render(View(limit=0))
        limit = len(whole) * percent // 100
        cut = render(View(limit=limit))
        assert len(cut) <= max(limit, len(least))
        assert cut.splitlines()[0] == whole.splitlines()[0]
        added = set(cut.splitlines()) - set(whole.splitlines())
        assert [line[:12] for line in added] == ["_Cut to fit:"] * (cut != whole)
        assert "Cut to fit: 0 rows" not in cut
        read = read_markdown(cut)
        # Details go before rows.
        assert not read.fences or len(read.cells) == len(read_markdown(whole).cells)


@few
@given(plan=plans(), data=st.data())
def test_the_schema_knows_every_key(plan: Plan, data: st.DataObject) -> None:
    """A document with a key too many or one too few is not what the schema says."""
    tree = json.loads(RENDERERS["json"]().render_plan(plan))
    key = data.draw(st.sampled_from(sorted(tree)))
    assert not validator("plan").is_valid({**tree, "more": 1})
    assert not validator("plan").is_valid({name: tree[name] for name in tree if name != key})
