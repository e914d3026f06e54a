"""The organizations of a run: their checked files, environments and names on the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.ci.marker import Subject
from reconciler.ci.run import JobResult, Run
from reconciler.ci.workflows import CALLER, environments_in
from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, error
from reconciler.planning.guards import guard_all
from reconciler.planning.plan import RunPlan
from reconciler.render.words import plural
from reconciler.workflow import Planned, Source, Target, gather, load_all


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
    return run.environments or environments_in(apply_workflow(run))


def apply_workflow(run: Run) -> str:
    """Return the text of the workflow that applies pushes, empty without it."""
    workflow = run.inputs.directory / CALLER
    # A repository may call the action in a workflow with another name.
    if not workflow.is_file():
        return ""
    return workflow.read_text(encoding="utf-8")


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


def environment_of(run: Run, source: Source) -> str:
    """Return the GitHub environment of an organization; empty if the workflow passes none."""
    return source.checked.desired.environment or next(iter(run.environments), "")


def of_environment(run: Run, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the organizations of the run's environment, all without one."""
    # GitHub compares names of environments without case.
    mine = run.environment.casefold()
    return tuple(
        source for source in sources if not mine or environment_of(run, source).casefold() == mine
    )


def subject_of(source: Source) -> Subject:
    """Return an organization, before its key is used."""
    return Subject(declared=source.files.organization or "")


def subject_of_key(target: Target) -> Subject:
    """Return an organization with what its key says of it, if that was read."""
    declared, organization = subject_of(target.source), target.organization
    if organization is None or target.connection is None:
        return declared
    origin = target.connection.api.origin
    return declared._replace(origin=origin, id=organization.id, name=organization.name)


def by_environment(run: Run, planned: Sequence[Planned]) -> dict[str, list[int]]:
    """Return the indexes of organizations by environment, whose names have no case on GitHub."""
    names: dict[str, str] = {}
    indexes: dict[str, list[int]] = {}
    for index, organization in enumerate(planned):
        environment = environment_of(run, organization.target.source)
        # As the first file writes it, because it is shown.
        name = names.setdefault(environment.casefold(), environment)
        indexes.setdefault(name, []).append(index)
    return indexes


def guarded(run: Run, planned: Sequence[Planned]) -> RunPlan:
    """Return the plans of a run. The deletes of each environment are counted together, as later."""
    results = [organization.result for organization in planned]
    # Apply has a job for each environment, whose guards see only its deletes.
    for indexes in by_environment(run, planned).values():
        plans = {index: plan for index in indexes if (plan := results[index].value) is not None}
        judged = guard_all([*plans.values()], run.allow_deletes)
        for (index, plan), blocked in zip(plans.items(), judged, strict=True):
            results[index] = results[index]._replace(value=plan._replace(blocked=blocked))
    return RunPlan(tuple(results))
