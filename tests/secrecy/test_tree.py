"""No secret is in the repository."""

from __future__ import annotations

import re

import pytest

from tests.folders import ROOT, tracked
from tests.secrecy.canaries import CANARIES

PATTERNS = {
    "a Slack token": re.compile(
        rb"xox[abeoprs](?:\.xox[bp])?-(?:[0-9]{5,}-[0-9]{5,}|[0-9]-[A-Za-z0-9]{20,})"
        rb"|xapp-[0-9]-[A-Z0-9]{6,}-[0-9]{6,}"
    ),
    "a Slack address": re.compile(
        rb"hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{8,}/B?[A-Z0-9]{8,}/[A-Za-z0-9]{16,}"
    ),
    "a key in a header": re.compile(
        rb"""(?i)authorization['"]?\s*[:\]=]\s*(?:-\s*)?['"]?(?:Api-Key|Bearer)\s+"""
        rb"""(?=[^0-9'"\s]*[0-9])[A-Za-z0-9_.~+/=-]{12,}"""
    ),
    "a GitHub token": re.compile(rb"gh[pousr]_[A-Za-z0-9]{36}"),
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}"),
}


def test_no_file_contains_a_secret() -> None:
    """No file contains a canary, which exists only in memory, or anything like a real secret."""
    found: list[str] = []
    files = tracked()
    assert len(files) > 100
    for name in files:
        data = (ROOT / name).read_bytes()
        found += [f"{name}: {each.place}" for each in CANARIES if each.core.encode() in data]
        found += [f"{name}: {what}" for what, shape in PATTERNS.items() if shape.search(data)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a Slack token", b"xoxb" + b"-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"),
        ("a Slack token", b"xoxe.xoxp" + b"-1-Mi0yLTEyMzQ1Njc4OTAxMjM0NTY3ODkw"),
        ("a Slack address", b"hooks.slack.com/" + b"services/T01234567/B01234567/" + b"a1" * 12),
        ("a key in a header", b"Authorization: " + b"Api-Key abcdefgh12345678"),
        ("a key in a header", b"authorization:\n      - " + b"Api-Key abcdefgh12345678"),
        ("a GitHub token", b"ghp" + b"_" + b"a1B2" * 9),
        ("a private key", b"-----BEGIN RSA " + b"PRIVATE KEY-----\n" + b"MIIE" * 16),
    ],
)  # fmt: skip
def test_a_real_secret_would_be_found(what: str, text: bytes) -> None:
    """The patterns match the formats of providers."""
    assert PATTERNS[what].search(text)
