"""The parts of a drift report that formats lay out: rows, and the commands for both ways out.

Webhooks that drifted in the same way in several organizations are one block.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from glob import escape
from typing import NamedTuple

from reconciler.planning.drift import Drifted, DriftReport, OrganizationDrift
from reconciler.planning.plan import Delete, OrganizationResult
from reconciler.render import PLAIN, View
from reconciler.render.combined import Section, equal_rows, sections, together
from reconciler.render.quote import prose, quote
from reconciler.render.rows import Row, other_rows, plan_rows
from reconciler.render.words import apply_command, plural

_KEPT = "Drift that neither an apply nor an edit resolves:"
_NOT_APPLIED = "Changes of the files that are not applied yet:"
_MERGED = "Waiting to be applied, from merged pull requests:"
_UNKNOWN = "Differences that may be drift or changes of the files:"


class Block(NamedTuple):
    """Webhooks that drifted in the same way in the named organizations.

    `rows` show what a revert changes, `revert` is its command. `accept` is the command that edits
    the files; if they cannot be edited, `refusal` is the reason. There is no command after the
    edit, and in a view without options for commands.
    """

    organizations: tuple[str, ...]
    rows: tuple[Row, ...]
    revert: str
    accept: str = ""
    refusal: str = ""


class Others(NamedTuple):
    """Differences that are no drift, or that no command resolves.

    `command` shows them as drift.
    """

    title: str
    sections: tuple[Section, ...]
    command: str = ""


_Organization = OrganizationResult[OrganizationDrift]


def blocks(report: DriftReport, view: View) -> list[Block]:
    """Return the webhooks that drifted."""
    groups: dict[Hashable, list[tuple[_Organization, Drifted, list[Row]]]] = {}
    for organization, drift, rows in _drifts(report):
        for webhook in drift.drifted:
            shown = [rows[index] for index in webhook.operations]
            unplaced = tuple(row._replace(place="") for row in shown)
            key = (unplaced, webhook.refusal, bool(webhook.files))
            groups.setdefault(key, []).append((organization, webhook, shown))
    return [_block(report, members, view) for members in groups.values()]


def _drifts(report: DriftReport) -> Iterator[tuple[_Organization, OrganizationDrift, list[Row]]]:
    """Yield each organization that was planned, with a row for each operation.

    The rows have no label, because they are in a section of their kind.
    """
    for organization in report.organizations:
        drift = organization.value
        if drift is not None:
            plan = drift.plan
            unlabeled = (replace(change, attribution=None) for change in plan.operations)
            yield organization, drift, plan_rows(plan._replace(operations=tuple(unlabeled)))


def _block(
    report: DriftReport, members: Sequence[tuple[_Organization, Drifted, list[Row]]], view: View
) -> Block:
    organizations = [organization for organization, _, _ in members]
    rows = zip(*(shown for _, _, shown in members), strict=True)
    webhook = members[0][1]
    revert = accept = ""
    if view.apply_options is not None and not (report.accepted and webhook.files):
        revert, accept = commands(report, organizations, webhook, view)
    if report.reverted_together:
        revert = ""
    return Block(
        organizations=tuple(quote(organization.name) for organization in organizations),
        rows=tuple(map(together, rows)),
        revert=revert,
        accept="" if webhook.refusal else accept,
        refusal=prose(webhook.refusal),
    )


def commands(
    report: DriftReport, organizations: Sequence[_Organization], webhook: Drifted, view: View
) -> tuple[str, str]:
    """Return the commands that revert and accept a webhook in the organizations."""
    drift = organizations[0].value
    assert drift is not None
    operations = [drift.plan.operations[index] for index in webhook.operations]
    only = [word for operation in operations for word in ("--only", escape(operation.name))]
    deletes = len(organizations) * sum(isinstance(change, Delete) for change in operations)
    # Of the few webhooks that --only selects, the guards allow no delete.
    allowed = ["--allow-deletes", str(deletes)] if deletes else []
    files: list[str] = []
    if len(organizations) < len(report.organizations):
        for organization in organizations:
            files += [word for path in organization.files for word in ("-f", path)]
    accept = apply_command(view, *files, "--accept", *report.base, *only, command="drift")
    return apply_command(view, *files, *only, *allowed), accept


def others(report: DriftReport, view: View) -> Iterator[Others]:
    """Yield the differences that are no drift, and those that no command resolves."""
    differences = _UNKNOWN if report.unknown else _NOT_APPLIED
    is_applied = apply_command(view, "--base", "HEAD", command="drift")
    titles = (_KEPT, differences, _MERGED)
    listed: dict[tuple[str, str], list[tuple[str, Row]]] = {(title, ""): [] for title in titles}
    for organization, drift, rows in _drifts(report):
        waiting = (
            f"Perhaps not applied yet, changed by commit {drift.commit}; if it is applied, run:"
        )
        kept = other_rows(drift.plan._replace(kept=drift.unapplied), PLAIN)
        for title, command, shown in (
            (_KEPT, "", kept),
            (differences, "", [rows[index] for index in drift.not_applied]),
            (_MERGED, "", [rows[index] for index in drift.merged]),
            (waiting, is_applied, [rows[index] for index in drift.waiting]),
        ):
            pairs = listed.setdefault((title, command), [])
            pairs += [(quote(organization.name), row) for row in shown]
    for (title, command), pairs in listed.items():
        if pairs:
            yield Others(title, tuple(sections(equal_rows(pairs))), command)


class Conclusion(NamedTuple):
    """Sentences, and the command that accepts everything that can be accepted."""

    texts: tuple[str, ...]
    command: str = ""


def conclusion(report: DriftReport, view: View) -> Conclusion:
    """Return the number of webhooks that drifted, and how to accept all of it."""
    if report.unknown and report.remains:
        reason = f"Drift cannot be told from changes of the files: {prose(report.unknown)}."
        if report.reverted_together:
            return Conclusion((reason,))
        return Conclusion((reason, "Name the previous configuration with --base."))
    drifted = list(report.webhooks)
    number = len(drifted) + sum(len(drift.unapplied) for drift in report.drifts)
    if not number:
        return Conclusion(("No drift.",))
    count = f"Drift: {plural(number, 'webhook')} changed live."
    editable = plural(sum(bool(webhook.files) for webhook in drifted), "change")
    if not report.diffs:
        return Conclusion((count,))
    if report.accepted:
        files = ", ".join(quote(diff.file) for diff in report.diffs)
        return Conclusion((count, f"Edited to accept {editable}: {files}."))
    way = f"Accept {editable} with `git apply` of this diff"
    # A command without names would also accept what only GitHub knows to wait.
    if view.apply_options is None or any(drift.merged for drift in report.drifts):
        return Conclusion((count, f"{way}."))
    command = apply_command(view, "--accept", *report.base, command="drift")
    return Conclusion((count, f"{way}, or with this command:"), command)
