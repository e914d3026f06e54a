"""Names, events, secrets, identity: what is remarked on, where, and what is left in peace."""

from __future__ import annotations

import re

import pytest

from reconciler.findings import Severity
from reconciler.model import Secret
from reconciler.planning.names import lookalike_key
from reconciler.source import identity
from reconciler.source.allowed import masked, url_credential
from reconciler.source.files import SourceFile, Sources
from reconciler.source.lint import Rules, lint, name_findings
from reconciler.source.load import Loaded, load_files

ERROR, WARNING = Severity.ERROR, Severity.WARNING
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
        (" a", "spaces-around-name", WARNING),
        ("a\u00a0", "spaces-around-name", WARNING),
        ("Cafe\u0301", "name-not-normalized", WARNING),
    ],
)
def test_odd_names(name: str, rule: str, severity: Severity) -> None:
    """What deceives a reader is an error, what a server may change is a warning."""
    (remark,) = name_findings(name)
    assert (remark.rule, remark.severity) == (rule, severity)
    assert remark.hint


@pytest.mark.parametrize("name", ["Deploys", "a b", "Café", "日本語", "🚀 deploys", "a'\"`|<>"])
def test_good_names(name: str) -> None:
    """Any script and any visible character will do."""
    assert list(name_findings(name)) == []


def test_several_remarks_on_one_name() -> None:
    """A name that is odd in several ways is told all of them."""
    assert [each.rule for each in name_findings(" e\u0301\u200b")] == [
        "spaces-around-name",
        "invisible-characters",
        "name-not-normalized",
    ]


def test_name_of_an_absent_webhook_may_be_anything() -> None:
    """A live webhook with a bad name can still be deleted, or renamed."""
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
    ],
)
def test_forms_of_a_name_that_no_reader_tells_apart(written: str) -> None:
    """Spaces, invisible characters, other forms and alphabets make no different name."""
    outcome = check(entries(f"name: my ops, {SLACK}", f'name: "{written}", {SLACK}'))
    rules = [each.rule for each in outcome.findings]
    assert rules.count("names-look-alike") == 1
    (finding,) = (each for each in outcome.findings if each.rule == "names-look-alike")
    odd = {f"U+{ord(char):04X}" for char in written if not char.isascii()}
    assert set(re.findall(r"U\+\w+", finding.message)) == odd or len(odd) > 5


@pytest.mark.parametrize(
    "written", ["my op", "my-ops", "myops", "my öps", "my 0ps", "мой ops", "my ops 2"]
)
def test_names_that_a_reader_tells_apart(written: str) -> None:
    """Other letters, digits and signs make another name."""
    assert lookalike_key(written) != lookalike_key("my ops")


def test_look_alikes_are_a_warning_with_both_places() -> None:
    """Names equal but for case or composition are pointed out, in all files together."""
    assert lookalike_key("CAFÉ") == lookalike_key("cafe\u0301")
    assert lookalike_key("prod – „Ops“") == lookalike_key('prod - „Ops"')
    outcome = check(entries(f"name: Deploys, {SLACK}"), entries(f"name: deploys, {SLACK}"))
    (finding,) = outcome.findings
    assert found(outcome) == [("names-look-alike", WARNING)]
    assert str(finding.position) == "b.yaml:2"
    assert [str(each.position) for each in finding.related] == ["a.yaml:2"]
    assert outcome.desired is not None


# Events


@pytest.mark.parametrize(
    ("event", "hint"),
    [
        ("value_updatd", "`value_updated`"),
        ("VALUE_UPDATED", "`value_updated`"),
        ("*_deletd", "`*_deleted`"),
        ("valeu_*", "`value_*`"),
        ("zzz[q]", "the events are"),
    ],
)
def test_unknown_events_are_errors_with_a_suggestion(event: str, hint: str) -> None:
    """A name or a glob that means no event is an error."""
    (finding,) = check(
        entries(
            f"name: A, type: generic, event_types: ['{event}'], "
            "configuration: {url: 'https://a.example'}"
        )
    ).findings
    assert finding.rule == "unknown-event"
    assert hint in (finding.hint or "")


def test_token_among_the_events_is_not_shown() -> None:
    """Whatever stands where an event should be, a token is not repeated."""
    outcome = check(entries(f"name: A, type: generic, event_types: ['*{TOKEN}'], "
                            "configuration: {url: 'https://a.example'}"))  # fmt: skip
    assert outcome.findings
    assert "canary" not in repr(outcome.findings)
    assert masked(f"a {TOKEN}") == "a ***"
    assert len(masked("x" * 1000)) == 120


# Secrets


