"""Findings and errors as compilers show them: what, where, the line with carets, what to do."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import ApiError, ConfigurationError, ReconcilerError, StalePlanError
from reconciler.findings import EXCERPT_BEFORE, Finding, Position, leading, sort_key
from reconciler.render.describe import place
from reconciler.render.fields import label
from reconciler.render.quote import prose, quote
from reconciler.render.text.layout import columns
from reconciler.render.text.paint import paint
from reconciler.render.view import PLAIN, View
from reconciler.render.words import finding_counts, more_findings

_LEAST_EXCERPT = 60


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Show findings, sorted by place, and how many there are; nothing if there are none."""
    if not findings:
        return ""
    return f"{_blocks(findings, view)}\n\n{finding_counts(findings)}\n"


def render_error(error: ReconcilerError, view: View = PLAIN) -> str:
    """Show why the run could not go on: message, findings, what the server said, advice."""
    lines: list[str] = []
    message = error.message
    if isinstance(error, ConfigurationError) and error.findings:
        lines += [_blocks(error.findings, view), ""]
        message = f"{message} ({finding_counts(error.findings)})"
    lines.append(_title("error", error.code, message, view.color))
    if isinstance(error, ApiError):
        if error.detail:
            lines.append(f"  CloudTruth says: {quote(error.detail)}")
        lines += [
            f"  {label(path) if path else 'webhook'}: {quote(text)}" for path, text in error.fields
        ]
    if isinstance(error, StalePlanError):
        lines += [f"  {prose(each)}" for each in error.differences]
    if error.hint:
        lines.append(_note("help", error.hint, 1, view.color))
    return "\n".join(lines) + "\n"


def _blocks(findings: tuple[Finding, ...], view: View) -> str:
    shown, left = leading(findings)
    blocks = ["\n".join(block(each, view)) for each in sorted(shown, key=sort_key)]
    return "\n\n".join((*blocks, *more_findings(left)))


def block(finding: Finding, view: View) -> Iterable[str]:
    """Return the lines of one finding."""
    where, color = finding.position, view.color
    yield _title(str(finding.severity), finding.rule, finding.message, color)
    gutter = len(str(where.line)) if where is not None else 1
    if where is not None:
        arrow = paint("-->", "faint", color)
        yield f"{' ' * gutter}{arrow} {place(where)}:{where.column}"
        if finding.excerpt is not None:
            yield from _excerpt(finding.excerpt, where, str(finding.severity), view)
    for related in finding.related:
        yield _note("note", f"{related.message}: {place(related.position)}", gutter, color)
    if finding.hint:
        yield _note("help", finding.hint, gutter, color)


def _title(severity: str, rule: str, message: str, color: bool) -> str:
    return f"{paint(f'{severity}[{prose(rule)}]', severity, color)}: {prose(message)}"


def _note(word: str, message: str, gutter: int, color: bool) -> str:
    return f"{' ' * gutter} {paint('=', 'faint', color)} {word}: {prose(message)}"


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
