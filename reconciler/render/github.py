"""Findings as annotations on the lines of a pull request, in the runner's command syntax.

GitHub shows at most ten errors and ten warnings per step, so only the ten most important findings
are printed; one last line counts the others.
"""

from __future__ import annotations

from typing import Final

from reconciler.findings import Finding, Severity
from reconciler.render import PLAIN, View
from reconciler.render.quote import prose
from reconciler.render.words import limited

_MAX_ANNOTATIONS: Final = 10  # annotations that GitHub shows per step


def render_findings(findings: tuple[Finding, ...], view: View = PLAIN) -> str:
    """Return a workflow command for each of the ten most severe findings, and count the rest."""
    shown, more = limited(findings, _MAX_ANNOTATIONS)
    lines = [*map(_annotation, shown), *(f"::notice::{line}" for line in more)]
    return "".join(f"{line}\n" for line in lines)


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
