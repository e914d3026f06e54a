"""What holds a plan back until a person has looked.

A guard looks at the plan as computed, and judges by `Plan.counted_deletes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.findings import Finding, Severity

DEFAULT_MAX_DELETES: Final = 5
"""How many webhooks one run deletes where no file says otherwise, if they are at most half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What guards judge a plan by, beside its own numbers.

    `declared` says whether anything is declared, `found` whether any declaration speaks of a live
    webhook. `max_deletes` is the limit that the files set.
    """

    declared: bool = True
    found: bool = True
    max_deletes: int | None = None


def blocks(
    *,
    deletes: int,
    in_scope: int,
    grounds: Grounds,
    allow_deletes: int | None,
) -> tuple[Finding, ...]:
    """Return what holds the plan back.

    `allow_deletes` is the number of deletes that a user has allowed. It lifts every guard; any
    other number than the planned one blocks the plan, unless there is nothing to delete.
    """
    max_deletes = grounds.max_deletes
    if allow_deletes is not None:
        if not deletes or allow_deletes == deletes:
            return ()
        return (
            _block(
                "allow-deletes-differs",
                f"--allow-deletes says {allow_deletes}, the plan deletes {deletes}",
                "look at them, then allow exactly as many as the plan deletes",
            ),
        )
    found_blocks: list[Finding] = []
    way_on = f"if this is meant: --allow-deletes {deletes}"
    if max_deletes is not None and deletes > max_deletes:
        found_blocks.append(
            _block(
                "too-many-deletes",
                f"{_webhooks(deletes)} would be deleted; limits.max_deletes is {max_deletes}",
                way_on,
            )
        )
    elif max_deletes is None and (deletes > DEFAULT_MAX_DELETES or deletes * 2 > in_scope):
        more_than = (
            f"more than {DEFAULT_MAX_DELETES}"
            if deletes > DEFAULT_MAX_DELETES
            else f"more than half of the {in_scope} in scope"
        )
        found_blocks.append(
            _block(
                "too-many-deletes",
                f"{_webhooks(deletes)} would be deleted, {more_than}",
                f"{way_on}, or set limits.max_deletes in the file",
            )
        )
    if not grounds.declared and in_scope:
        found_blocks.append(
            _block(
                "nothing-declared",
                f"nothing is declared, with {_webhooks(in_scope)} live in scope",
                f"check that the right file was read; {way_on}",
            )
        )
    elif not grounds.found and deletes:
        found_blocks.append(
            _block(
                "nothing-recognised",
                f"no declared webhook is live, yet {_webhooks(deletes)} would be deleted",
                f"check that the key belongs to the right organization; {way_on}",
            )
        )
    return tuple(found_blocks)


def _webhooks(number: int) -> str:
    return "1 webhook" if number == 1 else f"{number} webhooks"


def _block(rule: str, message: str, hint: str) -> Finding:
    return Finding(rule=rule, severity=Severity.ERROR, message=message, hint=hint)
