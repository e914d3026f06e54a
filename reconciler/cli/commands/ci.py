"""`webhooks ci`: what the GitHub Action runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option
from reconciler.errors import ExitCode, Interrupted, OutputError, ReconcilerError, UsageError
from reconciler.model import Secret

if TYPE_CHECKING:
    from reconciler.ci.job import Access
    from reconciler.ci.outcome import Outcome

_ENV: Final = "WEBHOOKS_CI_"
_EVENT_BYTES: Final = 64 * 1024 * 1024
_COMMANDS: Final = ("validate", "plan", "apply", "drift")
_OPTIONS: Final = (
    ("label", "TEXT", "Tells comments and issues of several uses in one repository apart; "
     "organization and file unless given."),
    ("comment", "WHEN", "Comment on the pull request: true, changes-only or false."),
    ("reviewed-plan", "HOW", "Apply operations that no pull request of the push showed: require "
     "(refuse), warn or ignore."),
    ("expect-digest", "DIGEST", "Apply exactly the plan with this digest, reviewed elsewhere."),
    ("allow-deletes", "N", "Lift the guards, if exactly N webhooks are to be deleted."),
    ("resend-secret", "REF", "Secrets to send again: references or webhook names, one a line."),
)  # fmt: skip


@command(
    "ci",
    "Do what the GitHub Action does.",
    text="Reads the event, then validates, plans, applies or looks for drift, and leaves "
    "annotations, a step summary, outputs, one comment on the pull request or one issue. Warnings "
    "about files are errors here. An empty variable counts as not set; WEBHOOKS_CI_FILE and "
    "WEBHOOKS_CI_ALLOW_SECRET stand beside -f and --allow-secret, one value a line.",
    examples=(
        ("on a pull request", "webhooks ci plan"),
        ("after a merge: what was reviewed, nothing else", "webhooks ci apply"),
        ("on a schedule", "webhooks ci drift"),
    ),
    options=[
        click.Argument(["what"], required=False, type=click.Choice(_COMMANDS), metavar="COMMAND",
                       help="validate, plan, apply or drift; WEBHOOKS_CI_COMMAND unless given."),
        *(Option(f"--{name}", metavar=metavar, help=text,
                 env=_ENV + name.upper().replace("-", "_"))
          for name, metavar, text in _OPTIONS),
    ],
)  # fmt: skip
def COMMAND(invocation: Invocation, what: str | None, **own: str | None) -> int:  # noqa: N802
    """Do it, and leave the results where GitHub looks for them."""
    from reconciler.ci.outcome import failed, with_document

    try:
        outcome = _outcome(invocation, {"command": what, **own})
    except Interrupted:
        raise
    except ReconcilerError as problem:
        outcome = failed(problem)
    path = _write_document(invocation, outcome)
    outcome = with_document(outcome, path or "")
    invocation.console.status("")
    invocation.console.result(outcome.log)
    if outcome.annotations:
        invocation.console.result(outcome.annotations)
    if _leave(invocation, outcome) and path is not None:
        return outcome.exit_code
    # What is lost must not look well; what is done is done.
    return max(outcome.exit_code, ExitCode.PARTIAL if outcome.wrote else ExitCode.FAILED)


def _outcome(invocation: Invocation, given: Mapping[str, str | None]) -> Outcome:
    from reconciler.ci.flow import carry_out
    from reconciler.ci.job import lines, read_job, read_run
    from reconciler.cli.session import inputs

    environ = invocation.process.environ
    values = {"command": ""}
    for name, said in given.items():
        name = name.replace("_", "-")
        values[name] = said or environ.get(_ENV + name.upper().replace("-", "_"), "")
    job = read_job(values)
    run = read_run(environ, read_event(environ))
    asked = inputs(invocation)
    asked = replace(
        asked,
        paths=asked.paths or lines(environ.get(f"{_ENV}FILE", "")),
        allow_secrets=(*asked.allow_secrets, *lines(environ.get(f"{_ENV}ALLOW_SECRET", ""))),
    )
    with ExitStack() as stack:
        return carry_out(job, run, asked, _access(invocation, run.repository, stack))


def _access(invocation: Invocation, repository: str, stack: ExitStack) -> Access:
    from reconciler.ci.github import GitHub
    from reconciler.ci.job import Access
    from reconciler.ci.rest import TransportRest
    from reconciler.cli.connection import connected
    from reconciler.source.history import git_in

    process = invocation.process
    settings = invocation.settings()
    token = process.environ.get("GITHUB_TOKEN", "")
    github = None
    if token and repository:
        secret = Secret(token)
        invocation.console.hide([secret])
        rest = TransportRest(token=secret, clock=process.time(), environ=process.environ)
        github = GitHub(stack.enter_context(rest), repository=repository)
    reachable = settings.local or settings.key is not None
    return Access(
        connect=(lambda: connected(invocation)) if reachable else None,
        github=github,
        git=git_in(process.directory),
        directory=process.directory,
        clean=invocation.console.clean,
    )


def read_event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the payload of GitHub's event, empty outside. Raises UsageError if it is not JSON."""
    from reconciler.source.files import NotReadableError, read_regular

    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        found = json.loads(read_regular(Path(path), limit=_EVENT_BYTES))
    except (FileNotFoundError, NotReadableError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(
            "the event of this run cannot be read as JSON",
            hint="GITHUB_EVENT_PATH names the file; outside GitHub leave it unset",
        )
    return found


def _write_document(invocation: Invocation, outcome: Outcome) -> str | None:
    """Write the plan as JSON where later steps find it, and return its path.

    Empty where there is nothing or nowhere to write; None if it failed, which is then told.
    """
    from reconciler.cli.session import tell
    from reconciler.source.write import write_atomically

    folder = invocation.process.environ.get("RUNNER_TEMP")
    if outcome.document is None or not folder:
        return ""
    path = Path(folder) / f"webhooks-plan-{secrets.token_hex(4)}.json"
    try:
        write_atomically(path, invocation.console.clean(outcome.document).encode())
    except OutputError as problem:
        hint = "RUNNER_TEMP names the directory; it is GitHub's own, elsewhere leave it unset"
        tell(invocation, OutputError(problem.message, hint=hint))
        return None
    return str(path)


def _leave(invocation: Invocation, outcome: Outcome) -> bool:
    """Write outputs and summary where GitHub looks for them; say whether, and tell why not."""
    from reconciler.ci.outputs import format_outputs
    from reconciler.cli.session import tell

    delimiter = f"delimiter-{secrets.token_hex(16)}"
    outputs = format_outputs(outcome.outputs.values(), delimiter=delimiter)
    is_whole = True
    for name, text in (("GITHUB_OUTPUT", outputs), ("GITHUB_STEP_SUMMARY", outcome.summary)):
        path = invocation.process.environ.get(name)
        if not path:
            continue
        try:
            with open(path, "a", encoding="utf-8", errors="replace") as file:
                file.write(invocation.console.clean(text))
        except OSError:
            hint = "it is GitHub's own; elsewhere leave the variable unset"
            tell(invocation, OutputError(f"cannot write the file that {name} names", hint=hint))
            is_whole = False
    return is_whole
