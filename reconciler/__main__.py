"""`python -m reconciler`, and the `webhooks` command."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # A run allocates a lot and frees little: collecting cycles takes a seventh of a small run and
    # half of a large one, and frees almost nothing.
    gc.disable()
    from reconciler.cli.console import Process
    from reconciler.cli.main import run

    code = run(sys.argv[1:], Process.of_this_process())
    gc.freeze()  # excludes all objects from the collection at exit
    sys.exit(code)


if __name__ == "__main__":
    main()
