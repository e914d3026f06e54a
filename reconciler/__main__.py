"""`python -m reconciler`, and the `webhooks` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from reconciler.cli.main import run
    from reconciler.cli.process import Process

    sys.exit(run(sys.argv[1:], Process.of_this_process()))


if __name__ == "__main__":
    main()
