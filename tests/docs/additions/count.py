"""`webhooks count`: the example command of the checklist."""

from __future__ import annotations

from reconciler.cli.options import Context, command
from reconciler.cli.session import load
from reconciler.errors import ExitCode


@command(examples=(("count them", "webhooks count"),), reads=True)
def run(context: Context) -> int:
    """Count and print."""
    context.console.result(str(len(load(context).desired.webhooks)))
    return ExitCode.OK
