"""Evaluate expressions of GitHub's workflows, as far as the shipped workflows use them.

So that the scenarios run without Node.js. `test_expressions.py` compares each value with that of
GitHub's own library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.*-]*|&&|\|\||==|!=|[!(),]|\d+|\s+")
_WORDS: Final = {"&&": "and", "||": "or", "!": "not ", "true": "True", "false": "False"}
_EMBEDDED: Final = re.compile(r"\$\{\{ (.*?) \}\}", re.DOTALL)


@dataclass(frozen=True, eq=False)
class _Value:
    """A value that compares as on GitHub: text without case, and other types as numbers."""

    value: Any

    def __eq__(self, other: object) -> bool:
        left, right = self.value, _plain(other)
        if isinstance(left, str) and isinstance(right, str):
            return left.casefold() == right.casefold()
        return left == right if type(left) is type(right) else _number(left) == _number(right)

    def __bool__(self) -> bool:
        return bool(self.value) or isinstance(self.value, dict | list)


def _plain(value: object) -> Any:
    return value.value if isinstance(value, _Value) else value


def _number(value: object) -> float:
    """Return a value as a number: null and an empty text are 0, other text often is no number."""
    with suppress(TypeError, ValueError):
        return float(value or 0)  # type: ignore[arg-type]
    return float("nan")


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "format": lambda text, *values: text.format(*map(as_text, values)),
    "fromJSON": json.loads,
    "contains": lambda values, value: any(_Value(each) == value for each in values),
    "always": lambda: True,
}


def split_functions(
    contexts: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Callable[[], bool]]]:
    """Return the values of contexts, and the functions that depend on the state of the run."""
    functions = {name: value for name, value in contexts.items() if callable(value)}
    values = {name: value for name, value in contexts.items() if not callable(value)}
    return values, functions | {"always": _FUNCTIONS["always"]}


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an expression; a missing value is None.

    `contexts` also has the functions that depend on the state of the run, such as `failure`.
    """
    values, states = split_functions(contexts)
    functions = {**_FUNCTIONS, **states}

    def look_up(name: str) -> _Value:
        value: Any = values
        for key in name.split("."):
            if key == "*":
                value = list(value.values())
            elif isinstance(value, list):
                value = [item[key] for item in value]
            else:
                value = value.get(key) if isinstance(value, Mapping) else None
        return _Value(value)

    def call(name: str) -> Callable[..., _Value]:
        return lambda *arguments: _Value(functions[name](*map(_plain, arguments)))

    words = []
    for token in _TOKEN.findall(expression):
        if token.startswith("'"):
            text = token[1:-1].replace("''", "'")
            words.append(f"value({text!r})")
        elif token in _WORDS or not re.match(r"[A-Za-z_]", token):
            words.append(_WORDS.get(token, token))
        else:
            words.append(f"{'call' if token in functions else 'look_up'}({token!r})")
    assert "".join(_TOKEN.findall(expression)) == expression
    names = {"call": call, "look_up": look_up, "value": _Value}
    return _plain(eval(f"({''.join(words)})", names))


def as_text(value: Any) -> str:
    """Return a value as GitHub writes it into a text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def filled(value: str, contexts: Mapping[str, Any]) -> Any:
    """Return a value of a workflow with its expressions evaluated."""
    if (match := _EMBEDDED.fullmatch(value)) and "}}" not in match[1]:
        return evaluate(match[1], contexts)
    return _EMBEDDED.sub(lambda match: as_text(evaluate(match[1], contexts)), value)


def all_filled(values: Mapping[str, Any], contexts: Mapping[str, Any]) -> dict[str, str]:
    """Return values of a workflow as text, with their expressions evaluated."""
    return {key: as_text(filled(str(value), contexts)) for key, value in values.items()}


def expressions(tree: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Return the expressions of a workflow or action, each with its place."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "if":
                yield f"{place}.if", str(value).strip()
            else:
                yield from expressions(value, f"{place}.{key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from expressions(value, f"{place}.{index}")
    elif isinstance(tree, str):
        yield from ((place, match[1]) for match in _EMBEDDED.finditer(tree))
