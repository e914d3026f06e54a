"""Render text for terminals and logs: plans, reports, drift, findings and errors.

Lines are laid out in columns within the view's width; a row that does not fit continues on the next
line. Findings look like a compiler's: message, position, the line with carets, help. The text is
the same with and without color.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from reconciler.errors import ApiError, ReconcilerError
from reconciler.findings import MAX_EXCERPT_PREFIX, Finding, Position, Severity, plural
from reconciler.planning.plan import Plan
from reconciler.planning.run import DriftReport, RunPlan
from reconciler.render import PLAIN, View, outcomes, paint, words
from reconciler.render.combined import (
    Combined,
    RunRow,
    combine,
    combine_reports,
    sections,
)
from reconciler.render.drift import (
    drift_blocks,
    drift_conclusion,
    drift_others,
    printed_diffs,
)
from reconciler.render.layout import (
    columns,
    flow,
    joined,
    lay_out,
    message_lines,
    paragraphs,
)
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    Atom,
    Row,
    label,
    listed,
    position_text,
    sentence,
    written_url,
)
from reconciler.report import RunReport


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Render the plans of a run: equal changes once, then notes, totals, digest and next step.

    If `verbosity` is -1, render only the guards that block the plans.
    """
    combined = combine(run, view)
    blocked = _blocks(combined.plan.blocked, view)
    # Also with --quiet, because a blocked plan is a failure.
    if view.verbosity < 0:
        return joined(blocked, _unblocking(run, view))
    header = _header(len(run.organizations), run.plans, view)
    if run.is_single and combined.plan.counts.live:
        header += paragraphs([words.scope(combined.plan)], view)
    outside = _outside_digest(run, view)
    end = paragraphs(outside, view) + _failed(run, view)
    if run.digest:
        # Of a written URL only the host is shown; the digest tells the rest apart.
        operations = chain.from_iterable(plan.operations for plan in run.plans)
        if view.shows_digest or any(map(written_url, operations)):
            end += _digest(run, view, covers_all=not outside)
    totals, style = run.totals, "strong"
    if totals.is_unchanged:
        style = "good"
    if run.is_single:
        end = paragraphs([paint(words.summary(combined.plan), style, view)], view) + end
    else:  # the last line, where users of a long output look
        end += paragraphs([paint(words.run_summary(totals), style, view)], view)
    return joined(
        header,
        *_tables([*combined.entries, *combined.unapplied], view),
        *_notes(combined, view),
        # Near the edits that unblock the plan.
        blocked,
        end,
        _unblocking(run, view),
    )


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Render the outcomes of a run: equal ones once, then what was applied, verified and is next.

    If `verbosity` is -1, applied operations are only counted.
    """
    plans = [report.plan for report in run.reports]
    combined = combine_reports(run, view)
    entries = [*_reasons_once(combined.entries), *combined.unapplied]
    parts: list[Sequence[str]] = [*_tables(entries, view)]
    if view.verbosity >= 0:
        parts.insert(0, _header(len(run.organizations), plans, view))
    parts += [*_notes(combined, view), _blocks(combined.plan.blocked, view)]
    mark = paint("Problem:", "error", view)
    end = paragraphs([f"{mark} {problem}" for problem in outcomes.report_problems(run)], view)
    for reason, names in outcomes.not_as_declared(run).items():
        end += flow(listed(names, end="."), view, start=f"{reason}:")
    texts = outcomes.conclusion(run, view)
    if outcomes.has_changes(run):
        texts.insert(0, f"{outcomes.applied(run).capitalize()}.")
    end += paragraphs(texts, view)
    end += _command(outcomes.next_command(run))
    # The last line, where users of a long output look.
    return joined(*parts, end + paragraphs(outcomes.totals(run), view))


def _reasons_once(entries: Iterable[RunRow]) -> Iterator[RunRow]:
    """Yield outcomes; a reason of several lines is only at the first webhook skipped for it."""
    first: dict[str, Row] = {}
    for entry in entries:
        row = entry.row
        known = first.setdefault(row.why, row)
        if row.sign == "." and len(row.why) > PLAIN.width and known is not row:
            entry = entry._replace(row=row._replace(why=f"for the same reason as {known.name}"))
        yield entry


def _outside_digest(run: RunPlan, view: View) -> list[str]:
    """Return what the digest does not cover, and which apply sends it."""
    outside: list[str] = []
    for reason, line in words.outside_digest(run.plans):
        # A saved plan has the hosts that it shows.
        if reason is words.Outside.HOST and view.plan_file is not None:
            continue
        way = ""
        if reason is words.Outside.VALUE and view.apply_options is not None:
            way = " Only --yes, or an apply without a digest or plan file, sends these."
            command = words.apply_command(view, "--yes")
            if view.plan_file is not None and command:
                way = f" Only `{command}` sends these."
        outside.append(f"{line}.{way}")
    return outside


def _failed(run: RunPlan, view: View) -> list[str]:
    """Return the organizations that could not be planned or probably not applied, by reason."""
    failed: dict[str, list[str]] = {}
    for reason, name in _obstacles(run):
        failed.setdefault(reason, []).append(quote(name))
    lines: list[str] = []
    for reason, names in failed.items():
        lines += flow(listed(names, end="."), view, start=f"{reason}:")
    return lines


def _obstacles(run: RunPlan) -> Iterator[tuple[str, str]]:
    """Yield why an organization could not be planned, or probably not applied, and its name."""
    for result in run.organizations:
        if result.problem is not None:
            yield words.problem_title(result.problem), result.name
    if run.is_single:  # its header has the others
        return
    organizations = [plan.organization for plan in run.plans]
    # Keys that only read are usual for plans, but then those of all organizations.
    is_mixed = len({organization.role for organization in organizations}) > 1
    for organization in organizations:
        if organization.maintenance:
            yield "In maintenance", organization.name
        role = organization.role
        if role and is_mixed and not organization.has_writing_role:
            yield f"Key with role {quote(role)}", organization.name


def _header(count: int, plans: Sequence[Plan], view: View) -> list[str]:
    """Return what is known about the organizations: servers, and for one the key and its role."""
    # Only an unusual `http://` is shown.
    origins = dict.fromkeys(quote(plan.origin.removeprefix("https://")) for plan in plans)
    name, about = plural(count, "organization"), [*origins]
    if count == 1:
        organization = plans[0].organization
        name = quote(organization.name)
        if view.key_source:
            about.append(f"key from {prose(view.key_source)}")
        if organization.role:
            about.append(f"role {quote(organization.role)}")
        if organization.maintenance:
            about.append("in maintenance")
        if plans[0].counts.files:
            about.append(plural(plans[0].counts.files, "file"))
    if about:  # nothing is known if no organization could be planned
        about[0] = f"({about[0]}"
    start = f"CloudTruth webhooks for {paint(name, 'strong', view)}"
    return flow(listed(about, end=")"), view, start=start)


def _tables(entries: Iterable[RunRow], view: View) -> Iterator[list[str]]:
    """Yield a table for consecutive rows of the same organizations, below their names."""
    for names, rows in sections(entries, view):
        lines = lay_out(rows, view)
        if names:
            start = words.in_organizations(names)
            lines[:0] = flow(listed(names, end=":"), view, start=start)
        yield lines


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Render what drifted, with both ways out, what is not applied yet, and the edits as a diff."""
    drifted: list[RunRow] = []
    for block in drift_blocks(report, view):
        *most, last = block.rows
        rows = [*most, last._replace(fields=(*last.fields, *block.ways))]
        drifted += [RunRow(block.organizations, row) for row in rows]
    parts = [*_tables(drifted, view)]
    for title, command, entries in drift_others(report, view):
        lines = paragraphs([title], view) + _command(command)
        parts.append([*lines, *chain.from_iterable(_tables(entries, view))])
    texts, command = drift_conclusion(report, view)
    parts.append(paragraphs(texts, view) + _command(command))
    if not report.accepted:
        parts += [_diff(diff.diff, view) for diff in printed_diffs(report, view)]
    return joined(*parts)


