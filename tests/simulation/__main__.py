"""Run simulated histories: `python -m tests.simulation --seeds N`."""

from __future__ import annotations

import argparse
import gc
import sys
import time

from tests.simulation.history import run_seed


def main() -> int:
    """Run seeds; return 0 if every guarantee holds, 1 after the first violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--start", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a violation")
    asked = parser.parse_args()
    gc.freeze()
    began, ran, violations, requests, crashes = time.perf_counter(), 0, 0, 0, 0
    one = asked.seed is not None
    for seed in [asked.seed] if one else range(asked.start, asked.start + asked.seeds):
        result = run_seed(seed)
        ran += 1
        requests += result.requests
        crashes += result.crashed
        if asked.trace or (result.violation is not None and not asked.keep_going):
            print("\n".join(result.trace))
        if result.violation is not None:
            violations += 1
            print(f"seed {seed}: {result.violation}")
            print(f"again: python -m tests.simulation --seed {seed} --trace")
            if not asked.keep_going:
                break
    seconds = time.perf_counter() - began
    print(
        f"{ran} seeds in {seconds:.1f} s: {ran / seconds:.0f} a second, {requests} requests, "
        f"{crashes} crashes, {violations} violations"
    )
    return violations > 0


if __name__ == "__main__":
    sys.exit(main())
