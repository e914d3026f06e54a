"""Render text for terminals and logs: plans, reports, findings, errors, status, checklists.

Lines are laid out in columns within the view's width; a row that does not fit continues on the next
line. Findings look like a compiler's: message, position, the line with carets, help. The text is
the same with and without color.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reconciler.errors import ApiError, ReconcilerError
from reconciler.findings import MAX_EXCERPT_PREFIX, Finding, Position, Severity
from reconciler.planning.delivery import DeliveryState
from reconciler.planning.plan import Plan
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.planning.status import DRIFTED, ManagementStatus, WebhookStatus
from reconciler.render import PLAIN, LiveStatus, View, words
from reconciler.render.layout import columns, fitted, flow, lay_out, paint, paragraph
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    Atom,
    FieldLine,
    Row,
    duplicate_row,
    events,
    group_resends,
    label,
    other_rows,
    outcome_row,
    outside_digest,
    plan_rows,
    position_text,
    sentence,
)
from reconciler.report import Applied, Report, RunReport

if TYPE_CHECKING:
    from reconciler.checks import Check, Checklist, Subject
    from reconciler.planning.drift import DriftReport
    from reconciler.render.combined import Combined, Section
    from reconciler.render.drifted import Block

_STATUS_WIDTH: Final = 100
"""The maximum width of a line of `status`, in columns."""
_DELIVERY_WIDTH: Final = 36
"""Columns that names and destinations leave for deliveries."""
_NAME_COLUMN: Final = 4
_DETAILS_COLUMN: Final = 6
_MAX_SUBJECTS: Final = 10


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Render the plan of one organization."""
    return render_run(RunPlan.of(plan), view)


def render_run(run: RunPlan, view: View = PLAIN) -> str:
    """Render the plans of a run: equal changes once, and the totals last.

    With `verbosity`, render each plan of several. If it is -1, render only the guards that block
    the plans.
    """
    if run.is_single:
        return _joined(*_plan(run.plans[0], view))
    from reconciler.render.combined import combine  # most runs have one organization

    combined = combine(run)
    if view.verbosity < 0:
        return _joined(_blocks(combined.plan.blocked, view), [words.run_summary(run.totals)])
    parts: list[Sequence[str]] = []
    if view.verbosity > 0:
        for plan in run.plans:
            parts += _plan(plan, view._replace(apply_options=None))
    else:
        parts += _combined(run, combined, view)
    failed = [
        f"{quote(result.name)} ({result.problem.code})"
        for result in run.organizations
        if result.problem is not None
    ]
    if failed:
        parts.append(flow(_listed(failed, end="."), start="Failed:", indent=2, width=view.width))
    return _joined(*parts, _run_end(run, view))


def _plan(plan: Plan, view: View) -> Iterable[Sequence[str]]:
    """Yield the sections of one plan, the last one with the command that applies exactly this."""
    if view.verbosity < 0:
        yield _blocks(plan.blocked, view)
        yield _unblocking(plan, view)
        return
    header = _header(plan, view)
    if plan.counts.live:
        header += paragraph(words.scope(plan), width=view.width)
    yield header
    rows = plan_rows(plan)
    if view.verbosity == 0:
        rows = group_resends(rows)
    rows += other_rows(plan, view)
    yield lay_out(rows, width=view.width, color=view.color)
    yield from _notes(plan, view)
    style = "strong" if plan.operations or plan.blocked else "good"
    end = paragraph(paint(words.summary(plan), style, view.color), width=view.width)
    end += _outside_digest([plan], view)
    if plan.digest:
        end += _digest(plan.digest, view, applies=not plan.blocked)
    yield end
    yield _unblocking(plan, view)