def _command(command: str) -> list[str]:
    """Return a command on one line, to be copied."""
    if not command:
        return []
    return [f"    {command}"]


def _diff(diff: str, view: View) -> list[str]:
    """Return the lines of a diff. CR LF stays, so that it can be applied as it is printed."""
    lines = []
    # Not `splitlines`, which also splits at other characters within a line.
    for line in diff.removesuffix("\n").split("\n"):
        lines.append(paint(line, line[:1], view))
    return lines


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render findings, sorted by position, and their number; empty without findings."""
    # A quiet run is for errors; warnings do not fail it.
    if view.verbosity < 0:
        findings = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    if not findings:
        return ""
    return joined(_blocks(findings, view), [words.finding_counts(findings)])


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Render the error that ended the run: message, findings, the server's response, help."""
    lines: list[str] = []
    message = error.message
    # Findings come first, so that the last lines are what failed and what to do.
    if error.findings:
        lines += [*_blocks(error.findings, view), ""]
        message = f"{message} ({words.finding_counts(error.findings)})"
    lines += _title("error", error.code, message, view)
    if isinstance(error, ApiError):
        if error.detail:
            lines += message_lines("  CloudTruth replied:", quote(error.detail), view, 4)
        for path, text in error.fields:
            lines += message_lines(f"  {label(path)}:", quote(text), view, 4)
    for difference in error.differences:
        lines += message_lines(" ", prose(difference), view, 4)
    if error.hint:
        lines += _aside("help", error.hint, 1, view)
    return "\n".join(lines) + "\n"


