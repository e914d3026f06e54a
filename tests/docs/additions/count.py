"""`webhooks count`: the toy command of the checklist."""

from __future__ import annotations

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.errors import ExitCode


@command("count", "Count declared webhooks.", examples=(("count them", "webhooks count"),))
def COMMAND(invocation: Invocation) -> int:  # noqa: N802
    """Count and show."""
    from reconciler.cli.session import checked_files

    invocation.console.result(str(len(checked_files(invocation).desired.webhooks)))
    return ExitCode.OK
