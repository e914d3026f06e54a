"""The use cases: what a command, a CI job or a program of yours asks for, as functions of values.

Each wires the stages together and prints nothing; files, environment, API, clock and threads come
in. The order in which things are checked is part of the promise: files, then the organization,
then maintenance, then the listing, the plan, its secrets, the guards, and last a person. Until all
of them are content nothing is written.

What `__all__` names is public and explained in docs/library.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError
    from reconciler.model import Secret
    from reconciler.planning.plan import Plan
    from reconciler.planning.planner import PlanOptions
    from reconciler.planning.review import Review
    from reconciler.report import Report
    from reconciler.workflow.adopting import Exported, check_export, export_live, read_live, status
    from reconciler.workflow.applying import apply, check_digest
    from reconciler.workflow.connecting import Connection, Engine, connect
    from reconciler.workflow.inputs import (
        Checked,
        Gathered,
        Inputs,
        accept,
        base,
        gather,
        load_plan,
        validate,
    )
    from reconciler.workflow.planning import Planned, plan
    from reconciler.workflow.showing import show

__all__ = [
    "Checked",
    "Connection",
    "Engine",
    "Exported",
    "Gathered",
    "Inputs",
    "Plan",
    "PlanOptions",
    "Planned",
    "ReconcilerError",
    "Report",
    "Review",
    "Secret",
    "accept",
    "apply",
    "base",
    "check_digest",
    "check_export",
    "connect",
    "export_live",
    "gather",
    "load_plan",
    "plan",
    "read_live",
    "show",
    "status",
    "validate",
]

_PLACES: Final = {
    "errors": ("ReconcilerError",),
    "model": ("Secret",),
    "planning.plan": ("Plan",),
    "planning.planner": ("PlanOptions",),
    "planning.review": ("Review",),
    "report": ("Report",),
    "workflow.adopting": ("Exported", "check_export", "export_live", "read_live", "status"),
    "workflow.applying": ("apply", "check_digest"),
    "workflow.connecting": ("Connection", "Engine", "connect"),
    "workflow.inputs": (
        "Checked",
        "Gathered",
        "Inputs",
        "accept",
        "base",
        "gather",
        "load_plan",
        "validate",
    ),
    "workflow.planning": ("Planned", "plan"),
    "workflow.showing": ("show",),
}
"""Where each name is. A use case is loaded when it is asked for: checking files needs no engine."""


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"reconciler.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
