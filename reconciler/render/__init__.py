"""Results to text: every renderer is a function from a value to `str`.

The same value gives the same text. A format is one module with the functions of `Renderer`, loaded
when it is asked for; no format knows another. What they share is how untrusted text is made
harmless (`quote`), what each webhook's row contains (`rows`) and in which words (`words`). Texts
end with a line break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:  # checking files needs neither plans nor reports
    from reconciler.checks import Checklist
    from reconciler.errors import ReconcilerError
    from reconciler.findings import Finding
    from reconciler.model import Organization, SecretRef
    from reconciler.planning.plan import Plan
    from reconciler.planning.status import ManagementStatus, WebhookStatus
    from reconciler.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a result is shown; each renderer takes from it what it can use.

    `width` is in columns of a terminal. `verbosity` is 0 for what changes and counts of the rest, 1
    for all of it, -1 for errors only. `key_source` is where the API key came from, as in
    `CLOUDTRUTH_API_KEY`. `missing` are references that yield no value here. `now` turns times
    into ages; without it dates are shown. `plan_file` is the saved plan that is shown or was just
    written. `again` are the options with which `apply` carries out exactly this plan; None while
    that happens. `connection` are those of any command that reaches the same server. `limit` bounds
    Markdown, as `measure` counts: in characters by default.
    """

    color: bool = False
    width: int = 100
    verbosity: int = 0
    key_source: str | None = None
    missing: frozenset[SecretRef] = frozenset()
    now: datetime | None = None
    plan_file: str | None = None
    again: tuple[str, ...] | None = ()
    connection: tuple[str, ...] = ()
    limit: int | None = None
    measure: Callable[[str], int] = len


PLAIN: Final = View()
"""No colour, 100 columns, nothing extra."""


class Renderer(Protocol):
    """A format. `github` shows findings and errors only; `markdown` no status and no checklist."""

    def render_findings(self, findings: tuple[Finding, ...], view: View = PLAIN) -> str:
        """Show findings, sorted by place, and how many there are."""

    def render_error(self, error: ReconcilerError, view: View = PLAIN) -> str:
        """Show why the run could not go on."""

    def render_plan(self, plan: Plan, view: View = PLAIN) -> str:
        """Show what would be done."""

    def render_report(self, report: Report, view: View = PLAIN) -> str:
        """Show what was done."""

    def render_status(
        self,
        organization: Organization,
        statuses: Sequence[WebhookStatus],
        drift: Mapping[ManagementStatus, int] | None,
        view: View = PLAIN,
    ) -> str:
        """Show what is live; `drift` counts what differs from the files, None without any."""

    def render_checks(self, checklist: Checklist, view: View = PLAIN) -> str:
        """Show each check, and how to fix what failed."""


def _load(name: str) -> Renderer:
    return cast(Renderer, import_module(f"{__name__}.{name}"))


RENDERERS: Final[Mapping[str, Callable[[], Renderer]]] = {
    name: partial(_load, name) for name in ("text", "json", "markdown")
}
"""The formats of plans and reports, each with how to load it."""

FINDINGS_RENDERERS: Final[Mapping[str, Callable[[], Renderer]]] = {
    name: partial(_load, name) for name in ("text", "json", "github")
}
"""The formats of `validate`."""
