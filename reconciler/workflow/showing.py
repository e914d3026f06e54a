"""Results as text, in the formats of the command line."""

from __future__ import annotations

from reconciler.planning.plan import Plan
from reconciler.render import RENDERERS
from reconciler.render.view import View
from reconciler.report import Report


def show(result: Plan | Report, format: str = "text", *, color: bool = False) -> str:
    """Return a plan or a report as `text`, `json` or `markdown`; it holds no secret.

    Raises KeyError for another format.
    """
    renderer = RENDERERS[format]()
    view = View(color=color)
    if isinstance(result, Plan):
        return renderer.render_plan(result, view)
    return renderer.render_report(result, view)
