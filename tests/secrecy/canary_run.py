"""The runs in which no canary may be seen: offline with every file, online with every fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.secrecy.pairwise import Case, pairwise
from tests.secrecy.world import (
    COMMANDS,
    FAULTS,
    INPUTS,
    READ_BACKS,
    SINKS,
    VERBOSITIES,
    World,
)

_FORMATS = (0, 1, 2)


def cases() -> list[Case]:
    """Return all cases."""
    shared: dict[str, Any] = {"format": _FORMATS, "verbosity": VERBOSITIES, "sink": SINKS}
    offline = [name for name, each in COMMANDS.items() if not each.connects]
    online = [name for name, each in COMMANDS.items() if each.connects]
    # Each unusable file ends a run before it connects: one online command stands for all.
    reading = {"command": [*offline, "plan --format {format}"], "input": tuple(INPUTS)}
    connecting = {
        "command": online,
        "fault": tuple(FAULTS),
        "read_back": READ_BACKS,
        "input": ("good", "literals"),
    }
    return [*pairwise({**reading, **shared}), *pairwise({**connecting, **shared})]


def some(chosen: list[Case], every: int) -> list[Case]:
    """Return one case in `every`, and enough others that each value of each factor is in one."""
    kept = chosen[::every]
    seen = {pair for case in kept for pair in case.items()}
    for case in chosen:
        if not case.items() <= seen:
            kept.append(case)
            seen.update(case.items())
    return kept


def leaks(world: World, chosen: list[Case]) -> Iterator[str]:
    """Run cases and yield a line for whatever was seen that must not be."""
    for case in chosen:
        result = world.run(**{**case, "command": COMMANDS[case["command"]]})
        for hit in dict.fromkeys(result.hits):
            yield f"{hit} (exit {result.code}) {case}"
        for sent in result.sent:
            yield f"sent: {sent} {case}"
        if result.caught:
            yield f"the last net had to catch {result.caught} (exit {result.code}) {case}"
        if result.code == 70:
            yield f"a bug: {result.problem!r} {case}"
