"""Check the files of a run, and that the workflows fit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.ci.concerned import read_files
from reconciler.ci.run import JobResult, Run
from reconciler.ci.workflows import CALLER, environments_in, not_triggering
from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, error
from reconciler.render.words import plural
from reconciler.workflow import Planned, Source, gather, load_all


def validate(run: Run) -> JobResult:
    """Validate the files and return the result."""
    return files_only(check(run))


def check(run: Run, *, writing: bool = False) -> tuple[Source, ...]:
    """Validate the files with warnings as errors. Raises ConfigurationError with all findings.

    With `writing`, a missing list of allowed secrets is an error, too. Warnings from planning
    depend on the live webhooks, not on the reviewed change, and do not fail the run.
    """
    # A job that passes is not read, so warnings are errors here.
    inputs = run.inputs._replace(strict=True)
    if (run.pull is not None or run.merge_queue is not None) and inputs.policies:
        # From the base branch: a pull request cannot relax its own policies.
        inputs = inputs._replace(policy_base=run.base_commit)
        if inputs.git(["cat-file", "-e", run.base_commit]) is None:
            raise ConfigurationError(
                "policies cannot be read: the base commit is not in this clone",
                hint="check out with fetch-depth: 0",
            )
    sources = tuple(
        source._replace(
            checked=source.checked._replace(
                inputs=source.files.inputs._replace(strict=False, policy_base=inputs.policy_base)
            )
        )
        for source in load_all(inputs)
    )
    _require_environments(run, sources)
    if len(sources) == 1:  # with several, a wrong secret is the problem of its organization
        gather(sources[0].checked, writing=writing)
    return sources


def _require_environments(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a file names an environment that the workflow does not list.

    GitHub would create it, without reviewers.
    """
    known = {name.casefold() for name in listed_environments(run)}
    paths = "".join(f" -f {path}" for path in run.paths)
    unknown = {
        error(
            "unknown-environment",
            f"{', '.join(source.files.paths)} names the environment {environment!r}, which "
            f"{CALLER} does not list",
            f"create it with required reviewers, and add it with `webhooks init --github{paths}`",
        )
        for source in sources
        for environment in [source.checked.desired.environment]
        if environment is not None and known and environment.casefold() not in known
    }
    if unknown:
        raise ConfigurationError("the files are invalid", findings=tuple(unknown))


def listed_environments(run: Run) -> tuple[str, ...]:
    """Return the environments of apply, the default one first; () if they are not known."""
    return run.environments or environments_in(_apply_workflow(run))


def _apply_workflow(run: Run) -> str:
    """Return the text of the workflow that applies pushes, empty without it."""
    workflow = run.inputs.directory / CALLER
    # A repository may call the action in a workflow with another name.
    if not workflow.is_file():
        return ""
    return workflow.read_text(encoding="utf-8")


def require_trigger(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a later change of one of the files would not start the apply."""
    # Checked on the pull request: after the merge, no run would start to report it.
    if missing := not_triggering(_apply_workflow(run), read_files(run, sources)):
        raise ConfigurationError(
            f"{CALLER} does not run if {' or '.join(missing)} changes, so the change would not be "
            "applied",
            hint="run `webhooks init --github` again, or add the file to `paths` in the workflow",
        )


def files_only(sources: Sequence[Source], *why: Finding, status: str = "validated") -> JobResult:
    """Return the result of a run that only checked the files, with the reason."""
    desired = [source.checked.desired for source in sources]
    count = sum(len(files.webhooks) + len(files.absent) for files in desired)
    findings: dict[Finding, None] = {}
    for source in sources:
        findings |= dict.fromkeys(source.checked.loaded.findings)
    heading = f"The files are valid: {plural(count, 'webhook')} declared"
    return JobResult(status=status, findings=(*findings, *why), heading=heading)


def require_single(sources: Sequence[Source], planned: Sequence[Planned]) -> None:
    """Raise the problem of the only organization: it is that of the run."""
    for organization in planned:
        if len(sources) == 1 and organization.problem is not None:
            raise organization.problem
