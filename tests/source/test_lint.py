"""Names, events, secrets, identity: the findings and their positions."""

from __future__ import annotations

import re

import pytest

from reconciler.findings import Severity
from reconciler.model import Secret
from reconciler.planning.names import lookalike_key
from reconciler.source import identity
from reconciler.source.files import SourceFile, Sources
from reconciler.source.lint import Rules, lint, name_findings
from reconciler.source.load import Loaded, load_files
from reconciler.source.secrets import url_credential
from reconciler.source.text import masked

ERROR, WARNING, NOTE = Severity
TOKEN = "xoxb-" + "0123456789-canary"
SLACK = "type: slack, event_types: ['*'], configuration: {token: {env: T}, channel: a, username: b}"


def check(*texts: str, rules: Rules | None = None) -> Loaded:
    files = tuple(
        SourceFile(file=f"{name}.yaml", raw=text.encode())
        for name, text in zip("abc", texts, strict=False)
    )
    return load_files(Sources(files=files), rules=rules)


def entries(*fields: str) -> str:
    return "webhooks:\n" + "".join(f"  - {{{each}}}\n" for each in fields)


def slack(token: str, rules: Rules | None = None) -> Loaded:
    return check(
        entries(
            f"name: A, type: slack, event_types: ['*'], "
            f"configuration: {{token: {token}, channel: a, username: b}}"
        ),
        rules=rules,
    )


def generic(configuration: str, rules: Rules | None = None) -> Loaded:
    return check(
        entries(f"name: A, type: generic, event_types: ['*'], configuration: {{{configuration}}}"),
        rules=rules,
    )


def found(outcome: Loaded) -> list[tuple[str, Severity]]:
    return [(each.rule, each.severity) for each in outcome.findings]


def rules_of(outcome: Loaded) -> list[str]:
    return [each.rule for each in outcome.findings]


# Names


@pytest.mark.parametrize(
    ("name", "rule", "severity"),
    [
        ("", "empty-name", ERROR),
        ("   ", "empty-name", ERROR),
        ("a\x00b", "unsafe-name", ERROR),
        ("a\x1b[31m", "unsafe-name", ERROR),
        ("a\nb", "unsafe-name", ERROR),
        ("a\u2028b", "unsafe-name", ERROR),
        ("a\x85b", "unsafe-name", ERROR),
        ("a\ud800b", "unsafe-name", ERROR),
        ("a\u202eb", "unsafe-name", ERROR),
        ("a\u2066b", "unsafe-name", ERROR),
        ("a\u200bb", "invisible-characters", WARNING),
        ("a\u200eb", "invisible-characters", WARNING),
        ("a\u3164b", "invisible-characters", WARNING),
        ("a\u115fb", "invisible-characters", WARNING),
        ("a\u034fb", "invisible-characters", WARNING),
        (" a", "spaces-around-name", WARNING),
        ("a\u00a0", "spaces-around-name", WARNING),
        ("Cafe\u0301", "name-not-normalized", WARNING),
    ],
)
def test_suspicious_names(name: str, rule: str, severity: Severity) -> None:
    """A name that deceives readers is an error, one that a server may change is a warning."""
    (warning,) = name_findings(name)
    assert (warning.rule, warning.severity) == (rule, severity)
    assert warning.hint


@pytest.mark.parametrize("name", ["Deploys", "a b", "Café", "日本語", "🚀 deploys", "a'\"`|<>"])
def test_valid_names(name: str) -> None:
    """Any script and any visible character is valid."""
    assert list(name_findings(name)) == []


def test_an_absent_webhook_may_have_any_name() -> None:
    """A live webhook with an invalid name can still be deleted or renamed."""
    outcome = check(
        entries('name: "a\\x01b", state: absent', f'name: A, previously: [" b"], {SLACK}')
    )
    assert outcome.findings == ()


@pytest.mark.parametrize(
    "written",
    [
        "My OPS",
        "my  ops",
        *(
            f"my{space}ops"
            for space in "\u00a0\u1680\u2000\u2003\u2007\u2009\u202f\u205f\u2800\u3000"
        ),
        *(f"my{hidden} ops" for hidden in "\u00ad\u034f\u180e\u200b\u200d\u2060\ufe0f\u3164"),
        "ｍｙ ｏｐｓ",
        "𝐦𝐲 𝐨𝐩𝐬",
        "mу оps",  # Cyrillic y and o
        "Мy oрѕ",  # Cyrillic M, p and s
        "my οps",  # Greek o
        "Μy ops",  # Greek M
        "my \u0585ps",  # Armenian o
    ],
)
def test_indistinguishable_names(written: str) -> None:
    """Spaces, invisible characters, other forms and alphabets do not make a name different."""
    outcome = check(entries(f"name: my ops, {SLACK}", f'name: "{written}", {SLACK}'))
    rules = [each.rule for each in outcome.findings]
    assert rules.count("names-look-alike") == 1
    (finding,) = (each for each in outcome.findings if each.rule == "names-look-alike")
    odd = {f"U+{ord(char):04X}" for char in written if not char.isascii()}
    assert set(re.findall(r"U\+\w+", finding.message)) == odd or len(odd) > 5


