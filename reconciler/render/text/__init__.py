"""Text for terminals and logs.

Lines are laid out in columns as wide as the view says; where a row does not fit it continues on
the next line, so that narrow terminals break nothing. Colour is added to words that stand alone
without it: the same text with and without.
"""

from __future__ import annotations

from reconciler.render.text.findings import render_error, render_findings
from reconciler.render.text.plan import render_plan
from reconciler.render.text.report import render_report

__all__ = ["render_error", "render_findings", "render_plan", "render_report"]