def render_run_report(run: RunReport, view: View = PLAIN) -> str:
    """Render the outcomes of several organizations: equal ones once, and the totals last.

    A single report is rendered as it is.
    """
    if len(run.organizations) == 1 and run.reports:
        return render_report(run.reports[0], view)
    from reconciler.render.combined import (
        combine_reports,
        sections,
    )  # most runs have one organization

    combined = combine_reports(run, only_failed=view.verbosity < 0)
    problems = [
        f"{paint('Problem:', 'error', view.color)} {quote(result.name)}: "
        f"{prose(result.value.problem)}"
        for result in run.organizations
        if result.value is not None and result.value.problem
    ]
    reasons = [
        line
        for reason, names in words.not_as_declared(run).items()
        for line in flow(_listed(names, end="."), start=f"{reason}:", indent=2, width=view.width)
    ]
    end = [*_paragraphs(problems, view), *reasons, *_paragraphs(words.run_result(run), view)]
    rows = sections([*combined.outcomes, *combined.unapplied])
    shown = (_section(section, view) for section in rows)
    return _joined(*shown, _blocks(combined.notes, view), end)


def _section(section: Section, view: View) -> list[str]:
    """Return rows below the organizations that they concern."""
    names = section.organizations
    start = f"In {words.plural(len(names), 'organization')}:" if len(names) > 1 else "In"
    heading = flow(_listed(names, end=":"), start=start, indent=2, width=view.width)
    return [*heading, *lay_out(section.rows, width=view.width, color=view.color)]


def _combined(run: RunPlan, combined: Combined, view: View) -> Iterable[Sequence[str]]:
    """Yield the sections of several plans."""
    from reconciler.render.combined import sections  # most runs have one organization

    origins = dict.fromkeys(quote(plan.origin.removeprefix("https://")) for plan in run.plans)
    count = words.plural(len(run.organizations), "organization")
    title = f"CloudTruth webhooks for {paint(count, 'strong', view.color)}"
    about = [Atom(f"({', '.join(origins)})")] if origins else []
    yield flow(about, start=title, indent=2, width=view.width)
    yield _blocks(combined.plan.blocked, view)
    changes = [(change.organizations, change.row) for change in combined.changes]
    for section in (*sections(changes), *sections(combined.unapplied)):
        yield _section(section, view)
    yield from _notes(combined.plan._replace(blocked=()), view)


def render_drift(report: DriftReport, view: View = PLAIN) -> str:
    """Render what drifted, with both ways out, what is not applied yet, and the edits as a diff."""
    from reconciler.render.combined import Section  # for one command only
    from reconciler.render.drifted import blocks, conclusion, others

    def listed(section: Section) -> list[str]:
        if len(report.organizations) > 1:
            return _section(section, view)
        return lay_out(section.rows, width=view.width, color=view.color)

    parts: list[Sequence[str]] = []
    for names, members in groupby(blocks(report, view), key=lambda block: block.organizations):
        rows = [row for block in members for row in _with_ways(block)]
        parts.append(listed(Section(names, tuple(rows))))
    for other in others(report, view):
        shown = [line for section in other.sections for line in listed(section)]
        command = [f"    {other.command}"] if other.command else []
        parts.append([*paragraph(other.title, width=view.width), *command, *shown])
    end = conclusion(report, view)
    parts.append(_paragraphs(end.texts, view) + ([f"    {end.command}"] if end.command else []))
    if not report.accepted:
        parts += [_diff(diff.diff, view) for diff in report.diffs]
    return _joined(*parts)


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
    for line in diff.removesuffix("\n").split("\n"):
        text = prose(line.removesuffix("\r")) + ("\r" if line.endswith("\r") else "")
        lines.append(paint(text, line[:1], view.color))
    return lines


def _run_end(run: RunPlan, view: View) -> list[str]:
    totals = run.totals
    lines = _outside_digest(run.plans, view)
    if run.digest:
        lines += _digest(run.digest, view, applies=not (totals.blocked or totals.failed))
    style = "good" if totals.unchanged == totals.organizations else "strong"
    end = paint(words.run_summary(totals), style, view.color)
    return [*lines, *paragraph(end, width=view.width)]


