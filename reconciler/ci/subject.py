"""Whom a comment or issue belongs to, as the marker that it carries."""

from __future__ import annotations

from itertools import chain

from reconciler import __version__
from reconciler.ci.job import Job, Run
from reconciler.ci.marker import Marker, listed
from reconciler.planning.plan import Plan
from reconciler.source.files import DEFAULT_FILE
from reconciler.workflow import Inputs

PLAN = "plan"
DRIFT = "drift"


def mark(kind: str, job: Job, run: Run, inputs: Inputs, plan: Plan | None) -> Marker:
    """Return the marker for what was planned; without a plan one that approves nothing."""
    files = ", ".join(inputs.paths or (DEFAULT_FILE,))
    common = Marker(
        kind=kind, label=job.label, file=files, run=run.url, version=__version__, operations=()
    )
    if plan is None:
        return common
    return Marker(
        kind=kind,
        label=job.label,
        file=files,
        organization=plan.organization.id,
        origin=plan.origin,
        digest=plan.digest,
        operations=listed(chain.from_iterable(plan.operations)),
        run=run.url,
        version=__version__,
    )
