"""docs/rules.md explains every rule that a finding can name, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RULE = re.compile(r"[a-z]+(-[a-z]+)*")


def modules() -> list[ast.Module]:
    return [
        ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "reconciler").rglob("*.py"))
    ]


def functions_that_take_a_rule(trees: list[ast.Module]) -> dict[str, int]:
    """Names of functions and classes with an argument `rule`, and its place among the arguments."""
    found: dict[str, int] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
                names = [each for each in names if each != "self"]
                if "rule" in names:
                    found[node.name] = names.index("rule")
    return found


TABLES = {"FAULTS", "_ODD", "_CHECKS", "_LIMITS"}
"""Constants that hold findings as rows, each with its rule first."""


def rules_of(tree: ast.Module, takers: dict[str, int]) -> Iterator[str]:
    """Rules in calls and assignments, which have a hyphen, and the rows of tables."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            values = [each.value for each in node.keywords if each.arg == "rule"]
            place = takers.get(name)
            if place is not None:
                values += node.args[place : place + 1]
                yield from (str(getattr(each, "value", "")) for each in values if name == "error")
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {getattr(each, "id", "") for each in targets}
            if "rule" in names:
                values = [node.value]
            elif names & TABLES and isinstance(node.value, ast.Dict):
                rows = (each for each in node.value.values if isinstance(each, ast.Tuple))
                yield from (str(getattr(each.elts[0], "value", "")) for each in rows)
                if "FAULTS" in names:
                    yield from (str(getattr(each, "value", "")) for each in node.value.keys)
            elif names & TABLES and isinstance(node.value, ast.Tuple):
                rows = (each for each in node.value.elts if isinstance(each, ast.Tuple))
                yield from (str(getattr(each.elts[0], "value", "")) for each in rows)
        for value in values:
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and "-" in str(part.value):
                    yield str(part.value)


def used_rules() -> set[str]:
    trees = modules()
    takers = functions_that_take_a_rule(trees)
    return {rule for tree in trees for rule in rules_of(tree, takers) if RULE.fullmatch(rule)}


def sections() -> dict[str, str]:
    text = (ROOT / "docs" / "rules.md").read_text("utf-8")
    parts = re.split(r"^### `([a-z-]+)`\n", text, flags=re.MULTILINE)
    names = parts[1::2]
    assert len(names) == len(set(names)), "a rule has two sections"
    return dict(zip(names, parts[2::2], strict=True))


def test_every_rule_has_its_section() -> None:
    """Whoever meets a rule finds its section, and no section speaks of a rule that is gone."""
    assert used_rules() == set(sections())


def test_every_section_helps() -> None:
    """A section says what is meant and what to do."""
    for rule, text in sections().items():
        assert "\nExample: " in text, rule
        assert "**Cure:**" in text, rule
        assert len(text.split("**Cure:**")[0].strip()) > 20, rule
