"""Run the canaries and print what was seen: `python -m tests.secrecy [--first]`.

With `--first` it ends at the first one. Exit code 1 if there is any.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.secrecy.canary_run import cases, leaks
from tests.secrecy.world import world


def main(first: bool) -> int:
    """Run all cases."""
    found = 0
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as made:
        for line in leaks(made, cases()):
            print(line, flush=True)
            found += 1
            if first:
                break
        print(f"{made.runs} runs, exit codes {dict(sorted(made.codes.items()))}, {found} leaks")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main("--first" in sys.argv[1:]))
