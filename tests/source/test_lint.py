"""Secrets in files, literal or as references: findings and masking."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.findings import Severity
from reconciler.model import Secret
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded
from reconciler.source.secrets import public_url, url_credential
from tests.goldens import rows
from tests.loading import load_text

ERROR, WARNING, NOTE = Severity
TOKEN = "xoxb-" + "0123456789-canary"


def entry(type: str, configuration: str, name: str = "A") -> str:
    """Return the text of a file with one webhook."""
    return (
        f"webhooks:\n  - {{name: {name}, type: {type}, event_types: ['*'], "
        f"configuration: {{{configuration}}}}}\n"
    )


def generic(configuration: str) -> str:
    return entry("generic", configuration)


def slack(**fields: str) -> str:
    values = {"token": "{env: T}", "channel": "a", "username": "b", **fields}
    name = values.pop("name", "A")
    return entry("slack", ", ".join(f"{key}: {value}" for key, value in values.items()), name)


def found(outcome: Loaded) -> list[tuple[str, Severity]]:
    return [(each.rule, each.severity) for each in outcome.findings]


PLAIN = "url: 'https://a.example'"
LITERAL = [("literal-secret", WARNING)]
TOKEN_FOUND = [("slack-token-in-file", ERROR)]
TRIMMED = [("trimmed-secret", NOTE)]
WITH_LITERALS = [
    # a file, findings, findings with --allow-literal-secrets
    (generic(f"{PLAIN}, username: u, password: hush, token: hush"), LITERAL * 2, []),
    (generic("url: 'https://u:hush@a.example/x'"), LITERAL, []),
    (generic("url: 'https://a.example/x'"), [], []),
    (generic(f"url: 'https://a.example/{TOKEN}'"), TOKEN_FOUND, []),
    (generic(f"{PLAIN}, token: 'hush%TOKEN%'"), LITERAL, []),
    (generic(f"{PLAIN}, token: ' hush '"), TRIMMED, TRIMMED),
    # only upper-case names are placeholders
    (generic("url: 'https://a.example/x?$filter=a'"), LITERAL, []),
    (generic("url: 'https://a.example/$f/$A'"), [], []),
    (slack(name=TOKEN), TOKEN_FOUND, TOKEN_FOUND),
    (slack(username="xapp-0123456789-canary"), TOKEN_FOUND, []),
    *((slack(**{field: TOKEN}), TOKEN_FOUND, []) for field in ("token", "channel", "username")),
]
PLACEHOLDERS = ["$TOKEN", "${TOKEN}", "%TOKEN%", "{{ token }}", "<token>", "{env: TOKEN}"]
URLS = ["https://<hush>/x", "https://$HOST/a", "$URL", "https://a/{{ hush }}"]
IN_TEXT = [*PLACEHOLDERS, "#${ROOM}", "#$ROOM", "to $ENV_1", "a $X_Y b"]
UNFIT = ["HUSH_TOKEN", "hush", "xoxb-your-hush", "xoxb-HUSHXXXXXXXX", "hushhush2hush"]
WRONG = {
    "unreplaced-placeholder": [
        *(generic(f"{PLAIN}, token: '{value}'") for value in (*PLACEHOLDERS, "env:TOKEN")),
        generic(f"{PLAIN}, token: 'hush${{TOKEN}}'"),
        *(generic(f"url: '{url}'") for url in URLS),
        *(slack(channel=f"'{value}'") for value in IN_TEXT),
        *(slack(username=f"'{value}'") for value in IN_TEXT),
    ],
    "malformed-secret": [slack(token=f"'{value}'") for value in UNFIT],
    "unusable-secret": [slack(token=value) for value in ('"a\\nb"', '"\\n"', '"a\\tb"')],
}
"""Files with an error that --allow-literal-secrets does not allow, by its rule."""
LITERALS = [
    *WITH_LITERALS,
    *((text, [(rule, ERROR)], [(rule, ERROR)]) for rule, texts in WRONG.items() for text in texts),
]


@pytest.mark.parametrize(("text", "strictly", "allowed"), LITERALS)
def test_literals(text: str, strictly: object, allowed: object) -> None:
    """A secret, a token or a placeholder in the file is reported, and not shown."""
    for rules, expected in ((Rules(), strictly), (Rules(allow_literal_secrets=True), allowed)):
        outcome = load_text(text, rules=rules)
        assert found(outcome) == expected
        shown = repr(outcome.findings).lower()
        assert "canary" not in shown
        assert "hush" not in shown.replace("hush%token%", "")


@pytest.mark.parametrize(
    ("url", "secret"),
    [*rows(Path(__file__).with_name("urls.yaml")), (f"https://example.com/{TOKEN}", True)],
)
def test_secret_urls(url: str, secret: bool) -> None:
    """A URL with a credential, or that is one, is a secret; others are plain."""
    assert (url_credential(url) is not None) is secret
    assert public_url(Secret(url)) == (None if secret else url)


@pytest.mark.parametrize(
    "text",
    [
        "", "*****", "ftp://a.example", "https://a.example/a b", "https://a.example/\u200b", *URLS,
        "https://a.example/${ROOM}", "https://a.example/***",
    ],
)  # fmt: skip
def test_other_texts_are_not_public_urls(text: str) -> None:
    """A live URL that a file could not contain, or that may be masked, is exported as a secret."""
    assert public_url(Secret(text)) is None


@pytest.mark.parametrize(("reference", "rules"), rows(Path(__file__).with_name("offline.yaml")))
def test_references_are_checked_offline(reference: str, rules: list[str]) -> None:
    """Forbidden references, and those not on the allow-list, are reported without a value."""
    allow = Rules(allow_secrets=("env:SLACK_*", "file:secrets/*"))
    expected = [(rule, ERROR) for rule in rules]
    assert found(load_text(slack(token=reference), rules=allow)) == expected
    forbidden = [each for each in expected if each[0] == "forbidden-secret"]
    assert found(load_text(slack(token=reference))) == forbidden
