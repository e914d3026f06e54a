"""Render text for terminals and logs: plans, reports, drift, findings, errors.

Lines are laid out in columns within the view's width; a row that does not fit continues on the next
line. Findings look like a compiler's: message, position, the line with carets, help. The text is
the same with and without color.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from reconciler.errors import ApiError, ReconcilerError
from reconciler.findings import MAX_EXCERPT_PREFIX, Finding, Position, Severity
from reconciler.planning.plan import Plan, RunPlan
from reconciler.render import PLAIN, View, words
from reconciler.render.layout import (
    columns,
    flow,
    joined,
    lay_out,
    listed,
    paint,
    paragraph,
    paragraphs,
)
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    Atom,
    FieldLine,
    Row,
    duplicate_row,
    group_resends,
    label,
    other_rows,
    outcome_row,
    plan_rows,
    position_text,
    sentence,
)
from reconciler.report import Applied, Report, RunReport

if TYPE_CHECKING:
    from reconciler.planning.drift import DriftReport
    from reconciler.render.combined import Combined, Section
    from reconciler.render.drifted import Block


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Render the plans of a run: equal changes once, and the totals last.

    With `verbosity`, render each plan of several. If it is -1, render only the guards that block
    the plans.
    """
    if run.is_single:
        return joined(*_plan(run.plans[0], view))
    from reconciler.render.combined import combine  # most runs have one organization

    combined = combine(run)
    if view.verbosity < 0:
        return joined(_blocks(combined.plan.blocked, view), [words.run_summary(run.totals)])
    parts: list[Sequence[str]] = []
    if view.verbosity > 0:
        for plan in run.plans:  # without commands: they would apply only one of the plans
            parts += _plan(plan, view._replace(apply_options=None))
    else:
        parts += _combined(run, combined, view)
    failed = [
        f"{quote(result.name)} ({result.problem.code})"
        for result in run.organizations
        if result.problem is not None
    ]
    if failed:
        parts.append(flow(listed(failed, end="."), view, start="Failed:"))
    return joined(*parts, _run_end(run, view))


