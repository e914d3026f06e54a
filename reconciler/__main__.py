"""`python -m reconciler`, and the `webhooks` command."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # A run allocates a lot and frees little: collecting cycles takes a seventh of a small run and
    # half of a large one, and frees almost nothing.
    gc.disable()
    from reconciler.cli.console import Process
    from reconciler.cli.main import run
    from reconciler.errors import SIGNALS, Interrupted

    try:
        code = run(sys.argv[1:], Process.of_this_process())
    except SIGNALS as signal:  # another one, while the error of the first is printed
        code = Interrupted.by(signal, "").exit_code
    if code > 128:
        # Everything is flushed, except to a reader that hangs: Python would wait for it.
        os._exit(code)
    gc.freeze()  # excludes all objects from the collection at exit
    sys.exit(code)


if __name__ == "__main__":
    main()
