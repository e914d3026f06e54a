"""Plans and reports as comments on a pull request.

The counts stand in the title and are never cut; deletes come first and are never folded; the
details of each field are folded. Data stands in inline code or in a fence that it cannot close,
nothing else: there it mentions nobody, links nothing and formats nothing, and no HTML goes around
it. A text over its limit loses details first, then rows from the end, always whole lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconciler.errors import ConfigurationError, ReconcilerError
from reconciler.findings import Finding, leading, sort_key
from reconciler.planning.changes import Delete
from reconciler.planning.plan import Plan
from reconciler.render.describe import RENAME, Row, change_rows, kept_row, place
from reconciler.render.fields import Atom
from reconciler.render.fitting import Fitted, Parts, fit, longest_run
from reconciler.render.quote import prose, quote
from reconciler.render.view import PLAIN, View
from reconciler.render.words import (
    REASONS,
    counts,
    ending,
    finding_counts,
    more_findings,
    outcome_counts,
    past,
    plural,
    reference,
    summary,
    verification,
)
from reconciler.report import Applied, Failed, Outcome, Report, Skipped, Unconfirmed

_OUR_WORDS = frozenset(REASONS.values())
_MOST_FIELDS = 8
_MOST_UNREADABLE = 50  # as one line, which is cut as a whole


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Show what would be done, within `view.limit` characters if there is one."""
    return fit_plan(plan, view).text


def render_report(report: Report, view: View = PLAIN) -> str:
    """Show what was done, within `view.limit` characters if there is one."""
    return fit_report(report, view).text