def _notes(combined: Combined, view: View) -> Iterable[Sequence[str]]:
    """Yield the notes of a plan, in sections, some of which may be empty."""
    plan = combined.plan
    end = "; listed with -v."
    if view.verbosity > 0:
        end = "."
    yield paragraphs([f"{line}{end}" for line in words.remaining_counts(plan, view)], view)
    lines = []
    if combined.secrets:
        lines.append("Secrets that apply needs:")
    for references, places in combined.secrets:
        atoms: list[Atom] = []
        for reference, names in references:
            atoms.append(Atom(f"{reference} in" if names else reference))
            # Another reference may follow the names.
            is_last = reference == references[-1][0]
            atoms += listed(names, "" if is_last else ";")
        first, *others = listed(places)
        atoms += [Atom(f"-> {first.text}", gap="  "), *others]
        lines += flow(atoms, view, start="  ", indent=6)
    yield lines + paragraphs([f"{line}." for line in words.reminders(plan, view)], view)
    for findings in (plan.notes, plan.relaxed):
        yield _blocks(findings, view)


def _unblocking(run: RunPlan, view: View) -> list[str]:
    """List the edits that unblock the plan of one organization, each on one line to be copied."""
    lines: list[str] = []
    if run.is_single:  # those of one plan do not unblock the others
        for purpose, text in words.unblocking(run.plans[0], view):
            lines += flow(sentence(f"{purpose}:"), view, start="  ")
            lines += _command(text)
    if lines:
        lines.insert(0, "To unblock this plan, do one of these:")
    return lines


def _digest(run: RunPlan, view: View, *, covers_all: bool) -> list[str]:
    """Return the digest once, in the command that applies exactly this plan if there is one."""
    purpose = "exactly this plan" if covers_all else "what the digest covers"
    lines = [f"Digest {quote(run.digest)}"]
    # An organization that is blocked or failed stops an apply of all.
    is_stopped = run.totals.blocked or run.totals.failed
    if view.shows_digest and not is_stopped:
        command = words.apply_command(view)
        if view.plan_file is None:
            command = words.apply_command(view, "--expect-digest", run.digest)
            lines = [] if command else lines  # the command has the digest
        if command:
            lines += flow([Atom(command)], view, start=f"To apply {purpose}:")
    return [paint(line, "faint", view) for line in lines]


def _blocks(findings: Iterable[Finding], view: View) -> list[str]:
    """Return findings, separated by an empty line; no lines without findings."""
    shown, more = words.limited(findings)
    blocks = ["\n".join(_block(finding, view)) for finding in shown]
    if not blocks:
        return []
    return ["\n\n".join((*blocks, *more))]


def _block(finding: Finding, view: View) -> Iterable[str]:
    """Yield the lines of one finding."""
    where = finding.position
    yield from _title(str(finding.severity), finding.rule, finding.message, view)
    gutter = 1
    if where is not None:
        gutter = len(str(where.line))
        arrow = paint("-->", "faint", view)
        yield f"{' ' * gutter}{arrow} {position_text(where)}:{where.column}"
        if finding.excerpt is not None:
            yield from _excerpt(finding.excerpt, where, str(finding.severity), view)
    for related in finding.related:
        place = f"{related.message}: {position_text(related.position)}"
        yield from _aside("note", place, gutter, view)
    if finding.hint:
        yield from _aside("help", finding.hint, gutter, view)


def _title(severity: str, rule: str, text: str, view: View) -> list[str]:
    start = f"{paint(f'{severity}[{prose(rule)}]', severity, view)}:"
    return message_lines(start, prose(text), view)


def _aside(word: str, text: str, gutter: int, view: View) -> list[str]:
    start = f"{' ' * gutter} {paint('=', 'faint', view)} {word}:"
    return message_lines(start, prose(text), view, gutter + 3)


def _excerpt(line: str, where: Position, severity: str, view: View) -> Iterable[str]:
    """Yield the source line with carets below it; for a long line, only the marked part.

    Columns are counted as printed: characters may be escaped, or two columns wide.
    """
    number, bar = str(where.line), paint("|", "faint", view)
    margin = " " * len(number)
    start = where.column - 1
    if start > MAX_EXCERPT_PREFIX:  # the excerpt starts with `...`
        start = MAX_EXCERPT_PREFIX + 3
    start = min(start, len(line))
    before, after, last = _window(line, start, view.width - len(number) - 3)
    end = min(start + where.width, last)
    carets = "^" * max(1, columns(prose(line[start:end])))
    yield f"{margin} {bar}"
    yield f"{number} {bar} {before}{after}".rstrip(" ")
    yield f"{margin} {bar} {' ' * columns(before)}{paint(carets, severity, view)}"


def _window(line: str, start: int, room: int) -> tuple[str, str, int]:
    """Return the text before and after `start`, together at most `room` columns, and its end."""
    first = 0
    if len(line) > room and start >= room // 2:
        first = start - room // 2
    last = min(len(line), first + room)
    while True:
        before = ("..." if first else "") + prose(line[first:start])
        after = prose(line[start:last]) + ("..." if last < len(line) else "")
        if columns(before) + columns(after) <= room:
            return before, after, last
        # One character at a time: an escaped one takes up to ten columns, others one or two.
        if first < start and columns(before) > room // 2:
            first += 1
        elif last > start + 1:
            last -= 1
        else:
            return before, after, last
