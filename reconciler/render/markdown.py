"""Render what GitHub shows: comments in Markdown, and annotations on the lines of a pull request.

The counts of a comment are in the title and never cut; deletes come first and are never collapsed;
the details of each field are collapsed. Data is in inline code or in a fence that it cannot close,
so that it cannot mention users, link or format. A text over its limit loses details first, then
rows from the end, always whole lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from math import inf
from typing import Final, NamedTuple

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, Severity, note, plural, shorten
from reconciler.planning.run import DriftReport, RunPlan
from reconciler.render import PLAIN, View, outcomes, words
from reconciler.render.combined import (
    Combined,
    Members,
    RunRow,
    combine,
    combine_reports,
    problems,
    sections,
)
from reconciler.render.drift import (
    Block,
    drift_blocks,
    drift_conclusion,
    drift_others,
    printed_diffs,
)
from reconciler.render.quote import prose, quote
from reconciler.render.rows import VERBS, FieldLine, Row, position_text
from reconciler.report import RunReport

_MAX_FIELDS: Final = 8
_MAX_ANNOTATIONS: Final = 10
"""The number of annotations of one severity that GitHub shows for a step."""
_TABLE: Final = ("", "| | Webhook | Change | Why | Where |", "|---|---|---|---|---|")
_OUTCOMES: Final = ("", "| | Webhook | Outcome | Why | Where |", "|---|---|---|---|---|")
_CUT_SPACE: Final = 200
"""Bytes reserved for the line that describes what was cut."""
_MAX_TOGETHER: Final = 200
"""Organizations whose equal change is one row of a page, so that it fits with its digests."""
_PAGE_SPACE: Final = 3_000
"""Characters reserved on a page for its heading, guards, table header and collapsed part."""


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Render the plans of a run: equal changes once, with their organizations, and totals."""
    parts = _parts(run, view)
    return _fit(
        view,
        head=parts.head,
        rows=_tables([*parts.changes, *parts.unapplied]),
        after=parts.after,
        # Only there secrets are grouped: in the table each webhook has its own row.
        details=_details(parts.changes, view),
        foot=parts.foot,
    )


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Render the outcomes of a run: equal ones once, and the totals last."""
    title = "no changes"
    if outcomes.has_changes(run):
        title = outcomes.applied(run)
    elif not (run.is_single or run.is_unchanged):
        title = outcomes.states(run)
    head = [_heading([result.name for result in run.organizations], title)]
    for problem in outcomes.report_problems(run):
        head += ["", f"**Problem**: {code(problem)}"]
    # What failed is first, because the end may be cut.
    combined = combine_reports(run, view)
    foot = []
    for reason, names in outcomes.not_as_declared(run).items():
        foot += ["", f"{reason}: {', '.join(map(code, names))}."]
    for text in outcomes.conclusion(run, view):
        foot += ["", text]
    foot += _command(outcomes.next_command(run))
    for text in outcomes.totals(run):
        foot += ["", text]
    return _fit(
        view,
        head=head,
        rows=[
            *_tables(combined.entries, _OUTCOMES, _outcome_row),
            *_tables(combined.unapplied),
        ],
        after=list(_notes(combined, view)),
        foot=foot,
    )


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render findings as a list, sorted by position."""
    head = [f"### {words.finding_counts(findings) or 'No findings'}"]
    return _fit(view, head=head, rows=["", *_findings(findings)])


