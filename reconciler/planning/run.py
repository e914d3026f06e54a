"""A run over organizations: the result for each, their digest and totals.

One organization is a run with one element.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Generic, NamedTuple, TypeVar

from reconciler.errors import ExitCode, ReconcilerError
from reconciler.planning.plan import Plan

T = TypeVar("T")


class OrganizationResult(NamedTuple, Generic[T]):
    """The result for one organization of a run: a value, or the problem because of which it failed.

    With neither, the run ended before it started with this organization. `name` is the real name
    once the key has told it, until then the one that the files declare. `files` are its paths.
    """

    name: str
    files: tuple[str, ...] = ()
    value: T | None = None
    problem: ReconcilerError | None = None


class Totals(NamedTuple):
    """Numbers of organizations, and of the operations of those that are not blocked."""

    organizations: int
    to_change: int
    blocked: int
    failed: int
    unchanged: int
    create: int
    update: int
    delete: int


class RunPlan(NamedTuple):
    """The plan of each organization, in the order of the files."""

    organizations: tuple[OrganizationResult[Plan], ...]

    @classmethod
    def of(cls, plan: Plan) -> RunPlan:
        """Return the run of one organization."""
        return cls((OrganizationResult(plan.organization.name, value=plan),))

    @property
    def is_single(self) -> bool:
        """Return whether the run has one organization, which could be planned."""
        return len(self.organizations) == len(self.plans) == 1

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Return the plans of the organizations that could be planned."""
        values = (organization.value for organization in self.organizations)
        return tuple(plan for plan in values if plan is not None)

    @property
    def problems(self) -> tuple[OrganizationResult[Plan], ...]:
        """Return the organizations that could not be planned."""
        return tuple(result for result in self.organizations if result.problem is not None)

    @property
    def digest(self) -> str:
        """Return the digest of all operations; empty without operations.

        It does not depend on organizations without operations: for a single one with operations it
        is the digest of that plan.
        """
        return run_digest((plan.origin, plan.organization.id, plan.digest) for plan in self.plans)

    @property
    def totals(self) -> Totals:
        """Return the numbers of organizations and operations."""
        plans = self.plans
        # Nothing of a blocked plan is applied, so its operations are not counted.
        applicable = [plan for plan in plans if not plan.blocked]
        changed = [plan for plan in applicable if plan.operations]
        return Totals(
            organizations=len(self.organizations),
            to_change=len(changed),
            blocked=len(plans) - len(applicable),
            failed=len(self.problems),
            unchanged=len(applicable) - len(changed),
            create=sum(len(plan.creates) for plan in changed),
            update=sum(len(plan.updates) for plan in changed),
            delete=sum(len(plan.deletes) for plan in changed),
        )

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the first organization that failed or is blocked."""
        for organization in self.organizations:
            if organization.problem is not None:
                return organization.problem.exit_code
            if organization.value is not None and organization.value.blocked:
                return ExitCode.BLOCKED
        return ExitCode.OK

    @property
    def detailed_exit_code(self) -> ExitCode:
        """Return the exit code of `--detailed-exitcode`."""
        differs = any(plan.operations or plan.unapplied for plan in self.plans)
        return ExitCode.CHANGES if differs and self.exit_code is ExitCode.OK else self.exit_code


def run_digest(plans: Iterable[tuple[str, str, str]]) -> str:
    """Return the digest of plans, each with origin, organization and digest."""
    # What needs no change needs no approval, and may be read or left out by a later run.
    changed = sorted(plan for plan in plans if plan[2])
    if len(changed) < 2:
        return "".join(digest for _, _, digest in changed)
    text = json.dumps(changed, separators=(",", ":"))
    return f"sha256:{sha256(text.encode()).hexdigest()}"
