"""`webhooks plan`: show what apply would do, without changing anything."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from reconciler import workflow
from reconciler.cli.connection import connected_all
from reconciler.cli.options import CONNECTION_OPTIONS, FILE_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError
from reconciler.render import RENDERERS
from reconciler.render.words import plural
from reconciler.source.files import DEFAULT_FILE, STDIN, STDIN_NAME, display_name, file_matcher
from reconciler.source.history import commit_of, git_in, is_revision
from reconciler.source.schemes import paths
from reconciler.source.secrets import references

_PLAIN: Final = re.compile(r"[\w.@:/+-]+")
"""Names that need no quoting in a shell.

Others are not completed, because a shell would run them as code.
"""


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that the files declare; empty if they cannot be read."""
    if STDIN in ctx.obj.options.get("file", ()):  # completion must not read standard input
        return []
    with suppress(ReconcilerError):
        desired = workflow.load(Session(ctx.obj).inputs).desired
        names = {each.name for each in desired.webhooks} | {each.name for each in desired.absent}
        fitting = (name for name in sorted(names) if name.startswith(incomplete))
        return [name for name in fitting if _PLAIN.fullmatch(name)]
    return []


PLAN_OPTIONS: Final = (
    Option("--only", group="Plan", multiple=True, metavar="GLOB", shell_complete=_names,
           help="Limit to webhooks whose name matches GLOB."),
    Option("--no-prune", group="Plan", is_flag=True, help="Do not delete undeclared webhooks."),
    Option("--base", group="Plan", multiple=True, metavar="REV|PATH", env="WEBHOOKS_BASE",
           help="Compare with a git revision or earlier files, to tell drift from edits and to "
                "resend secrets whose version changed."),
    Option("--resend-secret", group="Plan", multiple=True, metavar="REF|NAME",
           env="WEBHOOKS_RESEND_SECRET",
           help="Resend a secret, or a webhook's secrets; * for all."),
    Option("--allow-deletes", group="Plan", type=click.IntRange(0), metavar="N",
           env="WEBHOOKS_ALLOW_DELETES",
           help="Override the guards if the plan deletes exactly N webhooks."),
)  # fmt: skip
"""The options that determine a plan, shared with `apply`. A saved plan contains all but the last.
"""


def plan_options(checked: workflow.Checked, own: dict[str, Any]) -> workflow.PlanOptions:
    """Return the planner's options from those of the command."""
    return workflow.PlanOptions(
        only=own["only"],
        prune=not own["no_prune"],
        allow_deletes=own["allow_deletes"],
        resend=own["resend_secret"],
        previous=workflow.previous(own["base"], checked) if own["base"] else None,
        base=own["base"][0] if is_revision(own["base"], checked.inputs.directory) else None,
    )


def check_output(target: Path | None, checked: workflow.Checked) -> None:
    """Raise UsageError if an output path is a secret file, or one that the next run would read."""
    if target is None:
        return
    directory, real = checked.inputs.directory, Path(os.path.realpath(target))
    why = None
    for path in paths(references(checked.desired.webhooks)):
        if real == Path(os.path.realpath(directory / path)):
            why = "it is a secret file of the configuration"
    for path in checked.inputs.paths:
        is_read = file_matcher(os.path.realpath(directory / path), directory)
        if path != STDIN and is_read(display_name(real, directory=directory)):
            why = f"-f {path} reads it as a configuration file"
    if why is not None:
        raise UsageError(
            f"{target} cannot be written: {why}", hint="use another file for the output"
        )


def apply_options(
    session: Session, files: Sequence[str], options: Sequence[click.Parameter] = PLAN_OPTIONS
) -> tuple[str, ...]:
    """Return the options that make `apply` use the same files, server and `options`.

    Revisions are replaced by commit hashes, so the options stay valid after a commit.
    """
    named = [] if list(files) == [DEFAULT_FILE] else files
    paths = tuple(STDIN if each == STDIN_NAME else each for each in named)
    directory = session.process.directory
    base = session.command_line.get("base", ())
    if is_revision(base, directory):
        base = (commit_of(base[0], git_in(directory)) or base[0],)
    return session.words((*FILE_OPTIONS, *CONNECTION_OPTIONS, *options), file=paths, base=base)


@command(
    paths=True,
    connects=True,
    formats=tuple(RENDERERS),
    options=(
        *PLAN_OPTIONS,
        Option("-o", "--out", group="Output", metavar="FILE",
               help="Save the plan to apply later; - is standard output."),
        Option("--detailed-exitcode", group="Output", is_flag=True,
               help="Exit with 2 if there are changes."),
    ),
)  # fmt: skip
def run(session: Session, out: str | None, format: str, detailed_exitcode: bool, **own: Any) -> int:
    """Works without the secrets, and lists those that apply needs. The digest at the end
    identifies this plan. If a guard blocks the plan, it is still shown and saved; the exit code is
    5.

    Examples:
        # compare webhooks.yaml with CloudTruth
        webhooks plan
        # try a file without an account
        webhooks plan examples/webhooks.yaml --local
        # save the plan, for apply plan.json
        webhooks plan -o plan.json
        # exit with 2 if anything differs
        webhooks plan --detailed-exitcode
        # limit the plan to some webhooks
        webhooks plan --only 'team-a-*'
    """
    target = session.path(out)
    if target is not None:
        from reconciler.source import write  # most plans are not saved

        write.check_writable(target, over=write.FileKind.PLAN)
    planned = apply_options(session, session.files)
    targets = [
        workflow.Target(source, options=plan_options(source.checked, own))
        for source in session.load_all(planned)
    ]
    for each in targets:
        check_output(target, each.checked)
    with connected_all(session, targets) as connected:
        organizations = workflow.plan_all(connected, allow_deletes=own["allow_deletes"])
    made = workflow.RunPlan(tuple(each.result for each in organizations))
    session.show_problems(made.organizations)
    gathered = [each.gathered for each in organizations if each.gathered is not None]
    view = session.view(
        missing=frozenset().union(*(each.missing_references for each in gathered)),
        plan_file=out,
        # A saved plan has its files and the other options.
        apply_options=planned if out is None else apply_options(session, (), PLAN_OPTIONS[-1:]),
        connection=session.words(CONNECTION_OPTIONS),
    )
    if out is not None:
        view = view._replace(shows_digest=True)
    if made.problems and out is not None:
        session.console.error(
            OutputError(
                f"the plan was not saved: {plural(len(made.problems), 'organization')} failed",
                hint="a saved plan has all organizations; choose some with -f",
            )
        )
    elif out is not None:
        text = RENDERERS["text"]().render_run(made, view._replace(color=False, verbosity=0))
        loaded = [each.checked.loaded for each in connected]
        saved = workflow.save_run(made, loaded, targets[0].options, text)
        if target is not None:
            write.write_atomically(target, saved, over=write.FileKind.PLAN)
        else:
            session.console.result(saved.decode(), essential=True)
    code = made.exit_code
    for plan in made.plans:
        session.console.record_rules((*plan.notes, *plan.relaxed, *plan.blocked))
    shown = RENDERERS[format]().render_run(made, view)
    session.show(shown, failed=code is not ExitCode.OK, to_stderr=out == "-")
    if code is not ExitCode.OK:
        return code
    differs = any(plan.operations or plan.unapplied for plan in made.plans)
    return ExitCode.CHANGES if detailed_exitcode and differs else ExitCode.OK
