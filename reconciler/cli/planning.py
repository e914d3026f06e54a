"""What `plan` and `apply` share: their options, and the advice to apply what was planned."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from reconciler.cli.context import Context
from reconciler.cli.options import (
    CONNECTION_OPTIONS,
    FILE_OPTIONS,
    PLAN,
    Option,
    words,
)
from reconciler.cli.session import inputs
from reconciler.errors import ReconcilerError
from reconciler.planning.planner import PlanOptions
from reconciler.source.files import STDIN
from reconciler.workflow.inputs import Checked, previous, validate

_PLAIN: Final = re.compile(r"[\w.@:/+-]+")
"""Names that a shell takes as they are. Others are not completed: they would be read as code."""


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names that the files declare; none if they cannot be read."""
    if ctx.obj is None or STDIN in ctx.obj.files:  # the terminal is the shell's
        return []
    with suppress(ReconcilerError):
        desired = validate(inputs(ctx.obj)).desired
        if desired is not None:
            declared = [each.name for each in desired.webhooks]
            names = {*declared, *(each.name for each in desired.absent)}
            fitting = (name for name in sorted(names) if name.startswith(incomplete))
            return [CompletionItem(name) for name in fitting if _PLAIN.fullmatch(name)]
    return []


PLAN_OPTIONS: Final = (
    Option("--only", group=PLAN, multiple=True, metavar="GLOB", shell_complete=_names,
           help="Limit to webhooks whose name matches."),
    Option("--no-prune", group=PLAN, is_flag=True, help="Do not delete undeclared webhooks."),
    Option("--base", group=PLAN, multiple=True, metavar="REV|PATH", env="WEBHOOKS_BASE",
           help="Compare with a git revision or earlier files: changes, drift, versions."),
    Option("--resend-secret", group=PLAN, multiple=True, metavar="REF|NAME",
           env="WEBHOOKS_RESEND_SECRET", help="Send a secret, or those of a webhook, again."),
    Option("--resend-secrets", group=PLAN, is_flag=True, help="Send all secrets again."),
    Option("--allow-deletes", group=PLAN, type=click.IntRange(0), metavar="N",
           env="WEBHOOKS_ALLOW_DELETES",
           help="Lift the guards, if the plan deletes exactly N webhooks."),
)  # fmt: skip
"""The options that decide what a plan has."""


def plan_options(checked: Checked, own: dict[str, Any]) -> PlanOptions:
    """Return the planner's options for those of the command."""
    return PlanOptions(
        only=own["only"],
        prune=not own["no_prune"],
        allow_deletes=own["allow_deletes"],
        resend_all=own["resend_secrets"],
        resend=own["resend_secret"],
        base=previous(own["base"], checked) if own["base"] else None,
    )


def again(context: Context, *, saved: bool) -> tuple[str, ...]:
    """Return the options with which `apply` applies what this run planned, in the same place.

    A plan that is `saved` has its files and all planning options but the last, --allow-deletes.
    """
    options = [*FILE_OPTIONS, *CONNECTION_OPTIONS, *PLAN_OPTIONS]
    if saved:
        options = [*FILE_OPTIONS[1:], *CONNECTION_OPTIONS, *PLAN_OPTIONS[-1:]]
    return tuple(words(options, context.command_line))
