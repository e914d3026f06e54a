"""Findings of the planning table, gathered as they are met."""

from __future__ import annotations

from reconciler.findings import Finding, Position, Related, Severity
from reconciler.model import Pattern


class Remarks:
    """Adds findings to a list. `pattern` is the glob that explains one, if a glob does."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def error(
        self,
        rule: str,
        message: str,
        position: Position | None,
        hint: str,
        pattern: Pattern | None = None,
    ) -> None:
        """Add what forbids any plan."""
        self.add(Severity.ERROR, rule, message, position, hint, pattern)

    def add(
        self,
        severity: Severity,
        rule: str,
        message: str,
        position: Position | None,
        hint: str,
        pattern: Pattern | None = None,
    ) -> None:
        """Add a finding."""
        related: tuple[Related, ...] = ()
        if pattern is not None and pattern.position is not None:
            related = (Related(message=f"matched by {pattern.glob!r}", position=pattern.position),)
        self._findings.append(
            Finding(
                rule=rule,
                severity=severity,
                message=message,
                position=position,
                hint=hint,
                related=related,
            )
        )
