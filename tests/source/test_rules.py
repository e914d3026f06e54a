"""The table of rules is complete, and explains each rule."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache

from tests.folders import ROOT

RULE = re.compile(r"[a-z]+(-[a-z]+)*")
RULES = {
    name: rule
    for rules in tomllib.loads((ROOT / "scripts" / "rules.toml").read_text("utf-8")).values()
    for name, rule in rules.items()
}
"""What the table says about each rule."""


@cache
def definitions() -> dict[str, ast.stmt]:
    """Return functions, methods and constants of the package by their names below `reconciler`."""
    found: dict[str, ast.stmt] = {}
    package = ROOT / "reconciler"
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).with_suffix("").as_posix().replace("/", ".")
        waiting: list[tuple[str, ast.stmt]] = [
            (module, each) for each in ast.parse(path.read_text("utf-8")).body
        ]
        for holder, node in waiting:
            if isinstance(node, ast.ClassDef):
                waiting += [(f"{holder}.{node.name}", each) for each in node.body]
            elif isinstance(node, ast.FunctionDef):
                found[f"{holder}.{node.name}"] = node
            elif isinstance(node, ast.AnnAssign):
                found[f"{holder}.{ast.unparse(node.target)}"] = node
    return found


def raised_rules(trees: dict[str, ast.stmt]) -> Iterator[str]:
    """Return the rules that are the literal or constant value of an argument `rule`."""
    takers = {"error": 0, "warning": 0, "note": 0}
    constants = {
        ast.unparse(tree.target): tree.value
        for tree in trees.values()
        if isinstance(tree, ast.AnnAssign)
    }
    for node in (each for tree in trees.values() for each in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef):
            names = [each.arg for each in node.args.args if each.arg != "self"]
            if "rule" in names:
                takers[node.name] = names.index("rule")
    for node in (each for tree in trees.values() for each in ast.walk(tree)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = takers.get(name, len(node.args))
            given = [each.value for each in node.keywords if each.arg == "rule"]
            for argument in (*node.args[place : place + 1], *given):
                value = constants.get(ast.unparse(argument), argument)
                if isinstance(value, ast.Constant) and RULE.fullmatch(str(value.value)):
                    yield str(value.value)


def test_the_table_has_every_rule_that_is_raised() -> None:
    assert set(RULES) == {*raised_rules(definitions())}


def test_each_row_lists_what_raises_its_rule() -> None:
    """An outdated row is shown with its possible names."""
    mentions: dict[object, set[str]] = {}
    for name, tree in definitions().items():
        for node in ast.walk(tree):
            if getattr(node, "value", None) in RULES:
                mentions.setdefault(node.value, set()).add(name)
    assert {
        name: mentions[name]
        for name, rule in RULES.items()
        if rule["raised_by"] not in mentions[name]
    } == {}


def test_each_row_is_complete() -> None:
    """It has the meaning of the rule, and where they say more, an example and the fix."""
    for name, rule in RULES.items():
        assert {"raised_by", "means"} <= rule.keys() <= {"raised_by", "means", "example", "fix"}, (
            name
        )
        assert len(rule["means"]) > 20, name
