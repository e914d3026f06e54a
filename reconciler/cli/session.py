"""Functions shared by commands: read files, print and write results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler import workflow
from reconciler.checks import Checklist, strict
from reconciler.cli.options import Context
from reconciler.errors import ExitCode, NotConfirmedError
from reconciler.findings import Finding, Severity
from reconciler.render import RENDERERS, View
from reconciler.render.quote import prose, quote
from reconciler.source.files import MAX_FILE_BYTES
from reconciler.source.history import git_in

if TYPE_CHECKING:
    from reconciler.source.load import Parsed

STDOUT: Final = "-"
"""The file name that means standard output."""

_WIDTH: Final = 100
_NARROWEST: Final = 40


def inputs(context: Context, again: tuple[str, ...] | None = None) -> workflow.Inputs:
    """Return the sources of files and secrets; `again` are the options for suggested commands."""
    if context.inputs is not None:
        return replace(context.inputs, again=again)
    options, process = context.options, context.process
    in_ci = process.environ.get("CI", "").strip().lower() not in ("", "0", "false")
    return workflow.Inputs(
        directory=process.directory,
        environ=process.environ,
        stdin=lambda: process.read_stdin(MAX_FILE_BYTES + 1),
        paths=context.files,
        organization=context.organization,
        allow_secrets=tuple(options.get("allow_secret", ())),
        listed_only=in_ci and not context.local,
        allow_literals=bool(options.get("allow_literal_secrets")),
        strict=bool(options.get("strict")),
        policies=tuple(options.get("policy", ())),
        hide=context.console.hide,
        git=git_in(process.directory),
        again=again,
    )


def read(context: Context) -> Parsed:
    """Read and parse the files; later inputs of this context have the result."""
    from reconciler.workflow.inputs import parse

    found = inputs(context)
    parsed = parse(found)
    context.inputs = replace(found, parsed=parsed)
    return parsed


def for_each_organization(
    context: Context, body: Callable[..., int], own: Mapping[str, Any], *, keyed: bool
) -> int:
    """Run a command once, or for each organization that the files declare; `keyed` needs keys."""
    from reconciler.workflow.inputs import organizations

    groups = organizations(read(context))
    if len(groups) == 1 and not (keyed and (groups[0].api_key or groups[0].profile)):
        return body(context, **own)
    from reconciler.cli.organizations import run_each  # most runs have one, and no key in a file

    return run_each(context, groups, body, own, keyed=keyed)


def load(context: Context, again: tuple[str, ...] | None = None) -> workflow.Checked:
    """Read and check the files, and print warnings, and notes on one line each.

    With -v, as in `validate`, notes are complete. Raises ConfigurationError.
    """
    checked = workflow.load(inputs(context, again))
    found, is_full = checked.declared.findings, context.console.verbosity > 0
    warn(context, [each for each in found if is_full or each.severity is not Severity.NOTE])
    for each in found:
        if not is_full and each.severity is Severity.NOTE:
            at = each.position
            where = "" if at is None else f"{quote(at.file)}:{at.line}, "
            context.console.message("note", f"{prose(each.message)} ({where}{each.rule})")
    for file in (*checked.declared.documents, *checked.declared.parents):
        context.console.detail(f"read {quote(file)}")
    return checked


def warn(context: Context, findings: Iterable[Finding]) -> None:
    """Print findings to standard error."""
    found = tuple(findings)
    if found:
        context.console.note(RENDERERS["text"]().render_findings(found, message_view(context)))


def show(context: Context, text: str, *, failed: bool = False, beside: bool = False) -> None:
    """Print a result. With --quiet only failures and documents are printed.

    It is printed to standard error if it is `beside` a document on standard output.
    """
    if beside:
        context.console.note(text)
    else:
        document = context.options.get("format", "text") != "text"
        context.console.result(text, essential=failed or document)


def show_checks(context: Context, checklist: Checklist, format: str) -> ExitCode:
    """Print checks; with --strict warnings are failures. Return the exit code."""
    result = strict(checklist) if context.options.get("strict") else checklist
    shown = RENDERERS[format]().render_checks(result, result_view(context))
    show(context, shown, failed=result.exit_code != 0)
    return result.exit_code


def result_view(context: Context, **more: Any) -> View:
    """Return the view of results."""
    console = context.console
    view = {"color": console.color_results, "verbosity": console.verbosity, **more}
    process, width = context.process, _WIDTH
    if console.color_results or process.stdout.isatty():
        width = max(_NARROWEST, process.columns(_WIDTH))
    return View(width=width, now=process.now(), **view)


def message_view(context: Context, **more: Any) -> View:
    """Return the view of messages on standard error."""
    return result_view(context, color=context.console.color_messages, **more)


def named(context: Context, name: str | None) -> Path | None:
    """Return the path of a result, None without one or for standard output."""
    return None if name in (None, STDOUT) else context.process.directory / str(name)


def confirm(context: Context, question: str, *, otherwise: str) -> None:
    """Ask for confirmation. Raises NotConfirmedError without a terminal or for any answer but yes.

    `otherwise` is added to its message.
    """
    why = "the answer was not `yes`"
    if not context.console.interactive or STDOUT in context.files:
        why = "no terminal to confirm on"
    elif context.console.ask(f"{question} Type `yes` to confirm: ") == "yes":
        return
    hint = "type `yes` in a terminal, or add --yes after a review"
    raise NotConfirmedError(f"{why}: {otherwise}", hint=hint)
