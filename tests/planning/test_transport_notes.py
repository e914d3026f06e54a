"""Notes about destinations without an encrypted or verified connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.findings import Severity
from reconciler.kinds import FIELDS, Field
from reconciler.model import Secret, SecretRef
from reconciler.planning.names import transport_notes
from tests.goldens import rows
from tests.loading import load_text
from tests.planning.builders import desired, generic, make_plan

URL = SecretRef(scheme="env", name="URL")


@pytest.mark.parametrize(
    ("url", "more", "notes"), rows(Path(__file__).with_name("transport_notes.yaml"))
)
def test_each_destination(url: Any, more: dict[str, object], notes: list[str]) -> None:
    """Plain http to a public host, or with credentials, and an unchecked certificate have notes."""
    values = {URL: Secret("http://a.example/x")}
    reference = SecretRef(**url) if isinstance(url, dict) else url
    found = transport_notes({"url": reference, **more}, FIELDS["generic"], values)
    assert [f"{each.rule}: {each.message} ({each.hint})" for _, each in found] == notes


def test_a_third_type_has_the_notes() -> None:
    """The fields that a note is about are those that the type describes, whatever their names."""
    fields = (
        Field("hook", "", secret=True, is_url=True),
        Field("check", "", is_boolean=True, checks_certificate=True),
        Field("key", "", secret=True),
    )
    configuration = {"hook": "http://localhost/x", "check": False, "key": "k"}
    by_name = {field.name: field for field in fields}
    assert [(name, each.rule) for name, each in transport_notes(configuration, by_name, {})] == [
        ("hook", "insecure-url"),
        ("check", "tls-not-verified"),
    ]
    del configuration["key"]
    assert [name for name, _ in transport_notes(configuration, by_name, {})] == ["check"]


def test_a_file_has_the_notes_at_their_lines() -> None:
    """Notes are not errors with --strict, and `defaults` are noted once."""
    found = load_text(
        "defaults: {configuration: {verify: false}}\nwebhooks:\n  - {name: a, type: generic, "
        "event_types: ['*'], configuration: {url: 'http://a.example/x'}}\n"
    ).findings
    assert {(each.rule, each.severity, each.position and each.position.line) for each in found} == {
        ("tls-not-verified", Severity.NOTE, 1),
        ("insecure-url", Severity.NOTE, 3),
    }


def test_a_plan_shows_notes_that_are_new_against_the_base() -> None:
    """A note that the previous configuration had is not repeated."""
    before, after = desired(generic()), desired(generic(verify=False))
    assert [
        [f"{each.position}: {each.message}" for each in make_plan(after, previous=previous).notes]
        for previous in (before, after, None)
    ] == [["webhooks.yaml:1: 'Pager': the certificate of the receiver is not verified"], [], []]
