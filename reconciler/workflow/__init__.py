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
    from reconciler.report import Report as Report
    from reconciler.report import RunReport as RunReport
    from reconciler.source.export import Export as Export
    from reconciler.source.export import export as export
    from reconciler.source.saved_plan import load_plan as load_plan
    from reconciler.source.saved_plan import save_run as save_run
    from reconciler.workflow.applying import apply as apply
    from reconciler.workflow.applying import apply_all as apply_all
    from reconciler.workflow.connection import Connection as Connection
    from reconciler.workflow.connection import Connector as Connector
    from reconciler.workflow.connection import connect as connect
    from reconciler.workflow.drift import status as status
    from reconciler.workflow.inputs import Checked as Checked
    from reconciler.workflow.inputs import Gathered as Gathered
    from reconciler.workflow.inputs import Inputs as Inputs
    from reconciler.workflow.inputs import Source as Source
    from reconciler.workflow.inputs import accept as accept
    from reconciler.workflow.inputs import gather as gather
    from reconciler.workflow.inputs import load as load
    from reconciler.workflow.inputs import load_all as load_all
    from reconciler.workflow.inputs import validate as validate
    from reconciler.workflow.inputs import validate_all as validate_all
    from reconciler.workflow.planning import plan as plan
    from reconciler.workflow.planning import read_live as read_live
    from reconciler.workflow.planning import show as show
    from reconciler.workflow.revisions import previous as previous
    from reconciler.workflow.run import Planned as Planned
    from reconciler.workflow.run import Target as Target
    from reconciler.workflow.run import connect_all as connect_all
    from reconciler.workflow.run import plan_all as plan_all
    from reconciler.workflow.run import read_all as read_all
    from reconciler.workflow.run import select as select

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
