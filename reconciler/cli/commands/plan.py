"""`webhooks plan`: show what apply would do, without changing anything."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from reconciler import workflow
from reconciler.cli.connection import connected_all, show_problems
from reconciler.cli.options import CONNECTION_OPTIONS, FILE_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError
from reconciler.findings import plural
from reconciler.model import SecretRef
from reconciler.render import RENDERERS, View
from reconciler.render.quote import quote
from reconciler.source.files import (
    DEFAULT_FILE,
    STDIN,
    STDIN_NAME,
    display_name,
    file_matcher,
)
from reconciler.source.history import commit_of, folder_in, git_in, is_revision
from reconciler.source.output import FileKind, check_writable, write_atomically
from reconciler.source.schemes import paths
from reconciler.source.secrets import references

_NEEDS_NO_QUOTES: Final = r"[\w.@:/+-]+"
"""Names that are completed: a shell would run others as code."""


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that the files declare; empty if they cannot be read."""
    if STDIN in ctx.obj.options.get("file", ()):  # it is the user's terminal
        return []
    with suppress(ReconcilerError):
        names = workflow.load(Session(ctx.obj).inputs).desired.names
        fitting = (name for name in sorted(names) if name.startswith(incomplete))
        return [name for name in fitting if re.fullmatch(_NEEDS_NO_QUOTES, name)]
    return []


ONLY: Final = Option(
    "--only", group="Plan", multiple=True, metavar="GLOB", shell_complete=_names,
    help="Limit to webhooks whose name matches GLOB.",
)  # fmt: skip
_ALLOW_DELETES: Final = Option(
    "--allow-deletes", group="Plan", type=click.IntRange(0), metavar="N",
    env="WEBHOOKS_ALLOW_DELETES",
    help="Override the guards if the plan deletes exactly N webhooks.",
)  # fmt: skip
SAVED_OPTIONS: Final = (
    ONLY,
    Option("--no-prune", group="Plan", is_flag=True, help="Do not delete undeclared webhooks."),
    Option("--base", group="Plan", multiple=True, metavar="REV|PATH",
           help="Compare with a git revision or earlier files, to distinguish drift from "
                "edits and to resend secrets whose version changed."),
    Option("--resend-secret", group="Plan", multiple=True, metavar="REF|NAME",
           env="WEBHOOKS_RESEND_SECRET",
           help="Resend a secret, or a webhook's secrets; * for all."),
)  # fmt: skip
"""The options that a saved plan contains."""

