"""What servers say when they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.answers import LONGEST, encode, judge, redacted
from reconciler.api.attempt import Call, FailedAttempt
from reconciler.api.origin import Origin
from reconciler.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ServerError,
)
from tests.api.support import START

CALL = Call(
    method="GET",
    path="/",
    params=None,
    content=None,
    expect=200,
    accept=lambda document: True,
    cap=1,
    hidden=(),
)


def refused(status: int, document: Any = None, *hidden: str) -> ApiError:
    """Return the error of a response with this status and JSON; no JSON at all without one."""
    found = judge(
        replace(CALL, hidden=hidden),
        status,
        {"content-type": "application/json" if document is not None else "text/html"},
        encode(document),
        origin=Origin.parse("https://h"),
        label="API key",
        now=START,
    )
    assert isinstance(found, FailedAttempt)
    return found.error


@pytest.mark.parametrize(
    ("document", "detail", "fields"),
    [
        ({"detail": "No."}, "No.", ()),
        (
            {"message": "Bad credentials", "status": "401"},
            "Bad credentials",
            ((("status",), "401"),),
        ),
        ({"name": ["Taken.", "Long."]}, None, ((("name",), "Taken."), (("name",), "Long."))),
        ({"name": "Taken."}, None, ((("name",), "Taken."),)),
        (
            {"configuration": {"token": ["Bad."]}},
            None,
            ((("configuration", "token"), "Bad."),),
        ),
        ({"event_types": {"0": ["Bad."]}}, None, ((("event_types", "0"), "Bad."),)),
        ({"event_types": [{}, {"x": ["Bad."]}]}, None, ((("event_types", "1", "x"), "Bad."),)),
        ({"__all__": ["Taken."]}, None, (((), "Taken."),)),
        ({"non_field_errors": ["Taken."]}, None, (((), "Taken."),)),
        (["Taken.", "Long."], None, (((), "Taken."), ((), "Long."))),
        ({"detail": ["One.", "Two."]}, "One.", (((), "Two."),)),
        ("plain", None, (((), "plain"),)),
        (None, None, ()),
        ({"name": None, "x": 5, "y": []}, None, ()),
    ],
)
def test_every_shape_of_an_error_is_understood(
    document: Any, detail: str | None, fields: tuple[Any, ...]
) -> None:
    """The server's sentence and its words on each field come out, whatever the nesting."""
    found = refused(400, document)
    assert (found.detail, found.fields) == (detail, fields)


@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        (401, {"detail": "Incorrect authentication credentials."}, AuthenticationError),
        (403, {"detail": "Incorrect authentication credentials."}, AuthenticationError),
        (403, {"detail": "Authentication credentials were not provided."}, AuthenticationError),
        (403, {"detail": "Invalid token."}, AuthenticationError),
        (401, None, AuthenticationError),
        (401, {"detail": "You do not have permission."}, PermissionDeniedError),
        (
            403,
            {"detail": "You do not have permission to perform this action."},
            PermissionDeniedError,
        ),
        (403, None, PermissionDeniedError),
        (404, {"detail": "Not found."}, NotFoundError),
        (410, {"detail": "Gone."}, NotFoundError),
        (404, None, ProtocolError),
        (409, {"detail": "Race."}, ConflictError),
        (400, {"name": ["x"]}, InvalidRequestError),
        (405, None, InvalidRequestError),
        (413, None, InvalidRequestError),
        (422, {"detail": "x"}, InvalidRequestError),
        (408, None, ServerError),
        (500, None, ServerError),
        (503, {"detail": "x"}, ServerError),
    ],
)
def test_the_error_of_a_refusal(status: int, document: Any, error: type[ApiError]) -> None:
    """Status and words decide: a bad key may come as 401 or 403. Each says what to do next."""
    found = refused(status, document)
    assert type(found) is error
    assert found.hint


def test_a_proxy_s_refusal_is_told_from_the_api_s() -> None:
    """A refusal without JSON points at what stands between."""
    assert "firewall" in (refused(403).hint or "")
    assert "firewall" in (refused(400).hint or "")


def test_what_is_kept_is_bounded() -> None:
    """Neither long texts, nor many, nor deep ones come through."""
    found = refused(400, {"detail": "x" * 5000, **{f"{n}" * 500: ["y" * 5000] for n in range(200)}})
    assert len(found.detail or "") == LONGEST
    assert len(found.fields) <= 50
    assert all(len(text) <= LONGEST for _, text in found.fields)
    assert all(len(part) <= 100 for path, _ in found.fields for part in path)
    deep: Any = "canary"
    for _ in range(400):
        deep = {"x": deep}
    assert refused(400, deep).fields == ()


def test_what_was_sent_is_taken_out_of_texts_and_paths() -> None:
    """An echo of a secret, whole or cut short, is not repeated."""
    secret = "xoxb-canary-1234567890"
    echo = {"detail": f"bad {secret}!", secret: [f"'{secret[:15]}...' is wrong"]}
    found = refused(400, echo, secret)
    assert found.detail == "bad ***!"
    assert found.fields == ((("***",), "'***...' is wrong"),)


def test_a_cut_text_is_cut_after_the_secret_is_out() -> None:
    """The limit does not leave the beginning of a secret behind."""
    text = "x" * (LONGEST - 5) + "s-canary-9876"
    assert "s-ca" not in (refused(400, {"detail": text}, "s-canary-9876").detail or "")


@given(st.text(max_size=30), st.text(min_size=8, max_size=30), st.text(max_size=30), st.data())
def test_no_longer_part_of_a_secret_remains(
    before: str, secret: str, after: str, data: st.DataObject
) -> None:
    """No run of eight characters of a secret is left, wherever it stood."""
    start = data.draw(st.integers(0, len(secret) - 8))
    end = data.draw(st.integers(start + 8, len(secret)))
    left = redacted(before + secret[start:end] + after, [secret])
    shown = left.replace("***", "\0")
    assert not any(secret[at : at + 8] in shown for at in range(len(secret) - 7)) or "*" in secret


def test_short_secrets_are_taken_out_whole_and_empty_ones_are_none() -> None:
    """Even a short value does not show."""
    assert redacted("a pin 1234 here", ["1234", ""]) == "a pin *** here"
