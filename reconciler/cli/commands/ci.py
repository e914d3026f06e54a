"""`webhooks ci`: what the GitHub Action runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from reconciler.ci.apply import apply
from reconciler.ci.drift import drift
from reconciler.ci.github import GitHub
from reconciler.ci.matrix import matrix
from reconciler.ci.outcome import Outcome, failed
from reconciler.ci.plan import plan, validate
from reconciler.ci.run import read_run
from reconciler.cli.commands.plan import again
from reconciler.cli.connection import connected, settings_of
from reconciler.cli.errors import report_error
from reconciler.cli.options import Context, Option, command
from reconciler.cli.organizations import with_own_key
from reconciler.cli.session import inputs, read
from reconciler.errors import ExitCode, Interrupted, OutputError, ReconcilerError, UsageError
from reconciler.model import Scheme, Secret, SecretRef
from reconciler.source.files import NotReadableError, read_regular
from reconciler.source.text import masked
from reconciler.source.write import write_atomically
from reconciler.workflow.inputs import OrganizationFiles, organizations

_EVENT_BYTES: Final = 64 * 1024 * 1024
_COMMANDS: Final = {
    "validate": validate, "plan": plan, "apply": apply, "drift": drift, "matrix": matrix,
}  # fmt: skip


@command(
    examples=(
        ("on a pull request", "webhooks ci plan"),
        ("after a merge: apply only what was reviewed", "webhooks ci apply"),
        ("on a schedule", "webhooks ci drift"),
        ("a job for each organization that changed", "webhooks ci matrix -f organizations"),
    ),
    reads=True,
    connects=True,
    options=(
        click.Argument(["what"], required=False, metavar="COMMAND",
                       type=click.Choice(list(_COMMANDS))),
        Option("--reviewed-plan", group="Plan", metavar="HOW", env="WEBHOOKS_REVIEWED_PLAN",
               help="If an operation has no review: require, warn or ignore. [default: require]"),
        Option("--expect-digest", group="Plan", metavar="DIGEST", env="WEBHOOKS_EXPECT_DIGEST",
               help="Apply exactly the plan with this digest."),
        Option("--allow-deletes", group="Plan", metavar="N", env="WEBHOOKS_ALLOW_DELETES",
               help="Override the guards if the plan deletes exactly N webhooks."),
        Option("--resend-secret", group="Plan", metavar="REF|NAME", env="WEBHOOKS_RESEND_SECRET",
               help="Resend these secrets, one per line; * for all."),
        Option("--branch", group="Plan", metavar="NAME", env="WEBHOOKS_BRANCH",
               help="The branch that is applied. [default: the repository's default branch]"),
        Option("--comment", group="Output", metavar="WHEN", env="WEBHOOKS_COMMENT",
               help="Comment on the pull request: true, changes-only or false. [default: true]"),
        Option("--label", group="Output", metavar="TEXT", env="WEBHOOKS_LABEL",
               help="Label comments and issues, if one repository has several setups."),
    ),
)  # fmt: skip
def run(context: Context, what: str | None, **own: str | None) -> int:
    """Reads the event, then validates, plans, applies or checks for drift, and writes annotations,
    a step summary, outputs, and one comment on the pull request or one issue. Warnings about
    files are errors here. COMMAND defaults to WEBHOOKS_COMMAND.
    """
    try:
        outcome = _outcome(context, what, own)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        # No result: the workflow's last step reports a run that could not start.
        outcome = failed(problem, began=False)
    path = _write_document(context, outcome)
    outcome = replace(outcome, outputs={**outcome.outputs, "plan-json": path or ""})
    context.console.result(outcome.log)
    if outcome.annotations:
        context.console.result(outcome.annotations, essential=True)
    if _leave(context, outcome) and path is not None:
        return outcome.exit_code
    # A lost output must fail the step, without changing the result of the run.
    return max(outcome.exit_code, ExitCode.PARTIAL if outcome.wrote else ExitCode.FAILED)


def _outcome(context: Context, what: str | None, own: Mapping[str, str | None]) -> Outcome:
    environ = context.process.environ
    name = (what or environ.get("WEBHOOKS_COMMAND", "")).strip().lower()
    if name not in _COMMANDS:
        raise UsageError(f"command must be one of: {', '.join(_COMMANDS)}")
    absent: SecretRef | None = None
    if name != "matrix":
        parsed = read(context)
        absent = _absent_key(context, organizations(parsed))
        if absent is None:
            hint = "run a job for each, see docs/organizations.md"
            context = with_own_key(context, parsed, "a job", hint)
    settings = settings_of(context)
    given = again(context, context.files, ())
    with ExitStack() as stack:
        github, repository = None, environ.get("GITHUB_REPOSITORY", "")
        if environ.get("GITHUB_TOKEN") and repository:
            token, clock = Secret(environ["GITHUB_TOKEN"]), context.process.time()
            context.console.hide([token])
            clean = context.console.clean
            github = GitHub(
                repository=repository, token=token, clock=clock, environ=environ, clean=clean
            )
            stack.callback(github.close)
        reachable = absent is None and (settings.local or settings.key is not None)
        found = read_run(
            {name.replace("_", "-"): value or "" for name, value in own.items()},
            environ,
            _read_event(environ),
            inputs=inputs(context, given),
            connect=(lambda: connected(context, settings)) if reachable else None,
            github=github,
        )
        found = replace(found, given=given)
        return _COMMANDS[name](found if absent is None else replace(found, key=masked(absent.name)))


def _absent_key(context: Context, groups: tuple[OrganizationFiles, ...]) -> SecretRef | None:
    """Return the reference to the API key of the only organization if it has no value here.

    A job before the keys are set and one of a fork have none, and only validate the files.
    """
    ref = groups[0].api_key if len(groups) == 1 and not context.local else None
    if ref is None:
        return None
    if ref.scheme is Scheme.ENV:
        return None if context.process.environ.get(ref.name, "").strip() else ref
    return None if (context.process.directory / ref.name).exists() else ref


def _read_event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the payload of GitHub's event, empty outside GitHub.

    Raises UsageError if it is not JSON.
    """
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
            hint="check the file in GITHUB_EVENT_PATH; unset it outside GitHub",
        )
    return found


