"""The modules of the package form no circle of imports, and two read the process environment."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.folders import ROOT

PACKAGE = ROOT / "reconciler"


def module_name(path: Path) -> str:
    """Return the dotted name of a module or package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules that a part of a file imports at run time, also inside functions."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for child in node.orelse:
            yield from imported(child)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else str(node.module)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def test_no_circle_of_imports() -> None:
    """Imports inside functions count, those for type checkers only do not."""
    graph = {
        name: {other for other in imported(ast.parse(path.read_text("utf-8"))) if other in MODULES}
        for name, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"circle of imports: {' <- '.join(error.args[1])}") from None


def test_a_circle_is_found() -> None:
    """An import inside a function is seen, one for type checkers is not."""
    lazy = "def f():\n    from reconciler.cli import main\n"
    typed = "if TYPE_CHECKING:\n    from reconciler.cli import main\n"
    assert [*imported(ast.parse(lazy))] == ["reconciler.cli.main"]
    assert [*imported(ast.parse(typed))] == []


def test_two_modules_read_the_process_environment() -> None:
    """All others get variables and directories as arguments."""
    reads = re.compile(r"\bos\.environ|\bgetenv|\bexpand(?:vars|user)\b|\bPath\.home\b")
    readers = {name for name, path in MODULES.items() if reads.search(path.read_text("utf-8"))}
    assert readers == {"reconciler.api.connections", "reconciler.cli.console"}
