"""The table of rules is complete, and explains each rule."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

from tests.folders import ROOT

RULE = re.compile(r"[a-z]+(-[a-z]+)*")
RULES = {
    name: rule
    for rules in tomllib.loads((ROOT / "scripts" / "rules.toml").read_text("utf-8")).values()
    for name, rule in rules.items()
}
"""What the table says about each rule."""


def raised_rules() -> Iterator[str]:
    """Yield the rules that are the literal or constant value of an argument `rule`."""
    paths = (ROOT / "reconciler").rglob("*.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    takers = {"error": 0, "warning": 0, "note": 0}
    constants: dict[str, ast.expr | None] = {}
    for node in nodes:
        if isinstance(node, ast.AnnAssign):
            constants[ast.unparse(node.target)] = node.value
        elif isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg != "self"]
            if "rule" in names:
                takers[node.name] = names.index("rule")
    for node in nodes:
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = takers.get(name, len(node.args))
            named = [keyword.value for keyword in node.keywords if keyword.arg == "rule"]
            for argument in (*node.args[place : place + 1], *named):
                value = constants.get(ast.unparse(argument), argument)
                if isinstance(value, ast.Constant) and RULE.fullmatch(str(value.value)):
                    yield str(value.value)


def test_the_table_has_every_rule_that_is_raised() -> None:
    assert set(RULES) == {*raised_rules()}


def test_each_row_is_complete() -> None:
    """It has the meaning of the rule, and where they say more, an example and the fix."""
    for name, rule in RULES.items():
        assert {"means"} <= rule.keys() <= {"means", "example", "fix"}, name
        assert len(rule["means"]) > 20, name
