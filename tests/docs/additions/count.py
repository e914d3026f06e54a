"""`webhooks count`: the example command of the checklist."""

from __future__ import annotations

from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode


@command(reads=True)
def run(session: Session) -> int:
    """Count and print.

    Examples:
        # count them
        webhooks count
    """
    session.console.result(str(len(session.load_all()[0].checked.desired.webhooks)))
    return ExitCode.OK