def _plan(plan: Plan, view: View) -> Iterable[Sequence[str]]:
    """Yield the sections of one plan, the last one with the command that applies exactly this."""
    # Also with --quiet, because a blocked plan is a failure.
    if view.verbosity < 0:
        yield _blocks(plan.blocked, view)
        yield _unblocking(plan, view)
        return
    header = _header(plan, view)
    if plan.counts.live:
        header += paragraph(words.scope(plan), view)
    yield header
    rows = plan_rows(plan)
    if view.verbosity == 0:
        rows = group_resends(rows)
    rows += other_rows(plan, view)
    yield lay_out(rows, view)
    yield from _notes(plan, view)
    style = "strong" if plan.operations or plan.blocked else "good"
    end = paragraph(paint(words.summary(plan), style, view), view)
    end += paragraphs([f"{line}." for line in words.outside_digest(plan)], view)
    if plan.digest:
        end += _digest(plan.digest, view, applies=not plan.blocked)
    yield end
    yield _unblocking(plan, view)


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Render the outcomes of a run: equal ones once, and the totals last.

    If `verbosity` is -1, applied operations are only counted.
    """
    if run.is_single:
        return joined(*_report(run.reports[0], view))
    # Most runs have one organization.
    from reconciler.render.combined import combine_reports, sections

    combined = combine_reports(run, only_failed=view.verbosity < 0)
    end = []
    for result in run.organizations:
        if result.value is not None and result.value.problem:
            end += paragraph(_problem(f"{quote(result.name)}: ", result.value.problem, view), view)
    for reason, names in words.not_as_declared(run).items():
        end += flow(listed(names, end="."), view, start=f"{reason}:")
    end += paragraphs(words.run_result(run), view)
    rows = sections([*combined.outcomes, *combined.unapplied])
    shown = (_section(section, view) for section in rows)
    return joined(*shown, _blocks(combined.notes, view), end)


def _report(report: Report, view: View) -> Iterable[Sequence[str]]:
    """Yield the sections of the report of one organization."""
    is_quiet = view.verbosity < 0
    if not is_quiet:
        yield _header(report.plan, view)
    rows = [
        outcome_row(outcome)
        for outcome in report.outcomes
        if not (is_quiet and isinstance(outcome, Applied))
    ]
    # A plan with operations was printed before the apply.
    rows += other_rows(report.plan, PLAIN if report.outcomes else view)
    rows += map(duplicate_row, report.duplicates_removed)
    yield lay_out(rows, view)
    texts = []
    if report.plan.operations:
        texts.append(f"{words.applied(report).capitalize()}.")
    else:
        yield from _notes(report.plan, view)
    if report.problem:
        texts.append(_problem("", report.problem, view))
    texts += words.conclusion(report)
    yield paragraphs(texts, view) + _command(words.next_command(report))


def _problem(name: str, problem: str, view: View) -> str:
    return f"{paint('Problem:', 'error', view)} {name}{prose(problem)}"


def _section(section: Section, view: View) -> list[str]:
    """Return rows below the organizations that they concern."""
    names = section.organizations
    heading = flow(listed(names, end=":"), view, start=words.in_organizations(names))
    return [*heading, *lay_out(section.rows, view)]


def _combined(run: RunPlan, combined: Combined, view: View) -> Iterable[Sequence[str]]:
    """Yield the sections of several plans."""
    from reconciler.render.combined import sections  # most runs have one organization

    origins = dict.fromkeys(quote(plan.origin.removeprefix("https://")) for plan in run.plans)
    atoms = []
    if origins:  # none if no organization could be planned
        atoms.append(Atom(f"({', '.join(origins)})"))
    yield _title_lines(words.plural(len(run.organizations), "organization"), atoms, view)
    yield _blocks(combined.plan.blocked, view)
    changes = [(change.organizations, change.row) for change in combined.changes]
    for section in (*sections(changes), *sections(combined.unapplied)):
        yield _section(section, view)
    yield from _notes(combined.plan._replace(blocked=()), view)


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Render what drifted, with both ways out, what is not applied yet, and the edits as a diff."""
    from reconciler.render.combined import Section  # for one command only
    from reconciler.render.drifted import blocks, conclusion, others

    def shown(section: Section) -> list[str]:
        if len(report.organizations) > 1:
            return _section(section, view)
        return lay_out(section.rows, view)

    parts: list[Sequence[str]] = []
    for names, members in groupby(blocks(report, view), key=lambda block: block.organizations):
        rows = [row for block in members for row in _with_ways(block)]
        parts.append(shown(Section(names, tuple(rows))))
    for other in others(report, view):
        lines = paragraph(other.title, view) + _command(other.command)
        parts.append([*lines, *(line for section in other.sections for line in shown(section))])
    end = conclusion(report, view)
    parts.append(paragraphs(end.texts, view) + _command(end.command))
    if not report.accepted:
        parts += [_diff(diff.diff, view) for diff in report.diffs]
    return joined(*parts)


def _command(command: str) -> list[str]:
    """Return a command on one line, to be copied."""
    if not command:
        return []
    return [f"    {command}"]


def _with_ways(block: Block) -> Iterable[Row]:
    """Yield the rows of a webhook that drifted, the last one with both ways out below it."""
    *most, last = block.rows
    ways = [("revert", [Atom(block.revert)]), ("accept", [Atom(block.accept)])]
    if block.refusal:
        ways[1] = ("accept", sentence(f"by hand: {block.refusal}"))
    lines = [FieldLine(label, tuple(atoms)) for label, atoms in ways if atoms[0].text]
    yield from most
    yield last._replace(fields=(*last.fields, *lines))


def _diff(diff: str, view: View) -> list[str]:
    """Return the lines of a diff. CR LF stays, so that it can be applied as it is printed."""
    lines = []
    # Not `splitlines`, which also splits at other characters within a line.
    for line in diff.removesuffix("\n").split("\n"):
        text = prose(line.removesuffix("\r"))
        if line.endswith("\r"):
            text += "\r"
        lines.append(paint(text, line[:1], view))
    return lines


