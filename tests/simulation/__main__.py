"""Run simulated histories: `python -m tests.simulation --seeds N`."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable

from tests.simulation.history import run_seed
from tests.simulation.invariants import Result


def main(run_seed: Callable[[int], Result], module: str) -> int:
    """Run seeds; return 0 if every guarantee holds, 1 after the first violation."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="number of seeds (1000)")
    parser.add_argument("--start", type=int, default=0, help="first seed (0)")
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--keep-going", action="store_true", help="continue after a violation")
    options = parser.parse_args()
    gc.freeze()
    began, ran = time.perf_counter(), []
    one = options.seed is not None
    for seed in [options.seed] if one else range(options.start, options.start + options.seeds):
        result = run_seed(seed)
        ran.append(result)
        failed = result.violation is not None
        if options.trace or (failed and not options.keep_going):
            print("\n".join(result.trace))
        if failed:
            print(f"seed {seed}: {result.violation}")
            print(f"again: python -m {module} --seed {seed} --trace")
            if not options.keep_going:
                break
    seconds = time.perf_counter() - began
    violations = sum(each.violation is not None for each in ran)
    print(
        f"{len(ran)} seeds in {seconds:.1f} s: {len(ran) / seconds:.0f} a second, "
        f"{sum(each.requests for each in ran)} requests, "
        f"{sum(each.crashed for each in ran)} crashes, {violations} violations"
    )
    return violations > 0


if __name__ == "__main__":
    sys.exit(main(run_seed, "tests.simulation"))
