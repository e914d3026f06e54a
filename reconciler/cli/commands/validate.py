"""`webhooks validate`: report all errors in the files, without connecting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from reconciler import workflow
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode
from reconciler.findings import Finding, has_errors, masked, plural
from reconciler.render import FINDINGS_RENDERERS
from reconciler.render.quote import quote
from reconciler.workflow.inputs import OrganizationFiles, organizations, parse


@command(paths=True, formats=tuple(FINDINGS_RENDERERS))
def run(session: Session, format: str) -> int:
    """Reports all errors in all files, each with its position and a fix. Needs no key and no
    secrets.

    Examples:
        # check webhooks.yaml
        webhooks validate
        # check a directory; warnings are errors
        webhooks validate webhooks/ --strict
        # annotate a pull request on GitHub
        webhooks validate --format github
    """
    inputs = session.inputs._replace(parsed=parse(session.inputs))
    sources, findings = workflow.validate_all(inputs)
    gathered = [workflow.gather(source.checked) for source in sources]
    # Organizations may have the same warnings.
    warnings = dict.fromkeys(chain.from_iterable(values.warnings for values in gathered))
    findings = (*findings, *warnings, *_unusable_environments(session, sources))
    view = session.view()
    if format == "json":
        view = view._replace(organizations=tuple(map(_named, organizations(inputs))))
    if findings or format != "text":  # text without findings is empty
        session.console.record_rules(findings)
        text = FINDINGS_RENDERERS[format]()(findings, view)
        session.show(text, failed=has_errors(findings))
    if has_errors(findings):
        return ExitCode.INVALID
    if format == "text":
        session.show(_summary(sources))
        _show_missing(session, gathered)
    return ExitCode.OK


def _named(group: OrganizationFiles) -> tuple[str | None, tuple[str, ...]]:
    """Return the organization of a group of files, with a possible secret masked, and the files."""
    name = group.organization
    return None if name is None else masked(name), group.paths


def _unusable_environments(
    session: Session, sources: Sequence[workflow.Source]
) -> tuple[Finding, ...]:
    """Return the errors about environments that an apply of these files must not use."""
    directory = session.process.directory
    # The callers may be copied for other files.
    callers = sorted(directory.glob(".github/workflows/apply-*.yml"))
    if not callers:
        return ()
    # Imported here, because it takes time, and is for repositories on GitHub.
    from reconciler.ci import workflows

    findings: list[Finding] = []
    for caller in callers:
        text = workflows.workflow_text(caller)
        named = [
            (source.files.paths, source.checked.desired.environment)
            for source in sources
            if not workflows.not_triggering(text, source.files.paths)
        ]
        name = caller.relative_to(directory).as_posix()
        listed = workflows.listed_environments(text)
        findings += workflows.unusable_environments(named, directory, name, listed)
    return tuple(findings)


def _show_missing(session: Session, gathered: Sequence[workflow.Gathered]) -> None:
    # Not an error: files are often validated where no secret is available.
    missing = {quote(str(use)) for values in gathered for use in values.missing_references}
    if missing:
        need = "needed only to create a webhook or to change its configuration"
        text = f"Not set here, {need}: {', '.join(sorted(missing))}."
        session.show(session.console.wrapped(text, session.process.stdout))


def _summary(sources: Sequence[workflow.Source]) -> str:
    """Return the number of webhooks, and where they are declared."""
    webhooks, files = 0, list[str]()
    for source in sources:
        desired, loaded, _ = source.checked
        webhooks += len(desired.webhooks) + len(desired.absent)
        files += map(quote, loaded.documents)
    where = ", ".join(files)
    if len(sources) > 1:
        where = f"{plural(len(files), 'file')} of {plural(len(sources), 'organization')}"
    return f"Valid: {plural(webhooks, 'webhook')} in {where}."
