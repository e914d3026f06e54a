"""Lay out drift: webhooks that changed in the same way, and how to revert or accept that."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from glob import escape
from itertools import chain
from typing import NamedTuple, TypeAlias

from reconciler.findings import plural
from reconciler.planning.drift import declare_previously
from reconciler.planning.plan import Create, Delete, Operation, Plan
from reconciler.planning.review import only_values_differ
from reconciler.planning.run import (
    Drifted,
    DriftReport,
    FileDiff,
    OrganizationDrift,
    OrganizationResult,
)
from reconciler.render import View
from reconciler.render.combined import RunRow, common_row, merged, plan_changes
from reconciler.render.quote import prose, quote, repeated, visible
from reconciler.render.rows import (
    Atom,
    FieldLine,
    Row,
    kept_row,
    sentence,
)
from reconciler.render.words import (
    apply_command,
    between,
    hidden_values,
    in_compared_fields,
    organization_counts,
)

_Organization: TypeAlias = OrganizationResult[OrganizationDrift]
_Compared: TypeAlias = tuple[_Organization, OrganizationDrift, list[RunRow]]
"""An organization that was planned, with a row for each operation."""
_Section: TypeAlias = tuple[str, str, list[RunRow]]
"""A title, the command that it introduces, if there is one, and rows."""


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

    `rows` show what a revert changes. `ways` has the other name of a renamed one, then how to
    revert and accept the change: without commands after the edit, and in a view without options
    for commands.
    """

    organizations: tuple[str, ...]
    rows: tuple[Row, ...]
    ways: tuple[FieldLine, ...]


class _Occurrence(NamedTuple):
    """A webhook that drifted in one organization, with the row of each operation."""

    organization: _Organization
    webhook: Drifted
    rows: list[Row]
    note: str


def drift_blocks(report: DriftReport, view: View) -> list[Block]:
    """Return the webhooks that drifted."""
    groups: dict[Hashable, list[_Occurrence]] = {}
    for organization, drift, entries in _drifts(report):
        for webhook in drift.drifted:
            shown = [entries[index] for index in webhook.operations]
            changes = tuple(entry.change for entry in shown)
            is_accepted = report.is_accepted(webhook)
            note = rename_note(drift.plan, webhook, is_accepted=is_accepted)
            alike = (changes, webhook.refusal, webhook.commit, bool(webhook.files), note)
            occurrence = _Occurrence(organization, webhook, [entry.row for entry in shown], note)
            groups.setdefault(alike, []).append(occurrence)
    return [_block(report, occurrences, view) for occurrences in groups.values()]


def _block(report: DriftReport, occurrences: Sequence[_Occurrence], view: View) -> Block:
    organizations = [occurrence.organization for occurrence in occurrences]
    names = [quote(organization.name) for organization in organizations]
    if report.is_single:
        names = []
    first = occurrences[0]
    ways = drift_commands(report, organizations, first.webhook, view)
    if report.reverted_together:
        ways = ways._replace(revert="")
    rows = zip(*(occurrence.rows for occurrence in occurrences), strict=True)
    common = tuple(map(common_row, rows))
    return Block(tuple(names), common, tuple(_lines(first.note, ways)))


def _lines(note: str, ways: _Ways) -> Iterator[FieldLine]:
    """Yield the lines below a webhook; a command is one piece, to be copied."""
    if note:
        yield FieldLine("note", tuple(sentence(prose(note))))
    if ways.revert:
        yield FieldLine("revert", (Atom(ways.revert),))
    if ways.why_not:
        start = "by hand: " if ways.refusal else ""
        yield FieldLine("accept", tuple(sentence(start + prose(ways.why_not))))
    elif ways.accept:
        yield FieldLine("accept", (Atom(ways.accept),))


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


def _drifts(report: DriftReport) -> Iterator[_Compared]:
    """Yield each organization that was planned.

    The rows have no label, because they are in a section of their kind.
    """
    for organization in report.organizations:
        drift = organization.value
        if drift is not None:
            yield organization, drift, plan_changes(drift.plan.unlabeled, quote(organization.name))


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
    only = repeated("--only", (escape(operation.name) for operation in operations))
    files = _file_options(report, organizations)
    allowed = _allowed_deletes(operations, len(organizations))
    revert = apply_command(view, *files, *only, *allowed)
    accept = ""
    # No file has a value, whatever the base.
    if not only_values_differ(operations[0]):
        base = report.base
        if webhook.commit:
            base = ("--base", webhook.commit.rpartition("..")[2])
        accept = apply_command(view, *files, "--accept", *base, *only, command="drift")
    return _ways(webhook, revert, accept)


