"""`webhooks init`: the first file, and the workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option
from reconciler.errors import CredentialError, ExitCode, UsageError
from reconciler.source.files import DEFAULT_FILE

if TYPE_CHECKING:
    from reconciler.model import Live

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
    "init",
    "Write a first webhooks.yaml, and the workflows for GitHub.",
    text="With an API key at hand the file is an export of what is live, otherwise a commented "
    "starter. Nothing that is there already is written over.",
    examples=(
        ("begin", "webhooks init"),
        ("begin with workflows that plan, apply and watch", "webhooks init --github"),
    ),
    options=[Option("--github", is_flag=True, help="Write the GitHub workflows, too.")],
)
def COMMAND(invocation: Invocation, github: bool) -> int:  # noqa: N802
    """Write what is missing and say what comes next."""
    from reconciler.source.write import make_folder, write_atomically

    directory = invocation.process.directory
    console = invocation.console
    wanted = {DEFAULT_FILE: ""}
    if github:
        from reconciler.ci.workflows import templates

        wanted |= dict(templates())
    there = [name for name in wanted if (directory / name).exists()]
    other = DEFAULT_FILE.replace(".yaml", ".yml")
    if DEFAULT_FILE not in there and (directory / other).exists():
        raise UsageError(
            f"{other} exists, and without -f only {DEFAULT_FILE} is read",
            hint=f"rename it to {DEFAULT_FILE}",
        )
    if len(there) == len(wanted):
        raise UsageError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already",
            hint="nothing is written over: move away what is to be made anew, or write an export "
            "beside it with `webhooks export -o FILE`",
        )
    variables: tuple[str, ...] = ()
    is_found, keyless = DEFAULT_FILE in there, False
    if not is_found:
        live = _live(invocation)
        is_found, keyless = live is not None, live is None
        wanted[DEFAULT_FILE], variables = _first_file(live)
    for name, text in wanted.items():
        if name in there:
            console.note(f"kept {name}, which was there already")
            continue
        make_folder((directory / name).parent)
        write_atomically(directory / name, text.encode())
        (directory / name).chmod(0o644)  # these are for the repository, and hold no secret
        console.result(f"wrote {name}")
    console.note("Next:")
    names = _listed(("CLOUDTRUTH_API_KEY", *variables) if keyless else variables)
    trial = "; without an account: `webhooks plan --local`" if keyless else ""
    steps = [
        f"look at {DEFAULT_FILE}" + ("" if is_found else ", and set `organization`"),
        f"set {names}, then run `webhooks plan`{trial}"
        if names
        else "see what would happen: `webhooks plan`",
        "commit, and read docs/github.md on the two environments that the workflows need"
        if github
        else "make it so: `webhooks apply`; `webhooks init --github` adds the workflows",
    ]
    for number, step in enumerate(steps, 1):
        console.note(f"  {number}. {step}")
    return ExitCode.OK


def _listed(names: tuple[str, ...]) -> str:
    """Return names as a person lists them, of many the first ones."""
    shown = [*names[:3], *(["the others that it names"] if len(names) > 3 else [])]
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)


def _live(invocation: Invocation) -> Live | None:
    """Read what is live; None without a key."""
    from reconciler.cli.connection import connected
    from reconciler.workflow import read_live

    try:
        with connected(invocation) as connection:
            live = read_live(connection.api, invocation.organization)
    except CredentialError:
        invocation.console.note("No API key at hand: this is a starter, not an export.")
        return None
    if not live.webhooks:
        invocation.console.note("No webhook is live: this is a starter, not an export.")
    return live


def _first_file(live: Live | None) -> tuple[str, tuple[str, ...]]:
    """Return the export, or the starter where there is nothing to export, and its variables."""
    if live is None:
        return STARTER, ("SLACK_BOT_TOKEN",)
    if not live.webhooks:
        from reconciler.source.yaml_text import scalar

        name = scalar(live.organization.name or live.organization.id)
        return STARTER.replace(UNSET, f"organization: {name}"), ("SLACK_BOT_TOKEN",)
    from reconciler.workflow import export_live

    export = export_live(live).export
    return export.text, tuple(each.name for each in export.variables)
