"""What the client makes of responses: errors, masked secrets, JSON and its values."""

from __future__ import annotations

import contextlib
import html
import json
import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from reconciler.api import wire
from reconciler.api.attempt import Call, FailedAttempt
from reconciler.api.origin import Origin
from reconciler.api.responses import _decode, classify, encode
from reconciler.api.wire import Redactor
from reconciler.errors import ApiError, ProtocolError
from reconciler.model import UNKNOWN, DeliveryError, LiveValue, Organization, Secret
from tests.api.support import slack
from tests.goldens import rows
from tests.ports import START

TABLES = rows(Path(__file__).with_suffix(".yaml"))

CALL = Call(
    method="GET",
    path="/",
    params=None,
    content=None,
    expect=200,
    accept=lambda document: True,
    cap=1,
    redact=Redactor().redact,
    writes=False,
    patience=0.0,
)


def error_for(status: int, document: Any = None, *secret_values: str, kind: str = "") -> ApiError:
    """Return the error for a response with this status and JSON; with None the body is not JSON."""
    found = classify(
        CALL._replace(redact=partial(Redactor().redact, values=secret_values)),
        status,
        {"content-type": kind or ("application/json" if document is not None else "text/html")},
        encode(document),
        origin=Origin.parse("https://h"),
        label="API key",
        now=START,
    )
    assert isinstance(found, FailedAttempt)
    return found.error


@pytest.mark.parametrize(
    ("document", "detail", "fields"), rows(Path(__file__).with_name("errors.yaml"))
)
def test_every_form_of_an_error_is_understood(
    document: Any, detail: str | None, fields: list[str]
) -> None:
    """The message and the errors of each field are read at any nesting."""
    found = error_for(400, document)
    shown = [f"{'.'.join(path)}: {text}" for path, text in found.fields]
    assert (found.detail, shown) == (detail, fields)


@pytest.mark.parametrize(
    ("status", "document", "error"), rows(Path(__file__).with_name("rejected.yaml"))
)
def test_the_error_of_a_rejected_request(status: int, document: Any, error: str) -> None:
    """Status and text determine the error: a bad key may result in 401 or 403."""
    found = error_for(status, document)
    assert type(found).__name__ == error
    assert found.hint


def test_error_messages_are_limited() -> None:
    """Long messages, many messages and deeply nested ones are cut."""
    found = error_for(
        400, {"detail": "x" * 5000, **{f"{n}" * 500: ["y" * 5000] for n in range(200)}}
    )
    assert len(found.detail or "") == 500
    assert len(found.fields) <= 50
    assert all(len(text) <= 500 for _, text in found.fields)
    assert all(len(part) <= 100 for path, _ in found.fields for part in path)
    deep: Any = "canary"
    for _ in range(400):
        deep = {"x": deep}
    assert error_for(400, deep).fields == ()


def test_sent_secrets_are_removed_from_texts_and_paths() -> None:
    """A secret that the server repeats, complete or truncated, is masked."""
    secret = "xoxb-canary-1234567890"
    echo = {"detail": f"bad {secret}!", secret: [f"'{secret[:15]}...' is wrong"]}
    found = error_for(400, echo, secret)
    assert found.detail == "bad ***!"
    assert found.fields == ((("***",), "'***...' is wrong"),)


@given(st.text(max_size=30), st.text(min_size=8, max_size=30), st.text(max_size=30), st.data())
def test_no_long_part_of_a_secret_remains(
    before: str, secret: str, after: str, data: st.DataObject
) -> None:
    """No 8 consecutive characters of a secret remain, at any position."""
    start = data.draw(st.integers(0, len(secret) - 8))
    end = data.draw(st.integers(start + 8, len(secret)))
    left = Redactor().redact(before + secret[start:end] + after, [secret])
    shown = left.replace("***", "\0")
    assert not any(secret[at : at + 8] in shown for at in range(len(secret) - 7)) or "*" in secret


