"""A secret never reveals its value."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.model import Secret

CANARY = "hunter2-hunter2"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>9}".format,
        "%s".__mod__,
        lambda secret: repr([secret, {"a": secret}]),
        lambda secret: repr(dataclasses.asdict(Holder(secret=secret))),
        lambda secret: repr(copy.deepcopy(Holder(secret=secret))),
    ],
)
def test_no_textual_form_shows_it(show: Callable[[Secret], str]) -> None:
    """A secret is shown as three stars, also in a list or a value, copied or not."""
    shown = show(Secret(CANARY))
    assert "***" in shown
    assert "hunter2" not in shown


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """A value with a secret in it."""

    secret: Secret


@pytest.mark.parametrize("write", [json.dumps, pickle.dumps, vars, hash])
def test_a_secret_cannot_be_serialized_inspected_or_hashed(write: Callable[[Any], Any]) -> None:
    """Each attempt raises a TypeError without the value."""
    with pytest.raises(TypeError) as caught:
        write(Secret(CANARY))
    assert "hunter2" not in str(caught.value)


def test_secrets_are_equal_if_their_values_are() -> None:
    """Secrets compare by value, also with lone surrogates; a secret never equals a string."""
    assert Secret("a\udcff") == Secret("a\udcff") != Secret("a")
    assert Secret(CANARY) != CANARY
    assert copy.copy(Secret(CANARY)) == Secret(CANARY)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://ann:pw@Hooks.example.com:8443/way/in?k=1", "https://hooks.example.com"),
        ("http://[::1]:8080/x", "http://[::1]"),
        ("https://[bad/x", None),
        ("ftp://hooks.example.com/x", None),
        ("https:///x", None),
        ("hunter2", None),
        ("", None),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str | None) -> None:
    """Only the scheme and the host are returned."""
    assert Secret(url).origin() == origin


def test_a_secret_contains_another() -> None:
    """Only a part of 8 or more characters counts, because shorter ones match by chance."""
    assert Secret(f"Bearer {CANARY}").contains(Secret(CANARY))
    assert not Secret(CANARY).contains(Secret(f"Bearer {CANARY}"))
    assert Secret("12345678").contains(Secret("12345678"))
    assert not Secret("x1234567").contains(Secret("1234567"))
    assert Secret("1234567").contains(Secret("1234567"))
