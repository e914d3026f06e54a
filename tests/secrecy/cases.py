"""Runs that must not leak a secret, which combine every pair of values of two factors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from tests.secrecy.world import COMMANDS, FAULTS, INPUTS, READ_BACKS, SINKS, VERBOSITIES, World

Case = dict[str, Any]


def pairwise(factors: Mapping[str, Sequence[Any]], *, seed: int = 1) -> list[Case]:
    """Return cases, with one value per factor, that cover all pairs of values.

    Greedy: each case starts with a missing pair and takes, factor by factor, the value that covers
    most of the missing ones.
    """
    choose = random.Random(seed)
    missing = {
        frozenset({(one, a), (two, b)})
        for one, two in combinations(factors, 2)
        for a in factors[one]
        for b in factors[two]
    }
    cases: list[Case] = []
    while missing:
        case: Case = dict(min(missing, key=lambda pair: sorted(map(repr, pair))))
        rest = [name for name in factors if name not in case]
        choose.shuffle(rest)
        for name in rest:
            values = list(factors[name])
            choose.shuffle(values)
            case[name] = max(
                values,
                key=lambda value: sum(
                    frozenset({(name, value), other}) in missing for other in case.items()
                ),
            )
        missing -= {frozenset(pair) for pair in combinations(case.items(), 2)}
        cases.append({name: case[name] for name in factors})
    return cases


def cases() -> list[Case]:
    """Return all cases: offline with every file, online with every fault."""
    shared: dict[str, Any] = {"format": range(3), "verbosity": VERBOSITIES, "sink": SINKS}
    offline = [name for name, each in COMMANDS.items() if not each.connects]
    online = [name for name, each in COMMANDS.items() if each.connects]
    # An invalid file ends a run before it connects, so one online command is enough.
    reading = {"command": [*offline, "plan --format text|json|markdown"], "input": tuple(INPUTS)}
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
    """Run cases and yield a line for every leak."""
    for case in chosen:
        done, hits, sent = world.run(**{**case, "command": COMMANDS[case["command"]]})
        yield from (f"{hit} (exit {done.code}) {case}" for hit in dict.fromkeys(hits))
        yield from (f"sent: {each} {case}" for each in sent)
        if done.redactions:
            yield f"the final filter masked {done.redactions} (exit {done.code}) {case}"
        if done.code == 70:
            yield f"a bug: {done.problem!r} {case}"
