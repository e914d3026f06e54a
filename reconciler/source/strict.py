"""Single values, read strictly: exactly what the schema accepts, or a doubt."""

from __future__ import annotations

from math import inf
from typing import Any


class DoubtError(Exception):
    """This may not be what the schema accepts."""


def mapping(data: object, keys: frozenset[str]) -> dict[str, Any]:
    """Return a mapping that has none but these keys."""
    if type(data) is not dict or not data.keys() <= keys:
        raise DoubtError
    return data


def items(data: object) -> list[Any]:
    """Return a list."""
    if type(data) is not list:
        raise DoubtError
    return data


def texts(data: object, longest: float = inf) -> tuple[str, ...]:
    """Return a list of different, non-empty texts of at most `longest` characters."""
    texts = tuple(text(each) for each in items(data))
    if len(set(texts)) != len(texts) or any(len(each) > longest for each in texts):
        raise DoubtError
    return texts


def text(data: object) -> str:
    """Return a text that is not empty."""
    if type(data) is not str or not data:
        raise DoubtError
    return data


def any_text(data: object) -> str:
    """Return a text."""
    if type(data) is not str:
        raise DoubtError
    return data


def flag(data: object) -> bool:
    """Return true or false."""
    if type(data) is not bool:
        raise DoubtError
    return data


def whole(data: object) -> int:
    """Return an integer; to JSON Schema 1.0 is one too."""
    if type(data) is float and data.is_integer():
        return int(data)
    if type(data) is not int:
        raise DoubtError
    return data


def count(data: object) -> int:
    """Return an integer from 0."""
    number = whole(data)
    if number < 0:
        raise DoubtError
    return number


def positive(data: object) -> int:
    """Return an integer from 1."""
    number = whole(data)
    if number < 1:
        raise DoubtError
    return number
