"""How a result is to be shown: what a renderer is told beside the result itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # checking files needs neither plans nor reports
    from reconciler.errors import ReconcilerError
    from reconciler.findings import Finding
    from reconciler.model import SecretRef
    from reconciler.planning.plan import Plan
    from reconciler.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The circumstances of one output; each renderer takes from it what it can use.

    `width` is in columns of a terminal. `key_source` says where the API key came from, as in
    `CLOUDTRUTH_API_KEY`. `missing` are references that yield no value here. `now` turns times
    into ages; without it dates are shown. `plan_file` is the saved plan that is being shown or
    was just written: applying it is then the way on. `again` are the options with which `apply`
    carries out exactly this plan; None where that is happening already. `limit` bounds Markdown,
    in characters.
    """

    color: bool = False
    width: int = 100
    show_unchanged: bool = False
    key_source: str | None = None
    missing: frozenset[SecretRef] = frozenset()
    now: datetime | None = None
    plan_file: str | None = None
    again: tuple[str, ...] | None = ()
    limit: int | None = None


PLAIN = View()
"""No colour, 100 columns, nothing extra."""


class FindingsRenderer(Protocol):
    """What a format can do with findings and with an error that ended the run."""

    def render_findings(self, findings: tuple[Finding, ...], view: View = PLAIN) -> str:
        """Show findings, sorted by place, and how many there are."""
        ...

    def render_error(self, error: ReconcilerError, view: View = PLAIN) -> str:
        """Show why the run could not go on."""
        ...


class Renderer(FindingsRenderer, Protocol):
    """What a format can do with everything a command yields."""

    def render_plan(self, plan: Plan, view: View = PLAIN) -> str:
        """Show what would be done."""
        ...

    def render_report(self, report: Report, view: View = PLAIN) -> str:
        """Show what was done."""
        ...