PLAN_OPTIONS: Final = (*SAVED_OPTIONS, _ALLOW_DELETES)
"""The options that determine a plan, shared with `apply`."""


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
def run(
    session: Session, out: str | None, format: str, detailed_exitcode: bool, **options: Any
) -> int:
    """Works without the secrets, and lists those that apply needs. -v also shows each organization,
    unchanged webhooks and the plan's digest. If a guard blocks the plan, it is still shown and
    saved; the exit code is 5.

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
    out_path = session.path(out)
    # Before any request, because a plan that cannot be saved is a waste of time.
    if out_path is not None:
        check_writable(out_path, over=FileKind.PLAN)
    words = apply_options(session)
    try:
        targets = load_targets(session, words, options, out_path)
        with connected_all(session, targets) as connected:
            planned = workflow.plan_all(connected, allow_deletes=options["allow_deletes"])
        planned = tuple(map(labeled, planned))
        run_plan = workflow.RunPlan(tuple(organization.result for organization in planned))
        show_problems(session, run_plan.organizations)
        view = session.view()._replace(missing=missing_references(planned), apply_options=words)
        if out_path is not None:
            # A saved plan has its files and the other options.
            words = apply_options(session, [_ALLOW_DELETES], file=())
            view = view._replace(plan_file=out, apply_options=words)
        if out is not None:
            view = view._replace(shows_digest=True)
            _save(session, run_plan, planned, targets[0].options, view, out_path)
    except ReconcilerError:
        _warn_about_earlier(session, out_path)
        raise
    record_findings(session, run_plan)
    is_ready = run_plan.exit_code is ExitCode.OK
    session.show(
        RENDERERS[format]().render_run(run_plan, view), failed=not is_ready, to_stderr=out == "-"
    )
    if detailed_exitcode:
        return run_plan.detailed_exit_code
    return run_plan.exit_code


def _warn_about_earlier(session: Session, out_path: Path | None) -> None:
    """Warn that the file of a plan that is not saved contains another one."""
    # An empty file may have been made for this plan.
    if out_path is not None and out_path.is_file() and out_path.stat().st_size:
        name = quote(display_name(out_path, session.process.directory))
        session.console.message("warning", f"{name} still contains an earlier plan")


def _save(
    session: Session,
    run_plan: workflow.RunPlan,
    planned: Sequence[workflow.Planned],
    options: workflow.PlanOptions,
    view: View,
    out_path: Path | None,
) -> None:
    """Save the plans of a run in one file, or on standard output without a path.

    If an organization failed, nothing is saved: the file is applied as it is.
    """
    if run_plan.problems:
        session.console.error(
            OutputError(
                f"the plan was not saved: {plural(len(run_plan.problems), 'organization')} failed",
                hint="a saved plan contains all organizations; select with -f or --organization",
            )
        )
        _warn_about_earlier(session, out_path)
        return
    # `show` prints this text later, possibly to a file.
    text = RENDERERS["text"]().render_run(run_plan, view._replace(color=False, verbosity=0))
    loaded = [organization.target.checked.loaded for organization in planned]
    values = {
        "file": session.files,
        "organization": session.organizations,
        "base": _base(session),
    }
    folder = folder_in(session.inputs.git)
    saved = workflow.save_run(
        run_plan, loaded, options, text, values, folder, session.console.redacted
    )
    if out_path is None:
        session.console.result(saved.decode(), essential=True)
    else:
        write_atomically(out_path, saved, over=FileKind.PLAN)


# Shared with apply and other commands that plan


def missing_references(planned: Sequence[workflow.Planned]) -> frozenset[SecretRef]:
    """Return the references without a value on this machine."""
    gathered = [organization.gathered for organization in planned if organization.gathered]
    return frozenset().union(*(files.missing_references for files in gathered))


def load_targets(
    session: Session, words: tuple[str, ...], options: Mapping[str, Any], output: Path | None
) -> list[workflow.Target]:
    """Return the organizations of the files, planned with the options of the command.

    `words` are the options of suggested commands. Raises UsageError if `output` is one of the
    inputs.
    """
    base = options["base"]
    planner_options = workflow.PlanOptions(
        only=options["only"],
        prune=not options["no_prune"],
        allow_deletes=options["allow_deletes"],
        resend=options["resend_secret"],
        base=base[0] if is_revision(base, session.process.directory) else None,
    )
    targets = []
    for source in session.load_all(words):
        check_output(output, source.checked)
        previous = workflow.previous(base, source.checked) if base else None
        targets.append(workflow.Target(source, options=planner_options._replace(previous=previous)))
    return targets


def check_output(output: Path | None, checked: workflow.Checked) -> None:
    """Raise UsageError if an output path is a secret file, or one that the next run would read."""
    if output is None:
        return
    # A link to an input is that input.
    real = Path(os.path.realpath(output))
    directory = checked.inputs.directory
    why = None
    secret_files = [directory / path for path in paths(references(checked.desired.webhooks))]
    if str(real) in map(os.path.realpath, secret_files):
        why = "it is a secret file of the configuration"
    for path in checked.inputs.paths:
        is_read = file_matcher(directory, os.path.realpath(directory / path))
        if path != STDIN and is_read(display_name(real, directory)):
            why = f"-f {path} reads it as a configuration file"
    if why is not None:
        raise UsageError(
            f"{output} cannot be written: {why}", hint="use another file for the output"
        )


def apply_options(
    session: Session, options: Sequence[click.Parameter] = PLAN_OPTIONS, **saved: Any
) -> tuple[str, ...]:
    """Return the options that make `apply` use the same files, server and `options`.

    The values in `saved` replace those of the command line. Revisions are replaced by commit
    hashes, so the options stay valid after a commit.
    """
    values = {"file": session.files, "base": _base(session), **saved}
    # A saved plan has the names of its files, and the default needs no option.
    values["file"] = tuple(STDIN if name == STDIN_NAME else name for name in values["file"])
    if values["file"] == (DEFAULT_FILE,):
        values["file"] = ()
    return session.words((*FILE_OPTIONS, *CONNECTION_OPTIONS, *options), **values)


def _base(session: Session) -> tuple[str, ...]:
    """Return the values of --base that stay valid after a commit."""
    directory = session.process.directory
    base: tuple[str, ...] = session.command_line.get("base", ())
    if is_revision(base, directory):
        return (commit_of(base[0], git_in(directory)) or base[0],)
    return base


def labeled(planned: workflow.Planned) -> workflow.Planned:
    """Return a plan without the label of drift on what may still wait to be applied.

    Without a base it has no labels.
    """
    options = planned.target.options
    if options.base is None:
        return planned
    # Imported here, because few plans have a base.
    from reconciler.workflow.drift import Base, compared

    organization, _ = compared(planned, Base(options.previous, revision=options.base))
    return organization


def record_findings(session: Session, run_plan: workflow.RunPlan) -> None:
    """Record the rules of the findings that the plans of a run show."""
    for plan in run_plan.plans:
        session.console.record_rules((*plan.notes, *plan.relaxed, *plan.blocked))
