"""The use cases: what a command, a CI job or a program of yours asks for, as functions of values.

Each wires the stages together and prints nothing; files, environment, API, clock and threads come
in. The order in which things are checked is part of the promise: files, then the organization,
then maintenance, then the listing, the plan, its secrets, the guards, and last a person. Until all
of them are content nothing is written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconciler.workflow.adopting import Exported, check_export, export_live, read_live, status
    from reconciler.workflow.applying import Engine, apply, apply_saved, check_digest
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

__all__ = [
    "Checked",
    "Engine",
    "Exported",
    "Gathered",
    "Inputs",
    "Planned",
    "accept",
    "apply",
    "apply_saved",
    "base",
    "check_digest",
    "check_export",
    "export_live",
    "gather",
    "load_plan",
    "plan",
    "read_live",
    "status",
    "validate",
]

_PLACES: Final = {
    "adopting": ("Exported", "check_export", "export_live", "read_live", "status"),
    "applying": ("Engine", "apply", "apply_saved", "check_digest"),
    "inputs": (
        "Checked",
        "Gathered",
        "Inputs",
        "accept",
        "base",
        "gather",
        "load_plan",
        "validate",
    ),
    "planning": ("Planned", "plan"),
}
"""Where each name is. A use case is loaded when it is asked for: checking files needs no engine."""


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
