"""What a plan decides about each webhook, and its findings, for the cases of decisions.txt.

A case is a title, a configuration file, and the live webhooks as a list; options and the previous
configuration may follow. After `=>` come the decisions. The file and the live webhooks omit
what most of them have, see `SHARED` and `SHOWN` of
builders.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, Position
from reconciler.model import Desired, FileScope, Policy, Secret, SecretRef
from reconciler.planning.plan import Create, Delete, Operation, Plan, Update
from reconciler.planning.tree import plain
from tests.goldens import NEXT, Golden, cases
from tests.planning.builders import declared, live_rows, live_slack, make_plan, slack

CASES = Path(__file__).with_name("decisions.txt")


def line(position: Position | None) -> str:
    return "" if position is None else f" :{position.line}"


def finding_lines(finding: Finding) -> Iterator[str]:
    where = "-" if finding.position is None else finding.position.line
    yield f"{where} {finding.severity} {finding.rule}: {finding.message}"
    for related in finding.related:
        yield f"  {related.message},{line(related.position)}"
    if finding.hint:
        yield f"  {finding.hint}"


def operation_lines(operation: Operation) -> Iterator[str]:
    match operation:
        case Create():
            yield f"create {operation.name}{line(operation.after.position)}"
        case Update(before=before, after=after):
            yield f"update {before.id} {after.name} ({operation.reason}){line(after.position)}"
            for change in operation.fields:
                values = plain(change)
                path = ".".join(values.pop("path"))
                shown = (f"{key}={value}" for key, value in values.items() if value)
                yield f"  {path}: {', '.join(shown)}"
        case Delete(before=before):
            why = f"{operation.reason}" + ", may differ" * operation.may_differ
            why += f", {operation.kept_id} stays" if operation.kept_id else ""
            yield f"delete {before.id} ({why}){line(operation.position)}"


def decisions(result: Plan) -> Iterator[str]:
    """Yield the decision about each webhook, one per line, and the findings."""
    for operation in result.operations:
        yield from operation_lines(operation)
    for number, webhook in result.matched.items():
        yield f"match {number} {webhook.name}{line(webhook.position)}"
    for kept in result.kept:
        why = f"{kept.reason} {kept.detail}".strip() + ", not applied" * kept.unapplied
        ids = " ".join(webhook.id for webhook in kept.webhooks)
        yield f"keep {ids} ({why}){line(kept.position)}"
    for kept in result.unmanaged:
        yield f"unmanaged {kept.webhooks[0].id} ({kept.reason})"
    for name, field, _ in result.not_shown:
        yield f"not shown: {field} of {name}"
    for use in result.not_compared:
        yield f"not compared: {use.field} of {use.webhook}"
    for use in result.secrets:
        yield f"sends {use.reference} in {use.field} of {use.webhook} to {use.destination}"
    yield f"in scope {result.counts.in_scope}, ignored {result.counts.ignored}"
    for finding in (*result.blocked, *result.notes, *result.relaxed):
        yield from finding_lines(finding)


def described(text: str) -> str:
    configuration, listed, *more = text.split(NEXT)
    options: dict[str, Any] = (yaml.safe_load(more[0]) or {}) if more else {}
    if "secrets" in options:
        values = options["secrets"].items()
        options["secrets"] = {SecretRef("env", name): Secret(value) for name, value in values}
    if more[1:]:
        options["previous"] = declared(more[1])
    rows = live_rows(yaml.safe_load(listed) or ())
    try:
        lines = list(decisions(make_plan(declared(configuration), *rows, **options)))
    except ConfigurationError as error:
        lines = [text for finding in error.findings for text in finding_lines(finding)]
    return "".join(f"{text}\n" for text in lines)


@pytest.mark.parametrize("title", cases(CASES))
def test_decisions(title: str, golden: Golden) -> None:
    """Each case has the documented decisions and findings."""
    golden.case(CASES, title, described(cases(CASES)[title][0]))


def test_each_file_has_its_own_scope() -> None:
    """Undeclared webhooks are those of the file whose scope has their name."""
    scopes = (FileScope(file="a", prune=False), FileScope(file="b", globs=("t-*",)))
    declaration = Desired(webhooks=(slack(),), policy=Policy(scopes=scopes, max_deletes=10))
    rows = [live_slack(name, name) for name in ("Deploys", "t-1", "u-1")]
    lines = list(decisions(make_plan(declaration, *rows)))
    assert lines[0] == "delete t-1 (not-declared)"
    assert lines[2] == "unmanaged u-1 (prune-off)"
    outside = (FileScope(file="webhooks.yaml", globs=("b-*",)), FileScope(file="b", globs=("a-*",)))
    declaration = Desired(
        webhooks=(slack("b-x", id="id-1"), slack("a-x")), policy=Policy(scopes=outside)
    )
    with pytest.raises(ConfigurationError) as caught:
        make_plan(declaration, live_slack("a-x"))
    conflicts = [(finding.rule, finding.severity) for finding in caught.value.findings]
    assert conflicts == [("live-out-of-scope", "warning"), ("name-taken", "error")]
