"""The table of rules in docs/rules.md is complete, and the page explains each rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.folders import ROOT

RULE = re.compile(r"[a-z]+(-[a-z]+)*")
PAGE, _, TABLE = (
    (ROOT / "docs" / "rules.md").read_text("utf-8").partition("\n## Where each rule is raised\n")
)
RULES = dict(re.findall(r"^\| `(.+)` \| `(.+)` \|$", TABLE, flags=re.MULTILINE))
"""What raises each rule of the table."""


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
    """Return the rules that are the literal value of an argument `rule`."""
    takers = {"error": 0, "warning": 0, "note": 0}
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
            for value in (*node.args[place : place + 1], *given):
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
        rule: mentions[rule] for rule, raiser in RULES.items() if raiser not in mentions[rule]
    } == {}


def test_every_rule_has_a_section() -> None:
    """Each section, in the order of the table, has the meaning of the rule and the fix."""
    parts = re.split(r"^### `(.*)`\n", PAGE, flags=re.MULTILINE)
    assert parts[1::2] == list(RULES)
    for rule, section in zip(parts[1::2], parts[2::2], strict=True):
        assert "\nExample: " in section, rule
        assert "**Fix:**" in section, rule
        assert len(section.split("**Fix:**")[0].strip()) > 20, rule
