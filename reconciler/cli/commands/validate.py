"""`webhooks validate`: everything that is wrong with the files, at once, without connecting."""

from __future__ import annotations

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import format_option
from reconciler.cli.session import inputs, result_view
from reconciler.errors import ExitCode
from reconciler.render import FINDINGS_RENDERERS
from reconciler.render.quote import quote


@command(
    "validate",
    "Check files, without connecting to anything.",
    text="All mistakes of all files are shown at once, each with its place and what to do. No "
    "secret needs to be at hand; those that apply will need are listed.",
    examples=(
        ("check webhooks.yaml", "webhooks validate"),
        ("check a directory; warnings are errors", "webhooks validate -f webhooks/ --strict"),
        ("annotate a pull request on GitHub", "webhooks validate --format github"),
    ),
    options=[format_option(*FINDINGS_RENDERERS)],
)
def COMMAND(invocation: Invocation, format: str) -> int:  # noqa: N802
    """Judge the files."""
    from reconciler import workflow

    asked = inputs(invocation)
    declared = workflow.validate(asked)
    findings = declared.findings
    gathered = None
    if declared.desired is not None:
        checked = workflow.accept(declared, asked)
        gathered = workflow.gather(checked)
        findings = (*findings, *gathered.doubtful)
    if findings or format != "text":  # text has nothing to say of nothing
        renderer = FINDINGS_RENDERERS[format]()
        shown = renderer.render_findings(findings, result_view(invocation))
        if shown:
            invocation.console.result(shown)
    if gathered is None:
        return ExitCode.INVALID
    if format == "text":
        entries = len(checked.desired.webhooks) + len(checked.desired.absent)
        where = ", ".join(quote(file) for file in declared.documents)
        noun = "webhook" if entries == 1 else "webhooks"
        invocation.console.result(f"Valid: {entries} {noun} in {where}.")
        missing = sorted(str(each) for each in gathered.missing_references)
        if missing:
            names = ", ".join(quote(each) for each in missing)
            invocation.console.result(f"Apply will need, and does not find here: {names}.")
    return ExitCode.OK
