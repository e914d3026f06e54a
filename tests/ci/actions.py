"""Evaluate expressions of GitHub's workflows, as far as the shipped workflows use them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.*-]*|&&|\|\||==|!=|[!(),]|\d+|\s+")
_WORDS: Final = {"&&": "and", "||": "or", "!": "not ", "true": "True", "false": "False"}
_FUNCTIONS: Final = {
    "format": lambda text, *values: text.format(*values),
    "fromJSON": json.loads,
    "contains": lambda values, value: value in values,
    "always": lambda: True,
}


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an expression; a missing value is empty.

    `contexts` also has the functions that depend on the state of the run, such as `failure`.
    """
    functions = {**_FUNCTIONS, **{name: each for name, each in contexts.items() if callable(each)}}

    def look_up(name: str) -> Any:
        found: Any = contexts
        for key in name.split("."):
            if key == "*":
                found = list(found.values())
            elif isinstance(found, list):
                found = [each[key] for each in found]
            else:
                found = found.get(key, "") if isinstance(found, Mapping) else ""
        return found

    words = []
    for each in _TOKEN.findall(expression):
        if each.startswith("'"):
            words.append(repr(each[1:-1].replace("''", "'")))
        elif each in _WORDS or not re.match(r"[A-Za-z_]", each):
            words.append(_WORDS.get(each, each))
        elif each in functions:
            words.append(f"functions[{each!r}]")
        else:
            words.append(f"look_up({each!r})")
    assert "".join(_TOKEN.findall(expression)) == expression
    names = {"functions": functions, "look_up": look_up}
    return eval(f"({''.join(words)})", names)


def filled(value: str, contexts: Mapping[str, Any]) -> Any:
    """Return a value of a workflow with its expressions evaluated."""
    if match := re.fullmatch(r"\$\{\{ ((?:(?!\}\}).)*) \}\}", value):
        return evaluate(match[1], contexts)
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda each: str(evaluate(each[1], contexts)), value)
