"""Few cases in which every two values of different factors meet."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Case = dict[str, Any]


def pairwise(factors: Mapping[str, Sequence[Any]], *, seed: int = 1) -> list[Case]:
    """Return cases, one value of each factor in each, that hold all pairs of values.

    Greedy: each case begins with a pair that is still missing and takes, factor by factor, the
    value that meets most of the missing ones.
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
