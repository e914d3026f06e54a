"""What commands that read files and connect have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.invocation import Invocation
from reconciler.render.quote import quote

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError
    from reconciler.findings import Finding
    from reconciler.planning.planner import PlanOptions
    from reconciler.render.view import View
    from reconciler.workflow import Checked, Inputs

_WIDTH: Final = 100
_NARROWEST: Final = 40


def inputs(invocation: Invocation, again: tuple[str, ...] | None = None) -> Inputs:
    """Return where declarations and secrets come from; `again` is for advice."""
    from reconciler.source.history import git_in
    from reconciler.workflow import Inputs

    return Inputs(
        directory=invocation.process.directory,
        environ=invocation.process.environ,
        stdin=invocation.process.read_stdin,
        paths=invocation.files,
        organization=invocation.organization,
        allow_secrets=invocation.allow_secrets,
        listed_only=invocation.in_ci and not invocation.local,
        allow_literals=invocation.allow_literals,
        strict=invocation.strict,
        hide=invocation.console.hide,
        git=git_in(invocation.process.directory),
        again=again,
    )


def checked_files(invocation: Invocation, again: tuple[str, ...] | None = None) -> Checked:
    """Read and judge the files; show what is to be warned of. Raises ConfigurationError."""
    from reconciler.workflow import accept, validate

    asked = inputs(invocation, again)
    checked = accept(validate(asked), asked)
    warn(invocation, checked.declared.findings)
    for file in checked.declared.documents:
        invocation.console.detail(f"read {quote(file)}")
    return checked


def warn(invocation: Invocation, findings: Iterable[Finding]) -> None:
    """Show findings beside the result."""
    found = tuple(findings)
    if found and invocation.console.verbosity >= 0:
        from reconciler.render import RENDERERS

        shown = RENDERERS["text"]().render_findings(found, message_view(invocation))
        invocation.console.block(shown)


def tell(invocation: Invocation, problem: ReconcilerError) -> None:
    """Show an error that does not end the run."""
    from reconciler.render import RENDERERS

    view = message_view(invocation)
    invocation.console.block(RENDERERS["text"]().render_error(problem, view))


def plan_options(invocation: Invocation, checked: Checked, own: dict[str, Any]) -> PlanOptions:
    """Make the planner's options of the command's."""
    from reconciler.planning.planner import PlanOptions
    from reconciler.workflow import base

    return PlanOptions(
        only=own["only"],
        prune=not own["no_prune"],
        allow_deletes=own.get("allow_deletes"),
        resend_all=own["resend_secrets"],
        resend=own["resend_secret"],
        base=base(own["base"], checked) if own["base"] else None,
    )


def result_view(invocation: Invocation, **more: Any) -> View:
    """Return how results are shown here."""
    from reconciler.render.view import View  # a good file is not shown

    return View(
        color=invocation.console.colour_results,
        width=width(invocation),
        now=invocation.process.now(),
        **more,
    )


def message_view(invocation: Invocation, **more: Any) -> View:
    """Return how what goes to standard error is shown here."""
    from reconciler.render.view import View

    return View(
        color=invocation.console.colour_messages,
        width=width(invocation),
        now=invocation.process.now(),
        **more,
    )


def width(invocation: Invocation) -> int:
    """Return the columns of the terminal, or a good width where there is none."""
    if not invocation.console.colour_results and not invocation.process.stdout.isatty():
        return _WIDTH
    return max(_NARROWEST, invocation.process.columns(_WIDTH))
