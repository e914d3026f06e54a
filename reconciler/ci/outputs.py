"""The files a step leaves for GitHub: outputs that no value in them can forge."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What later steps of a workflow may read.

    `result` is one of: validated, planned, no-changes, applied, converged, drift, no-drift,
    skipped, blocked, refused, failed. `digest` and `failure_reason` are empty where there is none;
    `plan_json` is the path of the plan document.
    """

    result: str
    creates: int = 0
    updates: int = 0
    deletes: int = 0
    digest: str = ""
    plan_json: str = ""
    failure_reason: str = ""

    def values(self) -> Mapping[str, str]:
        """Return the outputs under the names of action.yml."""
        return {
            "result": self.result,
            "has-changes": str(self.creates + self.updates + self.deletes > 0).lower(),
            "creates": str(self.creates),
            "updates": str(self.updates),
            "deletes": str(self.deletes),
            "digest": self.digest,
            "plan-json": self.plan_json,
            "failure-reason": self.failure_reason,
        }


def format_outputs(values: Mapping[str, str], *, delimiter: str) -> str:
    """Return the text for `$GITHUB_OUTPUT`.

    `delimiter` is a fresh random word; a value that holds it all the same is refused with
    ValueError, for it could set any output.
    """
    lines: list[str] = []
    for name, value in values.items():
        if delimiter in value or delimiter in name:
            raise ValueError("the delimiter occurs in an output")
        lines.append(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
    return "".join(lines)
