"""A secret never reveals its value; the host of a URL is read in one way; the tree of errors."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import errors
from reconciler.model import Secret, SecretRef, origin_of, with_ascii_host
from tests.goldens import rows

CANARY = "hunter2-hunter2"


@pytest.mark.parametrize(
    "show",
    [
        repr, str, "{}".format, "{!r:>9}".format, "%s".__mod__,
        lambda secret: repr([secret, {"a": secret}]),
        lambda secret: repr(dataclasses.asdict(Holder(secret=secret))),
        lambda secret: repr(copy.deepcopy(Holder(secret=secret))),
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(("url", "origin"), rows(Path(__file__).with_name("origins.yaml")))
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


CYRILLIC = "g\u043e\u043ed.example"
"""`good.example` with two Cyrillic letters."""


@pytest.mark.parametrize(("authority", "host"), rows(Path(__file__).with_name("hosts.yaml")))
def test_the_host_is_ascii_or_refused(authority: str, host: str | None) -> None:
    """A host is labels or an address; others have no origin."""
    expected = None if host is None else f"https://{host}"
    assert origin_of(f"https://{authority}") == expected
    assert origin_of(f"HTTPS://{authority}/path@x?y#z") == expected
    assert origin_of(f"ftp://{authority}") is None


@pytest.mark.parametrize("rest", ["", ":444/a?b=%20#c", "/\u043e"])
def test_only_the_host_of_a_url_changes(rest: str) -> None:
    """User, port and path stay; a URL without an origin stays as it is."""
    assert with_ascii_host(f"https://{CYRILLIC}{rest}") == f"https://xn--gd-fmca.example{rest}"
    for url in ("https://good.example", f"ftp://{CYRILLIC}", f"https://{CYRILLIC}%"):
        assert with_ascii_host(url + rest) == url + rest


def test_references_that_differ_look_different() -> None:
    """A file may have a name like another one with a version."""
    references = [
        SecretRef("file", "x (version 2)"),
        SecretRef("file", "x", 2),
        SecretRef("file", '"x (version 2)"'),
        SecretRef("file", "x"),
    ]
    assert len(set(map(str, references))) == len(references)


def test_the_tree_of_errors_is_that_of_the_classes() -> None:
    """The docstring of `errors` has each error below its base, with its exit code."""
    path: list[str] = []
    shown = {}
    for lines, name, code in re.findall(
        r"^    (\W*)(\w+) +(\d+(?:, \d+)*)", str(errors.__doc__), re.M
    ):
        path[len(lines) // 3 :] = [name]
        shown[name] = (path[:-1], code)
    assert shown == {
        name: (
            [base.__name__ for base in reversed(kind.__mro__[1:-3])],
            "129, 130, 143" if kind is errors.Interrupted else str(int(kind.exit_code)),
        )
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ReconcilerError)
    }
