"""`webhooks show`: show a saved plan."""

from __future__ import annotations

import click

from reconciler import workflow
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.render.quote import prose


@command(formats=("text", "json"), options=(click.Argument(["planfile"]),))
def run(session: Session, planfile: str, format: str) -> None:
    """Makes no requests, so the live webhooks may have changed.

    Examples:
        # read it
        webhooks show plan.json
        # as JSON
        webhooks show plan.json --format json
    """
    saved = workflow.load_plan(planfile, session.process.directory)
    # The file may have been edited, so its text is escaped again.
    text = "\n".join(map(prose, saved.text.split("\n")))
    session.console.result(saved.document if format == "json" else text, essential=True)
