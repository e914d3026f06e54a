"""Strict JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.answers import NotJsonError, decode, encode, is_json

_KEY = st.text(max_size=5)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEY, inner, max_size=4),
)


@given(_VALUES)
def test_what_is_sent_reads_back(value: object) -> None:
    """Every JSON value survives both directions."""
    assert decode(encode(value)) == value


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_a_value_or_one_error(data: bytes) -> None:
    """Nothing but NotJsonError comes out, and never more than the standard reader takes."""
    try:
        value = decode(data)
    except NotJsonError:
        return
    assert json.loads(data) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b'{"canary": 1, "canary": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"9" * 5000 + b"]",
        b'"canary \xff"',
        b"\xef\xbb\xbf{}",
        b"",
        b'{"canary": ',
        b"{} canary",
    ],
)
def test_what_is_no_strict_json_is_refused_without_its_text(text: bytes) -> None:
    """The complaint quotes nothing, and drags nothing along that does."""
    with pytest.raises(NotJsonError) as caught:
        decode(text)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_types(kind: str) -> None:
    """JSON and its relatives are announced by their type."""
    assert is_json(kind)
    assert is_json("application/vnd.oai.openapi+json")


@pytest.mark.parametrize("kind", ["", "text/html", "application/jsonp", "text/json", "xjson"])
def test_other_types(kind: str) -> None:
    """Everything else is not JSON, whatever it holds."""
    assert not is_json(kind)
