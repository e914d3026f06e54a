"""`webhooks init`: the first file, and the workflows."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from reconciler.ci.workflows import templates
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.context import Context
from reconciler.cli.options import (
    CONNECTION_OPTIONS,
    FILES,
    OUTPUT_OPTIONS,
    Option,
    command,
)
from reconciler.errors import CredentialError, ExitCode, UsageError
from reconciler.model import Live
from reconciler.source.files import DEFAULT_FILE
from reconciler.source.write import make_folder, write_atomically
from reconciler.source.yaml_text import scalar
from reconciler.workflow.adopting import export_live, read_live

UNSET: Final = "# organization: Acme"
STARTER: Final = """\
# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/\
cloudtruth-webhooks/main/schemas/webhooks.schema.json

# The organization that the API key must belong to; a key of another one changes nothing.
# organization: Acme

# false keeps what is live and not declared here. Set it to true once everything is declared.
prune: false

defaults:
  type: slack
  configuration:
    token: {env: SLACK_BOT_TOKEN}    # a reference: the token itself never stands in a file
    username: CloudTruth

webhooks:
  - name: Deploys
    event_types: ["value_*", "*_deleted"]
    configuration: {channel: "#deploys"}
"""


@command(
    text="With an API key the file is an export of the live webhooks, otherwise a commented "
    "starter. Existing files are kept.",
    examples=(
        ("begin", "webhooks init"),
        ("begin with workflows that plan, apply and check for drift", "webhooks init --github"),
    ),
    options=(
        Option("-f", "--file", "target", group=FILES, metavar="FILE", default=DEFAULT_FILE,
               show_default=True, help="Write this file."),
        Option("--github", group=FILES, is_flag=True, help="Write the GitHub workflows, too."),
        *CONNECTION_OPTIONS,
        *OUTPUT_OPTIONS,
    ),
)  # fmt: skip
def run(context: Context, target: str, github: bool) -> int:
    """Write what is missing, and show the next steps."""
    directory = context.process.directory
    console = context.console
    wanted = {target: "", **(_workflows(target) if github else {})}
    existing = [name for name in wanted if (directory / name).exists()]
    _refuse(directory, target, existing, wanted)
    variables: tuple[str, ...] = ()
    is_found, keyless = target in existing, False
    if not is_found:
        live = _live(context)
        is_found, keyless = live is not None, live is None
        wanted[target], variables = _first_file(live)
    for name, text in wanted.items():
        if name in existing:
            console.note(f"kept {name}, which exists")
            continue
        make_folder((directory / name).parent)
        write_atomically(directory / name, text.encode())
        (directory / name).chmod(0o644)  # these are for the repository, and hold no secret
        console.result(f"wrote {name}")
    names = _listed(("CLOUDTRUTH_API_KEY", *variables) if keyless else variables)
    file = "" if target == DEFAULT_FILE else f" -f {shlex.quote(target)}"
    trial = f"; without an account: `webhooks plan{file} --local`" if keyless else ""
    steps = [
        f"review {target}" + ("" if is_found else ", and set `organization`"),
        f"set {names}, then run `webhooks plan{file}`{trial}"
        if names
        else f"see what would happen: `webhooks plan{file}`",
        "commit, and read docs/github.md on the two environments that the workflows need"
        if github
        else f"make it happen: `webhooks apply{file}`; `webhooks init{file} --github` adds "
        "workflows",
    ]
    console.note("Next:")
    for number, step in enumerate(steps, 1):
        console.note(f"  {number}. {step}")
    return ExitCode.OK


def _workflows(target: str) -> Mapping[str, str]:
    try:
        return templates(file=target)
    except ValueError:
        raise UsageError(
            "the name of the file cannot be written into a workflow", hint="use a plain name"
        ) from None


def _refuse(
    directory: Path, target: str, existing: Collection[str], wanted: Collection[str]
) -> None:
    """Raise UsageError if there is nothing to write, or another file would no longer be read."""
    other = DEFAULT_FILE.replace(".yaml", ".yml")
    is_new = target == DEFAULT_FILE and target not in existing
    if is_new and (directory / other).exists():
        raise UsageError(
            f"{other} exists, and without -f only {DEFAULT_FILE} is read",
            hint=f"rename it to {DEFAULT_FILE}",
        )
    if len(existing) == len(wanted):
        raise UsageError(
            f"{', '.join(existing)} {'exists' if len(existing) == 1 else 'exist'}",
            hint="rename or delete it first, or write an export with `webhooks export -o FILE`",
        )


def _listed(names: tuple[str, ...]) -> str:
    """Return names as a list in words, of many the first three."""
    shown = [*names[:3], *(["the others that it names"] if len(names) > 3 else [])]
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)


def _live(context: Context) -> Live | None:
    """Return the live webhooks; None without a key."""
    try:
        with connected(context, settings_of(context)) as connection:
            live = read_live(connection.api, context.organization)
    except CredentialError:
        context.console.note("No API key: this is a starter, not an export.")
        return None
    if not live.webhooks:
        context.console.note("No live webhooks: this is a starter, not an export.")
    return live


def _first_file(live: Live | None) -> tuple[str, tuple[str, ...]]:
    """Return the export, or the starter where there is nothing to export, and its variables."""
    if live is None:
        return STARTER, ("SLACK_BOT_TOKEN",)
    if not live.webhooks:
        name = scalar(live.organization.name or live.organization.id)
        return STARTER.replace(UNSET, f"organization: {name}"), ("SLACK_BOT_TOKEN",)
    export = export_live(live).export
    return export.text, tuple(each.name for each in export.variables)
