"""`webhooks ci`: what the GitHub Action runs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Final

import click

from reconciler.api.origin import Network
from reconciler.ci import JobResult
from reconciler.ci.apply import apply
from reconciler.ci.drift import drift
from reconciler.ci.github import GitHub
from reconciler.ci.organizations import matrix, validate
from reconciler.ci.plan import plan
from reconciler.ci.run import read_run
from reconciler.cli.commands.plan import apply_options
from reconciler.cli.connection import Progress, connected_all
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError
from reconciler.findings import in_quotes
from reconciler.model import Secret
from reconciler.render import RENDERERS

_COMMANDS: Final = {task.__name__: task for task in (validate, plan, apply, drift, matrix)}


@command(
    reads=True,
    connects=True,
    options=(
        click.Argument(["what"], required=False, metavar="COMMAND",
                       type=click.Choice(list(_COMMANDS))),
        Option("--reviewed-plan", group="Plan", metavar="HOW", env="WEBHOOKS_REVIEWED_PLAN",
               help="How apply handles operations without a review: require (refuse), warn or "
                    "ignore. [default: require]"),
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
def run(session: Session, what: str | None, **options: str | None) -> int:
    """Reads the event, then validates, plans, applies or checks for drift, and writes annotations,
    a step summary, outputs, and one comment on the pull request or one issue. Warnings about
    files are errors here. COMMAND defaults to WEBHOOKS_COMMAND.

    Examples:
        # on a pull request
        webhooks ci plan
        # after a merge: apply only what was reviewed
        webhooks ci apply
        # on a schedule
        webhooks ci drift
        # a job for each GitHub environment with changes
        webhooks ci matrix -f organizations
    """
    try:
        result = _job_result(session, what, options)
    except ReconcilerError as problem:
        # No result: the workflow's last step reports a run that could not start.
        result = JobResult(status="", problem=problem)
    session.console.result(result.render("text"))
    if result.annotations:
        session.console.result(result.annotations, essential=True)
    if _write_outputs(session, result):
        return result.exit_code
    # A lost output must fail the step, without changing the result of the run.
    wrote = result.report is not None and result.report.writes
    return max(result.exit_code, ExitCode.PARTIAL if wrote else ExitCode.FAILED)


def _job_result(session: Session, what: str | None, options: Mapping[str, str | None]) -> JobResult:
    environ = session.process.environ
    command_name = (what or environ.get("WEBHOOKS_COMMAND", "")).strip().lower()
    if command_name not in _COMMANDS:
        message = f"invalid value {in_quotes(command_name)} for the input `command`"
        raise UsageError(message, hint=f"set it to one of: {', '.join(_COMMANDS)}")
    _require_current_workflows(command_name, environ)
    # Many organizations read the same files of the same commit, which does not change.
    remembered = cache(session.inputs.git)
    inputs = session.inputs._replace(
        apply_options=apply_options(session, ()),
        git=lambda arguments: remembered(tuple(arguments)),
    )
    with ExitStack() as stack:
        github = _github(session, stack)
        job = read_run(
            {name.replace("_", "-"): value or "" for name, value in options.items()},
            environ,
            _read_event(environ),
            inputs=inputs,
            connect=lambda targets: connected_all(session, targets),
            github=github,
            now=session.process.clock.now(),
        )
        return _COMMANDS[command_name](job)


def _github(session: Session, stack: ExitStack) -> GitHub | None:
    """Return a client of GitHub that `stack` closes, None without a token or a repository."""
    environ = session.process.environ
    repository = environ.get("GITHUB_REPOSITORY", "")
    if not (environ.get("GITHUB_TOKEN") and repository):
        return None
    token = Secret(environ["GITHUB_TOKEN"])
    session.console.hide([token])
    progress = stack.enter_context(Progress(session))
    network = Network(
        clock=session.process.clock,
        environment=environ,
        observer=progress.observe,
        redactor=session.redactor,
    )
    github = GitHub(
        repository=repository, token=token, network=network, clean=session.console.redact_and_count
    )
    stack.callback(github.close)
    return github


def _require_current_workflows(name: str, environ: Mapping[str, str]) -> None:
    """Raise UsageError in a workflow of an earlier version, with a job for each organization.

    Its jobs would run in environments without the keys and without reviewers.
    """
    old = ""
    if name == "matrix" and not environ.get("WEBHOOKS_ENVIRONMENTS"):
        old = "WEBHOOKS_ENVIRONMENTS is not set"
    elif "WEBHOOKS_EARLIER_LABEL" in environ and environ.get("WEBHOOKS_LABEL"):
        old = "WEBHOOKS_EARLIER_LABEL is set"
    if old:
        raise UsageError(
            f"{old}: webhooks.yml is of an earlier version, with a job for each organization",
            hint="run `webhooks init --github`, which writes the new workflows, and merge them",
        )


def _read_event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the payload of GitHub's event, empty outside GitHub.

    Raises UsageError if it is not JSON.
    """
    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        payload = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise UsageError(
            "the event of this run cannot be read as JSON",
            hint="check the file in GITHUB_EVENT_PATH; unset it outside GitHub",
        )
    return payload


def _write_outputs(session: Session, result: JobResult) -> bool:
    """Write the plan as JSON for later steps, and GitHub's outputs and summary.

    Return False, after error messages, if any of them cannot be written.
    """
    environ = session.process.environ
    plan_file = ""
    written: list[bool] = []
    folder = environ.get("RUNNER_TEMP")
    if result.plan.organizations and folder:
        plan_file = os.path.join(folder, f"webhooks-plan-{secrets.token_hex(4)}.json")
        document = RENDERERS["json"]().render_run(result.plan)
        written.append(_append(session, "RUNNER_TEMP", plan_file, document))
    end = f"end-{secrets.token_hex(16)}"  # random, so that no value can set another output
    values = {**result.outputs, "plan-json": plan_file}
    outputs = "".join(f"{name}<<{end}\n{value}\n{end}\n" for name, value in values.items())
    summary = result.render("markdown")
    for variable, text in (("GITHUB_OUTPUT", outputs), ("GITHUB_STEP_SUMMARY", summary)):
        path = environ.get(variable)
        if path:
            written.append(_append(session, variable, path, text))
    return all(written)


def _append(session: Session, variable: str, path: str, text: str) -> bool:
    """Append text to a file that a variable names. Return False, after an error, on failure."""
    try:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(session.console.redact_and_count(text))
    except OSError:
        hint = f"check the variable {variable}; unset it outside GitHub"
        session.console.error(OutputError(f"cannot write to ${variable}", hint=hint))
        return False
    return True