def _outside_digest(plans: Iterable[Plan], view: View) -> list[str]:
    """List the operations that no digest covers."""
    names = dict.fromkeys(name for plan in plans for name in outside_digest(plan))
    if not names:
        return []
    text = f"Not in the digest (only a secret's value differs): {', '.join(names)}."
    return paragraph(text, width=view.width)


def render_report(report: Report, view: View = PLAIN) -> str:
    """Render the outcome of each operation and of the run.

    If `verbosity` is -1, applied operations are only counted.
    """
    is_quiet = view.verbosity < 0
    rows = [
        outcome_row(outcome)
        for outcome in report.outcomes
        if not (is_quiet and isinstance(outcome, Applied))
    ]
    # A plan with operations was printed before the apply.
    rows += other_rows(report.plan, PLAIN if report.outcomes else view)
    rows += map(duplicate_row, report.duplicates_removed)
    return _joined(
        [] if is_quiet else _header(report.plan, view),
        lay_out(rows, width=view.width, color=view.color),
        *(_notes(report.plan, view) if not report.plan.operations else ()),
        _result(report, view),
    )


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Render findings, sorted by position, and their number; empty without findings."""
    if view.verbosity < 0:
        findings = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    if not findings:
        return ""
    return _joined(_blocks(findings, view), [words.finding_counts(findings)])


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Render the error that ended the run: message, findings, the server's response, help."""
    lines: list[str] = []
    message = error.message
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


def _joined(*sections: Sequence[str]) -> str:
    """Join sections with an empty line between them."""
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _header(plan: Plan, view: View) -> list[str]:
    """Return the organization, the server, the source of the key and the number of files."""
    about = [f"({quote(plan.origin.removeprefix('https://'))}"]
    if view.key_source:
        about.append(f"key from {prose(view.key_source)}")
    if plan.organization.role:
        about.append(f"role {quote(plan.organization.role)}")
    if plan.organization.maintenance:
        about.append("in maintenance")
    if plan.counts.files:
        about.append(words.plural(plan.counts.files, "file"))
    title = f"CloudTruth webhooks for {paint(quote(plan.organization.name), 'strong', view.color)}"
    return flow(_listed(about, end=")"), start=title, indent=2, width=view.width)


def _notes(plan: Plan, view: View) -> Iterable[Sequence[str]]:
    """Yield the notes of a plan, in sections, some of which may be empty."""
    is_listed = view.verbosity > 0
    end = "." if is_listed else "; listed with -v."
    lines = [f"{line}{end}" for line in words.remaining_counts(plan, names=is_listed)]
    yield _paragraphs([*lines, *words.failing(plan), *words.drifted(plan)], view)
    yield _secrets(plan, view)
    for findings in (plan.notes, plan.relaxed, plan.blocked):
        yield _blocks(findings, view)


def _unblocking(plan: Plan, view: View) -> list[str]:
    """List the edits that unblock a plan, each on one line to be copied."""
    lines = []
    for purpose, text in words.unblocking(plan, view):
        lines += paragraph(f"{purpose}:", start="  ", width=view.width)
        lines.append(f"    {text}")
    return ["To unblock this plan, do one of these:", *lines] if lines else []


def _secrets(plan: Plan, view: View) -> list[str]:
    """List the references that `apply` resolves, each with its destinations."""
    lines = ["Secrets that apply needs:"] if plan.secrets else []
    for ref, destinations in words.secret_destinations(plan).items():
        first, *others = _listed(destinations)
        atoms = [Atom(f"-> {first.text}", gap="  "), *others]
        lines += flow(atoms, start=f"  {quote(str(ref))}", indent=6, width=view.width)
    return lines + _paragraphs(words.not_set_here(plan, view), view)


