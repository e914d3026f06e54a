"""What of a server's words may be told."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest

from reconciler.api.answers import redacted
from reconciler.api.wire import live_webhook

SECRET = 'canary "7" + ünï/<x>'
TOKEN = "xoxb-" + "0123456789-abcdef"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        html.escape(SECRET),
        quote(SECRET, safe=""),
        SECRET[:-4],
        SECRET[4:],
    ],
)
def test_a_secret_goes_in_whatever_form_it_is_quoted(form: str) -> None:
    """Nothing recognisable is left of what was sent, and the words around it are."""
    shown = redacted(f"bad value {form}!", [SECRET])
    assert shown.startswith("bad value ")
    assert "***" in shown
    assert "canary" not in shown


def test_tokens_of_anybody_go() -> None:
    """A Slack token is known by its form."""
    assert redacted(f"no {TOKEN}, no") == "no ***, no"


def test_an_address_keeps_its_host() -> None:
    """Where something went is told, the way in is not."""
    said = "403 from https://ann:pw@hooks.example.com:8443/way/in?k=1 twice"
    assert redacted(said) == "403 from https://hooks.example.com/*** twice"
    other = "see https://docs.example.com/errors"
    assert (
        redacted(other, ["https://hooks.example.com/way/in"]) == "see https://docs.example.com/***"
    )


def test_a_delivery_error_does_not_quote_what_is_deep_in_a_configuration() -> None:
    """Every text of an unknown type counts as a secret that the server may repeat."""
    live = live_webhook(
        {
            "id": "1",
            "name": "Teams",
            "type": "teams",
            "event_types": [],
            "configuration": {"deep": [{"key": "canary-deep-1"}, "canary-deep-2"]},
            "last_error": {"text": "no canary-deep-1, no canary-deep-2", "code": 403},
        }
    )
    assert live.last_error is not None
    assert live.last_error.text == "no ***, no ***"
