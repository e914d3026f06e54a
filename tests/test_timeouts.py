"""Tests do not depend on the speed of the machine: waits end with an event, or with TIMEOUT."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
_WAITS = {"acquire", "Barrier", "communicate", "get", "join", "run", "select", "wait", "wait_for"}
_POLLS = {"served.py", "waiting.py"}
"""Modules where a short wait is one of many, in a loop that ends with an event."""


def timing_assumptions(source: str) -> Iterator[int]:
    """Yield the lines that sleep, wait or assert with a literal number of seconds."""
    for node in ast.walk(ast.parse(source)):
        if _waits(node) or _measures(node):
            yield node.lineno  # type: ignore[attr-defined]


def _waits(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    given = [each.value for each in node.keywords if each.arg == "timeout" and name in _WAITS]
    if name in ("join", "wait") or ast.unparse(node.func) == "time.sleep":
        given += node.args
    elif name == "select":
        given += node.args[3:]
    return any(
        isinstance(each, ast.Constant) and type(each.value) in (int, float) for each in given
    )


def _measures(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
        return False
    read, early = ast.unparse(node.test.left), isinstance(node.test.ops[0], (ast.Lt, ast.LtE))
    return early and any(clock in read for clock in ("time.monotonic()", "time.perf_counter()"))


def test_no_test_depends_on_speed() -> None:
    """See tests/waiting.py, tests/served.py and tests/ports.py for alternatives."""
    found = [
        f"{path.relative_to(HERE)}:{line}"
        for path in sorted(HERE.rglob("*.py"))
        if path.name not in _POLLS
        for line in timing_assumptions(path.read_text("utf-8"))
    ]
    assert found == []
