"""Render results as text: every renderer is a function from a value to `str`.

The same value gives the same text. A format is a module with the functions of `Renderer`, loaded on
first use. Live webhooks and checks have `StateRenderer`, in the same module or another one. Formats
do not import each other. They share the escaping of untrusted text (`quote`), the content of each
webhook's row (`rows`) and the wording (`words`). Texts end with a line break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:  # validate needs neither plans nor reports
    from reconciler.errors import ReconcilerError
    from reconciler.findings import Finding
    from reconciler.model import SecretRef
    from reconciler.planning.run import (
        DriftReport,
        LiveStatus,
        OrganizationResult,
        RunPlan,
        WebhookStatus,
    )
    from reconciler.report import Checklist, RunReport


class View(NamedTuple):
    """Display settings; each renderer uses those that apply to it.

    `width` is in terminal columns. `verbosity` is 0 for changes and counts of the rest, 1 for
    everything, -1 for errors only. `key_source` is where the API key came from, such as
    `CLOUDTRUTH_API_KEY`. `missing` are references without a value on this machine. `plan_file` is
    the saved plan that is shown or was just written. `apply_options` are the options with which
    `apply` applies exactly this plan; None suggests no such command. `shows_digest` is whether text
    shows the digest and that command. `connection` are the options of files and of the server on
    the command line, for suggested commands. `limit` is the maximum size of Markdown in bytes.
    With `failing_only`, of live webhooks only those that fail to deliver are shown.
    `organizations` are the checked organizations with their files, for findings as JSON.
    `redacted` removes secrets from a text, as the output does: what it would change is no longer a
    command or a patch, so none is shown. A text that `is_posted` is in no log, whose runner would
    execute a part of it.
    """

    color: bool = False
    width: int = 100
    verbosity: int = 0
    key_source: str | None = None
    missing: frozenset[SecretRef] = frozenset()
    plan_file: str | None = None
    apply_options: tuple[str, ...] | None = ()
    shows_digest: bool = True
    connection: tuple[str, ...] = ()
    limit: int | None = None
    failing_only: bool = False
    organizations: tuple[tuple[str | None, tuple[str, ...]], ...] = ()
    redacted: Callable[[str], str] = str
    is_posted: bool = False

    def selected(self, webhooks: Iterable[WebhookStatus]) -> list[WebhookStatus]:
        """Return the live webhooks that are shown, in every format."""
        return [webhook for webhook in webhooks if webhook.is_failing or not self.failing_only]


PLAIN: Final = View()
"""The default view: no color, 100 columns, changes and counts."""


_CODES: Final = {
    "+": "32",
    "~": "33",
    "-": "31",
    "!": "35",
    "x": "31",
    "✗": "1;31",
    "?": "35",
    "✓": "32",
    "error": "1;31",
    "warning": "1;33",
    "note": "1;36",
    "good": "1;32",
    "strong": "1",
    "faint": "2",
}


def paint(text: str, style: str, view: View) -> str:
    """Return `text` in a style, unchanged without color or for a style that has none."""
    code = _CODES.get(style)
    # Empty text stays empty, because callers leave out empty cells.
    if not (view.color and code and text):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


class Renderer(Protocol):
    """A format of findings, errors, plans, reports and drift."""

    def render_findings(self, findings: tuple[Finding, ...], view: View = PLAIN) -> str:
        """Render findings, sorted by position, and their number."""

    def render_error(self, error: ReconcilerError, view: View = PLAIN) -> str:
        """Render the error that ended the run."""

    def render_run(self, run: RunPlan, view: View = PLAIN) -> str:
        """Render the plans of a run: equal changes once, with the organizations, and totals."""

    def render_run_report(self, run: RunReport, view: View = PLAIN) -> str:
        """Render the report of a run: equal outcomes once, with the organizations, and totals."""

    def render_drift(self, report: DriftReport, view: View = PLAIN) -> str:
        """Render what changed live, how to revert or accept it, and the edits as a diff."""


class StateRenderer(Protocol):
    """A format of live webhooks and checks."""

    def render_statuses(
        self, statuses: Sequence[OrganizationResult[LiveStatus]], view: View = PLAIN
    ) -> str:
        """Render the live webhooks of each organization, and the differences from the files."""

    def render_checks(self, checklist: Checklist, view: View = PLAIN) -> str:
        """Render each check, and the fix for a failed one."""


# What the modules contain is checked by tests; the tables have the types.
def _load(module: str) -> Any:
    return import_module(f"{__name__}.{module}")


def _load_function(module: str, name: str) -> Any:
    return getattr(_load(module), name)


RENDERERS: Final[dict[str, Callable[[], Renderer]]] = {
    name: partial(_load, name) for name in ("text", "json", "markdown")
}
"""The formats of plans and reports, each with its loader."""

STATE_RENDERERS: Final[dict[str, Callable[[], StateRenderer]]] = {
    "text": partial(_load, "text_states"),
    "json": partial(_load, "json"),
}
"""The formats of live webhooks and checks."""

FINDINGS_RENDERERS: Final[dict[str, Callable[[], Callable[..., str]]]] = {
    **{name: partial(_load_function, name, "render_findings") for name in RENDERERS},
    "github": partial(_load_function, "markdown", "render_annotations"),
}
"""The formats of findings, each with the loader of a function like `render_findings`."""