def _listed(items: Iterable[str], end: str = "") -> list[Atom]:
    *most, last = items
    return [*(Atom(f"{item},") for item in most), Atom(f"{last}{end}")]


def _digest(digest: str, view: View, *, applies: bool) -> list[str]:
    """Return the digest once, in the command that applies exactly this plan if there is one."""
    if not view.shows_digest:
        return []
    lines = [f"Digest {quote(digest)}"]
    if applies and view.apply_options is not None:
        command, start = words.apply_command(view), "To apply exactly this plan:"
        if view.plan_file is None:  # the command has the digest
            command, lines = words.apply_command(view, "--expect-digest", digest), []
        lines += flow([Atom(command)], start=start, indent=2, width=view.width)
    return [paint(line, "faint", view.color) for line in lines]


def _result(report: Report, view: View) -> list[str]:
    """Return what was applied, whether it was verified, and what to do next."""
    texts = words.conclusion(report)
    if report.problem:
        texts.insert(0, f"{paint('Problem:', 'error', view.color)} {prose(report.problem)}")
    if report.plan.operations:
        texts.insert(0, f"{words.applied(report).capitalize()}.")
    command = words.next_command(report)
    # On one line, to be copied.
    return _paragraphs(texts, view) + ([f"    {command}"] if command else [])


def _paragraphs(texts: Iterable[str], view: View) -> list[str]:
    return [line for text in texts for line in paragraph(text, width=view.width)]


def _blocks(findings: Iterable[Finding], view: View) -> list[str]:
    """Return findings, separated by an empty line; no lines without findings."""
    shown, more = words.limited(findings)
    blocks = ["\n".join(_block(finding, view)) for finding in shown]
    return ["\n\n".join((*blocks, *more))] if blocks else []


def _block(finding: Finding, view: View) -> Iterable[str]:
    """Yield the lines of one finding."""
    where = finding.position
    yield _title(str(finding.severity), finding.rule, finding.message, view)
    gutter = len(str(where.line)) if where is not None else 1
    if where is not None:
        arrow = paint("-->", "faint", view.color)
        yield f"{' ' * gutter}{arrow} {position_text(where)}:{where.column}"
        if finding.excerpt is not None:
            yield from _excerpt(finding.excerpt, where, str(finding.severity), view)
    for related in finding.related:
        yield _aside("note", f"{related.message}: {position_text(related.position)}", gutter, view)
    if finding.hint:
        yield _aside("help", finding.hint, gutter, view)


def _title(severity: str, rule: str, message: str, view: View) -> str:
    return f"{paint(f'{severity}[{prose(rule)}]', severity, view.color)}: {prose(message)}"


def _aside(word: str, message: str, gutter: int, view: View) -> str:
    return f"{' ' * gutter} {paint('=', 'faint', view.color)} {word}: {prose(message)}"


def _excerpt(line: str, where: Position, severity: str, view: View) -> Iterable[str]:
    """Yield the source line with carets below it; for a long line, only the marked part.

    Columns are counted as printed: characters may be escaped, or two columns wide.
    """
    number, bar = str(where.line), paint("|", "faint", view.color)
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
    yield f"{margin} {bar} {' ' * columns(before)}{paint(carets, severity, view.color)}"


def _window(line: str, start: int, room: int) -> tuple[str, str, int]:
    """Return the text before and after `start`, together at most `room` columns, and its end."""
    first = 0 if len(line) <= room or start < room // 2 else start - room // 2
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


def render_status(status: LiveStatus, view: View = PLAIN) -> str:
    """Render each webhook in one line, failing ones first; with `verbosity`, with all details.

    The last lines count fields that were not compared and differences from the configuration.
    """
    plan = status.plan
    shown = sorted(status.shown, key=lambda webhook: not webhook.is_failing)
    live_count = sum(webhook.id is not None for webhook in status.webhooks)
    count = words.plural(live_count, "live webhook")
    if live_count != status.live_count:  # with --only
        count = f"{live_count} of {words.plural(status.live_count, 'live webhook')}"
    count += f", {len(status.failing)} failing" if status.failing else ""
    limits = words.not_compared(plan, names=view.verbosity > 0) if plan is not None else []
    lines = _paragraphs([f"{limit}." for limit in limits], view)
    title = f"CloudTruth webhooks for {quote(status.organization.name)}"
    table = _status_table(shown, view) or ["  none"]
    return _joined([title], table, [*lines, f"{count}. {_drift(status)}"])


