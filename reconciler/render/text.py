"""Text for terminals and logs: plans, reports, findings and errors.

Lines are laid out in columns as wide as the view says; where a row does not fit it continues on
the next line, so that narrow terminals break nothing. Findings look as compilers show them: what,
where, the line with carets, what to do. The text is the same with colour
and without.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from reconciler.errors import ApiError, ConfigurationError, ReconcilerError, StalePlanError
from reconciler.findings import EXCERPT_BEFORE, Finding, Position, leading, sort_key
from reconciler.model import SecretRef
from reconciler.planning.plan import Plan
from reconciler.render import PLAIN, View
from reconciler.render.layout import columns, flow, lay_out, paint, paragraph
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    Atom,
    Row,
    kept_row,
    label,
    matched_row,
    outcome_row,
    outside_digest,
    place,
    plan_rows,
    unmanaged_row,
)
from reconciler.render.words import (
    UNWRITTEN,
    ending,
    finding_counts,
    more_findings,
    outcome_counts,
    plural,
    reference,
    summary,
    verification,
)
from reconciler.report import Report

_LEAST_EXCERPT = 60


def render_plan(plan: Plan, view: View = PLAIN) -> str:
    """Show what would be done, what is kept, and how to apply exactly this."""
    rows = [
        *plan_rows(plan, view.now),
        *map(kept_row, plan.kept),
        *(unmanaged_row(each, view.now) for each in plan.unmanaged),
        *(map(matched_row, plan.matched) if view.show_unchanged else ()),
    ]
    return _joined(_header(plan, view), _table(rows, view), *_notes(plan, view), _end(plan, view))


def render_report(report: Report, view: View = PLAIN) -> str:
    """Show the outcome of each operation and of the run."""
    rows = [outcome_row(each, view.now) for each in report.outcomes]
    healed = [
        f"an unanswered create left duplicate {quote(each.removed)} of {quote(each.name)}: "
        f"deleted, {quote(each.kept)} is kept"
        for each in report.healed
    ]
    return _joined(
        _header(report.plan, view),
        _table([*rows, *map(kept_row, report.plan.kept)], view),
        [line for each in healed for line in paragraph(each, start="Healed:", width=view.width)],
        # Where there was something to do, the plan was shown before it was done.
        *(_notes(report.plan, view) if not report.plan.changes else ()),
        list(_result(report, view)),
    )


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Show findings, sorted by place, and how many there are; nothing if there are none."""
    return f"{_blocks(findings, view)}\n\n{finding_counts(findings)}\n" if findings else ""


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Show why the run could not go on: message, findings, what the server said, advice."""
    lines: list[str] = []
    message = error.message
    if isinstance(error, ConfigurationError) and error.findings:
        lines += [_blocks(error.findings, view), ""]
        message = f"{message} ({finding_counts(error.findings)})"
    lines.append(_title("error", error.code, message, view))
    if isinstance(error, ApiError):
        if error.detail:
            lines.append(f"  CloudTruth says: {quote(error.detail)}")
        lines += [
            f"  {label(path) if path else 'webhook'}: {quote(text)}" for path, text in error.fields
        ]
    if isinstance(error, StalePlanError):
        lines += [f"  {prose(each)}" for each in error.differences]
    if error.hint:
        lines.append(_aside("help", error.hint, 1, view))
    return "\n".join(lines) + "\n"


def _joined(*sections: Sequence[str]) -> str:
    """Put sections below each other, an empty line between them."""
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _table(rows: Sequence[Row], view: View) -> list[str]:
    return lay_out(rows, width=view.width, color=view.color)


def _header(plan: Plan, view: View) -> list[str]:
    """Return whose webhooks these are, on which server, with which key, from how many files."""
    about = [quote(plan.origin.removeprefix("https://"))]
    if view.key_source:
        about.append(f"key from {prose(view.key_source)}")
    if plan.organization.role:
        about.append(f"role {quote(plan.organization.role)}")
    if plan.organization.maintenance:
        about.append("in maintenance")
    if plan.files:
        about.append(plural(plan.files, "file"))
    about = [f"{each}," for each in about[:-1]] + [f"{about[-1]})"]
    about[0] = f"({about[0]}"
    title = f"CloudTruth webhooks of {paint(quote(plan.organization.name), 'strong', view.color)}"
    return flow(map(Atom, about), start=title, indent=2, width=view.width)


def _notes(plan: Plan, view: View) -> Iterable[Sequence[str]]:
    """Yield what else there is to know of a plan, in sections, of which some may be empty."""
    yield _unreadable(plan, view)
    yield _secrets(plan, view)
    shown, left = leading(plan.notes)
    for note in sorted(shown, key=sort_key):
        yield list(_block(note, view))
    yield list(more_findings(left))
    yield _relaxed(plan.relaxed, view)
    for held in plan.blocked:
        yield _blocked(held, view)


def _unreadable(plan: Plan, view: View) -> list[str]:
    """Name, once for each field, every webhook of which it cannot be compared."""
    by_field: dict[str, list[str]] = {}
    for name, field in plan.uncertain:
        by_field.setdefault(field, []).append(quote(name))
    lines = []
    for field, names in by_field.items():
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        said = f"{quote(field)} of {listed} cannot be read back: unknown whether it differs."
        lines += paragraph(said, width=view.width)
    if lines:
        advice = (
            "To send one again, use --resend-secret, or bump `version` in its reference and "
            "apply with --base REVISION."
        )
        lines += paragraph(advice, start=" ", width=view.width)
    return lines


def _secrets(plan: Plan, view: View) -> list[str]:
    """List the references that `apply` resolves, each with the destinations of its value."""
    uses: dict[SecretRef, dict[str, None]] = {}
    for use in plan.secrets:
        # Of an address that only its reference tells, the webhook says more.
        known = use.destination and str(use.reference) not in use.destination
        goal = quote(use.destination if known else use.webhook)
        uses.setdefault(use.reference, {})[goal] = None
    if not uses:
        return []
    lines = ["Secrets that apply needs:"]
    for ref, goals in uses.items():
        first, *others = _listed(goals)
        atoms = [Atom(f"-> {first.text}", gap="  "), *others]
        if ref in view.missing:
            atoms.append(Atom(paint("missing here", "warning", view.color), gap="   "))
        lines += flow(atoms, start=f"  {reference(ref)}", indent=6, width=view.width)
    return lines


def _listed(items: Iterable[str], end: str = "") -> list[Atom]:
    *most, last = items
    return [*(Atom(f"{each},") for each in most), Atom(f"{last}{end}")]


def _relaxed(relaxed: Sequence[Finding], view: View) -> list[str]:
    if not relaxed:
        return []
    lines = [paint("Policy relaxed since the base:", "!", view.color)]
    for each in relaxed:
        more = [Atom(place(each.position), gap="   ")] if each.position else []
        lines += paragraph(prose(each.message), start="  !", indent=4, width=view.width, more=more)
    return lines


def _blocked(held: Finding, view: View) -> list[str]:
    start = paint("BLOCKED:", "error", view.color)
    more = [Atom(f"({place(held.position)})")] if held.position else []
    lines = paragraph(prose(held.message), start=start, width=view.width, more=more)
    if held.hint:
        lines += paragraph(prose(held.hint), start="  help:", indent=4, width=view.width)
    return lines


def _end(plan: Plan, view: View) -> list[str]:
    lines = paragraph(summary(plan), width=view.width)
    if not plan.changes:
        return [paint(lines[0], "good", view.color), *lines[1:]] if not plan.blocked else lines
    if outside := outside_digest(plan):
        said = "in the digest, as only the value of a secret differs:"
        more = _listed(outside, end=".")
        lines += paragraph(said, start="Not", width=view.width, more=more)
    if plan.digest:
        advice = [Atom(f"(apply exactly this: {_command(plan, view)})", gap="  ")]
        lines += flow(
            advice if not plan.blocked and view.again is not None else (),
            start=f"Digest {quote(plan.digest)}",
            indent=2,
            width=view.width,
        )
    return lines


def _command(plan: Plan, view: View) -> str:
    """Return what to type to have exactly this plan carried out."""
    words = ["webhooks", "apply"]
    words += [view.plan_file] if view.plan_file is not None else []
    words += view.again or ()
    words += ["--expect-digest", plan.digest] if view.plan_file is None else []
    return shlex.join(map(prose, words))


def _result(report: Report, view: View) -> Iterable[str]:
    """Yield what was done, whether it was verified, and what to do next."""
    if report.plan.changes or report.problem or report.stopped is not None:
        numbers = f"{len(report.applied)} of {plural(len(report.plan.changes), 'change')}"
        said = f"Applied {numbers}: {outcome_counts(report)}."
        yield from paragraph(said, width=view.width)
        if report.exit_code not in UNWRITTEN:
            yield from paragraph(verification(report), width=view.width)
    else:
        yield from paragraph(summary(report.plan), width=view.width)
    if report.problem:
        start = paint("Problem:", "error", view.color)
        yield from paragraph(prose(report.problem), start=start, width=view.width)
    last = ending(report)
    if last is not None:
        yield from paragraph(last, width=view.width)


def _blocks(findings: tuple[Finding, ...], view: View) -> str:
    shown, left = leading(findings)
    blocks = ["\n".join(_block(each, view)) for each in sorted(shown, key=sort_key)]
    return "\n\n".join((*blocks, *more_findings(left)))


def _block(finding: Finding, view: View) -> Iterable[str]:
    """Yield the lines of one finding."""
    where = finding.position
    yield _title(str(finding.severity), finding.rule, finding.message, view)
    gutter = len(str(where.line)) if where is not None else 1
    if where is not None:
        arrow = paint("-->", "faint", view.color)
        yield f"{' ' * gutter}{arrow} {place(where)}:{where.column}"
        if finding.excerpt is not None:
            yield from _excerpt(finding.excerpt, where, str(finding.severity), view)
    for related in finding.related:
        yield _aside("note", f"{related.message}: {place(related.position)}", gutter, view)
    if finding.hint:
        yield _aside("help", finding.hint, gutter, view)


def _title(severity: str, rule: str, message: str, view: View) -> str:
    return f"{paint(f'{severity}[{prose(rule)}]', severity, view.color)}: {prose(message)}"


def _aside(word: str, message: str, gutter: int, view: View) -> str:
    return f"{' ' * gutter} {paint('=', 'faint', view.color)} {word}: {prose(message)}"


def _excerpt(line: str, where: Position, severity: str, view: View) -> Iterable[str]:
    """Yield the source line with carets below, of a long line the part that is meant.

    Columns are counted as shown: characters before the carets may need escapes.
    """
    number, bar = str(where.line), paint("|", "faint", view.color)
    margin = " " * len(number)
    room = max(_LEAST_EXCERPT, view.width - len(number) - 3)
    start = where.column - 1
    if start > EXCERPT_BEFORE:  # the excerpt begins with `...`
        start = EXCERPT_BEFORE + 3
    start = min(start, len(line))
    first = 0 if len(line) <= room or start < room // 2 else start - room // 2
    last = min(len(line), first + room)
    end = min(start + where.width, last)
    before = ("..." if first else "") + prose(line[first:start])
    after = prose(line[start:last]) + ("..." if last < len(line) else "")
    carets = "^" * max(1, columns(prose(line[start:end])))
    yield f"{margin} {bar}"
    yield f"{number} {bar} {before}{after}".rstrip(" ")
    yield f"{margin} {bar} {' ' * columns(before)}{paint(carets, severity, view.color)}"