@pytest.mark.parametrize(
    "written", ["my op", "my-ops", "myops", "my öps", "my 0ps", "мой ops", "my ops 2"]
)
def test_distinguishable_names(written: str) -> None:
    """Other letters, digits and signs make another name."""
    assert lookalike_key(written) != lookalike_key("my ops")


@pytest.mark.parametrize(
    ("one", "other"), [("ev", "e\u03bd"), ("EN", "E\u039d"), ("you", "y\u0585\u057d")]
)
def test_letters_of_other_alphabets_match_latin_ones(one: str, other: str) -> None:
    """A small letter may match another one than its capital."""
    assert lookalike_key(one) == lookalike_key(other)


# Events


def test_a_token_among_the_events_is_not_shown() -> None:
    """A token in place of an event is not repeated."""
    outcome = check(entries(f"name: A, type: generic, event_types: ['*{TOKEN}'], "
                            "configuration: {url: 'https://a.example'}"))  # fmt: skip
    assert outcome.findings
    assert "canary" not in repr(outcome.findings)
    assert masked(f"a {TOKEN}") == "a ***"
    assert len(masked("x" * 1000)) == 120


# Secrets

PLAIN = "url: 'https://a.example'"
LITERAL = [("literal-secret", WARNING)]
TOKEN_FOUND = [("slack-token-in-file", ERROR)]
PLACEHOLDER = [("unreplaced-placeholder", ERROR)]
PLACEHOLDERS = ["$TOKEN", "${TOKEN}", "%TOKEN%", "{{ token }}", "<token>", "{env: TOKEN}"]
GENERIC = [
    # fields of a generic webhook, findings, findings with --allow-literal-secrets
    ("url: 'https://a.example/x', username: u, password: hush, token: hush", LITERAL * 2, []),
    ("url: 'https://u:hush@a.example/x'", LITERAL, []),
    ("url: 'https://a.example/x'", [], []),
    (f"url: 'https://a.example/{TOKEN}'", TOKEN_FOUND, []),
    (f"{PLAIN}, token: 'hush%TOKEN%'", LITERAL, []),
    (f"{PLAIN}, token: ' hush '", [("trimmed-secret", NOTE)], [("trimmed-secret", NOTE)]),
    *(
        (f"{PLAIN}, token: '{value}'", PLACEHOLDER, PLACEHOLDER)
        for value in (*PLACEHOLDERS, "env:TOKEN", "hush${TOKEN}")
    ),
    ("url: 'https://<hush>/x'", PLACEHOLDER, PLACEHOLDER),
    ("url: 'https://$HOST/a'", PLACEHOLDER, PLACEHOLDER),
    ("url: '$URL'", PLACEHOLDER, PLACEHOLDER),
    ("url: 'https://a/{{ hush }}'", PLACEHOLDER, PLACEHOLDER),
]
SLACK_FIELDS = [
    # changed fields of a Slack webhook, and the same findings
    ({"token": TOKEN}, TOKEN_FOUND, []),
    ({"name": TOKEN}, TOKEN_FOUND, TOKEN_FOUND),
    ({"channel": TOKEN}, TOKEN_FOUND, []),
    ({"username": TOKEN}, TOKEN_FOUND, []),
    *(
        ({field: f"'{value}'"}, PLACEHOLDER, PLACEHOLDER)
        for field in ("channel", "username")
        for value in (*PLACEHOLDERS, "#${ROOM}", "#$ROOM", "to $ENV_1", "a $X_Y b")
    ),
    *(
        ({"token": f"'{value}'"}, [("unfit-secret", ERROR)], [("unfit-secret", ERROR)])
        for value in ("HUSH_TOKEN", "hush", "xoxb-your-hush", "xoxb-HUSHXXXXXXXX", "hushhush2hush")
    ),
    *(
        ({"token": value}, [("unusable-secret", ERROR)], [("unusable-secret", ERROR)])
        for value in ('"a\\nb"', '"\\n"', '"a\\tb"')
    ),
]
GOOD = {"name": "A", "token": "{env: T}", "channel": "a", "username": "b"}


@pytest.mark.parametrize(("fields", "strictly", "allowed"), GENERIC)
def test_literals_of_a_generic_webhook(fields: str, strictly: object, allowed: object) -> None:
    """A secret or a placeholder in the file is found, and not shown."""
    for rules, expected in ((Rules(), strictly), (Rules(allow_literal_secrets=True), allowed)):
        outcome = generic(fields, rules)
        assert found(outcome) == expected
        assert "hush" not in repr(outcome.findings).replace("hush%TOKEN%", "")


