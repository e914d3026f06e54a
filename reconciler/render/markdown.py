"""Render plans and reports as comments on a pull request.

The counts are in the title and never cut; deletes come first and are never collapsed; the details
of each field are collapsed. Data is in inline code or in a fence that it cannot close, so that it
cannot mention users, link or format. A text over its limit loses details first, then rows from the
end, always whole lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, groupby
from math import inf
from typing import Final, NamedTuple, TypeAlias

from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, note
from reconciler.planning.drift import DriftReport
from reconciler.planning.plan import Delete, Plan
from reconciler.planning.run import RunPlan
from reconciler.render import PLAIN, View, words
from reconciler.render.combined import Change, Combined, changes_of, combine, problems
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
_MAX_TOGETHER: Final = 200
"""Organizations whose equal change is one row of a page, so that it fits with its digests."""
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
    """Render the plans of a run: equal changes once, with their organizations, and totals.

    A single plan is rendered as it is.
    """
    if len(run.organizations) == 1 and run.plans:
        return render_plan(run.plans[0], view)
    changes = [(change.organizations, change.row) for change in changes_of(run)]
    parts = _parts_of_run(run)
    return _fit(
        view,
        head=parts.head,
        table=(),
        rows=_tables([*changes, *parts.unapplied]),
        after=parts.after,
        details=_details(group_resends(row for _, row in changes)),
        foot=parts.foot,
    )


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


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Render what drifted, both ways out, and the edits as a diff in the details."""
    from reconciler.render.drifted import blocks, conclusion, others  # for one command only

    several = len(report.organizations) > 1
    (title, *more), command = conclusion(report, view)
    rows = []
    for block in blocks(report, view):
        where = block.organizations if several else ()
        lines = [_list_row(row, where) for row in block.rows]
        lines += [f"  - revert: {code(block.revert)}"] if block.revert else []
        lines += [f"  - accept: {code(block.accept)}"] if block.accept else []
        lines += [f"  - accept by hand: {code(block.refusal)}"] if block.refusal else []
        rows.append("\n".join(lines))
    after = []
    for other in others(report, view):
        how = f" {code(other.command)}" if other.command else ""
        after += ["", f"{other.title}{how}", ""]
        for section in other.sections:
            where = section.organizations if several else ()
            after += [_list_row(row, where) for row in section.rows]
    diffs = () if report.accepted else report.diffs
    return _fit(
        view,
        head=[f"### {title}"],
        table=[""],
        rows=rows,
        after=after,
        details=[prose(line) for diff in diffs for line in diff.diff.split("\n")[:-1]],
        foot=["", *more, *(["", code_block(command)] if command else [])] if more else (),
    )


def _list_row(row: Row, organizations: Sequence[str]) -> str:
    """Return a row as an item of a list, with the organizations that it concerns."""
    about = [code(text) for text in (row.what, *(field.text for field in row.fields)) if text]
    about += [row.why] if row.why and not row.fields else []
    where = f" in {', '.join(map(code, organizations))}" if organizations else ""
    place = f" ({code(row.place)})" if row.place else ""
    return f"- `{row.sign}` {code(row.name)}{where}{place}: {', '.join(about)}"


Members: TypeAlias = tuple[tuple[int, int], ...]
"""Operations of a run: the index of each one's organization, and its index in that plan."""