def test_literal_slack_token_is_an_error() -> None:
    """A Slack token in the file is an error that advises to revoke it and does not repeat it."""
    outcome = slack(TOKEN)
    assert found(outcome) == [("slack-token-in-file", ERROR)]
    assert "revoke" in (outcome.findings[0].hint or "")
    assert "canary" not in repr(outcome)
    assert slack(TOKEN, Rules(allow_literal_secrets=True)).findings == ()


@pytest.mark.parametrize("field", ["name", "channel", "username"])
def test_slack_token_in_a_wrong_field_is_an_error(field: str) -> None:
    """A token pasted into a field that everybody sees is found as well."""
    fields = {"name": "A", "channel": "a", "username": "b"} | {field: TOKEN}
    outcome = check(
        entries(
            f"name: {fields['name']}, type: slack, event_types: ['*'], configuration: "
            f"{{token: {{env: T}}, channel: {fields['channel']}, username: {fields['username']}}}"
        )
    )
    assert rules_of(outcome) == ["slack-token-in-file"]
    assert "canary" not in repr(outcome.findings)


def test_other_literal_secrets_are_warnings() -> None:
    """Passwords and tokens in the file are warned about, unless that is wanted."""
    fields = "url: 'https://a.example/x', username: u, password: hush, token: hush"
    outcome = generic(fields)
    assert found(outcome) == [("literal-secret", WARNING)] * 2
    assert "hush" not in repr(outcome.findings)
    assert outcome.desired is not None
    assert generic(fields, Rules(allow_literal_secrets=True)).findings == ()


PLACEHOLDERS = ["$TOKEN", "${TOKEN}", "%TOKEN%", "{{ token }}", "<token>", "{env: TOKEN}"]


@pytest.mark.parametrize("value", [*PLACEHOLDERS, "env:TOKEN", "hush${TOKEN}"])
def test_a_placeholder_is_no_secret(value: str) -> None:
    """A file replaces nothing, so a placeholder in a secret is an error, with the fix."""
    for rules in (Rules(), Rules(allow_literal_secrets=True)):
        (finding,) = generic(f"url: 'https://a.example', token: '{value}'", rules).findings
        assert (finding.rule, finding.severity) == ("unreplaced-placeholder", ERROR)
        assert finding.message == "`token` holds a placeholder, and a file replaces none"
        assert "{env: " in (finding.hint or "")
    (finding,) = generic("url: 'https://a.example', token: 'hush%TOKEN%'").findings
    assert finding.message == "`token` is a secret, and it is written into the file"


@pytest.mark.parametrize("value", [*PLACEHOLDERS, "#${ROOM}", "#$ROOM", "to $ENV_1", "a $X_Y b"])
@pytest.mark.parametrize("field", ["channel", "username"])
def test_a_placeholder_in_a_plain_field(field: str, value: str) -> None:
    """A placeholder is not sent as a channel or a user name."""
    plain = {"channel": "#a", "username": "me", field: value}
    fields = ", ".join(f"{name}: '{text}'" for name, text in plain.items())
    outcome = check(
        entries(
            "name: A, type: slack, event_types: ['*'], "
            f"configuration: {{token: {{env: A}}, {fields}}}"
        )
    )
    assert found(outcome) == [("unreplaced-placeholder", ERROR)]


@pytest.mark.parametrize(
    "url", ["https://${HOST}/x", "https://<host>/x", "https://a/{{ x }}", "https://$HOST/a", "$URL"]
)
def test_a_placeholder_in_a_url(url: str) -> None:
    """A placeholder is not sent as part of an address."""
    assert "unreplaced-placeholder" in {rule for rule, _ in found(generic(f"url: '{url}'"))}


@pytest.mark.parametrize("text", ["https://a.example/x?$filter=a", "https://a.example/$f/$A"])
def test_a_dollar_in_a_url_is_no_placeholder(text: str) -> None:
    """Only names in upper case are."""
    assert "unreplaced-placeholder" not in rules_of(generic(f"url: '{text}'"))


@pytest.mark.parametrize(
    ("value", "variable"),
    [
        ("$PAGER_TOKEN", "PAGER_TOKEN"),
        ("${PAGER_TOKEN}", "PAGER_TOKEN"),
        ("$GITHUB_TOKEN", "WEBHOOK_TOKEN"),
        ("<token>", "WEBHOOK_TOKEN"),
    ],
)
def test_the_help_names_the_variable_that_was_meant(value: str, variable: str) -> None:
    """It is the one of the placeholder, if it may be sent."""
    (finding,) = generic(f"url: 'https://a.example', token: '{value}'").findings
    assert f"`token: {{env: {variable}}}`" in (finding.hint or "")


