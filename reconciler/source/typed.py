"""Values of a JSON tree that nothing is known of, taken only if they have the right type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class MalformedError(Exception):
    """A value is not what the format has in its place. `where` is its path in the document."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


def text_or_none(tree: object) -> str | None:
    """Return text, or None for null."""
    return None if tree is None else text(tree)


def text(tree: object) -> str:
    """Return text."""
    if type(tree) is not str:
        raise MalformedError("")
    return tree


def flag(tree: object) -> bool:
    """Return true or false."""
    if type(tree) is not bool:
        raise MalformedError("")
    return tree


def text_or_flag(tree: object) -> str | bool:
    """Return text, or true or false."""
    return tree if type(tree) is bool else text(tree)


def count(tree: object) -> int:
    """Return a whole number that is not negative."""
    if type(tree) is not int or tree < 0:
        raise MalformedError("")
    return tree


def member(tree: object, members: type[E]) -> E:
    """Return a member of an enumeration."""
    try:
        return members(text(tree))
    except ValueError:
        raise MalformedError("") from None


def member_or_none(tree: object, members: type[E]) -> E | None:
    """Return a member of an enumeration, or None for null."""
    return None if tree is None else member(tree, members)


def mapping(tree: object) -> Mapping[str, Any]:
    """Return an object."""
    if type(tree) is not dict:
        raise MalformedError("")
    return tree


def take(tree: object, key: str, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of one key's value."""
    content = mapping(tree)
    if key not in content:
        raise MalformedError(key)
    try:
        return read(content[key])
    except MalformedError as odd:
        where = f"{key}.{odd.where}" if odd.where and odd.where[0] != "[" else f"{key}{odd.where}"
        raise MalformedError(where) from None


def each_of(tree: object, key: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    """Return what `read` makes of each item of one key's list."""

    def read_all(items: object) -> tuple[T, ...]:
        if type(items) is not list:
            raise MalformedError("")
        found = []
        for index, item in enumerate(items):
            try:
                found.append(read(item))
            except MalformedError as odd:
                raise MalformedError(f"[{index}]{odd.where and '.' + odd.where}") from None
        return tuple(found)

    return take(tree, key, read_all)