def paged_run(
    run: RunPlan, *, limit: int, max_pages: int, extra: Callable[[Members], int], foot: str
) -> list[tuple[str, Members]]:
    """Render the plans of a run on at most `max_pages` pages, each with the operations on it.

    A page has at most `limit` characters. A change is on one page with all its details and all its
    organizations, or on none; `extra` returns the characters that the operations of a change need
    in addition to its text. The first page has `foot`, the kept webhooks and the notes, and lists
    the changes on no page. No command suggests to apply the plan, because a merge does.
    """
    changes, parts = _changes(run), _parts_of_run(run)
    # Everything except the changes gets at most a third of the first page.
    ending = _fit(
        View(limit=limit // 3),
        table=(),
        rows=_tables(parts.unapplied),
        after=parts.after,
        foot=[*parts.foot, "", foot],
    )
    rooms = [limit - len(ending) - _PAGE_SPACE, *([limit - _PAGE_SPACE] * (max_pages - 1))]
    sizes = [  # grouped details of a page need less
        sum(len(line) + 1 for line in (_plan_row(change.row), *_details([change.row])))
        + extra(change.members)
        + 1
        for change in changes
    ]
    pages, unshown = _distributed(changes, sizes, rooms)
    texts = []
    for number, page in enumerate(pages, start=1):
        head = [f"{parts.head[0]}, part {number} of {len(pages)}"]
        if number == 1:
            head = [*parts.head, *_about_pages(unshown, len(changes), len(pages))]
        text = _fit(
            PLAIN,
            head=head,
            table=(),
            rows=_tables((change.organizations, change.row) for change in page),
            details=_details(group_resends(change.row for change in page)),
            foot=[ending.rstrip("\n")] if number == 1 else (),
        )
        texts.append((text, tuple(member for change in page for member in change.members)))
    return texts


def _changes(run: RunPlan) -> list[Change]:
    """Return the changes of a run; those of a single organization do not name it."""
    if len(run.organizations) == 1:
        return [
            Change((), row, ((0, index),))
            for plan in run.plans
            for index, row in _deletes_first(plan)
        ]
    return [
        part
        for change in changes_of(run)
        for part in (
            change._replace(
                organizations=change.organizations[start : start + _MAX_TOGETHER],
                members=change.members[start : start + _MAX_TOGETHER],
            )
            for start in range(0, len(change.members), _MAX_TOGETHER)
        )
    ]


class _Parts(NamedTuple):
    """What surrounds the changes of a run."""

    head: list[str]
    unapplied: Sequence[tuple[tuple[str, ...], Row]]
    after: list[str]
    foot: list[str]


def _parts_of_run(run: RunPlan) -> _Parts:
    if len(run.organizations) == 1 and run.plans:
        (plan,) = run.plans
        rows = [((), row) for row in other_rows(plan, PLAIN)]
        after = list(_notes(plan, View(apply_options=None)))
        return _Parts(_head(plan), rows, after, _foot(plan))
    combined = combine(run)
    return _Parts(
        head=_run_head(run, combined),
        unapplied=combined.unapplied,
        after=list(_run_notes(combined)),
        foot=_run_foot(run),
    )


def _tables(pairs: Iterable[tuple[tuple[str, ...], Row]]) -> list[str]:
    """Return a table for consecutive rows of the same organizations, which are listed above it."""
    lines: list[str] = []
    for names, group in groupby(pairs, key=lambda pair: pair[0]):
        lines += [*_organizations(names), *_TABLE, *(_plan_row(row) for _, row in group)]
    return lines


def _organizations(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    count = f" {words.plural(len(names), 'organization')}:" if len(names) > 1 else ""
    return ["", f"In{count} {', '.join(map(code, names))}"]


def _run_head(run: RunPlan, combined: Combined) -> list[str]:
    organizations = words.plural(len(run.organizations), "organization")
    title = words.counts(*run.plans) if run.digest else "no changes"
    head = [f"### CloudTruth webhooks for {organizations}: {title}"]
    blocked = [_finding("BLOCKED", each) for each in combined.blocked]
    failed = []
    for problem in problems(run.organizations):
        failed.append(_finding("not planned", note(problem.code, problem.message, problem.hint)))
        failed += _findings(problem.findings)
    return [*head, "", *blocked, *failed] if blocked or failed else head


def _run_notes(combined: Combined) -> Iterable[str]:
    for each in combined.relaxed:
        yield _finding("policy relaxed", each)
    yield from _findings(combined.notes)
    lines = words.remaining_counts(combined.kept, names=False)
    lines += words.failing(combined.kept, shown=lambda name: code(quote(name)))
    yield from (f"- {each}" for each in lines)
    yield from _needed_secrets(combined.secrets)


def _run_foot(run: RunPlan) -> list[str]:
    names = list(dict.fromkeys(name for plan in run.plans for name in outside_digest(plan)))
    foot = []
    if names:
        listed = ", ".join(map(code, names))
        foot += ["", f"Not in the digest (only a secret's value differs): {listed}"]
    foot += ["", words.run_summary(run.totals)]
    return [*foot, "", f"Digest {code(quote(run.digest))}"] if run.digest else foot


def _distributed(
    changes: Sequence[Change], sizes: Sequence[int], rooms: Sequence[int]
) -> tuple[list[list[Change]], list[Change]]:
    """Return the changes of each page, and those that do not fit on any."""
    pages: list[list[Change]] = [[]]
    room = rooms[0]
    unshown: list[Change] = []
    for change, own_size in zip(changes, sizes, strict=True):
        heading = _size([*_organizations(change.organizations), *_TABLE])
        is_new = not pages[-1] or pages[-1][-1].organizations != change.organizations
        size = own_size + (heading if is_new else 0)
        if size > room and len(pages) < len(rooms) and own_size + heading <= rooms[len(pages)]:
            room = rooms[len(pages)]
            size = own_size + heading
            pages.append([])
        if size > room:
            unshown.append(change)
        else:
            room -= size
            pages[-1].append(change)
    return pages, unshown


def _about_pages(unshown: Sequence[Change], count: int, pages: int) -> Iterable[str]:
    if unshown:
        names = words.shorten([change.row.name[:40] for change in unshown], 5)
        share = f"{len(unshown)} of {words.plural(count, 'change')}"
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
    yield from _needed_secrets(plan)
    lines = words.not_set_here(plan, view, shown=lambda name: code(quote(name)))
    yield from (f"- {each}" for each in lines)
    if names := outside_digest(plan):
        listed = ", ".join(map(code, names))
        yield f"- Not in the digest (only a secret's value differs): {listed}"
    for purpose, text in words.unblocking(plan, view):
        yield f"- To unblock this plan, {purpose}: {code(text)}"


def _needed_secrets(plan: Plan) -> Iterable[str]:
    for ref, destinations in words.secret_destinations(plan).items():
        listed = ", ".join(map(code, destinations))
        yield f"- Apply needs {code(quote(str(ref)))} for {listed}"


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
