"""`webhooks ci` as one function: what to do and what can be reached go in, texts come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from reconciler.ci.apply import apply
from reconciler.ci.drift import drift
from reconciler.ci.job import Access, Command, Job, Run
from reconciler.ci.outcome import Outcome, failed
from reconciler.ci.plan import plan
from reconciler.ci.validate import validate
from reconciler.errors import Interrupted, ReconcilerError
from reconciler.workflow import Inputs

Step: TypeAlias = Callable[[Job, Run, Inputs, Access], Outcome]

STEPS: Final[Mapping[Command, Step]] = {
    Command.VALIDATE: validate,
    Command.PLAN: plan,
    Command.APPLY: apply,
    Command.DRIFT: drift,
}


def carry_out(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Do what `job` says. A failure is an outcome too; only bugs and signals are raised."""
    try:
        return STEPS[job.command](job, run, inputs, access)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return failed(problem)