def _write_document(context: Context, outcome: Outcome) -> str | None:
    """Write the plan as JSON for later steps, and return its path.

    Empty without a plan or RUNNER_TEMP; None after a failure, which is reported.
    """
    folder = context.process.environ.get("RUNNER_TEMP")
    if outcome.document is None or not folder:
        return ""
    path = Path(folder) / f"webhooks-plan-{secrets.token_hex(4)}.json"
    try:
        write_atomically(path, context.console.clean(outcome.document).encode())
    except OutputError as problem:
        hint = "check the directory in RUNNER_TEMP; unset it outside GitHub"
        report_error(context, OutputError(problem.message, hint=hint))
        return None
    return str(path)


def _leave(context: Context, outcome: Outcome) -> bool:
    """Write GitHub's outputs and summary. Return False, after an error message, on failure."""
    end = f"end-{secrets.token_hex(16)}"  # random, so that no value can set another output
    outputs = "".join(f"{key}<<{end}\n{each}\n{end}\n" for key, each in outcome.outputs.items())
    is_whole = True
    for name, text in (("GITHUB_OUTPUT", outputs), ("GITHUB_STEP_SUMMARY", outcome.summary)):
        path = context.process.environ.get(name)
        if not path:
            continue
        try:
            with open(path, "a", encoding="utf-8", errors="replace") as file:
                file.write(context.console.clean(text))
        except OSError:
            hint = "check the variable; unset it outside GitHub"
            message = f"cannot write to ${name}"
            report_error(context, OutputError(message, hint=hint))
            is_whole = False
    return is_whole
