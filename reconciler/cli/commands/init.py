"""`webhooks init`: the first file, and the workflows."""

from __future__ import annotations

import shlex
from dataclasses import replace
from difflib import unified_diff
from importlib.resources import files
from typing import Final

from reconciler import workflow
from reconciler.ci.workflows import (
    Setup,
    default_branch,
    installed_commit,
    package,
    updated,
    workflows,
)
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.options import Context, Option, command
from reconciler.cli.session import confirm, inputs
from reconciler.errors import CredentialError, ExitCode, UsageError
from reconciler.model import SecretRef
from reconciler.source.export import export, scalar
from reconciler.source.files import DEFAULT_FILE
from reconciler.source.history import git_in
from reconciler.source.secrets import references
from reconciler.source.write import WORKFLOW, make_folder, write_atomically

_UNSET: Final = "# organization: Acme"
"""The line of the starter that a key replaces."""


@command(
    examples=(
        ("begin", "webhooks init"),
        ("begin with workflows that plan, apply and check for drift", "webhooks init --github"),
        ("update their lists of secrets after an edit", "webhooks init --github --yes"),
    ),
    connects=True,
    options=(
        Option("-f", "--file", "target", group="Files", metavar="FILE", default=DEFAULT_FILE,
               show_default=True, help="Write this file."),
        Option("--github", group="Files", is_flag=True,
               help="Write the GitHub workflows, or update their lists of secrets."),
        Option("--branch", group="Files", metavar="NAME",
               help="Apply this branch. [default: the repository's default branch]"),
        Option("--commit", group="Files", metavar="SHA",
               help="Install webhooks from this commit in workflows. [default: the installed one]"),
        Option("-y", "--yes", group="Files", is_flag=True, help="Update workflows without asking."),
    ),
)  # fmt: skip
def run(
    context: Context, target: str, github: bool, branch: str | None, commit: str | None, yes: bool
) -> int:
    """With an API key the file is an export of the live webhooks, otherwise a commented starter.
    Existing files are kept.
    """
    directory, console = context.process.directory, context.console
    is_new = not (directory / target).exists()
    other = DEFAULT_FILE.replace(".yaml", ".yml")
    if is_new and target == DEFAULT_FILE and (directory / other).exists():
        raise UsageError(
            f"{other} exists, and without -f only {DEFAULT_FILE} is read",
            hint=f"rename it to {DEFAULT_FILE}",
        )
    if not is_new and not github:
        raise UsageError(
            f"{target} exists",
            hint="rename or delete it first, or write an export with `webhooks export -o FILE`",
        )
    installed = package(commit or installed_commit(git_in)) if github else ""
    file = "" if target == DEFAULT_FILE else f" -f {shlex.quote(target)}"
    steps = _write_configuration(context, target, file) if is_new else []
    if github:
        branch = branch or default_branch(git_in(directory))
        found = _references(context, target)
        setup = Setup(package=installed, file=target, branch=branch, references=found)
        _write_workflows(context, setup, yes=yes)
        console.result("In GitHub, create the environments cloudtruth-plan and")
        console.result("cloudtruth-production (docs/github.md), then set:")
        for line in setup.commands:
            console.result(f"  {line}")
        steps.append("after editing secrets of the file, run `webhooks init --github` again")
    else:
        steps.append(
            f"make it happen: `webhooks apply{file}`; `webhooks init{file} --github` adds workflows"
        )
    console.note("Next:")
    for number, step in enumerate(steps, 1):
        console.note(f"  {number}. {step}")
    return ExitCode.OK


def _write_configuration(context: Context, target: str, file: str) -> list[str]:
    """Write an export, or the starter where there is nothing to export; return the next steps.

    `file` is how the configuration is named in commands.
    """
    live, needed = None, []
    try:
        with connected(context, settings_of(context)) as connection:
            live = workflow.read_live(connection.api, context.organization)
    except CredentialError:
        needed = ["CLOUDTRUTH_API_KEY"]
    if live is not None and live.webhooks:
        exported = export(live)
        text = exported.text
        needed += exported.variables
    else:
        lacking = "API key" if live is None else "live webhooks"
        context.console.note(f"No {lacking}: this is a starter, not an export.")
        text = (files("reconciler.cli") / "starter.yaml").read_text(encoding="utf-8")
        needed.append("SLACK_BOT_TOKEN")
        if live is not None:
            name = scalar(live.organization.name or live.organization.id)
            text = text.replace(_UNSET, f"organization: {name}")
    _write(context, target, text)
    if len(needed) > 3:
        needed[3:] = ["the others that it names"]
    step = f"set {' and '.join(needed)}, then run" if needed else "see what would happen:"
    step += f" `webhooks plan{file}`"
    if live is not None:
        return [f"review {target}", step]
    return [
        f"review {target}, and set `organization`",
        f"{step}; without an account: `webhooks plan{file} --local`",
    ]


def _write_workflows(context: Context, setup: Setup, *, yes: bool) -> None:
    """Write missing workflows; update the lists of existing ones after asking.

    Raises NotConfirmedError.
    """
    directory, console = context.process.directory, context.console
    changed: dict[str, str] = {}
    for name, text in workflows(setup).items():
        if not (directory / name).exists():
            _write(context, name, text)
            continue
        old = (directory / name).read_text(encoding="utf-8")
        new = updated(old, setup)
        if new is None:
            console.note(
                f"{name} has no line WEBHOOKS_ALLOW_SECRETS to update; add\n"
                f'  WEBHOOKS_ALLOW_SECRETS: "{setup.allowed}"'
            )
        elif new == old:
            console.note(f"kept {name}, which is up to date")
        else:
            changed[name] = new
            lines = unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="")
            console.result("\n".join(lines))
    if changed and not yes:
        confirm(context, "Update these lists?", otherwise="these workflows were not changed")
    for name, text in changed.items():
        _write(context, name, text)


def _write(context: Context, name: str, text: str) -> None:
    path = context.process.directory / name
    is_new = not path.exists()
    make_folder(path.parent)
    write_atomically(path, text.encode(), over=WORKFLOW)
    path.chmod(0o644)  # these are for the repository, and hold no secret
    context.console.result(f"{'wrote' if is_new else 'updated'} {name}")


def _references(context: Context, target: str) -> tuple[SecretRef, ...]:
    """Return the secret references of a configuration file. Raises ConfigurationError."""
    asked = replace(
        inputs(context), paths=(target,), allow_secrets=(), listed_only=False, strict=False
    )
    found = references(workflow.load(asked).desired.webhooks)
    return tuple(sorted({replace(each, version=None) for each in found}, key=str))
