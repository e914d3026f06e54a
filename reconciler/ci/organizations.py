"""The organizations of a run: their GitHub environments, and who they are on the server."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.ci.marker import Subject
from reconciler.ci.run import Run
from reconciler.planning.guards import guard_all
from reconciler.planning.run import RunPlan
from reconciler.workflow import Planned, Source, Target


def environment_of(run: Run, source: Source) -> str:
    """Return the GitHub environment of an organization; empty if the workflow passes none."""
    return source.checked.desired.environment or next(iter(run.environments), "")


def of_environment(run: Run, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the organizations of the run's environment, all without one."""
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


def guarded(run: Run, organizations: Sequence[Planned]) -> RunPlan:
    """Return the plans of a run. The deletes of each environment are counted together, as later."""
    results = [planned.result for planned in organizations]
    members: dict[str, list[int]] = {}
    for index, planned in enumerate(organizations):
        if planned.plan is not None:
            environment = environment_of(run, planned.target.source).casefold()
            members.setdefault(environment, []).append(index)
    for indexes in members.values():
        plans = [plan for index in indexes if (plan := results[index].value) is not None]
        for index, plan, blocked in zip(
            indexes, plans, guard_all(plans, run.allow_deletes), strict=True
        ):
            results[index] = results[index]._replace(value=plan._replace(blocked=blocked))
    return RunPlan(tuple(results))
