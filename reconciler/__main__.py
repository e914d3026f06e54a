"""`python -m reconciler`, and the `webhooks` command."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # A run allocates much and drops little: looking for cycles costs a seventh of a small run,
    # half of a large one, and finds next to nothing.
    gc.disable()
    from reconciler.cli.main import run
    from reconciler.cli.process import Process

    code = run(sys.argv[1:], Process.of_this_process())
    gc.freeze()  # the interpreter's end looks for cycles even so, through all that is left
    sys.exit(code)


if __name__ == "__main__":
    main()