# --- secrets in a server's messages ---

SECRET = 'canary "7" + ünï/<x>'


@pytest.mark.parametrize(
    "form",
    [
        SECRET, json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), repr(SECRET),
        html.escape(SECRET), quote(SECRET, safe=""), SECRET[:-4], SECRET[4:],
        repr(SECRET.encode()), "e2NhbmFyeSAiNyIgKyDDvG7Dry88eD4=", SECRET.encode().hex(),
        "".join(f"&#{ord(char)};" for char in SECRET), re.sub("(.{6})", r"\1\n", SECRET),
    ],
)  # fmt: skip
def test_a_secret_is_removed_in_every_form(form: str) -> None:
    """No recognizable part of a sent secret remains; the text around it is kept."""
    shown = Redactor().redact(f"bad value {form}!", [SECRET])
    assert re.match(r"bad value .{,2}\*\*\*", shown)
    assert not any(part in shown for part in ("canary", form[:8], form[12:20]))


def test_a_url_keeps_its_host() -> None:
    """A message shows the host of a URL, but not the rest."""
    message = "403 from https://ann:pw@hooks.example.com:8443/way/in?k=1 twice"
    assert Redactor().redact(message) == "403 from https://hooks.example.com/*** twice"
    other = "see https://docs.example.com/errors"
    assert (
        Redactor().redact(other, ["https://hooks.example.com/way/in"])
        == "see https://docs.example.com/***"
    )


@pytest.mark.parametrize(
    ("secret", "text", "shown", "sent"), rows(Path(__file__).with_name("redacted.yaml"))
)
def test_a_known_secret_is_removed(secret: str, text: str, shown: str, sent: str) -> None:
    """What is short, or a part that is only words, is in many texts by chance."""
    redactor = Redactor()
    redactor.add({"field": [{"inner": Secret(secret)}]}, None)
    assert redactor.redact(text, [sent]) == shown


def test_the_header_of_basic_authentication_is_hidden() -> None:
    """A server may show what its proxy received."""
    redactor = Redactor()
    redactor.add({"username": "ct", "password": Secret("p@ss")}, None)
    assert redactor.redact("denied: Basic Y3Q6cEBzcw==") == "denied: Basic ***"


# --- JSON ---


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_give_a_value_or_not_json_error(data: bytes) -> None:
    """Everything that `_decode` accepts is accepted by the standard parser, too."""
    try:
        value = _decode(data)
    except ValueError:
        return
    assert json.loads(data) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": NaN}', b"[Infinity]", b"[-Infinity]", b"[1e999]", b'{"canary": 1, "canary": 1}',
        b"[" * 100_000, b'{"a":' * 100_000, b"[" + b"9" * 5000 + b"]", b'"canary \xff"',
        b"\xef\xbb\xbf{}", b"", b'{"canary": ', b"{} canary",
    ],
)  # fmt: skip
def test_invalid_json_is_rejected_without_quoting_it(text: bytes) -> None:
    """Neither the error nor its cause quotes the text."""
    with pytest.raises(ValueError) as caught:
        _decode(text)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("kind", "json"), TABLES["content types"])
def test_content_types_of_json(kind: str, json: bool) -> None:
    """Only JSON types are accepted, even if the body of another type is JSON."""
    assert (error_for(400, {"detail": "said"}, kind=kind).detail == "said") is json


ROW: dict[str, Any] = TABLES["a row"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "type", "event_types", "configuration", "token", "x"]),
            inner,
            max_size=5,
        )
    ),
)


def configuration(value: Any, type: str = "slack") -> Any:
    return wire.live_webhook(ROW | {"type": type, "configuration": value}).configuration


