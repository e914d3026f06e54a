"""Saved plans: written by one run, reviewed, applied by another."""

from __future__ import annotations

from reconciler.errors import ConfigurationError
from reconciler.planning.planner import PlanOptions
from reconciler.source import files, saved_plan
from reconciler.source.saved_plan import SavedPlan
from reconciler.workflow.inputs import Checked, Inputs
from reconciler.workflow.planning import Planned


def save_plan(planned: Planned, checked: Checked, options: PlanOptions, text: str = "") -> bytes:
    """Return the content of a plan file; `text` is how the plan is shown to a reviewer.

    Raises ConfigurationError if a webhook has a secret that is written into its file: the value
    may not be stored.
    """
    return saved_plan.save(planned.plan, checked.declared, options, text)


def load_plan(name: str, inputs: Inputs) -> SavedPlan:
    """Read a saved plan. What it declares passes the same checks as configuration files.

    Raises ConfigurationError, StalePlanError.
    """
    try:
        if not name:
            raise FileNotFoundError
        raw = files.read_regular(inputs.directory / name)
    except (FileNotFoundError, ValueError):
        message = f"there is no file {name}" if name else "the name of the saved plan is empty"
        raise ConfigurationError(message, hint=saved_plan.HINT) from None
    except files.NotReadableError as problem:
        raise ConfigurationError(
            f"cannot read {name}: it {problem}", hint=saved_plan.HINT
        ) from None
    return saved_plan.load(raw, name, rules=inputs.rules)
