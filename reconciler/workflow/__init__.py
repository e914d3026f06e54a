"""What a command, a CI job or a program of yours does, as functions of values.

    load -> connect -> plan -> review, guards, consent -> execute -> report -> show, exit code

`plan` and `status` end before the review; `apply` does all of it. The functions print nothing;
files, environment, API, clock and threads are arguments. The order of the checks is a promise:
files, the organization, maintenance, the listing, the plan, its secrets, the guards, and last the
user's confirmation. Nothing is written before all of them have passed.

What `__all__` names is public and explained in docs/library.md. A module is loaded when one of its
names is used first: help needs no YAML, checking files no engine, a run without a key no client.
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
    from reconciler.source.export import Export, export
    from reconciler.workflow.applying import apply, check_digest
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
    from reconciler.workflow.planning import Planned, plan, read_live, show, status
    from reconciler.workflow.saving import load_plan, save_plan

_MODULES: Final = {
    "errors": ("ReconcilerError",),
    "model": ("Secret",),
    "planning.plan": ("Plan",),
    "planning.planner": ("PlanOptions",),
    "planning.review": ("Review",),
    "report": ("Report",),
    "source.export": ("Export", "export"),
    "workflow.applying": ("apply", "check_digest"),
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
    "workflow.saving": ("load_plan", "save_plan"),
    "workflow.planning": ("Planned", "plan", "read_live", "show", "status"),
}

__all__ = [
    "Checked",
    "Connection",
    "Export",
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
    "check_digest",
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
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"reconciler.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
