"""The options that plan and apply share."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from reconciler.cli.options import Option
from reconciler.errors import ReconcilerError


def planning_options() -> list[click.Parameter]:
    """Make them."""
    return [
        Option(
            "--only",
            multiple=True,
            metavar="GLOB",
            shell_complete=_names,
            help="Look at webhooks of these names only, live or declared; may be repeated.",
        ),
        Option(
            "--allow-deletes",
            type=click.IntRange(0),
            metavar="N",
            help="Lift the guards, if the plan deletes exactly N webhooks.",
        ),
        Option(
            "--no-prune",
            is_flag=True,
            help="Delete nothing merely because no file declares it.",
        ),
        Option(
            "--base",
            multiple=True,
            metavar="REV|PATH",
            help="What was declared before: a git revision, or files (may be repeated). Sends "
            "secrets with a bumped `version`, and labels each change as this one or as drift.",
        ),
        Option(
            "--resend-secret",
            multiple=True,
            metavar="REF|NAME",
            help="Send again the secrets of a reference (env:NAME, file:PATH) or of a webhook; may "
            "be repeated.",
        ),
        Option("--resend-secrets", is_flag=True, help="Send all secrets again."),
    ]


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Offer the names that the files declare; nothing if they cannot be read."""
    from click.shell_completion import CompletionItem

    from reconciler.cli.session import inputs
    from reconciler.source.files import STDIN
    from reconciler.workflow import validate

    if ctx.obj is None or STDIN in ctx.obj.files:  # nobody types a file while completing a word
        return []
    with suppress(ReconcilerError):
        desired = validate(inputs(ctx.obj)).desired
        if desired is not None:
            declared = [each.name for each in desired.webhooks]
            names = sorted({*declared, *(each.name for each in desired.absent)})
            return [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return []
