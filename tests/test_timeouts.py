"""Tests do not depend on the speed of the machine: waits end with an event, or with TIMEOUT."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_WAITS = {"acquire", "Barrier", "communicate", "get", "join", "run", "select", "wait", "wait_for"}
_POLLS = {"pausing.py", "waiting.py"}
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
    """See tests/waiting.py, tests/pausing.py and tests/ports.py for alternatives."""
    found = [
        f"{path.relative_to(HERE)}:{line}"
        for path in sorted(HERE.rglob("*.py"))
        if path.name not in _POLLS
        for line in timing_assumptions(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("process.communicate(timeout=10)", True),
        ("thread.join(5)", True),
        ("event.wait(0.5)", True),
        ("subprocess.run(command, timeout=60)", True),
        ("select([a], [], [], 3)", True),
        ("time.sleep(0.1)", True),
        ("assert time.monotonic() - began < 1", True),
        ("thread.join(PATIENCE)", False),
        ("clock.sleep(3)", False),
        ("', '.join(words)", False),
        ("assert time.monotonic() - began > 0.15", False),
        ("transport(answer, timeout=30.0)", False),
    ],
)
def test_timing_assumptions_are_found(source: str, found: bool) -> None:
    """Virtual time, the product's own settings and a minimum time are allowed."""
    assert bool(list(timing_assumptions(source))) is found