def _run_end(run: RunPlan, view: View) -> list[str]:
    totals = run.totals
    lines = paragraphs([f"{line}." for line in words.outside_digest(*run.plans)], view)
    # An organization that is blocked or failed stops an apply of all.
    if run.digest:
        lines += _digest(run.digest, view, applies=not (totals.blocked or totals.failed))
    style = "good" if totals.unchanged == totals.organizations else "strong"
    end = paint(words.run_summary(totals), style, view)
    return [*lines, *paragraph(end, view)]


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render findings, sorted by position, and their number; empty without findings."""
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
    lines.append(_title("error", error.code, message, view))
    if isinstance(error, ApiError):
        if error.detail:
            lines.append(f"  CloudTruth replied: {quote(error.detail)}")
        lines += [f"  {label(path)}: {quote(text)}" for path, text in error.fields]
    lines += [f"  {prose(difference)}" for difference in error.differences]
    if error.hint:
        lines.append(_aside("help", error.hint, 1, view))
    return "\n".join(lines) + "\n"


def _header(plan: Plan, view: View) -> list[str]:
    """Return the organization, the server, the source of the key and the number of files."""
    # Only an unusual `http://` is shown.
    about = [f"({quote(plan.origin.removeprefix('https://'))}"]
    if view.key_source:
        about.append(f"key from {prose(view.key_source)}")
    if plan.organization.role:
        about.append(f"role {quote(plan.organization.role)}")
    if plan.organization.maintenance:
        about.append("in maintenance")
    if plan.counts.files:
        about.append(words.plural(plan.counts.files, "file"))
    return _title_lines(quote(plan.organization.name), listed(about, end=")"), view)


def _title_lines(name: str, about: Iterable[Atom], view: View) -> list[str]:
    return flow(about, view, start=f"CloudTruth webhooks for {paint(name, 'strong', view)}")


def _notes(plan: Plan, view: View) -> Iterable[Sequence[str]]:
    """Yield the notes of a plan, in sections, some of which may be empty."""
    is_listed = view.verbosity > 0
    end = "; listed with -v."
    if is_listed:
        end = "."
    lines = [f"{line}{end}" for line in words.remaining_counts(plan, names=is_listed)]
    yield paragraphs([*lines, *words.failing(plan), *words.drifted(plan)], view)
    yield _secrets(plan, view)
    # What blocks is last, near the edits that unblock the plan.
    for findings in (plan.notes, plan.relaxed, plan.blocked):
        yield _blocks(findings, view)


def _unblocking(plan: Plan, view: View) -> list[str]:
    """List the edits that unblock a plan, each on one line to be copied."""
    lines = []
    for purpose, text in words.unblocking(plan, view):
        lines += paragraph(f"{purpose}:", view, start="  ")
        lines += _command(text)
    if lines:
        lines.insert(0, "To unblock this plan, do one of these:")
    return lines


def _secrets(plan: Plan, view: View) -> list[str]:
    """List the references that `apply` resolves, each with its destinations."""
    lines = []
    if plan.secrets:
        lines.append("Secrets that apply needs:")
    for ref, destinations in words.secret_destinations(plan).items():
        first, *others = listed(destinations)
        atoms = [Atom(f"-> {first.text}", gap="  "), *others]
        lines += flow(atoms, view, start=f"  {quote(str(ref))}", indent=6)
    return lines + paragraphs(words.not_set_here(plan, view), view)


def _digest(digest: str, view: View, *, applies: bool) -> list[str]:
    """Return the digest once, in the command that applies exactly this plan if there is one."""
    if not view.shows_digest:
        return []
    lines = [f"Digest {quote(digest)}"]
    if applies and view.apply_options is not None:
        command, start = words.apply_command(view), "To apply exactly this plan:"
        if view.plan_file is None:  # the command has the digest
            command, lines = words.apply_command(view, "--expect-digest", digest), []
        lines += flow([Atom(command)], view, start=start)
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
    yield _title(str(finding.severity), finding.rule, finding.message, view)
    gutter = 1
    if where is not None:
        gutter = len(str(where.line))
        arrow = paint("-->", "faint", view)
        yield f"{' ' * gutter}{arrow} {position_text(where)}:{where.column}"
        if finding.excerpt is not None:
            yield from _excerpt(finding.excerpt, where, str(finding.severity), view)
    for related in finding.related:
        yield _aside("note", f"{related.message}: {position_text(related.position)}", gutter, view)
    if finding.hint:
        yield _aside("help", finding.hint, gutter, view)


def _title(severity: str, rule: str, message: str, view: View) -> str:
    return f"{paint(f'{severity}[{prose(rule)}]', severity, view)}: {prose(message)}"


def _aside(word: str, message: str, gutter: int, view: View) -> str:
    return f"{' ' * gutter} {paint('=', 'faint', view)} {word}: {prose(message)}"


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
