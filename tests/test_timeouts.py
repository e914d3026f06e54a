"""Tests do not depend on the speed of the machine: waits end with an event, or with TIMEOUT."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
_POLLS = {"served.py", "waiting.py"}
"""Modules where a short wait is one of many, in a loop that ends with an event."""
_ASSUMES = re.compile(
    r"time\.sleep\([\d.]"
    r"|\.(?:join|wait)\([\d.]"
    r"|\b(?:acquire|Barrier|communicate|get|join|run|wait|wait_for)\([^()]*\btimeout=[\d.]"
    r"|\bselect\([^()]*, [\d.]+\)"
    r"|assert [^\n]*time\.(?:monotonic|perf_counter)\(\)[^\n<]*<"
    r"|\b(?:process|thread)_time\b"
)
"""A sleep, a wait or an assertion with a literal number of seconds, or a processor's time."""


def test_no_test_depends_on_speed() -> None:
    """See tests/waiting.py, tests/served.py and tests/ports.py for alternatives."""
    found = [
        f"{path.relative_to(HERE)}: {each[0]}"
        for path in sorted(HERE.rglob("*.py"))
        if path.name not in _POLLS
        for each in _ASSUMES.finditer(path.read_text("utf-8"))
    ]
    assert found == []
