"""Combine what the plans and reports of several organizations show: equal rows are one.

Formats lay out the same parts, whether a run has one organization, which is not named, or several.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeAlias

from reconciler.errors import BlockedError, ReconcilerError
from reconciler.findings import findings_by_organization
from reconciler.model import Organization
from reconciler.planning.plan import Kept, Plan, SecretUse, Snapshot
from reconciler.planning.run import (
    OrganizationResult,
    RunPlan,
)
from reconciler.render import PLAIN, View
from reconciler.render.quote import quote
from reconciler.render.rows import (
    Row,
    duplicate_row,
    group_resends,
    other_rows,
    outcome_row,
    plan_rows,
    written_url,
)
from reconciler.render.words import (
    between,
    secret_destinations,
)
from reconciler.report import Applied, RunReport

Members: TypeAlias = tuple[tuple[int, int], ...]
"""Operations of a run: the index of each one's organization, and its index in that plan."""


class RunRow(NamedTuple):
    """A row, the organizations that it concerns, and its operations if it is about a plan.

    In a run of one organization `organizations` is empty. `url` is one that the file sets, whose
    path no row shows: with another one the same row is not the same change.
    """

    organizations: tuple[str, ...]
    row: Row
    members: Members = ()
    url: str | None = None

    @property
    def change(self) -> Hashable:
        """Return what equal changes have in common, also at other lines of their files."""
        return self.row._replace(place=""), self.url


class _Destinations(NamedTuple):
    """Where secrets are sent: to the same places in each of the organizations of each reference.

    In a run of one organization a reference has none.
    """

    references: tuple[tuple[str, tuple[str, ...]], ...]
    places: tuple[str, ...]


class Combined(NamedTuple):
    """What a run shows: changes or outcomes, declarations that are not applied, and the rest.

    `plan` has the rest, findings, and what is counted but not listed: it is that of the only
    organization, or those of several together, without operations.
    """

    entries: list[RunRow]
    unapplied: list[RunRow]
    secrets: list[_Destinations]
    plan: Plan


def combine(run: RunPlan, view: View = PLAIN) -> Combined:
    """Combine the plans of a run; with `verbosity`, each has its own rows."""
    changes: list[RunRow] = []
    unapplied: list[RunRow] = []
    plans: list[tuple[str, Plan]] = []
    for number, result in enumerate(run.organizations):
        plan = result.value
        # Its problem is an error of the run, which is printed separately.
        if plan is None:
            continue
        name = quote(result.name)
        plans.append((name, plan))
        others = [RunRow((name,), row) for row in other_rows(plan, view)]
        if plan.blocked:  # its changes are not applied, so they are not together with others
            name += " (blocked)"
        for index, change in enumerate(plan_changes(plan, name)):
            changes.append(change._replace(members=((number, index),)))
        if view.verbosity > 0:
            changes += others
        else:
            unapplied += others
    if view.verbosity <= 0 or run.is_single:
        changes = merged(changes, run.is_single)
    return Combined(
        changes,
        merged(unapplied, run.is_single),
        _destinations(plans, run.is_single),
        _together(plans, run.is_single),
    )


def plan_changes(plan: Plan, organization: str) -> list[RunRow]:
    """Return a row for each operation, in plan order."""
    operations = zip(plan.operations, plan_rows(plan), strict=True)
    return [
        RunRow((organization,), row, url=written_url(operation)) for operation, row in operations
    ]


def combine_reports(run: RunReport, view: View) -> Combined:
    """Combine the reports of a run: what was not applied comes first.

    If `verbosity` is -1, leave out applied operations.
    """
    applied: list[RunRow] = []
    failed: list[RunRow] = []
    unapplied: list[RunRow] = []
    plans: list[tuple[str, Plan]] = []
    # A plan with operations was printed before the apply, with its rows and notes.
    is_printed = run.has_operations
    rows_view = view
    if is_printed:
        rows_view = PLAIN
    for result in run.organizations:
        report = result.value
        if report is None:
            continue
        name = quote(result.name)
        plans.append((name, report.plan))
        for outcome in report.outcomes:
            entries = failed
            if isinstance(outcome, Applied):
                entries = applied
            url = written_url(outcome.operation)
            entries.append(RunRow((name,), outcome_row(outcome), url=url))
        applied += (RunRow((name,), duplicate_row(row)) for row in report.duplicates_removed)
        unapplied += (RunRow((name,), row) for row in other_rows(report.plan, rows_view))
    # What needs attention is first, because the end of a long text may be cut.
    outcomes = merged(failed, run.is_single)
    if view.verbosity >= 0:
        outcomes += merged(applied, run.is_single)
    if is_printed:
        plans = []
    return Combined(
        outcomes,
        merged(unapplied, run.is_single),
        _destinations(plans, run.is_single),
        _together(plans, run.is_single and not is_printed),
    )


