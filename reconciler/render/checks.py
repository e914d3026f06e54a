"""Checklists: as text for a person, as JSON for programs and bug reports.

The JSON leaves out every `aside`, so that what is private stays on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from reconciler import __version__
from reconciler.checks import Check, Checklist, Section, Status
from reconciler.planning.document import FORMAT_VERSION, plain, write_json
from reconciler.render import PLAIN, View
from reconciler.render.layout import columns, paint, paragraph
from reconciler.render.quote import prose, quote

_STATUSES: Final = {
    Status.FAIL: ("✗", "error", "failed"),
    Status.WARN: ("!", "warning", "with a warning"),
    Status.UNKNOWN: ("?", "note", "unknown"),
    Status.OK: ("✓", "good", "ok"),
}
"""The sign of each status, its style, and the word for it in the last line."""
_WIDEST_NAME: Final = 16


def _text(checklist: Checklist, view: View = PLAIN) -> str:
    """Show every check with its sign, and below a failed one how to fix it."""
    names = [columns(check.name) for each in checklist.sections for check in each.checks]
    column = 4 + min(_WIDEST_NAME, max(names, default=0)) + 2
    if column > view.width // 2:
        column = 6
    lines: list[str] = []
    for section in checklist.sections:
        lines += [_title(section, view.color)]
        for check in section.checks:
            lines += _lines(check, column, view)
        lines.append("")
    for note in checklist.notes:
        lines += paragraph(prose(note), indent=0, width=view.width)
    numbers = ", ".join(
        f"{count} {word}"
        for status, (_, _, word) in _STATUSES.items()
        if (count := checklist.count(status))
    )
    return "\n".join([*lines, f"{numbers or 'nothing to check'}."]) + "\n"


def _json(checklist: Checklist, view: View = PLAIN) -> str:
    """Return the document of a checklist (schemas/checks.schema.json)."""
    return write_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "checks",
            "tool_version": __version__,
            "command": checklist.command,
            "exit_code": int(checklist.exit_code),
            "counts": {str(status): checklist.count(status) for status in Status},
            "sections": [
                {
                    "name": section.name,
                    "position": plain(section.position),
                    "checks": [
                        {
                            "name": check.name,
                            "status": str(check.status),
                            "detail": check.detail,
                            "fix": check.fix,
                        }
                        for check in section.checks
                    ],
                }
                for section in checklist.sections
            ],
            "notes": list(checklist.notes),
        }
    )


def _title(section: Section, color: bool) -> str:
    title = paint(quote(section.name), "strong", color)
    if section.position is None:
        return title
    where = f"{quote(section.position.file)}:{section.position.line}"
    return f"{title}  {paint(where, 'faint', color)}"


def _lines(check: Check, column: int, view: View) -> list[str]:
    sign, style, _ = _STATUSES[check.status]
    head = f"  {paint(sign, style, view.color)} {check.name}"
    head += " " * max(2, column - columns(head))
    said = check.detail if check.aside is None else f"{check.detail} ({check.aside})"
    lines = paragraph(prose(said), start=head[:-1], indent=column, width=view.width)
    if check.fix is not None:
        label = f"{' ' * column}{paint('fix:', 'strong', view.color)}"
        lines += paragraph(prose(check.fix), start=label, indent=column + 2, width=view.width)
    return lines


RENDER_CHECKS: Final[Mapping[str, Callable[[Checklist, View], str]]] = {
    "text": _text,
    "json": _json,
}
"""The formats of checklists."""
