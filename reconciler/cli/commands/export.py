"""`webhooks export`: what is live, as a file."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option
from reconciler.errors import ExitCode, UsageError


@command(
    "export",
    "Write what is live as YAML.",
    text="Secrets become references to variables; the file ends with the list of those to set. "
    "What a file cannot express is ignored in it, with the reason.",
    examples=(
        ("take over an organization", "webhooks export -o webhooks.yaml"),
        ("prove that applying the export would change nothing", "webhooks export --check"),
        ("take over a part", "webhooks export --only 'team-a-*' -o team-a.yaml"),
    ),
    options=[
        Option("-o", "--output", metavar="FILE", help="Write to a file that is not there yet."),
        Option("--force", is_flag=True, help="Write over the file, if it is one of webhooks."),
        Option("--only", multiple=True, metavar="GLOB", help="Webhooks of these names only."),
        Option("--check", is_flag=True, help="Plan the export; exit 1 if anything would change."),
    ],
)
def COMMAND(  # noqa: N802
    invocation: Invocation, output: str | None, force: bool, only: tuple[str, ...], check: bool
) -> int:
    """Read, write, and check."""
    from reconciler.cli.connection import connected
    from reconciler.cli.session import warn
    from reconciler.render.quote import prose, quote
    from reconciler.render.words import plural
    from reconciler.source.write import WEBHOOKS, check_writable, write_atomically
    from reconciler.workflow import check_export, export_live, read_live

    path = None if output is None else invocation.process.directory / output
    over = WEBHOOKS if force else None
    if path is not None:
        if not force:
            _refuse_overwriting(path, output or "")
        check_writable(path, over=over)
    with connected(invocation) as connection:
        live = read_live(connection.api, invocation.organization)
    exported = export_live(live, only=only)
    if check:
        plan = check_export(exported)
        if plan.changes:
            invocation.console.message(
                "error", f"planning the export shows {plural(len(plan.changes), 'change')}"
            )
            return ExitCode.FAILED
    text = exported.export.text
    console = invocation.console
    warn(invocation, exported.notes)
    if path is not None:
        write_atomically(path, text.encode(), over=over)
        console.result(
            f"{plural(exported.export.declared, 'webhook')} written to {quote(output or '')}."
        )
    elif not check:
        console.result(text)
    if check:
        console.result(
            f"Planning the export shows no change. "
            f"{plural(exported.export.declared, 'webhook')} can be declared."
        )
    for name, reason in exported.export.left_out:
        console.message("note", f"{quote(name)} is ignored in the file: {prose(reason)}")
    if path is not None and exported.export.variables:
        console.note("Set before `webhooks apply`:")
        for each in exported.export.variables:
            console.note(f"  {each.name}")
    return ExitCode.OK


def _refuse_overwriting(path: Path, name: str) -> None:
    """Raise UsageError if there is a file already."""
    if os.path.isdir(path):  # pathlib's questions raise what they cannot answer
        raise UsageError(f"{name} is a directory", hint="name a file")
    if os.path.exists(path):
        raise UsageError(f"{name} is there already", hint="name another file, or add --force")