def merged(entries: Iterable[RunRow], is_single: bool) -> list[RunRow]:
    """Return entries with equal rows once: deletes first, then those of most organizations.

    The order of a single organization stays, without its name.
    """
    if is_single:
        return [entry._replace(organizations=()) for entry in entries]
    groups: dict[Hashable, list[RunRow]] = {}
    for entry in entries:
        groups.setdefault(entry.change, []).append(entry)
    rows = []
    for group in groups.values():
        names = chain.from_iterable(entry.organizations for entry in group)
        members = chain.from_iterable(entry.members for entry in group)
        row = common_row([entry.row for entry in group])
        rows.append(RunRow(tuple(names), row, tuple(members)))
    return sorted(rows, key=lambda entry: (entry.row.sign != "-", -len(entry.organizations)))


def common_row(rows: Sequence[Row]) -> Row:
    """Return equal rows as one, with their position if they have the same."""
    # Each organization may declare it in a file that only it has.
    if len({row.place for row in rows}) > 1:
        return rows[0]._replace(place="")
    return rows[0]


def _destinations(plans: Sequence[tuple[str, Plan]], is_single: bool) -> list[_Destinations]:
    """Return which secrets each organization sends where, equal destinations once."""
    names: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, plan in plans:
        for use in secret_destinations(plan).items():
            names.setdefault(use, []).append(name)
    groups: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = {}
    for (reference, places), organizations in names.items():
        shown = () if is_single else tuple(organizations)
        groups.setdefault(places, []).append((quote(reference), shown))
    return [_Destinations(tuple(references), places) for places, references in groups.items()]


def _together(plans: Sequence[tuple[str, Plan]], is_single: bool) -> Plan:
    """Return what several plans show besides their rows, as one plan without operations."""
    if is_single:
        return plans[0][1]

    failing: list[Snapshot] = []
    kept: list[Kept] = []
    for name, plan in plans:
        failing += _located(plan.failing, name)
        for webhooks in plan.kept:
            kept.append(webhooks._replace(webhooks=_located(webhooks.webhooks, name)))
    return Plan(
        origin="",
        organization=Organization(id="", name=""),
        kept=tuple(kept),
        unmanaged=tuple(chain.from_iterable(plan.unmanaged for _, plan in plans)),
        not_shown=tuple(
            (f"{webhook} in {name}", field, "")
            for name, plan in plans
            for webhook, field in plan.unreadable
        ),
        not_compared=_in_organizations((name, plan.not_compared) for name, plan in plans),
        not_equal=_in_organizations((name, plan.not_equal) for name, plan in plans),
        secrets=tuple(chain.from_iterable(plan.secrets for _, plan in plans)),
        failing=tuple(failing),
        # What blocks or permits more names every organization; notes may be many.
        blocked=findings_by_organization(
            ((name, plan.blocked) for name, plan in plans), most=len(plans)
        ),
        notes=findings_by_organization(((name, plan.notes) for name, plan in plans), most=5),
        relaxed=findings_by_organization(
            ((name, plan.relaxed) for name, plan in plans), most=len(plans)
        ),
    )


def _in_organizations(
    organizations: Iterable[tuple[str, Iterable[SecretUse]]],
) -> tuple[SecretUse, ...]:
    """Return secrets whose webhooks have the organization in their name."""
    return tuple(
        use._replace(webhook=f"{use.webhook} in {name}")
        for name, uses in organizations
        for use in uses
    )


def _located(webhooks: Iterable[Snapshot], organization: str) -> tuple[Snapshot, ...]:
    """Return webhooks with the organization: the name alone would not show whose they are."""
    return tuple(replace(webhook, name=f"{webhook.name} in {organization}") for webhook in webhooks)


def problems(results: Sequence[OrganizationResult[Any]]) -> list[ReconcilerError]:
    """Return the problems of organizations, equal ones once; the message names all of them."""
    # Exceptions are equal only if they are the same object, and each organization has its own.
    groups: dict[Hashable, tuple[ReconcilerError, list[str], list[str]]] = {}
    for result in results:
        problem = result.problem
        if problem is not None:
            # All that the error shows, so that equal entries look the same, but not the overlays
            # through which a finding in a shared file came.
            findings = tuple(finding._replace(related=()) for finding in problem.findings)
            key = (problem.code, problem.message, problem.hint, findings)
            files = between(" (", ", ".join(map(quote, result.files)), ")")
            _, names, labels = groups.setdefault(key, (problem, [], []))
            names.append(quote(result.name))
            labels.append(f"{quote(result.name)}{files}")
    shown = []
    for problem, names, labels in groups.values():
        # A copy, because JSON shows the problem of each organization without names.
        error = copy(problem)
        error.message = f"{', '.join(labels)}: {problem.message}"
        # The findings of guards have no position, which would show the organization.
        if isinstance(problem, BlockedError):
            error.findings = findings_by_organization(
                [(name, problem.findings) for name in names], len(names)
            )
        shown.append(error)
    return shown


def sections(entries: Iterable[RunRow], view: View) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    """Yield the names of organizations with the consecutive rows that concern them.

    With `verbosity`, secrets that are resent for many webhooks are not grouped.
    """
    for names, group in groupby(entries, key=lambda entry: entry.organizations):
        rows = [entry.row for entry in group]
        if view.verbosity <= 0:
            rows = group_resends(rows)
        yield names, rows
