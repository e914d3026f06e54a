"""The organizations of a run: their GitHub environments, and who they are on the server."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.ci.marker import Subject
from reconciler.ci.run import Run
from reconciler.planning.guards import guard_all
from reconciler.planning.plan import RunPlan
from reconciler.workflow import Planned, Source, Target


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
