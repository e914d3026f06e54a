"""The values of one request: what is asked, what came, and what may be told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from reconciler.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, and what its answer has to be.

    `expect` is the one status that means success, None for any 2xx; `accept` judges the document;
    `cap` bounds the body, in bytes; `hidden` are the secret values inside `content`.
    """

    method: str
    path: str
    params: Mapping[str, str | int] | None
    content: bytes | None = field(repr=False)
    expect: int | None
    accept: Callable[[Any], bool]
    cap: int
    hidden: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that is what was expected. Header names are in lower case; no cookies."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One attempt, for whoever wants to print it: no header, no body, no query.

    `status` is None if there was no answer; `size` counts the body's bytes.
    """

    method: str
    path: str
    status: int | None
    seconds: float
    size: int
    attempt: int


Observer: TypeAlias = Callable[[Exchange], None]
"""Hears of every attempt, from any thread. It must not raise."""


def anything(document: Any) -> bool:
    """Accept every document."""
    return True