def _ways(webhook: Drifted, revert: str, accept: str) -> _Ways:
    """Return the commands, and why a webhook is not accepted or when it can be."""
    if not accept:
        refusal = "no command can show a name, or a secret in it: rename it first"
        return _Ways(revert, refusal=webhook.refusal or refusal)
    if webhook.commit:
        reason = f"commit {webhook.commit} also changed this webhook and may not be applied yet"
        return _Ways(revert, accept, condition=reason)
    if webhook.refusal:
        return _Ways(revert, refusal=webhook.refusal)
    return _Ways(revert, accept)


def _allowed_deletes(operations: Iterable[Operation], count: int) -> list[str]:
    """Return the option that allows the deletes of operations in `count` organizations."""
    # Of the few webhooks that --only selects, the guards allow no delete.
    deletes = count * sum(isinstance(operation, Delete) for operation in operations)
    return ["--allow-deletes", str(deletes)] if deletes else []


def _file_options(report: DriftReport, organizations: Sequence[_Organization]) -> list[str]:
    """Return the options that name the files of some organizations."""
    # A command for all of them finds their files as this one did.
    if len(organizations) == len(report.organizations):
        return []
    paths = chain.from_iterable(organization.files for organization in organizations)
    return repeated("-f", paths)


def drift_others(report: DriftReport, view: View) -> Iterator[_Section]:
    """Yield the differences that are not drift, or that may be none."""
    unapplied: list[RunRow] = []
    not_applied: list[RunRow] = []
    reviewed: list[RunRow] = []
    drifts = list(_drifts(report))
    for organization, drift, changes in drifts:
        names = (quote(organization.name),)
        unapplied += (RunRow(names, kept_row(kept)) for kept in drift.unapplied)
        not_applied += (changes[difference.operation] for difference in drift.not_applied)
        reviewed += (changes[difference.operation] for difference in drift.merged)
    not_applied_title = "File changes that are not applied yet:"
    if report.unknown:
        not_applied_title = "Differences that may be drift or file changes:"
    for title, rows in (
        ("Drift to resolve by hand:", unapplied),
        (not_applied_title, not_applied),
        ("Waiting to be applied, from merged pull requests:", reviewed),
    ):
        if rows:
            yield title, "", merged(rows, report.is_single)
    yield from _not_equal(report, view)
    yield from _waiting(report, drifts, view)


def _waiting(report: DriftReport, drifts: Iterable[_Compared], view: View) -> Iterator[_Section]:
    """Yield the changes of each commit that may not be applied yet."""
    waiting: dict[str, tuple[list[_Organization], list[RunRow]]] = {}
    for organization, drift, changes in drifts:
        for difference in drift.waiting:
            organizations, rows = waiting.setdefault(difference.commit, ([], []))
            if organization not in organizations:
                organizations.append(organization)
            rows.append(changes[difference.operation])
    for commit, (organizations, rows) in waiting.items():
        title = f"Possibly not applied yet (changed by commit {commit})"
        # With the change in the base, what remains is drift. It is no base for the other files.
        files = _file_options(report, organizations)
        command = apply_command(view, *files, "--base", commit.rpartition("..")[2], command="drift")
        if command:
            title = f"{title}; if it is applied, run"
        yield f"{title}:", command, merged(rows, report.is_single)


def _not_equal(report: DriftReport, view: View) -> Iterator[_Section]:
    """Yield the secrets that may be encrypted, with the command that sends them."""
    rows: list[RunRow] = []
    for organization in report.organizations:
        for use in organization.value.not_equal if organization.value else ():
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
    options = repeated("--resend-secret", _offered(report))
    title, command = "Not equal, but possibly stored encrypted", ""
    if options:
        command = apply_command(view, *options)
    if command:
        title += "; this command sends the values"
    yield f"{title}:", command, merged(rows, report.is_single)


