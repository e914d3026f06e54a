"""`webhooks status`: each webhook, live or missing, and whether it delivers."""

from __future__ import annotations

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option, format_option
from reconciler.errors import ExitCode


@command(
    "status",
    "Show each webhook: in sync or not, declared where, delivering or not.",
    text="Files are read if -f names them or webhooks.yaml exists: then declared webhooks that are "
    "not live are listed, too, and the last line counts the drift. The last delivery error is "
    "shown as the server remembers it; whether a later delivery succeeded it does not say.",
    examples=(
        ("look at everything", "webhooks status"),
        ("be told by cron when a webhook fails to deliver", "webhooks status --failing --quiet"),
    ),
    options=[
        Option(
            "--failing",
            is_flag=True,
            help="Show only webhooks whose last delivery error is set; exit 1 if there are any.",
        ),
        format_option("text", "json"),
    ],
)
def COMMAND(invocation: Invocation, failing: bool, format: str) -> int:  # noqa: N802
    """Read and show."""
    from reconciler.cli.connection import connected
    from reconciler.cli.session import checked_files, result_view
    from reconciler.planning.status import drift
    from reconciler.render.status import render_json, render_text
    from reconciler.source.files import DEFAULT_FILE
    from reconciler.workflow import read_live, status

    here = (invocation.process.directory / DEFAULT_FILE).exists()
    checked = checked_files(invocation) if invocation.files or here else None
    with connected(invocation) as connection:
        live = read_live(connection.api, invocation.organization)
    rows = status(live, checked)
    drifted = None if checked is None else drift(rows)
    if failing:
        rows = tuple(each for each in rows if each.failing)
    if format == "json":
        invocation.console.result(render_json(live.organization, rows, drifted))
    elif rows or not failing:
        view = result_view(invocation)
        invocation.console.result(render_text(live.organization, rows, drifted, view))
    else:
        invocation.console.note("No webhook has a failed delivery.")
    return ExitCode.FAILED if failing and rows else ExitCode.OK
