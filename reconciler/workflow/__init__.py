"""The public API: what commands, CI jobs and other programs call.

    load -> connect -> gather -> plan -> review, guards, confirmation -> execute -> report -> show

`plan` and `status` end before the review; `apply` runs every step. The functions print nothing;
files, environment, API, clock and threads are arguments. The order of the checks is guaranteed:
files, values that must not be sent, the organization, maintenance, the listing, the plan, its
missing secrets, the guards, and last the user's confirmation. Nothing is written before all of them
have passed.

The names in `__all__` are public and explained in docs/library.md. A module is loaded on the first
use of one of its names: help needs no YAML, validation no planner, planning no `execute`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError as ReconcilerError
    from reconciler.model import Secret as Secret
    from reconciler.planning.plan import Plan as Plan
    from reconciler.planning.planner import PlanOptions as PlanOptions
    from reconciler.planning.review import Review as Review
    from reconciler.planning.run import RunPlan as RunPlan
    from reconciler.report import Report as Report, RunReport as RunReport
    from reconciler.source.export import Export as Export, export as export
    from reconciler.source.saved_plan import load_plan as load_plan, save_run as save_run
    from reconciler.workflow.applying import apply as apply, apply_all as apply_all
    from reconciler.workflow.connection import (
        Connection as Connection,
        Connector as Connector,
        connect as connect,
    )
    from reconciler.workflow.drift import status as status
    from reconciler.workflow.inputs import (
        Checked as Checked,
        Gathered as Gathered,
        Inputs as Inputs,
        Source as Source,
        accept as accept,
        gather as gather,
        load as load,
        load_all as load_all,
        validate as validate,
        validate_all as validate_all,
    )
    from reconciler.workflow.planning import plan as plan, read_live as read_live, show as show
    from reconciler.workflow.revisions import previous as previous
    from reconciler.workflow.run import (
        Planned as Planned,
        Target as Target,
        connect_all as connect_all,
        plan_all as plan_all,
        read_all as read_all,
        select as select,
    )

_MODULES: Final = {
    name: module
    for module, names in {
        "errors": "ReconcilerError",
        "model": "Secret",
        "planning.plan": "Plan",
        "planning.run": "RunPlan",
        "planning.planner": "PlanOptions",
        "planning.review": "Review",
        "report": "Report RunReport",
        "source.export": "Export export",
        "source.saved_plan": "load_plan save_run",
        "workflow.applying": "apply apply_all",
        "workflow.connection": "Connection Connector connect",
        "workflow.inputs": "Checked Gathered Inputs Source accept gather load load_all "
        "validate validate_all",
        "workflow.drift": "status",
        "workflow.planning": "plan read_live show",
        "workflow.revisions": "previous",
        "workflow.run": "Planned Target connect_all plan_all read_all select",
    }.items()
    for name in names.split()
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"reconciler.{_MODULES[name]}"), name)
