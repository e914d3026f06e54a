"""In which form a value is shown, told without showing it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.api.wire import live_webhook
from reconciler.checks import Status
from reconciler.doctor.readback import Form, form_of, read_back
from reconciler.kinds import KINDS
from reconciler.model import Secret
from reconciler.planning.readback import plausible

TOKEN = KINDS["slack"].field("token")
PASSWORD = KINDS["generic"].field("password")
assert TOKEN is not None
assert PASSWORD is not None

FORMS = [
    ("xoxb-" + "0123456789", Form.PLAIN),
    ("something else", Form.LIKELY),
    ("*****", Form.MASKED),
    ("••••••••", Form.MASKED),
    ("[redacted]", Form.MASKED),
    ("xoxb*****1234", Form.PARTLY),
    ("xoxb…", Form.PARTLY),
    ("gAAAAA" + "bC1_" * 20 + "==", Form.ENCRYPTED),
    ("vault:v1:abc", Form.ENCRYPTED),
    ("", Form.EMPTY),
    ("  ", Form.EMPTY),
]


@pytest.mark.parametrize(("value", "form"), FORMS)
def test_forms_of_text(value: str, form: Form) -> None:
    """Each form that a text may have is told apart."""
    assert form_of(Secret(value), TOKEN) is form


@pytest.mark.parametrize(("value", "form"), FORMS)
def test_agreement_with_the_planner(value: str, form: Form) -> None:
    """What is called whole or likely here is what the planner may take for the value."""
    assert plausible(Secret(value)) is (form in (Form.PLAIN, Form.LIKELY))


def test_forms_that_are_no_text() -> None:
    """null and other JSON are told apart."""
    assert form_of(None, TOKEN) is Form.NULL
    assert form_of(7, TOKEN) is Form.OTHER


def test_a_field_without_a_shape_is_never_called_whole() -> None:
    """Of a password nobody can tell whether it is the real one."""
    assert form_of(Secret("hunter2"), PASSWORD) is Form.LIKELY


def webhook(type: str, configuration: Any) -> Any:
    return live_webhook(
        {
            "id": "w-1",
            "name": "canary",
            "type": type,
            "event_types": [],
            "configuration": configuration,
        }
    )


def details(*webhooks: Any) -> list[str]:
    return [each.detail for each in read_back(webhooks)]


def test_a_field_that_may_be_missing_is_not_missed() -> None:
    """Only a required field, or one whose partner is shown, counts as left out."""
    url = {"url": "https://x.example/"}
    assert details(webhook("generic", url)) == ["generic url: whole (1 webhook)"]
    said = details(webhook("generic", {**url, "username": "me"}))
    assert said[0].startswith("generic password: omitted (1 webhook);")


def test_several_forms_of_one_field() -> None:
    """Forms are counted, the most frequent first."""
    rows = [webhook("slack", {"token": text}) for text in ("***", "***", "", "xoxb-" + "1" * 9)]
    assert details(*rows)[0].startswith(
        "slack token: masked (2 webhooks), empty (1 webhook), whole (1 webhook);"
    )


def test_types_that_nobody_knows_are_left_out() -> None:
    """Of an unknown type it is not known which fields are secret."""
    (found,) = read_back([webhook("teams", {"token": "canary"})])
    assert found.status is Status.UNKNOWN