@pytest.mark.parametrize(("fields", "strictly", "allowed"), SLACK_FIELDS)
def test_literals_of_a_slack_webhook(
    fields: dict[str, str], strictly: object, allowed: object
) -> None:
    """A token is found in every field, and an invalid one is refused as the token."""
    name, *configuration = (f"{key}: {value}" for key, value in (GOOD | fields).items())
    text = entries(
        f"{name}, type: slack, event_types: ['*'], configuration: {{{', '.join(configuration)}}}"
    )
    for rules, expected in ((Rules(), strictly), (Rules(allow_literal_secrets=True), allowed)):
        outcome = check(text, rules=rules)
        assert found(outcome) == expected
        assert "canary" not in repr(outcome.findings)
        assert "hush" not in repr(outcome.findings).lower()


def test_a_literal_secret_is_trimmed() -> None:
    """It is sent without surrounding blanks."""
    outcome = generic(f"{PLAIN}, token: ' hush '", Rules(allow_literal_secrets=True))
    assert outcome.desired is not None
    assert list(outcome.desired.literals.values()) == [Secret("hush")]


@pytest.mark.parametrize("text", ["https://a.example/x?$filter=a", "https://a.example/$f/$A"])
def test_a_dollar_in_a_url_is_no_placeholder(text: str) -> None:
    """Only upper-case names are placeholders."""
    assert "unreplaced-placeholder" not in rules_of(generic(f"url: '{text}'"))


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://hooks.example.com/ct", False),
        ("https://hooks.example.com:8443/a/b#c", False),
        ("https://user@hooks.example.com/ct", True),
        ("https://u:p@hooks.example.com/ct", True),
        ("https://hooks.example.com/ct?key=1", True),
        ("https://hooks.slack.com/services/T/B/x", True),
        ("https://HOOKS.SLACK.COM./services/T/B/x", True),
        ("https://discord.com/api/webhooks/1/x", True),
        ("https://acme.webhook.office.com/webhookb2/x", True),
        ("https://prod-1.westus.logic.azure.com/workflows/x", True),
        ("https://hook.eu1.make.com/x", True),
        ("https://nothooks.slack.com.example.com/x", False),
        ("https://example.com/" + TOKEN, True),
        ("https://chat.example.com/hooks/3f9ab2cdxyz8egtw7q1h5kc4ra", True),
        ("https://chat.example.com/hooks/AbCdEfGhIjKlMnOpQrStUv", True),
        ("https://example.com/in/550e8400-e29b-41d4-a716-446655440000/post", True),
        ("https://example.com/#%33f9ab2cdxyz8egtw7q1h5kc4ra", True),
        (
            "https://example.com/v2/teamHooks/us-east-1/2024-11-26/orders_created/123456789012",
            False,
        ),
        ("https://automation.example.com/webhooks/CloudTruthReceiver/deploys.php", False),
        ("https://[not-an-address/x", True),
    ],
)
def test_secret_urls(url: str, secret: bool) -> None:
    """A URL with a credential, or that is one, is a secret; others are plain."""
    assert (url_credential(url) is not None) is secret


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("{env: CLOUDTRUTH_API_KEY}", [("forbidden-secret", ERROR)]),
        ("{env: GITHUB_TOKEN, version: 2}", [("forbidden-secret", ERROR)]),
        ("{file: /proc/self/environ}", [("forbidden-secret", ERROR)]),
        ("{env: OTHER}", [("secret-not-allowed", ERROR)]),
        ("{file: other/x}", [("secret-not-allowed", ERROR)]),
        ("{env: SLACK_A}", []),
        ("{file: secrets/x}", []),
    ],
)
def test_references_are_checked_offline(
    reference: str, expected: list[tuple[str, Severity]]
) -> None:
    """Forbidden references, and those not on the allow-list, are found without a value."""
    allow = Rules(allow_secrets=("env:SLACK_*", "file:secrets/*"))
    assert found(slack(reference, allow)) == expected
    forbidden = [each for each in expected if each[0] == "forbidden-secret"]
    assert found(slack(reference)) == forbidden


def test_a_token_in_place_of_a_reference_is_not_shown() -> None:
    """A token written in place of its variable's name is not repeated."""
    for reference in (f"{{env: '{TOKEN}'}}", f"{{file: '{TOKEN}'}}"):
        outcome = slack(reference, Rules(allow_secrets=("env:A",)))
        assert outcome.findings
        assert "canary" not in repr(outcome.findings)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"webhooks": None, "defaults": []},
        {"webhooks": [None, 1, {"name": 1, "event_types": [1], "configuration": 3}]},
        {"webhooks": [{"configuration": {"token": {"env": 1}, "x": {}, "url": 1}, "type": []}]},
        {"webhooks": [{"name": "a", "id": {}, "previously": [{}, 1], "organization": []}, "b"]},
        {"defaults": {"type": 7, "event_types": {}, "configuration": {"token": None}}},
    ],
)
def test_lint_accepts_any_tree(data: dict[str, object]) -> None:
    """Structural errors are reported by other checks, for one file and for all."""
    assert list(lint("a.yaml", data, Rules())) == []
    assert list(identity.check({"a.yaml": data})) == []


# Identity