def test_a_placeholder_in_a_name_is_a_warning() -> None:
    """A webhook may be called so, and most often it is a mistake."""
    assert found(check(entries(f"name: '${{TEAM}} alerts', {SLACK}"))) == [
        ("unreplaced-placeholder", WARNING)
    ]


@pytest.mark.parametrize(
    "value",
    ["SLACK_BOT_TOKEN", "changeme", "xoxb-your-token", "xoxb-XXXXXXXXXXXX", "hunter2hunter2"],
)
def test_text_that_is_no_slack_token(value: str) -> None:
    """Text in place of a Slack token is refused with the fix, and is not shown."""
    for rules in (Rules(), Rules(allow_literal_secrets=True)):
        outcome = slack(f"'{value}'", rules)
        (finding,) = outcome.findings
        assert (finding.rule, finding.severity) == ("unfit-secret", ERROR)
        assert "`token: {env: SLACK_BOT_TOKEN}`" in (finding.hint or "")
        assert value not in repr(finding).replace("{env: SLACK_BOT_TOKEN}", "")


def test_a_literal_secret_loses_what_a_paste_adds() -> None:
    """A literal with blanks around it is sent without them, and a note says so."""
    rules = Rules(allow_literal_secrets=True)
    outcome = generic("url: 'https://a.example', token: ' hush '", rules)
    assert [each.rule for each in outcome.findings] == ["trimmed-secret"]
    assert outcome.desired is not None
    assert list(outcome.desired.literals.values()) == [Secret("hush")]


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
        ("https://[not-an-address/x", True),
    ],
)
def test_urls_that_are_secrets(url: str, secret: bool) -> None:
    """A URL with a credential in it, or that is one, is a secret; any other is plain data."""
    assert (url_credential(url) is not None) is secret


def test_secret_url_is_a_warning_and_plain_url_is_data() -> None:
    """A URL with a credential is warned about and becomes a literal; a plain one stays text."""
    outcome = generic("url: 'https://u:hush@a.example/x'")
    assert found(outcome) == [("literal-secret", WARNING)]
    assert "hush" not in repr(outcome)
    plain = generic("url: 'https://a.example/x'")
    assert plain.findings == ()
    assert plain.desired is not None
    assert plain.desired.webhooks[0].configuration == {"url": "https://a.example/x"}
    assert rules_of(generic(f"url: 'https://a.example/{TOKEN}'")) == ["slack-token-in-file"]


@pytest.mark.parametrize("value", ['"a\\nb"', '"\\n"', '"a\\tb"'])
def test_literals_must_be_fit_to_be_sent(value: str) -> None:
    """Blank literals and control characters are errors even where literals are allowed."""
    outcome = slack(value, Rules(allow_literal_secrets=True))
    assert found(outcome) == [("unusable-secret", ERROR)]


@pytest.mark.parametrize(
    ("reference", "rule"),
    [
        ("{env: CLOUDTRUTH_API_KEY}", "forbidden-secret"),
        ("{env: GITHUB_TOKEN, version: 2}", "forbidden-secret"),
        ("{file: /proc/self/environ}", "forbidden-secret"),
        ("{file: /dev/stdin}", "forbidden-secret"),
        ("{env: OTHER}", "secret-not-allowed"),
        ("{file: other/x}", "secret-not-allowed"),
    ],
)
def test_references_that_are_refused_offline(reference: str, rule: str) -> None:
    """Forbidden references, and those outside of the allow-list, are found without any value."""
    allow = Rules(allow_secrets=("env:SLACK_*", "file:secrets/*"))
    assert found(slack(reference, allow)) == [(rule, ERROR)]
    if rule == "secret-not-allowed":
        assert slack(reference).findings == ()


@pytest.mark.parametrize("reference", ["{env: SLACK_A}", "{file: secrets/x}"])
def test_references_on_the_list_pass(reference: str) -> None:
    """What a pattern names may be referred to."""
    assert slack(reference, Rules(allow_secrets=("env:SLACK_*", "file:secrets/*"))).findings == ()


@pytest.mark.parametrize("value", ["{env: X}", "{file: x}"])
def test_reference_in_a_visible_field_has_its_own_message(value: str) -> None:
    """A reference where everybody sees the value is refused with the fields that take one."""
    (finding,) = generic(
        f"url: 'https://a.example', username: {value}, password: {{env: P}}"
    ).findings
    assert finding.rule == "reference-not-allowed"
    assert "`username` is no secret" in finding.message
    assert "`password`" in (finding.hint or "")
    assert "`url`" in (finding.hint or "")


def test_token_as_the_name_of_a_reference_is_not_shown() -> None:
    """Somebody who writes the token where its variable should be does not see it again."""
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
def test_lint_takes_any_tree(data: dict[str, object]) -> None:
    """What is structurally wrong is left to others, alone and among all files."""
    assert list(lint("a.yaml", data, Rules())) == []
    assert list(identity.check(list(identity.entries("a.yaml", data)))) == []