def render_annotations(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render the ten most severe findings as commands of GitHub's runner, and count the rest."""
    shown, more = words.limited(findings, _MAX_ANNOTATIONS)
    lines = [*map(_annotation, shown), *(f"::notice::{line}" for line in more)]
    return "".join(f"{line}\n" for line in lines)


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Render the error that ended the run."""
    head = [f"### Failed: {code(error.code)}", "", code(prose(error.message))]
    if error.hint:
        head += ["", f"Help: {code(prose(error.hint))}"]
    rows = _findings(error.findings)
    rows += [f"- {code(prose(line))}" for line in error.differences]
    return _fit(view, head=head, rows=["", *rows])


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Render what drifted, both ways out, and the edits as a diff in the details."""
    (title, *more), command = drift_conclusion(report, view)
    rows = [_drifted(block) for block in drift_blocks(report, view)]
    after = []
    for other_title, other_command, entries in drift_others(report, view):
        after += ["", other_title + words.between(" ", code(other_command)), ""]
        after += [_list_row(entry.row, entry.organizations) for entry in entries]
    details: list[str] = []
    # Accepted edits are in the files already, where git shows them.
    if not report.accepted:
        for diff in printed_diffs(report, view):
            details += diff.diff.split("\n")[:-1]
    return _fit(
        view,
        head=[f"### {title}"],
        rows=["", *rows],
        after=after,
        details=details,
        foot=["", *more, *_command(command)] if more else (),
    )


def _drifted(block: Block) -> str:
    """Return a webhook that drifted, with both ways out below it."""
    lines = [_list_row(row, block.organizations) for row in block.rows]
    for way in block.ways:
        text = " ".join(atom.text for atom in way.atoms)
        lines.append(f"  - {way.label}: {code(text)}")
    # One item, so that a cut never separates a webhook from its ways out.
    return "\n".join(lines)


def _list_row(row: Row, organizations: Sequence[str]) -> str:
    """Return a row as an item of a list, with the organizations that it concerns."""
    about = [code(text) for text in (row.what, *(line.text for line in row.fields)) if text]
    if row.why and not row.fields:
        about.append(row.why)
    name = code(row.name)
    name += words.between(" in ", ", ".join(map(code, organizations)))
    name += words.between(" (", code(row.place), ")")
    return f"- `{row.sign}` {name}: {', '.join(about)}"


def paged_run(
    run: RunPlan,
    *,
    limit: int,
    max_pages: int,
    extra: Callable[[Members], int],
    foot: str,
    connection: tuple[str, ...] = (),
) -> list[tuple[str, Members]]:
    """Render the plans of a run on at most `max_pages` pages, each with the operations on it.

    A page has at most `limit` characters. A change is on one page with all its details and all its
    organizations, or on none; `extra` returns the characters that the operations of a change need
    in addition to its text. The first page has `foot`, the kept webhooks and the notes, and lists
    the changes on no page. `connection` is that of the view. No command suggests to apply the plan,
    because a merge does.
    """
    parts = _parts(run, View(apply_options=None, connection=connection))
    changes = [part for change in parts.changes for part in _split(change)]
    # Everything except the changes gets at most a third of the first page.
    ending = _fit(
        View(limit=limit // 3),
        rows=_tables(parts.unapplied),
        after=parts.after,
        foot=[*parts.foot, "", foot],
    )
    rooms = [limit - len(ending) - _PAGE_SPACE, *([limit - _PAGE_SPACE] * (max_pages - 1))]
    sizes = []
    for change in changes:
        lines = [_plan_row(change.row), *_row_details(change.row)]  # grouped, they need less
        sizes.append(sum(len(line) + 1 for line in lines) + extra(change.members) + 1)
    pages, unshown = _distributed(changes, sizes, rooms)
    texts = []
    for number, page in enumerate(pages, start=1):
        head = [f"{parts.head[0]}, part {number} of {len(pages)}"]
        end = []
        if number == 1:
            head = [*parts.head, *_about_pages(unshown, len(changes), len(pages))]
            end = [ending.rstrip("\n")]
        text = _fit(PLAIN, head=head, rows=_tables(page), details=_details(page), foot=end)
        texts.append((text, tuple(member for change in page for member in change.members)))
    return texts


def _split(change: RunRow) -> Iterator[RunRow]:
    """Split a change of so many organizations that it may not fit on a page."""
    for start in range(0, len(change.members), _MAX_TOGETHER):
        end = start + _MAX_TOGETHER
        yield change._replace(
            organizations=change.organizations[start:end], members=change.members[start:end]
        )


class _Parts(NamedTuple):
    """The changes of a run, and what surrounds them."""

    head: list[str]
    changes: list[RunRow]
    unapplied: list[RunRow]
    after: list[str]
    foot: list[str]


def _parts(run: RunPlan, view: View) -> _Parts:
    combined = combine(run, view)
    plan = combined.plan
    findings = [_finding("BLOCKED", finding) for finding in plan.blocked]
    after = list(_notes(combined, view))
    totals = run.totals
    summary = words.run_summary(totals)
    head, title = list[str](), "no changes"
    if run.is_single:
        if plan.counts.live:
            head += ["", words.scope(plan)]
        summary = f"{words.summary(plan)} Configuration: {plural(plan.counts.files, 'file')}."
        for purpose, text in words.unblocking(plan, view):
            after.append(f"- To unblock this plan, {purpose}: {code(text)}")
    else:
        for problem in problems(run.organizations):
            reason = note(problem.code, problem.message, problem.hint)
            findings += [_finding("not planned", reason), *_findings(problem.findings)]
        if not totals.is_unchanged:
            title = words.run_states(totals)
    if run.has_operations:
        title = words.counts(*run.plans)
    head = [_heading([result.name for result in run.organizations], title), *head]
    if findings:
        head += ["", *findings]
    foot = ["", summary]
    for _, line in words.outside_digest(run.plans, _quoted):
        foot += ["", line]
    if run.digest:
        foot += ["", f"Digest {_quoted(run.digest)}"]
    # A reviewer must see deletes, even if the end is cut.
    changes = sorted(combined.entries, key=lambda change: change.row.sign != "-")
    return _Parts(head, changes, combined.unapplied, after, foot)


def _tables(
    entries: Iterable[RunRow],
    head: Sequence[str] = _TABLE,
    table_row: Callable[[Row], str] | None = None,
) -> list[str]:
    """Return a table for consecutive rows of the same organizations, which are listed above it."""
    lines: list[str] = []
    for names, rows in sections(entries, View(verbosity=1)):  # each webhook has its own row
        first, *others = map(table_row or _plan_row, rows)
        # One text, so that a cut leaves no header without a row.
        lines += ["\n".join([*_organizations(names), *head, first]), *others]
    return lines


def _organizations(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return ["", f"{words.in_organizations(names)} {', '.join(map(code, names))}"]


def _distributed(
    changes: Sequence[RunRow], sizes: Sequence[int], rooms: Sequence[int]
) -> tuple[list[list[RunRow]], list[RunRow]]:
    """Return the changes of each page, and those that do not fit on any."""
    pages: list[list[RunRow]] = [[]]
    room = rooms[0]
    unshown: list[RunRow] = []
    for change, row_size in zip(changes, sizes, strict=True):
        # Changes of the same organizations share the lines with their names and the table's header.
        heading = _size([*_organizations(change.organizations) * 2, *_TABLE])
        is_new = not pages[-1] or pages[-1][-1].organizations != change.organizations
        size = row_size + (heading if is_new else 0)
        # A page is begun only for a change that fits on it.
        if size > room and len(pages) < len(rooms) and row_size + heading <= rooms[len(pages)]:
            room = rooms[len(pages)]
            size = row_size + heading
            pages.append([])
        if size > room:
            unshown.append(change)
        else:
            room -= size
            pages[-1].append(change)
    return pages, unshown


def _about_pages(unshown: Sequence[RunRow], count: int, pages: int) -> Iterable[str]:
    if unshown:
        # This text is never cut, so it must stay short.
        names = shorten([change.row.name[:40] for change in unshown], 5)
        share = f"{len(unshown)} of {plural(count, 'change')}"
        yield ""
        yield (
            f"**Not approved**: {share} did not fit here: {names}. Merging does not apply them; "
            "split the pull request. The run's summary contains the complete plan."
        )
    if pages > 1:
        yield from ("", f"Part 1 of {pages}; the next comments contain the other parts.")


def _heading(organizations: Sequence[str], title: str) -> str:
    about = plural(len(organizations), "organization")
    if len(organizations) == 1:
        about = _quoted(organizations[0])
    return f"### CloudTruth webhooks for {about}: {title}"


def _plan_row(row: Row) -> str:
    what = row.what
    if not row.is_rename:
        verb = VERBS.get(row.sign, "")
        # A reviewer must not overlook a delete.
        if row.sign == "-":
            verb = f"**{verb}**"
        what = f"{verb} {_cell(row.what)}".lstrip()
    if row.fields:
        labels = [_cell(line.label) for line in row.fields]
        what += f": {shorten(labels, _MAX_FIELDS)}"
    return _table_row(row, what, _cell(row.why))


def _outcome_row(row: Row) -> str:
    what = row.what
    # What failed must not be overlooked between rows that were applied.
    if row.sign in ("x", "?"):
        what = f"**{what}**"
    reasons = [row.why, *(line.text for line in row.fields)]
    return _table_row(row, what, "; ".join(_cell(reason) for reason in reasons if reason))


def _table_row(row: Row, what: str, why: str) -> str:
    return f"| `{row.sign}` | {_cell(row.name)} | {what} | {why} | {_cell(row.place)} |"


def _notes(combined: Combined, view: View) -> Iterator[str]:
    """Yield the items of the list below the tables."""
    plan = combined.plan
    # First, because the end may be cut: a reviewer has to agree to a relaxed policy.
    for finding in plan.relaxed:
        yield _finding("policy relaxed", finding)
    yield from _findings(plan.notes)
    lines = words.remaining_counts(plan, view, _quoted)
    for references, places in combined.secrets:
        needed = [
            code(reference) + words.between(" in ", ", ".join(map(code, names)))
            for reference, names in references
        ]
        lines.append(f"Apply needs {'; '.join(needed)} for {', '.join(map(code, places))}")
    for line in (*lines, *words.reminders(plan, view, _quoted)):
        yield f"- {line}"


def _details(entries: Sequence[RunRow], view: View = PLAIN) -> list[str]:
    """Return the lines of a diff: old values with `-`, new ones with `+`."""
    lines: list[str] = []
    # The table has all that is known about a delete.
    if not any(entry.row.fields or entry.row.sign == "+" for entry in entries):
        return lines
    for names, rows in sections(entries, view):
        shown = [line for row in rows for line in _row_details(row)]
        if names and shown:
            lines.append(f"# {words.in_organizations(names)} {', '.join(map(prose, names))}")
        lines += shown
    return lines


def _row_details(row: Row) -> Iterator[str]:
    """Yield the lines of a change in the details; a change of the name only has none."""
    if row.fields or row.nested or row.sign in ("+", "-"):
        mark = "! "  # GitHub colors a line of a diff by its first character
        if row.sign in ("+", "-"):
            mark = f"{row.sign} "
        elif row.nested:
            mark = "!     "
        yield mark + "  ".join(filter(None, [row.name, row.what, " ".join(row.pieces)]))
    for field in row.fields:
        yield from _detail_lines(field)


def _detail_lines(field: FieldLine) -> list[str]:
    """Return the old value of a field and the new one, with what else is known about the field."""
    values = {"-": "", "+": ""}
    rest = ""
    for atom in field.atoms:
        if atom.sign:
            values[atom.sign] += f" {atom.text}"
        else:
            rest += f"{atom.gap}{atom.text}"
    lines = [f"{sign}   {field.label} {value}" for sign, value in values.items() if value]
    if not lines:
        lines.append(f"!   {field.label}  ")
    lines[-1] += rest
    return lines


def _findings(findings: Iterable[Finding]) -> list[str]:
    shown, more = words.limited(findings)
    rows = [_finding(str(finding.severity), finding) for finding in shown]
    return [*rows, *(f"- {line}" for line in more)]


def _finding(title: str, finding: Finding) -> str:
    text = f"- **{title}**: {code(prose(finding.message))}"
    if finding.position is not None:
        text += f" at {code(position_text(finding.position))}"
    for related in finding.related:
        text += f"; {code(prose(related.message))} at {code(position_text(related.position))}"
    if finding.hint:
        text += f" (help: {code(prose(finding.hint))})"
    return text


def _annotation(finding: Finding) -> str:
    properties: dict[str, object] = {}
    where = finding.position
    if where is not None:
        end = where.column + where.width
        properties = {"file": where.file, "line": where.line, "col": where.column, "endColumn": end}
    properties["title"] = finding.rule
    message = prose(finding.message)
    if finding.hint:
        message = f"{message} (help: {prose(finding.hint)})"
    written = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    command = str(finding.severity)
    if finding.severity is Severity.NOTE:
        command = "notice"
    # GitHub decodes `%0A` in a message to a line break, so percent signs are escaped.
    return f"::{command} {written}::{message.replace('%', '%25')}"


def _property(text: str) -> str:
    """Return a value of an annotation; `prose` leaves no line breaks to escape."""
    return prose(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def _quoted(name: str) -> str:
    return code(quote(name))


def _command(command: str) -> list[str]:
    if not command:
        return []
    return ["", code_block(command)]


def code(text: str) -> str:
    """Return inline code, delimited by one more backtick than any run inside it."""
    if not text:
        return ""
    ticks = "`" * (_longest_run(text) + 1)
    # Markdown removes one space from both ends of a code span, so these texts get one more.
    pad = ""
    if text[0] in "` " or text[-1] in "` ":
        pad = " "
    return f"{ticks}{pad}{text}{pad}{ticks}"


def code_block(text: str) -> str:
    """Return commands as a code block that they cannot close."""
    fence = _fence(text)
    return f"{fence}sh\n{text}\n{fence}"


def _cell(text: str) -> str:
    # In a table a pipe ends a cell, even in code.
    return code(text).replace("|", "\\|")


def _fit(
    view: View,
    *,
    head: Sequence[str] = (),
    rows: Sequence[str],
    after: Sequence[str] = (),
    details: Sequence[str] = (),
    foot: Sequence[str] = (),
) -> str:
    """Join the parts of a comment.

    If it exceeds the limit, leave out details, then the end of the text after the table, then rows,
    line by line; `head` and `foot` are never cut.
    """
    notes: Sequence[str] = []
    if after:  # Markdown ends a table only at an empty line
        notes = ["", *after]
    limit = inf
    if view.limit is not None:
        limit = view.limit
    room = limit - _size([*head, *notes, *foot]) - _CUT_SPACE
    if room < 0:  # the rest is shared with the rows
        room += _size(notes)
        notes = _fitting(notes, room / 2)
        room -= _size(notes)
    shown = _fitting(rows, room)
    fence = _fence(*details)  # longer than any fence in the text
    opening = ["", "<details><summary>Details</summary>", "", f"{fence}diff"]
    closing = [fence, "", "</details>"]
    shown_details: Sequence[str] = ()
    if len(shown) == len(rows):  # details without their row would explain nothing
        shown_details = _fitting(details, room - _size([*shown, *opening, *closing]))
    lines = [*head, *shown, *notes]
    if shown_details:
        lines += [*opening, *shown_details, *closing]
    lost = len([*rows, *after, *details]) - len([*shown, *notes[1:], *shown_details])
    if lost:
        cut = f"{plural(lost, 'line')} not shown"
        lines += ["", f"_Cut to fit: {cut}; the log of the run contains the complete text._"]
    return "\n".join([*lines, *foot]) + "\n"


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)


def _fitting(lines: Sequence[str], room: float) -> Sequence[str]:
    """Return the first lines, as many as fit."""
    totals = accumulate(_size([line]) for line in lines)
    return lines[: sum(total <= room for total in totals)]


def _fence(*texts: str) -> str:
    """Return a fence that no text can close."""
    return "`" * (max([2, *map(_longest_run, texts)]) + 1)


def _longest_run(text: str) -> int:
    """Return the length of the longest run of backticks; a fence or code span needs one more."""
    return max(map(len, re.findall("`+", text)), default=0)
