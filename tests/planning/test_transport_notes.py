"""Notes about destinations without an encrypted or verified connection."""

from __future__ import annotations

import pytest

from reconciler.findings import Severity
from reconciler.model import Secret, SecretRef
from reconciler.planning.names import transport_notes
from reconciler.planning.planner import PlanOptions, plan
from tests.loading import load_text
from tests.planning.builders import desired, generic, live

URL = SecretRef(scheme="env", name="URL")


@pytest.mark.parametrize(
    ("url", "more", "rules"),
    [
        ("https://a.example/x", {}, []),
        ("http://a.example/x", {}, ["insecure-url"]),
        ("http://8.8.8.8/x", {}, ["insecure-url"]),
        ("http://localhost:8080/x", {}, []),
        ("http://10.1.2.3/x", {}, []),
        ("http://[::1]/x", {}, []),
        ("http://receiver/x", {}, []),
        ("http://receiver.svc.cluster.LOCAL./x", {}, []),
        ("http://localhost.example/x", {}, ["insecure-url"]),
        ("http://localhost/x", {"password": "p"}, ["insecure-url"]),
        ("http://localhost/x", {"token": "t"}, ["insecure-url"]),
        ("https://a.example/x", {"verify": False}, ["tls-not-verified"]),
        ("http://a.example/x", {"verify": False}, ["insecure-url", "tls-not-verified"]),
        (URL, {}, ["insecure-url"]),
        (SecretRef(scheme="env", name="OTHER"), {}, []),
    ],
)
def test_each_destination(url: object, more: dict[str, object], rules: list[str]) -> None:
    """Plain http to a public host, or with credentials, and an unchecked certificate have notes."""
    values = {URL: Secret("http://a.example/x")}
    assert [each.rule for each in transport_notes({"url": url, **more}, values)] == rules


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
        [each.rule for each in plan(after, live(), {}, PlanOptions(previous=previous)).notes]
        for previous in (before, after, None)
    ] == [["tls-not-verified"], [], []]
