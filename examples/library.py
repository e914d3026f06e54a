"""Plan two organizations side by side with the library. Writes nothing to CloudTruth.

    PRODUCTION_API_KEY=... STAGING_API_KEY=... python examples/library.py

To use another server, set CLOUDTRUTH_SERVER_URL.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.workflow import (
    Inputs,
    Plan,
    PlanOptions,
    ReconcilerError,
    Secret,
    connect,
    gather,
    load,
    plan,
    show,
)

FILES = Path(__file__).parent / "organizations"
ORGANIZATIONS = {"production.yaml": "PRODUCTION_API_KEY", "staging.yaml": "STAGING_API_KEY"}


def plan_one(name: str, variable: str) -> Plan:
    """Return the plan for the file `name`, with the API key in the environment variable."""
    inputs = Inputs(directory=FILES, environ=os.environ, stdin=bytes, paths=(name,))
    checked = load(inputs)
    key = Secret(os.environ[variable])
    server_url = os.environ.get("CLOUDTRUTH_SERVER_URL", "https://api.cloudtruth.io")
    with connect(key, server_url=server_url, environment=os.environ) as connection:
        return plan(gather(checked, key), connection.api, options=PlanOptions())


def main() -> int:
    """Print both plans. Return 2 if there are changes, 1 if planning fails, else 0."""
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(plan_one, *each) for each in ORGANIZATIONS.items()]
    try:
        plans = [each.result() for each in running]
    except ReconcilerError as problem:
        print(problem, file=sys.stderr)
        return 1
    for each in plans:
        print(show(each))
    return 2 if any(each.operations for each in plans) else 0


if __name__ == "__main__":
    sys.exit(main())
