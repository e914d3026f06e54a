"""`webhooks validate`: report all errors in the files, without connecting."""

from __future__ import annotations

from reconciler import workflow
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode
from reconciler.render import FINDINGS_RENDERERS
from reconciler.render.quote import quote


@command(paths=True, formats=tuple(FINDINGS_RENDERERS), organizations=True)
def run(session: Session, format: str) -> int:
    """Reports all errors in all files, each with its position and a fix. Only a plan reports that
    `ignore` matches a declared webhook. Needs no secrets: apply needs them only to create a
    webhook or change its configuration.

    Examples:
        # check webhooks.yaml
        webhooks validate
        # check a directory; warnings are errors
        webhooks validate webhooks/ --strict
        # annotate a pull request on GitHub
        webhooks validate --format github
    """
    found = session.inputs
    declared = workflow.validate(found)
    desired, findings = declared.desired, declared.findings
    if desired is not None:
        gathered = workflow.gather(workflow.accept(declared, found))
        findings = (*findings, *gathered.warnings)
    if findings or format != "text":  # empty without findings
        shown = FINDINGS_RENDERERS[format]().render_findings(findings, session.view())
        session.show(shown, failed=desired is None)
    if desired is None:
        return ExitCode.INVALID
    if format == "text":
        number = len(desired.webhooks) + len(desired.absent)
        noun = "webhook" if number == 1 else "webhooks"
        session.show(f"Valid: {number} {noun} in {', '.join(map(quote, declared.documents))}.")
        missing = sorted(quote(str(each)) for each in gathered.missing_references)
        if missing:
            need = "needed only to create a webhook or to change its configuration"
            session.show(f"Not set here, {need}: {', '.join(missing)}.")
    return ExitCode.OK
