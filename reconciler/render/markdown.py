"""Render plans and reports as comments on a pull request.

The counts are in the title and never cut; deletes come first and are never collapsed; the details
of each field are collapsed. Data is in inline code or in a fence that it cannot close, so that it
cannot mention users, link or format. A text over its limit loses details first, then rows from the
end, always whole lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding
from reconciler.planning.plan import Delete, Plan
from reconciler.planning.run import RunPlan
from reconciler.render import PLAIN, View, words
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    Row,
    duplicate_row,
    group_resends,
    other_rows,
    outcome_row,
    outside_digest,
    plan_rows,
    position_text,
)
from reconciler.report import Applied, Report, RunReport

_VERBS = {"+": "create ", "-": "**delete** ", "~": "update ", "!": "keep ", ".": "keep "}
_MAX_FIELDS = 8
_TABLE = ("", "| | Webhook | Change | Why | Where |", "|---|---|---|---|---|")
_OUTCOMES = ("", "| | Webhook | Outcome | Why | Where |", "|---|---|---|---|---|")
_CUT_SPACE = 200
"""Bytes reserved for the line that describes what was cut."""
_PAGE_SPACE = 3_000
"""Characters reserved on a page for its heading, guards, table header and collapsed part."""


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Render a plan, within the view's limit if it has one."""
    rows = [row for _, row in _deletes_first(plan)] + other_rows(plan, view)
    return _fit(
        view,
        head=_head(plan),
        table=_TABLE,
        rows=[_plan_row(row) for row in rows],
        after=list(_notes(plan, view)),
        details=_details(rows if view.verbosity > 0 else group_resends(rows)),
        foot=_foot(plan),
    )


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Render the plan of each organization, and their totals if there are several."""
    limit = None if view.limit is None else view.limit // max(1, len(run.plans))
    texts = [render_plan(plan, view._replace(limit=limit)) for plan in run.plans]
    if len(run.organizations) > 1:
        texts.append(f"{words.run_summary(run.totals)}\n")
    return "\n".join(texts)


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Render the report of each organization, and their totals if there are several."""
    limit = None if view.limit is None else view.limit // max(1, len(run.reports))
    texts = [render_report(report, view._replace(limit=limit)) for report in run.reports]
    if len(run.organizations) > 1:
        reasons = [
            f"{reason}: {', '.join(map(code, names))}."
            for reason, names in words.not_as_declared(run).items()
        ]
        texts.append("\n\n".join([*reasons, *words.run_result(run)]) + "\n")
    return "\n".join(texts)


def render_report(report: Report, view: View = PLAIN) -> str:
    """Render a report, within the view's limit if it has one."""
    planned = bool(report.plan.operations)
    head = [_heading(report.plan, words.applied(report) if planned else "no changes")]
    if report.problem:
        head += ["", f"**Problem**: {code(prose(report.problem))}"]
    outcomes = sorted(report.outcomes, key=lambda each: isinstance(each, Applied))
    done = (*map(outcome_row, outcomes), *map(duplicate_row, report.duplicates_removed))
    rows = list(map(_outcome_row, done))
    rows += map(_plan_row, other_rows(report.plan, PLAIN if planned else view))
    command = words.next_command(report)
    return _fit(
        view,
        head=head,
        table=_OUTCOMES,
        rows=rows,
        after=[] if planned else list(_notes(report.plan, view)),  # the plan was printed before
        foot=["", *words.conclusion(report), *(["", code_block(command)] if command else [])],
    )


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render findings as a list, sorted by position."""
    head = [f"### {words.finding_counts(findings) or 'No findings'}"]
    return _fit(view, head=head, table=[""], rows=_findings(findings))


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Render the error that ended the run."""
    head = [f"### Failed: {code(error.code)}", "", code(prose(error.message))]
    if error.hint:
        head += ["", f"Help: {code(prose(error.hint))}"]
    rows = _findings(error.findings)
    rows += [f"- {code(prose(each))}" for each in error.differences]
    return _fit(view, head=head, table=[""], rows=rows)


