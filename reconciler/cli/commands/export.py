"""`webhooks export`: the live webhooks as a file."""

from __future__ import annotations

import os

from reconciler import workflow
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.options import Context, Option, command
from reconciler.cli.session import STDOUT, named, show, warn
from reconciler.errors import ConfigurationError, ExitCode, SelectionError, UsageError
from reconciler.findings import Finding
from reconciler.model import Live
from reconciler.planning.names import unmatched
from reconciler.planning.planner import PlanOptions
from reconciler.planning.planner import plan as make_plan
from reconciler.render.quote import prose, quote
from reconciler.render.words import plural
from reconciler.source.export import export
from reconciler.source.files import SourceFile, Sources
from reconciler.source.load import load_files
from reconciler.source.write import WEBHOOKS, check_writable, write_atomically


@command(
    examples=(
        ("adopt an organization", "webhooks export -o webhooks.yaml"),
        ("check that applying the export would change nothing", "webhooks export --check"),
        ("adopt a part", "webhooks export --only 'team-a-*' -o team-a.yaml"),
    ),
    connects=True,
    options=(
        Option("--only", group="Plan", multiple=True, metavar="GLOB",
               help="Limit to webhooks whose name matches."),
        Option("--check", group="Plan", is_flag=True,
               help="Plan the export, and exit with 1 if anything would change."),
        Option("-o", "--out", group="Output", metavar="FILE",
               help="Write to a new file; - is standard output."),
        Option("--force", group="Output", is_flag=True,
               help="Replace the file, if it is a configuration file."),
    ),
)  # fmt: skip
def run(context: Context, out: str | None, force: bool, only: tuple[str, ...], check: bool) -> int:
    """Secrets become references to variables; the file ends with the list of those to set. What a
    file cannot express is ignored in it, with the reason.
    """
    console, path = context.console, named(context, out)
    over = WEBHOOKS if force else None
    if path is not None:
        if os.path.exists(path) and not force:  # pathlib raises where a folder may not be entered
            raise UsageError(f"{out} exists", hint="name another file, or add --force")
        check_writable(path, over=over)
    with connected(context, settings_of(context)) as connection:
        live = workflow.read_live(connection.api, context.organization)
    notes = _idle(only, live)
    made = export(live, only=only)
    if check:
        file = SourceFile(file="export", raw=made.text.encode())
        declared = load_files(Sources(files=(file,)))
        if declared.desired is None:
            raise ConfigurationError("the export is not a valid file", findings=declared.findings)
        plan = make_plan(declared.desired, live, {}, PlanOptions())
        if plan.operations:
            console.message("error", f"the export has {plural(len(plan.operations), 'change')}")
            return ExitCode.FAILED
    warn(context, notes)
    if path is not None:
        write_atomically(path, made.text.encode(), over=over)
        console.result(f"{plural(made.declared, 'webhook')} written to {quote(str(out))}.")
    elif not check or out == STDOUT:
        console.result(made.text, essential=True)
    if check:
        can = f"{plural(made.declared, 'webhook')} can be declared."
        show(context, f"A plan of the export has no changes. {can}", beside=out == STDOUT)
    for name, reason in made.left_out:
        console.message("note", f"{quote(name)} is ignored in the file: {prose(reason)}")
    if path is not None and made.variables:
        console.note("Set before `webhooks apply`:")
        for each in made.variables:
            console.note(f"  {each}")
    return ExitCode.OK


def _idle(only: tuple[str, ...], live: Live) -> tuple[Finding, ...]:
    """Return a warning for each glob that selects nothing.

    Raises SelectionError if none does: replacing a good file by an empty one would look like a
    success.
    """
    notes = tuple(unmatched(only, {each.name for each in live.webhooks}, "no live webhook"))
    if only and len(notes) == len(set(only)):
        raise SelectionError(
            f"--only selects none of {len(live.webhooks)} live webhooks: nothing is exported",
            hint=notes[0].hint,
        )
    return notes