def render_statuses(statuses: Sequence[OrganizationResult[LiveStatus]], view: View = PLAIN) -> str:
    """Render the live webhooks of each organization, and totals if there are several."""
    found = [result.value for result in statuses if result.value is not None]
    texts = [render_status(status, view) for status in found]
    if len(statuses) > 1:
        live = sum(status.live_count for status in found)
        drifted = sum(bool(status.drift) for status in found)
        count = words.plural(len(statuses), "organization")
        failed = f", {len(statuses) - len(found)} failed" if len(found) < len(statuses) else ""
        total = f"{count}: {words.plural(live, 'live webhook')}, drift in {drifted}{failed}."
        texts.append("\n".join(paragraph(total, width=view.width)) + "\n")
    return "\n".join(texts)


def _status_table(webhooks: Sequence[WebhookStatus], view: View) -> list[str]:
    """Return a line for each webhook, in aligned columns, cut to the width.

    With `verbosity`, the lines below it have its id, events, position and complete error.
    """
    width = min(view.width, _STATUS_WIDTH)
    names = [quote(webhook.name) for webhook in webhooks]
    destinations = [quote(webhook.destination) for webhook in webhooks]
    state_width = max((len(webhook.state) for webhook in webhooks), default=0)
    # Name and destination share the rest. If one of them needs less, the other gets more.
    room = max(8, width - _NAME_COLUMN - state_width - 6 - _DELIVERY_WIDTH)
    widest_name = max(map(columns, names), default=0)
    widest_destination = max(map(columns, destinations), default=0)
    destination_width = min(widest_destination, max(room // 2, room - widest_name))
    name_width = min(widest_name, room - destination_width)
    lines: list[str] = []
    for webhook, name, destination in zip(webhooks, names, destinations, strict=True):
        text = f"{fitted(name, name_width)}  {webhook.state:{state_width}}"
        text += f"  {fitted(destination, destination_width)}  {_delivery(webhook)}"
        sign = "!" if webhook.state in DRIFTED else " "
        sign = "x" if webhook.is_failing else sign
        start = f"  {paint(sign, sign, view.color)} "
        lines.append(start + fitted(text, width - _NAME_COLUMN).rstrip(" "))
        if view.verbosity > 0:
            lines += _status_details(webhook, view)
    return lines


def _delivery(webhook: WebhookStatus) -> str:
    """Return the deliveries of a live webhook, the position of a missing one."""
    if webhook.delivery is None:
        return position_text(webhook.position)
    run = "never run"
    if webhook.last_run is not None:
        run = f"last run {quote(words.without_fraction(webhook.last_run))}"
    error = quote(words.delivery_error(webhook.last_error))
    match webhook.delivery:
        case DeliveryState.FAILING:
            time = None if webhook.last_error is None else webhook.last_error.timestamp
            at = f" ({quote(words.without_fraction(time))})" if time else ""
            return f"failing: {error}{at}"
        case DeliveryState.FAILED_EARLIER:
            return f"failed earlier, {run}"
        case DeliveryState.UNKNOWN:
            return f"unknown, {run}: {error}"
        case DeliveryState.DELIVERING | DeliveryState.NEVER_RUN:
            return run


def _status_details(webhook: WebhookStatus, view: View) -> Iterable[str]:
    """Yield the details that the line of a webhook leaves out."""
    atoms = [] if webhook.id is None else [Atom(f"id {quote(webhook.id)}")]
    first, *others = events(webhook.event_types) or ("no events",)
    atoms += [Atom(first, gap="   "), *map(Atom, others)]
    if webhook.position is not None:
        atoms.append(Atom(position_text(webhook.position), gap="   "))
    yield from flow(atoms, start=" " * _DETAILS_COLUMN, indent=_DETAILS_COLUMN, width=view.width)
    error = webhook.last_error
    if error is not None:
        text = f"last error: {quote(words.delivery_error(error))}"
        text += f" ({quote(error.timestamp)})" if error.timestamp else ""
        yield from flow(
            sentence(text), start=" " * _DETAILS_COLUMN, indent=_DETAILS_COLUMN, width=view.width
        )


def _drift(status: LiveStatus) -> str:
    plan = status.plan
    if status.drift is None:
        return "No configuration file to compare with."
    counts = [
        f"{number} {'differ' if state is ManagementStatus.DIFFERS and number > 1 else state}"
        for state, number in status.drift.items()
    ]
    edited = f" Not applied yet: {status.not_applied}." if status.not_applied else ""
    if not counts:
        compared = " in the compared fields" if plan and plan.not_compared else ""
        return f"No drift{compared}.{edited}"
    # Without a previous configuration, a difference may be a change of the files.
    known = plan is not None and all(
        operation.attribution is not None for operation in plan.operations
    )
    title = "Drift (see webhooks drift)" if known else "Differences"
    return f"{title}: {', '.join(counts)}.{edited}"


def render_checks(checklist: Checklist, view: View = PLAIN) -> str:
    """Render every check with its sign, and the fix below a failed one.

    If `verbosity` is -1, render only failed checks.
    """
    from reconciler.checks import Status  # plans and reports have no checks

    signs = {
        Status.FAIL: ("✗", "failed"),
        Status.WARN: ("!", "warning"),
        Status.UNKNOWN: ("?", "unknown"),
        Status.OK: ("✓", "ok"),
    }
    statuses = signs if view.verbosity >= 0 else {Status.FAIL: signs[Status.FAIL]}
    parts = []
    for section in checklist.sections:
        rows = [
            _check_row(check, signs[check.status][0], view)
            for check in section.checks
            if check.status in statuses
        ]
        title = paint(quote(section.name), "strong", view.color)
        if rows or view.verbosity >= 0:
            parts.append([title, *lay_out(rows, width=view.width, color=view.color)])
    end = []
    for note in checklist.notes if view.verbosity >= 0 else ():
        end += paragraph(prose(note), indent=0, width=view.width)
    counts = [
        words.plural(count, word) if status is Status.WARN else f"{count} {word}"
        for status, (_, word) in statuses.items()
        if (count := checklist.count(status))
    ]
    return _joined(*parts, [*end, f"{', '.join(counts) or 'nothing to check'}."])


def _check_row(check: Check, sign: str, view: View) -> Row:
    text = check.detail if check.private is None else f"{check.detail} ({check.private})"
    below = [f"fix: {prose(check.fix)}"] if check.fix else []
    if check.status != "ok" or view.verbosity > 0:
        most = len(check.webhooks) if view.verbosity > 0 else _MAX_SUBJECTS
        names = [_subject(webhook) for webhook in check.webhooks]
        below += [f"webhooks: {words.shorten(names, most)}"] if names else []
    elif check.webhooks:
        text += f" ({words.plural(len(check.webhooks), 'webhook')})"
    lines = tuple(FieldLine("", tuple(sentence(line))) for line in below)
    return Row(sign=sign, name=check.name, why=prose(text), fields=lines)


def _subject(webhook: Subject) -> str:
    organization = None if webhook.organization is None else quote(webhook.organization)
    notes = ", ".join(filter(None, (organization, position_text(webhook.position))))
    return f"{quote(webhook.name)} ({notes})" if notes else quote(webhook.name)
