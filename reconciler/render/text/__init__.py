"""Text for terminals and logs.

Lines are laid out in columns as wide as the view says; where a row does not fit it continues on
the next line, so that narrow terminals break nothing. Colour is added to words that stand alone
without it: the same text with and without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.text.findings import render_error, render_findings
from reconciler.render.text.plan import render_plan
from reconciler.render.view import PLAIN, View

if TYPE_CHECKING:
    from reconciler.report import Report

__all__ = ["render_error", "render_findings", "render_plan", "render_report"]


def render_report(report: Report, view: View = PLAIN) -> str:
    """Show what was done."""
    from reconciler.render.text import report as module  # a plan needs none of it

    return module.render_report(report, view)