def fit_plan(plan: Plan, view: View = PLAIN, measure: Callable[[str], int] = len) -> Fitted:
    """Show a plan within `view.limit` as `measure` counts, and say whether all of it is there."""
    parts = Parts(head=_head(plan))
    rows = [row for _, row in _deletes_first(plan, view)] + [kept_row(each) for each in plan.kept]
    if rows:
        parts.table = list(_TABLE)
        parts.rows = [_plan_row(row) for row in rows]
    parts.after = list(_remarks(plan, view))
    parts.details = [line for row in rows for line in _details(row)]
    parts.foot = _foot(plan)
    return fit(parts, view.limit, measure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One text of several that show a plan; `places` are the changes that it shows in full."""

    text: str
    places: tuple[int, ...]


def paged_plan(
    plan: Plan, *, limit: int, most: int, extra: Callable[[int], int], foot: str
) -> tuple[Page, ...]:
    """Show a plan on at most `most` pages, each within `limit` characters.

    A change is on one page with all its details, or on none; `extra` are the characters that the
    change at a place needs beside the text. The first page has `foot`, what is kept and the
    notes, and says which changes no page shows.
    """
    rows = _deletes_first(plan, PLAIN)
    blocks = {index: (_plan_row(row), list(_details(row))) for index, row in rows}
    longest = (longest_run(line) for _, details in blocks.values() for line in details)
    fence = "`" * (max(2, *longest, 2) + 1)
    beside = Parts(head=[], after=list(_remarks(plan, PLAIN)), foot=[*_foot(plan), "", foot])
    if plan.kept:
        beside.table = list(_TABLE)
        beside.rows = [_plan_row(kept_row(each)) for each in plan.kept]
    # What is beside the changes gets a third of the first page at most.
    ending = fit(beside, limit // 3, len).text
    rooms = [limit - len(ending) - _PAGE_SPACE, *([limit - _PAGE_SPACE] * (most - 1))]
    pages: list[list[int]] = [[]]
    room = rooms[0]
    unshown: list[int] = []
    for index, (line, details) in blocks.items():
        size = len(line) + sum(len(each) + 1 for each in details) + extra(index) + 2
        if size > room and len(pages) < most and size <= rooms[len(pages)]:
            room = rooms[len(pages)]
            pages.append([])
        if size > room:
            unshown.append(index)
            continue
        room -= size
        pages[-1].append(index)
    texts: list[Page] = []
    for number, places in enumerate(pages, start=1):
        shown = [blocks[index] for index in places]
        body = [*_TABLE, *(line for line, _ in shown)] if shown else []
        details = [line for _, lines in shown for line in lines]
        if details:
            body += ["", "<details><summary>Details</summary>", "", f"{fence}diff"]
            body += [*details, fence, "", "</details>"]
        if number == 1:
            body = [*_head(plan), *_about_pages(plan, unshown, len(pages)), *body, ending]
        else:
            body = [f"{_heading(plan, counts(plan))}, part {number} of {len(pages)}", *body, ""]
        texts.append(Page(text="\n".join(body), places=tuple(places)))
    return tuple(texts)


_TABLE = ("", "| | Webhook | Change | Why | Where |", "|---|---|---|---|---|")
_PAGE_SPACE = 3_000
"""Characters of a page for its heading, guards, the table's head and the fold."""


def _about_pages(plan: Plan, unshown: Sequence[int], pages: int) -> Iterable[str]:
    if unshown:
        names = ", ".join(_code(quote(plan.changes[each].name[:40])) for each in unshown[:5])
        more = f" and {len(unshown) - 5} more" if len(unshown) > 5 else ""
        yield ""
        yield (
            f"**Not approved**: {len(unshown)} of {plural(len(plan.changes), 'change')} not shown, "
            f"for lack of space: {names}{more}. Merging does not apply what is not shown; split "
            "the pull request. The run's summary has the whole plan."
        )
    if pages > 1:
        yield from ("", f"Part 1 of {pages}; the next comments have the other parts.")


def _deletes_first(plan: Plan, view: View) -> list[tuple[int, Row]]:
    """Return the rows of changes, each with its place in the plan."""
    rows = enumerate(change_rows(plan, view.now))
    return sorted(rows, key=lambda pair: not isinstance(plan.changes[pair[0]], Delete))


def _head(plan: Plan) -> list[str]:
    head = [_heading(plan, counts(plan) if plan.changes else "no changes")]
    for held in plan.blocked:
        head += ["", f"**BLOCKED**: {_code(prose(held.message))}"]
        if held.hint:
            head[-1] += f" (help: {_code(prose(held.hint))})"
    return head


def _foot(plan: Plan) -> list[str]:
    foot = ["", f"{summary(plan)} Read from {plural(plan.files, 'file')}."]
    if plan.changes and plan.digest:
        foot += ["", f"Digest {_code(quote(plan.digest))}"]
    return foot


def fit_report(report: Report, view: View = PLAIN, measure: Callable[[str], int] = len) -> Fitted:
    """Show a report within `view.limit` as `measure` counts, and say whether all is there."""
    title = outcome_counts(report) if report.plan.changes else "no changes"
    parts = Parts(head=[_heading(report.plan, title)])
    if report.problem:
        parts.head += ["", f"**Problem**: {_code(prose(report.problem))}"]
    pairs = zip(report.outcomes, change_rows(report.plan, view.now), strict=False)
    shown = sorted(pairs, key=lambda pair: isinstance(pair[0], Applied))
    kept = [_plan_row(kept_row(each)) for each in report.plan.kept]
    if shown or kept:
        parts.table = ["", "| | Webhook | Outcome | Why | Where |", "|---|---|---|---|---|"]
        parts.rows = [_outcome_row(outcome, row) for outcome, row in shown] + kept
    parts.after = [
        f"- Healed: copy {_code(quote(each.removed))} of {_code(quote(each.name))} was deleted, "
        f"{_code(quote(each.kept))} stays"
        for each in report.healed
    ]
    if not report.plan.changes:  # nobody was shown the plan
        parts.after += _remarks(report.plan, view)
    parts.foot = ["", summary(report.plan) if not report.plan.changes else verification(report)]
    last = ending(report)
    if last is not None:
        parts.foot.append(last)
    return fit(parts, view.limit, measure)


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Show findings as a list, sorted by place."""
    if not findings:
        return "### No findings\n"
    parts = Parts(
        head=[f"### {finding_counts(findings)}", ""],
        rows=_findings(findings),
    )
    return fit(parts, view.limit, len).text


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Show why the run could not go on."""
    lines = [f"### Failed: {_code(error.code)}", "", _code(prose(error.message))]
    if error.hint:
        lines += ["", f"Help: {_code(prose(error.hint))}"]
    findings = error.findings if isinstance(error, ConfigurationError) else ()
    rows = _findings(findings)
    return fit(Parts(head=[*lines, ""] if rows else lines, rows=rows), view.limit, len).text


def _heading(plan: Plan, title: str) -> str:
    return f"### CloudTruth webhooks of {_code(quote(plan.organization.name))}: {title}"


def _plan_row(row: Row) -> str:
    match row.sign:
        case "+":
            what = f"create {_cell(row.what)}"
        case "-":
            what = f"**delete** {_cell(row.what)}"
        case "~":
            changed = ", ".join(_cell(each.label) for each in row.fields[:_MOST_FIELDS])
            more = len(row.fields) - _MOST_FIELDS
            what = "rename" if row.what == RENAME else f"update {_cell(row.what)}"
            what += f": {changed}" if changed else ""
            what += f" and {more} more" if more > 0 else ""
        case _:
            what = row.what
    why = row.why if row.why in _OUR_WORDS else _cell(row.why)
    why += f" ({row.attribution})" if row.attribution else ""
    return _table_row(row.sign, row, what, why)


def _outcome_row(outcome: Outcome, row: Row) -> str:
    done = past(outcome.change)
    match outcome:
        case Applied(note=note):
            sign, what, why = row.sign, done, _cell(prose(note)) if note else ""
        case Failed():
            fields = "".join(f"; {_cell(prose(each.message))}" for each in outcome.fields)
            sign, what, why = "x", f"**not {done}**", f"{_cell(prose(outcome.message))}{fields}"
        case Skipped(message=message):
            sign, what, why = ".", "skipped", _cell(prose(message))
        case Unconfirmed(message=message):
            sign, what, why = "?", "**unconfirmed**", _cell(prose(message))
    return _table_row(sign, row, what, why)


def _table_row(sign: str, row: Row, what: str, why: str) -> str:
    return f"| `{sign}` | {_cell(row.name)} | {what} | {why} | {_cell(row.place)} |"


def _remarks(plan: Plan, view: View) -> Iterable[str]:
    for each in plan.relaxed:
        yield _remark("policy relaxed", each)
    yield from _findings(plan.notes)
    named = [_code(quote(each.name)) for each in plan.unmanaged[:5]]
    if named:
        more = len(plan.unmanaged) - len(named)
        yield f"- Unmanaged: {', '.join(named)}{f' and {more} more' if more else ''}"
    fields = [f"{_code(quote(field))} of {_code(quote(name))}" for name, field in plan.unreadable]
    if fields:
        more = len(fields) - _MOST_UNREADABLE
        tail = f" and {more} more" if more > 0 else ""
        yield f"- Cannot be read back: {', '.join(fields[:_MOST_UNREADABLE])}{tail}"
    for ref in dict.fromkeys(use.reference for use in plan.secrets):
        missing = " (missing here)" if ref in view.missing else ""
        yield f"- Apply needs {_code(reference(ref))}{missing}"
    outside = [
        _code(quote(change.name))
        for change, found in zip(plan.changes, plan.operations, strict=False)
        if not found
    ]
    if outside:
        yield f"- Outside the digest, as only a secret's value makes them: {', '.join(outside)}"


def _details(row: Row) -> Iterable[str]:
    """Yield the lines of a diff: what goes with `-`, what comes with `+`."""
    if row.fields or row.sign == "+":
        mark = "+" if row.sign == "+" else "!"
        yield f"{mark} {row.name}  {row.what}  {' '.join(row.details)}"
    for each in row.fields:
        going = [atom for atom in each.atoms if atom.sign == "-"]
        coming = [atom for atom in each.atoms if atom.sign == "+"]
        other = "".join(f"{atom.gap}{atom.text}" for atom in each.atoms if not atom.sign)
        if going:
            yield f"-   {each.label}  {_joined(going)}{'' if coming else other}"
        if coming or not going:
            yield f"{'+' if coming else '!'}   {each.label}  {_joined(coming)}{other}"


def _joined(atoms: Sequence[Atom]) -> str:
    return " ".join(atom.text for atom in atoms)


def _findings(findings: Iterable[Finding]) -> list[str]:
    shown, left = leading(findings)
    rows = [_remark(str(each.severity), each) for each in sorted(shown, key=sort_key)]
    return [*rows, *(f"- {each}" for each in more_findings(left))]


def _remark(title: str, finding: Finding) -> str:
    where = f" at {_code(place(finding.position))}" if finding.position else ""
    related = "".join(
        f"; {_code(prose(each.message))} at {_code(place(each.position))}"
        for each in finding.related
    )
    advice = f" (help: {_code(prose(finding.hint))})" if finding.hint else ""
    return f"- **{title}**: {_code(prose(finding.message))}{where}{related}{advice}"


def _code(text: str) -> str:
    """Return inline code that ends where it shall: one more backtick than any run inside."""
    if not text:
        return ""
    ticks = "`" * (longest_run(text) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _cell(text: str) -> str:
    return _code(text).replace("|", "\\|")
