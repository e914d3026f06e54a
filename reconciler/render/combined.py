"""Combine what the plans of several organizations show: equal changes are one row.

A row or a note of several organizations lists them. Formats lay out the same parts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain, groupby
from typing import Final, NamedTuple, TypeAlias, TypeVar

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding
from reconciler.model import Organization
from reconciler.planning.plan import OrganizationResult, Plan, RunPlan, T
from reconciler.render import PLAIN, View
from reconciler.render.quote import quote
from reconciler.render.rows import (
    Row,
    duplicate_row,
    group_resends,
    other_rows,
    outcome_row,
    plan_rows,
)
from reconciler.render.words import between, shorten
from reconciler.report import Applied, RunReport

_V = TypeVar("_V")

_MOST_NAMES: Final = 5
"""The organizations that a note lists; rows and problems list all."""


class Section(NamedTuple):
    """Rows that are the same in all of the named organizations."""

    organizations: tuple[str, ...]
    rows: tuple[Row, ...]


class Change(NamedTuple):
    """Operations that look the same: their organizations, their row, and which they are.

    Each member is the index of an organization in the run and that of an operation in its plan.
    """

    organizations: tuple[str, ...]
    row: Row
    members: tuple[tuple[int, int], ...]


Pair: TypeAlias = tuple[tuple[str, ...], Row]
"""A row with the organizations that it concerns."""


class Combined(NamedTuple):
    """What a run shows: the plan of its organization, or those of several organizations together.

    `changes` start with the deletes. `unapplied` are declarations that are not applied. `plan` has
    the rest: findings, secrets, and what is counted but not listed.
    """

    changes: list[Change]
    unapplied: list[Pair]
    plan: Plan


def combine(run: RunPlan, view: View = PLAIN) -> Combined:
    """Combine the plans of a run. A single organization is not named, and `view` applies to it."""
    changes = _changes(run)
    if run.is_single:
        (plan,) = run.plans
        return Combined(changes, [((), row) for row in other_rows(plan, view)], plan)
    plans = [
        (quote(result.name), result.value)
        for result in run.organizations
        if result.value is not None
    ]
    unapplied = equal_rows((name, row) for name, plan in plans for row in other_rows(plan, PLAIN))
    return Combined(changes, unapplied, _together(plans))


def _changes(run: RunPlan) -> list[Change]:
    """Return the changes of a run: deletes first, then those of most organizations."""
    if run.is_single:
        rows = enumerate(plan_rows(run.plans[0]))
        changes = [Change((), row, ((0, index),)) for index, row in rows]
        return sorted(changes, key=lambda change: change.row.sign != "-")
    planned: list[tuple[str, tuple[Row, tuple[int, int]]]] = []
    for number, result in enumerate(run.organizations):
        plan = result.value
        if plan is None:
            continue
        name = quote(result.name)
        if plan.blocked:  # its changes are not applied, so they are not together with others
            name += " (blocked)"
        for index, row in enumerate(plan_rows(plan)):
            planned.append((name, (row, (number, index))))
    changes = []
    # The same change may be declared at another line in the file of each organization.
    for names, group in _grouped(planned, lambda change: change[0]._replace(place="")):
        row = together([row for row, _ in group])
        changes.append(Change(names, row, tuple(member for _, member in group)))
    return sorted(changes, key=lambda change: (change.row.sign != "-", -len(change.members)))


def _together(plans: Sequence[tuple[str, Plan]]) -> Plan:
    """Return what several plans show besides their rows, as one plan without operations."""
    failing = [
        replace(webhook, name=f"{webhook.name} in {name}")
        for name, plan in plans
        for webhook in plan.failing
    ]
    return Plan(
        origin="",
        organization=Organization(id="", name=""),
        kept=tuple(chain.from_iterable(plan.kept for _, plan in plans)),
        unmanaged=tuple(chain.from_iterable(plan.unmanaged for _, plan in plans)),
        not_shown=tuple(chain.from_iterable(plan.unreadable for _, plan in plans)),
        not_compared=tuple(chain.from_iterable(plan.not_compared for _, plan in plans)),
        secrets=tuple(chain.from_iterable(plan.secrets for _, plan in plans)),
        failing=tuple(failing),
        # What blocks or permits more names every organization; notes may be many.
        blocked=_findings(((name, plan.blocked) for name, plan in plans), most=len(plans)),
        notes=_findings((name, plan.notes) for name, plan in plans),
        relaxed=_findings(((name, plan.relaxed) for name, plan in plans), most=len(plans)),
    )


class _CombinedReports(NamedTuple):
    """The outcomes of several organizations, the declarations that are not applied, and notes."""

    outcomes: list[Pair]
    unapplied: list[Pair]
    notes: tuple[Finding, ...]


def combine_reports(run: RunReport, *, only_failed: bool = False) -> _CombinedReports:
    """Combine the reports of a run: what was not applied first, then the most frequent outcomes.

    With `only_failed`, leave out applied operations.
    """
    plans: list[tuple[str, Plan]] = []
    failed: list[tuple[str, Row]] = []
    applied: list[tuple[str, Row]] = []
    for result in run.organizations:
        report = result.value
        if report is None:
            continue
        name = quote(result.name)
        plans.append((name, report.plan))
        for outcome in report.outcomes:
            rows = applied if isinstance(outcome, Applied) else failed
            rows.append((name, outcome_row(outcome)))
        applied += ((name, duplicate_row(removed)) for removed in report.duplicates_removed)
    outcomes = _most_frequent(failed)
    if not only_failed:
        outcomes += _most_frequent(applied)
    return _CombinedReports(
        outcomes=outcomes,
        unapplied=equal_rows(
            (name, row) for name, plan in plans for row in other_rows(plan, PLAIN)
        ),
        notes=_unprinted_notes(plans),
    )


def _unprinted_notes(plans: Sequence[tuple[str, Plan]]) -> tuple[Finding, ...]:
    # A plan with operations was printed before the apply, with its notes.
    if any(plan.operations for _, plan in plans):
        return ()
    return _findings((name, plan.notes) for name, plan in plans)


def _most_frequent(rows: Iterable[tuple[str, Row]]) -> list[Pair]:
    """Return equal rows once, those of most organizations first."""
    return sorted(equal_rows(rows), key=lambda pair: -len(pair[0]))


def sections(rows: Iterable[Pair]) -> Iterator[Section]:
    """Yield sections for consecutive rows of the same organizations."""
    for names, pairs in groupby(rows, key=lambda pair: pair[0]):
        yield Section(names, tuple(group_resends(row for _, row in pairs)))


def together(rows: Sequence[Row]) -> Row:
    """Return equal rows as one, with their position if they have the same."""
    # Each organization may declare it in a file that only it has.
    if len({row.place for row in rows}) > 1:
        return rows[0]._replace(place="")
    return rows[0]


def equal_rows(rows: Iterable[tuple[str, Row]]) -> list[Pair]:
    """Return the rows of organizations, equal ones once, with the names of the organizations."""
    groups = _grouped(rows, lambda row: row._replace(place=""))
    return [(names, together(members)) for names, members in groups]


def _grouped(
    pairs: Iterable[tuple[str, _V]], key: Callable[[_V], Hashable]
) -> list[tuple[tuple[str, ...], list[_V]]]:
    """Group what looks the same, by the `key`, with the names of the organizations."""
    groups: dict[Hashable, list[tuple[str, _V]]] = {}
    for name, value in pairs:
        groups.setdefault(key(value), []).append((name, value))
    return [
        (tuple(name for name, _ in group), [value for _, value in group])
        for group in groups.values()
    ]


def _findings(
    organizations: Iterable[tuple[str, Sequence[Finding]]], most: int = _MOST_NAMES
) -> tuple[Finding, ...]:
    """Return findings with the organizations that they concern in their messages."""
    pairs = ((name, finding) for name, findings in organizations for finding in findings)
    return tuple(
        finding._replace(message=f"{finding.message} (in {shorten(names, most)})")
        for names, (finding, *_) in _grouped(pairs, lambda finding: finding)
    )


def problems(results: Sequence[OrganizationResult[T]]) -> list[ReconcilerError]:
    """Return the problems of organizations, equal ones once; the message names all of them."""
    pairs: list[tuple[str, ReconcilerError]] = []
    for result in results:
        if result.problem is not None:
            files = between(" (", ", ".join(map(quote, result.files)), ")")
            pairs.append((f"{quote(result.name)}{files}", result.problem))
    shown = []
    for names, (problem, *_) in _grouped(pairs, _look):
        # A copy, because JSON shows the problem of each organization without names.
        error = copy(problem)
        error.message = f"{', '.join(names)}: {problem.message}"
        shown.append(error)
    return shown


def _look(problem: ReconcilerError) -> Hashable:
    # Exceptions are equal only if they are the same object, and each organization has its own.
    return problem.code, problem.message, problem.hint, problem.findings
