"""The operations of commands, CI jobs and other programs, as functions of values.

    load -> gather -> connect -> plan -> review, guards, confirmation -> execute -> report -> show

`plan` and `status` end before the review; `apply` runs every step. The functions print nothing;
files, environment, API, clock and threads are arguments. The order of the checks is guaranteed:
files, values that must not be sent, the organization, maintenance, the listing, the plan, its
missing secrets, the guards, and last the user's confirmation. Nothing is written before all of them
have passed.

The names in `__all__` are public and explained in docs/library.md. A module is loaded on the first
use of one of its names: help needs no YAML, validation no planner, planning no engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from reconciler.errors import ReconcilerError
from reconciler.model import Secret

if TYPE_CHECKING:
    from reconciler.planning.plan import Plan
    from reconciler.planning.planner import PlanOptions
    from reconciler.planning.review import Review
    from reconciler.report import Report
    from reconciler.source.export import Export, export
    from reconciler.source.saved_plan import load_plan, save_plan
    from reconciler.workflow.applying import apply
    from reconciler.workflow.connection import Connection, connect
    from reconciler.workflow.inputs import (
        Checked,
        Gathered,
        Inputs,
        accept,
        gather,
        load,
        previous,
        validate,
    )
    from reconciler.workflow.planning import plan, read_live, show, status

_LATER: Final = {
    "planning.plan": ("Plan",),
    "planning.planner": ("PlanOptions",),
    "planning.review": ("Review",),
    "report": ("Report",),
    "source.export": ("Export", "export"),
    "source.saved_plan": ("load_plan", "save_plan"),
    "workflow.applying": ("apply",),
    "workflow.connection": ("Connection", "connect"),
    "workflow.inputs": (
        "Checked",
        "Gathered",
        "Inputs",
        "accept",
        "gather",
        "load",
        "previous",
        "validate",
    ),
    "workflow.planning": ("plan", "read_live", "show", "status"),
}

__all__ = [
    "Checked",
    "Connection",
    "Export",
    "Gathered",
    "Inputs",
    "Plan",
    "PlanOptions",
    "ReconcilerError",
    "Report",
    "Review",
    "Secret",
    "accept",
    "apply",
    "connect",
    "export",
    "gather",
    "load",
    "load_plan",
    "plan",
    "previous",
    "read_live",
    "save_plan",
    "show",
    "status",
    "validate",
]


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"reconciler.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