def _offered(report: DriftReport) -> list[str]:
    """Return the secrets that the plans suggest to send wherever they are not equal."""
    offered: dict[str, bool] = {}
    for drift in report.drifts:
        for use in drift.not_equal:
            request = use.reference.argument
            is_offered = use.reference in drift.plan.offered
            offered[request] = offered.get(request, True) and is_offered
    return [request for request in offered if offered[request]]


def _drift_count(report: DriftReport) -> str:
    """Return the number of webhooks that changed live, or of changes that may be drift."""
    text = _changes(report)
    if text:
        return text
    overdue = sum(drift.overdue for drift in report.drifts)
    if overdue:
        return f"Drift, unless still to be applied: {plural(overdue, 'file change')}."
    unequal = sum(len(drift.not_equal) for drift in report.drifts)
    if unequal:
        return f"Possibly drift: {plural(unequal, 'secret')} may differ."
    plans = [drift.plan for drift in report.drifts]
    text = f"No drift{next(filter(None, map(in_compared_fields, plans)), '')}"
    if any(drift.waiting for drift in report.drifts):
        text += ", if the last file change is not applied yet"
    return f"{text}.{hidden_values(plans)}"


def _changes(report: DriftReport) -> str:
    """Return the numbers of webhooks that changed live, or only in a secret; empty without any."""
    changed = rotated = 0
    for drift in report.drifts:
        # Only a rename has two operations, and they are no value.
        changes = [drift.plan.operations[webhook.operations[0]] for webhook in drift.drifted]
        values = sum(map(only_values_differ, changes))
        rotated += values
        changed += len(changes) - values + len(drift.unapplied)
    counts = []
    if changed:
        counts.append(f"Drift: {plural(changed, 'live webhook')} changed.")
    if rotated:
        webhooks = plural(rotated, "live webhook")
        counts.append(f"Drift, or rotated here: a secret of {webhooks} differs.")
    return " ".join(counts)


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
    command = _accept_all(report, view)
    printed = printed_diffs(report, view)
    hidden = [quote(diff.file) for diff in report.diffs if diff not in printed]
    if hidden:
        what = "a secret, or characters that are not printed"
        text = f"The diff of {', '.join(hidden)} is not shown, because it contains {what}."
        return (f"{text} To accept {editable}, run:" if command else text), command
    way = f"To accept {editable}, run `git apply` on this diff"
    if not command:
        return f"{way}.", ""
    return f"{way}, or run:", command


def shown_diffs(report: DriftReport, view: View) -> tuple[FileDiff, ...]:
    """Return the diffs that contain no secret.

    Without the secret, a diff would declare another webhook, or not apply.
    """
    return tuple(diff for diff in report.diffs if view.redacted(diff.diff) == diff.diff)


def printed_diffs(report: DriftReport, view: View) -> tuple[FileDiff, ...]:
    """Return the diffs without a secret that can be printed: with an escape, none would apply."""
    return tuple(diff for diff in shown_diffs(report, view) if _is_printable(diff.diff, view))


def _is_printable(diff: str, view: View) -> bool:
    """Return whether nothing in a diff is escaped, but for its tabs and line breaks."""
    escape = visible if view.is_posted else prose
    text = re.sub(r"\t|\r?\n", " ", diff)
    return escape(text) == text


def _accept_all(report: DriftReport, view: View) -> str:
    """Return the command that accepts what the diff edits, empty if none accepts only that."""
    # With a base, a command without names would also accept what waits.
    waits = any(drift.merged or (drift.waiting and report.base) for drift in report.drifts)
    names = _names(report, edited=True)
    refused = _names(report, edited=False)
    # Of several organizations, another one may have refused a webhook of the same name.
    if waits or refused & names:
        return ""
    # Elsewhere, what this run refuses may be accepted.
    limited = sorted(names) if refused else []
    only = repeated("--only", map(escape, limited))
    # What drifts in other organizations, or in those that failed, was not shown.
    edited = [
        organization
        for organization in report.organizations
        if organization.value and any(webhook.files for webhook in organization.value.drifted)
    ]
    paths = _file_options(report, edited)
    return apply_command(view, *paths, *only, "--accept", *report.base, command="drift")