def test_a_row_becomes_a_live_webhook() -> None:
    """Known fields are read, events become a set, other fields are ignored."""
    live = wire.live_webhook(ROW)
    assert (live.id, live.name, live.type, live.organization) == ("4f6c", "Deploys", "slack", "o1")
    assert live.event_types == {"value_created", "value_updated"}
    assert live.configuration == {"token": Secret("xoxb-canary"), "channel": "#c", "username": "u"}
    assert (live.last_run, live.last_error) == (None, None)
    assert "canary" not in repr(live)


@pytest.mark.parametrize("value", [None, {}, "gAAAA", [], 5])
def test_a_hidden_configuration_is_unknown(value: Any) -> None:
    """Null, an empty object or another type means that the server hides it."""
    assert configuration(value) is UNKNOWN


@pytest.mark.parametrize("type", ["slack", "generic", "teams"])
def test_every_possible_secret_is_wrapped(type: str) -> None:
    """Secret fields, unknown fields, and all fields of an unknown type are wrapped in `Secret`."""
    wrapped = configuration(TABLES["possible secrets"], type)
    assert "canary" not in repr(wrapped)
    assert wrapped["new"]["n"] == 5
    assert wrapped["new"]["none"] is None


def test_a_deeply_nested_configuration_is_rejected() -> None:
    """The error for too many levels has the id of the webhook."""
    deep: LiveValue = "x"
    for _ in range(50):
        deep = [deep]
    with pytest.raises(ProtocolError, match="4f6c"):
        configuration({"new": deep})


@pytest.mark.parametrize(("field", "value"), TABLES["wrong types"])
def test_an_essential_field_of_a_wrong_type_is_an_error(field: str, value: Any) -> None:
    """An invalid webhook is never skipped silently."""
    with pytest.raises(ProtocolError, match=f"4f6c.*{field}"):
        wire.live_webhook(ROW | {field: value})


@pytest.mark.parametrize("value", [None, 5, "", ".", "..", "a b", "\n", "é", "x" * 300, ["a"]])
def test_an_unusable_id_is_an_error(value: Any) -> None:
    """An id is part of a path, so an id that could change the path is rejected."""
    assert wire.usable_id({"id": value}) is None
    with pytest.raises(ProtocolError, match="usable id"):
        wire.live_webhook(ROW | {"id": value})


@given(_JSON)
def test_any_json_is_a_webhook_or_a_protocol_error(value: Any) -> None:
    """No document raises any other error."""
    for read in (wire.live_webhook, wire.organization):
        with contextlib.suppress(ProtocolError):
            read(value)


@pytest.mark.parametrize(("value", "expected"), TABLES["delivery errors"])
def test_the_last_delivery_error(value: Any, expected: dict[str, str] | None) -> None:
    """The error is read in any format, without tokens, URLs and parts of secrets."""
    configured = {"token": "xoxb-canary", "new": [{"key": "canary-deep"}]}
    row = ROW | {"last_error": value, "configuration": configured}
    error = None if expected is None else DeliveryError(**expected)
    assert wire.live_webhook(row).last_error == error


def test_the_row_of_an_organization() -> None:
    """The role and the maintenance flag are optional."""
    assert wire.organization({"id": "o", "name": "Acme", "role": "ADMIN", "maintenance": True}) == (
        Organization(id="o", name="Acme", role="ADMIN", maintenance=True)
    )
    assert wire.organization({"id": "o", "maintenance": "yes"}) == Organization(id="o", name="o")
    with pytest.raises(ProtocolError, match="usable id"):
        wire.organization({"name": "Acme"})


def test_the_response_to_a_write_needs_only_an_id() -> None:
    """Missing or invalid fields of a response count as stored as sent."""
    live = wire.written_webhook({"id": "x", "name": 5, "event_types": "no"}, slack("N"))
    assert (live.name, live.type) == ("N", "slack")
    assert live.event_types == {"value_created", "value_updated"}
    assert live.configuration is UNKNOWN
    live = wire.written_webhook(ROW, slack("N"))
    assert live.name == "Deploys"