def paged_plan(
    plan: Plan, *, limit: int, max_pages: int, extra: Callable[[int], int], foot: str
) -> list[tuple[str, tuple[int, ...]]]:
    """Render a plan on at most `max_pages` pages, each with the indexes of the changes on it.

    A page has at most `limit` characters. A change is on one page with all its details, or on none;
    `extra` returns the characters that the change at an index needs in addition to its text. The
    first page has `foot`, the kept webhooks and the notes, and lists the changes on no page. No
    command suggests to apply the plan, because a merge does.
    """
    rows = dict(_deletes_first(plan))
    # Everything except the changes gets at most a third of the first page.
    ending = _fit(
        View(limit=limit // 3),
        table=_TABLE,
        rows=list(map(_plan_row, other_rows(plan, PLAIN))),
        after=list(_notes(plan, View(apply_options=None))),
        foot=[*_foot(plan), "", foot],
    )
    rooms = [limit - len(ending) - _PAGE_SPACE, *([limit - _PAGE_SPACE] * (max_pages - 1))]
    sizes = {  # grouped details of a page need less
        index: sum(len(each) + 1 for each in (_plan_row(row), *_details([row]))) + extra(index) + 1
        for index, row in rows.items()
    }
    pages, unshown = _distributed(sizes, rooms)
    texts = []
    for number, places in enumerate(pages, start=1):
        head = [f"{_heading(plan, words.counts(plan))}, part {number} of {len(pages)}"]
        if number == 1:
            head = [*_head(plan), *_about_pages(plan, unshown, len(pages))]
        text = _fit(
            PLAIN,
            head=head,
            table=_TABLE,
            rows=[_plan_row(rows[index]) for index in places],
            details=_details(group_resends(rows[index] for index in places)),
            foot=[ending.rstrip("\n")] if number == 1 else (),
        )
        texts.append((text, tuple(places)))
    return texts


def _distributed(
    sizes: Mapping[int, int], rooms: Sequence[int]
) -> tuple[list[list[int]], list[int]]:
    """Return the changes of each page, and those that do not fit on any."""
    pages: list[list[int]] = [[]]
    room = rooms[0]
    unshown: list[int] = []
    for index, size in sizes.items():
        if size > room and len(pages) < len(rooms) and size <= rooms[len(pages)]:
            room = rooms[len(pages)]
            pages.append([])
        if size > room:
            unshown.append(index)
        else:
            room -= size
            pages[-1].append(index)
    return pages, unshown


def _about_pages(plan: Plan, unshown: Sequence[int], pages: int) -> Iterable[str]:
    if unshown:
        names = words.shorten([code(quote(plan.operations[each].name[:40])) for each in unshown], 5)
        share = f"{len(unshown)} of {words.plural(len(plan.operations), 'change')}"
        yield ""
        yield (
            f"**Not approved**: {share} did not fit here: {names}. Merging does not apply them; "
            "split the pull request. The run's summary has the complete plan."
        )
    if pages > 1:
        yield from ("", f"Part 1 of {pages}; the next comments have the other parts.")


def _deletes_first(plan: Plan) -> list[tuple[int, Row]]:
    """Return the rows of changes, deletes first, each with its index in the plan."""
    rows = enumerate(plan_rows(plan))
    return sorted(rows, key=lambda pair: not isinstance(plan.operations[pair[0]], Delete))


def _head(plan: Plan) -> list[str]:
    head = [_heading(plan, words.counts(plan) if plan.operations else "no changes")]
    head += ["", words.scope(plan)] if plan.live_count else []
    blocked = [_finding("BLOCKED", each) for each in plan.blocked]
    return [*head, "", *blocked] if blocked else head


def _foot(plan: Plan) -> list[str]:
    foot = ["", f"{words.summary(plan)} Configuration: {words.plural(plan.file_count, 'file')}."]
    if plan.operations and plan.digest:
        foot += ["", f"Digest {code(quote(plan.digest))}"]
    return foot


def _heading(plan: Plan, title: str) -> str:
    return f"### CloudTruth webhooks for {code(quote(plan.organization.name))}: {title}"


def _plan_row(row: Row) -> str:
    what = row.what if row.what == "rename" else _VERBS.get(row.sign, "") + _cell(row.what)
    if row.fields:
        what += f": {words.shorten([_cell(each.label) for each in row.fields], _MAX_FIELDS)}"
    return _table_row(row, what, _cell(row.why))


def _outcome_row(row: Row) -> str:
    what = f"**{row.what}**" if row.sign in ("x", "?") else row.what
    why = "; ".join(_cell(each) for each in (row.why, *(it.text for it in row.fields)) if each)
    return _table_row(row, what, why)


def _table_row(row: Row, what: str, why: str) -> str:
    return f"| `{row.sign}` | {_cell(row.name)} | {what} | {why} | {_cell(row.place)} |"


def _notes(plan: Plan, view: View) -> Iterable[str]:
    for each in plan.relaxed:
        yield _finding("policy relaxed", each)
    yield from _findings(plan.notes)
    lines = words.remaining_counts(
        plan, names=view.verbosity > 0, shown=lambda name: code(quote(name))
    )
    lines += words.failing(plan, shown=lambda name: code(quote(name)))
    yield from (f"- {each}" for each in lines)
    for ref, destinations in words.secret_destinations(plan).items():
        listed = ", ".join(map(code, destinations))
        yield f"- Apply needs {code(quote(str(ref)))} for {listed}"
    lines = words.not_set_here(plan, view, shown=lambda name: code(quote(name)))
    yield from (f"- {each}" for each in lines)
    if names := outside_digest(plan):
        listed = ", ".join(map(code, names))
        yield f"- Not in the digest (only a secret's value differs): {listed}"
    for purpose, text in words.unblocking(plan, view):
        yield f"- To unblock this plan, {purpose}: {code(text)}"


def _details(rows: Iterable[Row]) -> list[str]:
    """Return the lines of a diff: old values with `-`, new ones with `+`."""
    lines = []
    for row in rows:
        if row.fields or row.nested or row.sign == "+":
            mark = f"{'+' if row.sign == '+' else '!'}{'    ' if row.nested else ''}"
            shown = [row.name, *filter(None, (row.what, " ".join(row.pieces)))]
            lines.append(f"{mark} {'  '.join(shown)}")
        for each in row.fields:
            old = " ".join(atom.text for atom in each.atoms if atom.sign == "-")
            new = " ".join(atom.text for atom in each.atoms if atom.sign == "+")
            other = "".join(f"{atom.gap}{atom.text}" for atom in each.atoms if not atom.sign)
            if old:
                lines.append(f"-   {each.label}  {old}{'' if new else other}")
            if new or not old:
                lines.append(f"{'+' if new else '!'}   {each.label}  {new}{other}")
    return lines


def _findings(findings: Iterable[Finding]) -> list[str]:
    shown, more = words.limited(findings)
    rows = [_finding(str(each.severity), each) for each in shown]
    return [*rows, *(f"- {each}" for each in more)]


def _finding(title: str, finding: Finding) -> str:
    where = f" at {code(position_text(finding.position))}" if finding.position else ""
    related = "".join(
        f"; {code(prose(each.message))} at {code(position_text(each.position))}"
        for each in finding.related
    )
    advice = f" (help: {code(prose(finding.hint))})" if finding.hint else ""
    return f"- **{title}**: {code(prose(finding.message))}{where}{related}{advice}"


def code(text: str) -> str:
    """Return inline code, delimited by one more backtick than any run inside it."""
    if not text:
        return ""
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def code_block(text: str) -> str:
    """Return commands as a code block that they cannot close."""
    fence = _fence(text)
    return f"{fence}sh\n{text}\n{fence}"


def _cell(text: str) -> str:
    return code(text).replace("|", "\\|")


def _fit(
    view: View,
    *,
    head: Sequence[str] = (),
    table: Sequence[str],
    rows: Sequence[str],
    after: Sequence[str] = (),
    details: Sequence[str] = (),
    foot: Sequence[str] = (),
) -> str:
    """Join the parts of a comment; `table` is the text before the first row.

    If it exceeds the limit, leave out details, then the end of the text after the table, then rows,
    line by line; `head` and `foot` are never cut.
    """
    notes: Sequence[str] = ["", *after] if after else []
    limit = inf if view.limit is None else view.limit
    room = limit - _size([*head, *table, *notes, *foot]) - _CUT_SPACE
    if room < 0:  # the rest is shared with the rows
        room += _size(notes)
        notes = _fitting(notes, room / 2)
        room -= _size(notes)
    shown = _fitting(rows, room)
    fence = _fence(*details)  # longer than any fence in the text
    opening = ["", "<details><summary>Details</summary>", "", f"{fence}diff"]
    closing = [fence, "", "</details>"]
    shown_details: Sequence[str] = ()
    if len(shown) == len(rows):
        shown_details = _fitting(details, room - _size([*shown, *opening, *closing]))
    lines = [*head, *(table if shown else ()), *shown, *notes]
    if shown_details:
        lines += [*opening, *shown_details, *closing]
    lost = len([*rows, *after, *details]) - len([*shown, *notes[1:], *shown_details])
    if lost:
        cut = f"{words.plural(lost, 'line')} not shown"
        lines += ["", f"_Cut to fit: {cut}; the log of the run has the complete text._"]
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
