"""Combine what the plans, reports and drift of several organizations show: equal rows are one.

Formats lay out the same parts, whether a run has one organization, which is not named, or several.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from glob import escape
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeAlias

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, plural
from reconciler.model import Organization
from reconciler.planning.plan import Create, Delete, Kept, Operation, Plan, SecretUse, Snapshot
from reconciler.planning.planner import declare_previously
from reconciler.planning.run import (
    Drifted,
    DriftReport,
    OrganizationDrift,
    OrganizationResult,
    RunPlan,
)
from reconciler.render import PLAIN, View
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    FieldLine,
    Row,
    duplicate_row,
    group_resends,
    kept_row,
    other_rows,
    outcome_row,
    plan_rows,
    sentence,
    written_url,
)
from reconciler.render.words import (
    apply_command,
    between,
    organization_counts,
    secret_destinations,
    shorten,
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
        for index, change in enumerate(_changes(plan, name)):
            changes.append(change._replace(members=((number, index),)))
        if view.verbosity > 0:
            changes += others
        else:
            unapplied += others
    if view.verbosity <= 0 or run.is_single:
        changes = _merged(changes, run.is_single)
    return Combined(
        changes,
        _merged(unapplied, run.is_single),
        _destinations(plans, run.is_single),
        _together(plans, run.is_single),
    )


def _changes(plan: Plan, organization: str) -> list[RunRow]:
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
    is_printed = any(report.plan.operations for report in run.reports)
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
    outcomes = _merged(failed, run.is_single)
    if view.verbosity >= 0:
        outcomes += _merged(applied, run.is_single)
    if is_printed:
        plans = []
    return Combined(
        outcomes,
        _merged(unapplied, run.is_single),
        _destinations(plans, run.is_single),
        _together(plans, run.is_single and not is_printed),
    )


def _merged(entries: Iterable[RunRow], is_single: bool) -> list[RunRow]:
    """Return entries with equal rows once: deletes first, then those of most organizations.

    The order of a single organization stays, without its name.
    """
    if is_single:
        return [entry._replace(organizations=()) for entry in entries]
    groups: dict[Hashable, list[RunRow]] = {}
    for entry in entries:
        groups.setdefault(entry.change, []).append(entry)
    merged = []
    for group in groups.values():
        names = chain.from_iterable(entry.organizations for entry in group)
        members = chain.from_iterable(entry.members for entry in group)
        row = _common_row([entry.row for entry in group])
        merged.append(RunRow(tuple(names), row, tuple(members)))
    return sorted(merged, key=lambda entry: (entry.row.sign != "-", -len(entry.organizations)))


def _common_row(rows: Sequence[Row]) -> Row:
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
        blocked=_findings(((name, plan.blocked) for name, plan in plans), most=len(plans)),
        notes=_findings(((name, plan.notes) for name, plan in plans), most=5),
        relaxed=_findings(((name, plan.relaxed) for name, plan in plans), most=len(plans)),
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


def _findings(
    organizations: Iterable[tuple[str, Sequence[Finding]]], most: int
) -> tuple[Finding, ...]:
    """Return findings once, each with at most `most` of its organizations in the message."""
    names_by_finding: dict[Finding, list[str]] = {}
    for name, findings in organizations:
        for finding in findings:
            names_by_finding.setdefault(finding, []).append(name)
    return tuple(
        finding._replace(message=f"{finding.message} (in {shorten(names, most)})")
        for finding, names in names_by_finding.items()
    )


def problems(results: Sequence[OrganizationResult[Any]]) -> list[ReconcilerError]:
    """Return the problems of organizations, equal ones once; the message names all of them."""
    # Exceptions are equal only if they are the same object, and each organization has its own.
    groups: dict[Hashable, tuple[ReconcilerError, list[str]]] = {}
    for result in results:
        problem = result.problem
        if problem is not None:
            # All that the error shows, so that equal entries look the same.
            key = (problem.code, problem.message, problem.hint, problem.findings)
            files = between(" (", ", ".join(map(quote, result.files)), ")")
            groups.setdefault(key, (problem, []))[1].append(f"{quote(result.name)}{files}")
    shown = []
    for problem, names in groups.values():
        # A copy, because JSON shows the problem of each organization without names.
        error = copy(problem)
        error.message = f"{', '.join(names)}: {problem.message}"
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


_Organization: TypeAlias = OrganizationResult[OrganizationDrift]


class _Ways(NamedTuple):
    """The commands that revert and accept a webhook that drifted.

    If no command accepts it, `refusal` is the reason. `condition` is what must be true before
    `accept` is run.
    """

    revert: str = ""
    accept: str = ""
    refusal: str = ""
    condition: str = ""

    @property
    def why_not(self) -> str:
        """Return why the files are not edited without a person, empty if they are."""
        if self.condition:
            return f"{self.condition}; if it is, run `{self.accept}`"
        return self.refusal


class Block(NamedTuple):
    """Webhooks that drifted in the same way in the named organizations.

    `rows` show what a revert changes. `ways` has no command after the edit, and in a view without
    options for commands. `note` has the other name of a renamed one.
    """

    organizations: tuple[str, ...]
    rows: tuple[Row, ...]
    ways: _Ways
    note: str


def drift_blocks(report: DriftReport, view: View) -> list[Block]:
    """Return the webhooks that drifted."""
    groups: dict[tuple[Hashable, str], list[tuple[_Organization, Drifted, list[Row]]]] = {}
    for organization, drift, entries in _drifts(report):
        for webhook in drift.drifted:
            shown = [entries[index] for index in webhook.operations]
            changes = tuple(entry.change for entry in shown)
            is_accepted = report.is_accepted(webhook)
            note = rename_note(drift.plan, webhook, is_accepted=is_accepted)
            group = (changes, webhook.refusal, webhook.commit, bool(webhook.files))
            rows = [entry.row for entry in shown]
            groups.setdefault((group, note), []).append((organization, webhook, rows))
    return [_block(report, members, note, view) for (_, note), members in groups.items()]


def _block(
    report: DriftReport,
    members: Sequence[tuple[_Organization, Drifted, list[Row]]],
    note: str,
    view: View,
) -> Block:
    organizations = [organization for organization, _, _ in members]
    names = [quote(organization.name) for organization in organizations]
    if report.is_single:
        names = []
    webhook = members[0][1]
    ways = drift_commands(report, organizations, webhook, view)
    if report.reverted_together:
        ways = ways._replace(revert="")
    rows = zip(*(shown for _, _, shown in members), strict=True)
    common = tuple(map(_common_row, rows))
    return Block(tuple(names), common, ways, prose(note))


def rename_note(plan: Plan, webhook: Drifted, *, is_accepted: bool) -> str:
    """Return under which other name a declared webhook is live; empty if it was not renamed.

    Unless the name is accepted, the note has the way back that keeps the webhook.
    """
    operations = [plan.operations[index] for index in webhook.operations]
    match operations:
        case [Create(after=declared), Delete(before=live)]:
            renamed = f"renamed live: {quote(declared.name)} -> {quote(live.name)}"
            if is_accepted:
                return renamed
            # Only a person can tell that it is the same webhook, so no operation renames it.
            return (
                f"{renamed}; an apply would delete it and create a new one. To keep its id and "
                "hidden secrets, rename it back in CloudTruth, or "
                f"{declare_previously(live.name, declared.name)} and apply"
            )
    if _may_be_original(operations):
        return (
            "to revert, delete the one that you do not want by hand, or declare the `id` of the "
            "one to keep and apply"
        )
    other = _other_name(plan, operations)
    if other is None:
        return ""
    return f"may be live as {other!r}, which an apply would keep"


def _other_name(plan: Plan, operations: Sequence[Operation]) -> str | None:
    """Return the name of the live webhook that a single create may be, None without one."""
    match operations:
        case [Create(after=declared)] if declared.name in plan.renamed:
            return plan.renamed[declared.name].name
    return None


def _may_be_original(operations: Iterable[Operation]) -> bool:
    """Return whether one of the operations deletes a duplicate whose secrets may differ."""
    return any(isinstance(operation, Delete) and operation.may_differ for operation in operations)


def _drifts(
    report: DriftReport,
) -> Iterator[tuple[_Organization, OrganizationDrift, list[RunRow]]]:
    """Yield each organization that was planned, with a row for each operation.

    The rows have no label, because they are in a section of their kind.
    """
    for organization in report.organizations:
        drift = organization.value
        if drift is not None:
            yield organization, drift, _changes(drift.plan.unlabeled, quote(organization.name))


def drift_commands(
    report: DriftReport, organizations: Sequence[_Organization], webhook: Drifted, view: View
) -> _Ways:
    """Return the commands that revert and accept a webhook in the organizations.

    None reverts a webhook that is live under another name, which would stay, or deletes a duplicate
    that may be the original, with a secret that cannot be read back.
    """
    # Accepted edits are in the files already, so that an apply does not revert them.
    if view.apply_options is None or report.is_accepted(webhook):
        return _Ways(refusal=webhook.refusal)
    drift = organizations[0].value
    assert drift is not None
    operations = [drift.plan.operations[index] for index in webhook.operations]
    # A create would be a second webhook.
    is_live = _other_name(drift.plan, operations) is not None
    if is_live or _may_be_original(operations):
        return _Ways(refusal=webhook.refusal)
    # A name may contain the characters of globs.
    only = [word for operation in operations for word in ("--only", escape(operation.name))]
    files = _file_options(report, organizations)
    allowed = _allowed_deletes(operations, len(organizations))
    revert = apply_command(view, *files, *only, *allowed)
    base = report.base
    if webhook.commit:
        base = ("--base", webhook.commit.rpartition("..")[2])
    accept = apply_command(view, *files, "--accept", *base, *only, command="drift")
    return _ways(webhook, revert, accept)


def _allowed_deletes(operations: Iterable[Operation], count: int) -> list[str]:
    """Return the option that allows the deletes of operations in `count` organizations."""
    # Of the few webhooks that --only selects, the guards allow no delete.
    deletes = count * sum(isinstance(operation, Delete) for operation in operations)
    return ["--allow-deletes", str(deletes)] if deletes else []


def _ways(webhook: Drifted, revert: str, accept: str) -> _Ways:
    """Return the commands, without the second one if the change cannot be accepted."""
    if webhook.commit and accept:
        reason = f"commit {webhook.commit} also changed this webhook and may not be applied yet"
        return _Ways(revert, accept, condition=reason)
    refusal = webhook.refusal
    if not refusal and not accept:
        refusal = "a name has characters that a command cannot show: rename it first"
    return _Ways(revert, "" if refusal else accept, refusal)


def _file_options(report: DriftReport, organizations: Sequence[_Organization]) -> list[str]:
    """Return the options that name the files of some organizations."""
    # A command for all of them finds their files as this one did.
    if len(organizations) == len(report.organizations):
        return []
    paths = chain.from_iterable(organization.files for organization in organizations)
    return [word for path in paths for word in ("-f", path)]


def drift_others(report: DriftReport, view: View) -> Iterator[tuple[str, str, list[RunRow]]]:
    """Yield the differences that are not drift, or that may be none.

    Each has a title, and the command that the title introduces, if there is one.
    """
    kept_title = "Drift to resolve by hand:"
    merged_title = "Waiting to be applied, from merged pull requests:"
    title = "File changes that are not applied yet:"
    if report.unknown:
        title = "Differences that may be drift or file changes:"
    entries: dict[str, list[RunRow]] = {kept_title: [], title: [], merged_title: []}
    drifts = list(_drifts(report))
    for organization, drift, changes in drifts:
        names = (quote(organization.name),)
        entries[kept_title] += (RunRow(names, kept_row(kept)) for kept in drift.unapplied)
        entries[title] += (changes[index] for index in drift.not_applied)
        entries[merged_title] += (changes[index] for index in drift.merged)
    for title, rows in entries.items():
        if rows:
            yield title, "", _merged(rows, report.is_single)
    yield from _not_equal(report, view)
    yield from _waiting(report, drifts, view)


def _waiting(
    report: DriftReport,
    drifts: Iterable[tuple[_Organization, OrganizationDrift, list[RunRow]]],
    view: View,
) -> Iterator[tuple[str, str, list[RunRow]]]:
    """Yield the changes of each commit that may not be applied yet, as `drift_others` does."""
    waiting: dict[str, tuple[list[_Organization], list[RunRow]]] = {}
    for organization, drift, changes in drifts:
        for index, commit in zip(drift.waiting, drift.commits, strict=True):
            organizations, rows = waiting.setdefault(commit, ([], []))
            if organization not in organizations:
                organizations.append(organization)
            rows.append(changes[index])
    for commit, (organizations, rows) in waiting.items():
        title = f"Possibly not applied yet (changed by commit {commit})"
        # With the change in the base, what remains is drift. It is no base for the other files.
        files = _file_options(report, organizations)
        command = apply_command(view, *files, "--base", commit.rpartition("..")[2], command="drift")
        if command:
            title = f"{title}; if it is applied, run"
        yield f"{title}:", command, _merged(rows, report.is_single)


def _not_equal(report: DriftReport, view: View) -> Iterator[tuple[str, str, list[RunRow]]]:
    """Yield the secrets that may be encrypted, with the command that sends them."""
    requests: dict[str, None] = {}
    rows: list[RunRow] = []
    for organization in report.organizations:
        for use in organization.value.not_equal if organization.value else ():
            requests[use.reference.argument] = None
            unequal = sentence(f"is not the value of {quote(str(use.reference))}")
            row = Row(
                sign="!",
                name=quote(use.webhook),
                what=quote(use.destination),
                fields=(FieldLine(quote(use.field), tuple(unequal)),),
            )
            rows.append(RunRow((quote(organization.name),), row))
    if not rows:
        return
    options = [word for request in requests for word in ("--resend-secret", request)]
    title, command = "Not equal, but possibly stored encrypted", ""
    if view.apply_options is not None:
        command = apply_command(view, *options)
    if command:
        title += "; this command sends the values"
    yield f"{title}:", command, _merged(rows, report.is_single)


def _drift_count(report: DriftReport) -> str:
    """Return the number of webhooks that changed live, or of changes that may be drift."""
    unapplied = sum(len(drift.unapplied) for drift in report.drifts)
    number = len(list(report.webhooks)) + unapplied
    if number:
        return f"Drift: {plural(number, 'live webhook')} changed."
    overdue = sum(drift.overdue for drift in report.drifts)
    if overdue:
        return f"Drift, unless still to be applied: {plural(overdue, 'file change')}."
    unequal = sum(len(drift.not_equal) for drift in report.drifts)
    if unequal:
        return f"Possibly drift: {plural(unequal, 'secret')} may differ."
    if any(drift.waiting for drift in report.drifts):
        return "No drift, if the last file change is not applied yet."
    return "No drift."


def drift_conclusion(report: DriftReport, view: View) -> tuple[list[str], str]:
    """Return the number of webhooks that drifted, and the command that accepts all of it."""
    compared, total = len(report.drifts), len(report.organizations)
    # Nothing is known about the drift of an organization that failed.
    failures = ""
    if compared < total:
        failures = organization_counts(total, f"{compared} compared", total - compared)
    if report.unknown and report.differs:
        reason = f"Cannot distinguish drift from file changes: {prose(report.unknown)}."
        texts = [reason + between(" ", failures)]
        if not report.reverted_together:
            texts.append("Pass the previous configuration with --base.")
        return texts, ""
    if not compared:
        return [failures], ""
    count = _drift_count(report) + between(" ", failures)
    if not report.diffs:
        return [count], ""
    text, command = _acceptance(report, view)
    return [count, text], command


def _names(report: DriftReport, *, edited: bool) -> set[str]:
    """Return the names of the webhooks whose files the diff edits, or of the others."""
    return {
        drift.plan.operations[index].name
        for drift in report.drifts
        for webhook in drift.drifted
        if bool(webhook.files) == edited
        for index in webhook.operations
    }


def _acceptance(report: DriftReport, view: View) -> tuple[str, str]:
    """Return how to accept the drift, or that it is accepted, and a command if there is one."""
    editable = plural(sum(bool(webhook.files) for webhook in report.webhooks), "change")
    if report.accepted:
        files = ", ".join(quote(diff.file) for diff in report.diffs)
        return f"Edited to accept {editable}: {files}.", ""
    way = f"To accept {editable}, run `git apply` on this diff"
    command = ""
    # With a base, a command without names would also accept what waits.
    waits = any(drift.merged or (drift.waiting and report.base) for drift in report.drifts)
    names = _names(report, edited=True)
    refused = _names(report, edited=False)
    # Of several organizations, another one may have refused a webhook of the same name.
    if view.apply_options is not None and not waits and not refused & names:
        # Elsewhere, what this run refuses may be accepted.
        limited = sorted(names) if refused else []
        only = chain.from_iterable(("--only", escape(name)) for name in limited)
        command = apply_command(view, *only, "--accept", *report.base, command="drift")
    if not command:
        return f"{way}.", ""
    return f"{way}, or run:", command