# Identity


@pytest.mark.parametrize(
    "second",
    [f"name: A, {SLACK}", "name: A, state: absent", f"name: A, id: '1', {SLACK}"],
)
def test_one_name_is_declared_once(second: str) -> None:
    """A name declared again, absent or pinned on one side only, is an error with both places."""
    for texts in (
        [entries(f"name: A, {SLACK}", second)],
        [entries(f"name: A, {SLACK}"), entries(second)],
    ):
        outcome = check(*texts)
        assert found(outcome) == [("declared-twice", ERROR)]
        (finding,) = outcome.findings
        assert len({str(finding.position), *(str(each.position) for each in finding.related)}) == 2


def test_ids_may_share_a_name() -> None:
    """Copies of one name are told apart by their ids, one of them absent if wanted."""
    outcome = check(
        entries(
            f"name: A, id: '1', {SLACK}",
            f"name: A, id: '2', {SLACK}",
            "name: A, id: '3', state: absent",
        )
    )
    assert outcome.findings == ()


@pytest.mark.parametrize(
    "second", [f"name: B, id: '1', {SLACK}", "name: B, id: '1', state: absent"]
)
def test_one_id_is_declared_once(second: str) -> None:
    """An id declared again under any name is an error."""
    (finding,) = check(entries(f"name: A, id: '1', {SLACK}", second)).findings
    assert (finding.rule, finding.message) == ("declared-twice", "the id 1 is declared twice")


def test_an_id_cannot_be_the_name_of_another() -> None:
    """Ids and names are keys alike, so that one cannot be both."""
    assert rules_of(check(entries(f"name: A, id: X, {SLACK}", f"name: X, {SLACK}"))) == [
        "declared-twice"
    ]


def test_names_must_be_in_scope() -> None:
    """A name outside its file's scope is an error, whatever other files cover."""
    outcome = check(
        "scope: ['a-*', 'x?']\n"
        + entries(
            f"name: a-1, {SLACK}",
            f"name: b, {SLACK}",
            f"name: xy, {SLACK}",
            "name: Z-1, state: absent",
        ),
        "scope: ['b']\nwebhooks: []\n",
    )
    assert rules_of(outcome) == ["out-of-scope", "out-of-scope"]
    assert [str(each.position) for each in outcome.findings] == ["a.yaml:4", "a.yaml:6"]
    assert [str(each.position) for each in outcome.findings[0].related] == ["a.yaml:1"]


def previously(*pairs: tuple[str, str]) -> Loaded:
    return check(
        entries(
            *(
                f"name: {name}" + (f", previously: [{old}]" if old else "") + f", {SLACK}"
                for name, old in pairs
            )
        )
    )


@pytest.mark.parametrize(
    ("pairs", "rules"),
    [
        ([("A", "A")], ["previously-itself"]),
        ([("A", "old"), ("B", "old")], ["previously-twice"]),
        ([("A", "B"), ("B", "")], ["previously-declared"]),
        ([("A", "B"), ("B", "A")], ["previously-declared", "previously-declared"]),
        ([("A", "B"), ("B", "C")], ["previously-declared"]),
        ([("A", "'x, y'"), ("B", "z, w")], []),
    ],
)
def test_renames_that_cannot_be(pairs: list[tuple[str, str]], rules: list[str]) -> None:
    """What cannot be a rename is refused without a listing."""
    assert sorted(rules_of(previously(*pairs))) == rules


def test_an_earlier_name_that_is_declared_names_both_ways_on() -> None:
    """The rename is done, or it takes two applies; a webhook pinned by its id is no exception."""
    (finding,) = check(
        entries(f"name: A, previously: [x, B], {SLACK}", f"name: B, id: '1', {SLACK}")
    ).findings
    assert finding.message == "'B' is an earlier name of 'A' and is declared, too"
    assert finding.hint == (
        "if the rename to 'A' is done, remove 'B' from `previously`; if not, use two applies: "
        "first rename, then declare 'B' again"
    )
    assert [(str(each.position), each.message) for each in finding.related] == [
        ("a.yaml:3", "declared here")
    ]
    assert finding.excerpt is not None
    assert finding.position is not None
    assert finding.excerpt[finding.position.column - 1] == "B"


def test_old_name_of_a_webhook_to_delete_is_refused() -> None:
    """A name cannot be both deleted and renamed from."""
    outcome = check(entries(f"name: A, previously: [B], {SLACK}", "name: B, state: absent"))
    assert rules_of(outcome) == ["previously-declared"]
