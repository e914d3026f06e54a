"""Export: live webhooks are written to a file that declares them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings import has_errors
from reconciler.kinds import EVENT_TYPES
from reconciler.model import Live, LiveWebhook, Secret, SecretRef
from reconciler.planning.planner import plan
from reconciler.source.export import SLACK_TOKEN, Export, Tokens, export
from tests.goldens import Golden
from tests.loading import load_text
from tests.planning.builders import live, live_generic, live_slack, unshown

GOLDEN = Path(__file__).with_name("exported.yaml")
HOSTILE = (
    'quotes "and\' more', "a # comment", "emoji 🚀", "yes", "~", "007", "x" * 256, "Ops", "ops",
    "- dash", "colon: x", "{brace}", "[list]", "star*", "what?", "&anchor", "%x", "@at", "`tick`",
    "null", "1e3", "12:30", "2001-01-01", "Ünïcode", "on", "back\\slash", "tab\tx", "new\nline",
    "\u202eevil", "a,b", "| pipe", "", " spaces ", "zero\u200bwidth", "=", "<<", "!tag",
)  # fmt: skip


def read_back(text: str):
    declared = load_text(text)
    assert declared.desired is not None, [f"{f.rule}: {f.message}" for f in declared.findings]
    assert not has_errors(declared.findings)
    return declared.desired


def assert_unchanged(found: Live) -> Export:
    exported = export(found)
    result = plan(read_back(exported.text), found, {})
    assert result.operations == ()
    assert result.blocked == () or len(exported.declarations) == 0
    return exported


TOKENS = ("xoxb-1111111111-AAAA", "xoxb-2222222222-BBBB")
_EXPLAINERS = ("correct horse", "hunter22hunter")
MASKS = ("*****", "xoxb-****AAAA", "xoxb-****BBBB", "enc:4711", "", None, ...)
PLAIN_URLS = ("https://hooks.example.com/ct", "http://10.0.0.1/", "https://h.example.com/v2/a-b")
SECRET_URLS = (
    "https://u:hunter22@h.example.com/", "https://h.example.com/?key=hunter22",
    "https://hooks.slack.com/services/T0/B0/hunter22", "https://discord.com/api/hunter22",
    "https://chat.example.com/hooks/3f9ab2cdxyz8egtw7q1h5kc4ra",
    "https://h.example.com/550e8400-e29b-41d4-a716-446655440000",
    "https://h.example.com/${HUNTER22}", "https://h.example.com/a b",
)  # fmt: skip


@st.composite
def any_webhooks(draw: st.DrawFn, id: str) -> LiveWebhook:
    """Draw any webhooks that a server may show, in any form of secrets."""
    name = draw(st.sampled_from(HOSTILE) | st.text(max_size=12))
    name = name.encode("utf-8", "replace").decode()
    events = draw(
        st.sets(st.sampled_from((*EVENT_TYPES[:3], "tag_created"))) | st.just(EVENT_TYPES)
    )
    username = draw(st.sampled_from(("ct", "", None, ...)) | st.text(max_size=8))
    if draw(st.booleans()):
        channel = draw(st.sampled_from(("#a", "b", "C0123ABCD", "@bob", "", None)) | st.text())
        token = draw(st.sampled_from(TOKENS + MASKS))
        made = live_slack(name, id, events=events, channel=channel, token=token, username=username)
    else:
        fields = {
            "url": draw(st.sampled_from(PLAIN_URLS + SECRET_URLS + MASKS)),
            "verify": draw(st.sampled_from((True, False, None, ...))),
            "username": username,
            "password": draw(st.sampled_from(_EXPLAINERS + MASKS)),
            "token": draw(st.sampled_from(_EXPLAINERS + MASKS)),
        }
        shown = {name: value for name, value in fields.items() if value is not ...}
        made = replace(live_generic(name, id, **shown), event_types=frozenset(events))
    return unshown(made) if draw(st.integers(0, 9)) == 9 else made


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 1), max_size=6), st.data())
def test_any_organization_round_trips(hooks: list[int], data: st.DataObject) -> None:
    """The plan of an export has no changes, and no secret is in the file."""
    found = [data.draw(any_webhooks(f"id-{number}")) for number in range(len(hooks))]
    exported = assert_unchanged(live(*found))
    assert len(exported.declarations) + len(exported.left_out) == len(found)
    for secret in (*TOKENS, *_EXPLAINERS, *SECRET_URLS, "hunter22", "3f9ab2", "550e84"):
        assert secret not in exported.text


def test_the_file_is_readable(golden: Golden) -> None:
    """The file has defaults, plain URLs, all events as a glob, and quotes only where needed."""
    values = ("value_deleted", "value_created", "value_updated")
    found = live(
        live_slack("Deploys", "id-1", channel="#deploys", events=values),
        live_slack("Audit", "id-2", channel="audit", events=EVENT_TYPES),
        live_slack("Support", "id-3", channel="support", events=values, username="Help"),
        live_generic("Pager", "id-4", username="ct", password="hunter22", verify=False),
        live_generic("Chat", "id-5", url="https://discord.com/api/webhooks/1/x", username=""),
        live_slack("Bob", "id-6", channel="@bob"),
        live_slack("Long", "id-7", channel="long", events=EVENT_TYPES[:6]),
        live_generic(
            "Pager 2",
            "id-8",
            url="https://discord.com/api/webhooks/1/x",
            username="ct",
            password="hunter22",
        ),
    )

    golden.file(GOLDEN, export(found).text.partition("\n\n")[2])


@pytest.mark.parametrize(
    ("tokens", "names"),
    [
        (("*****", "*****", "*****"), "SSS"),
        ((None, ..., None), "SSS"),
        (("enc:1", "enc:2", "enc:1"), "SSS"),
        (("xoxb-***AAAA", "xoxb-***BBBB", "xoxb-***AAAA"), "SBS"),
        ((TOKENS[0], TOKENS[0], TOKENS[0]), "SSS"),
        ((TOKENS[0], TOKENS[1], TOKENS[1]), "ASS"),
    ],
)
def test_webhooks_of_one_slack_workspace_share_one_reference(
    tokens: tuple[object, ...], names: str
) -> None:
    """Hidden tokens of one user name have one reference, unless their masks differ.

    Each shown token has its own.
    """
    reference = SecretRef(scheme="file", name="secrets/slack")
    hooks = [
        live_slack(name, f"id-{name}", token=token)
        for name, token in zip("ABC", tokens, strict=True)
    ]

    exported = export(live(*hooks), tokens=Tokens(reference))

    declared = {each.name: each for each in read_back(exported.text).webhooks}
    for name, expected in zip("ABC", names, strict=True):
        variable = SecretRef(scheme="env", name=f"WEBHOOK_{expected}_TOKEN")
        wanted = reference if expected == "S" else variable
        assert declared[name].configuration["token"] == wanted
    assert len(exported.references) == len(set(names))


def test_each_hidden_password_has_a_variable() -> None:
    """Equal masks have different variables, equal values share one; equal names get numbers."""
    hooks = [
        live_generic("A", "id-1", token="*****"),
        live_generic("B", "id-2", token="*****"),
        live_generic("C", "id-3", token="abcdef"),
        live_generic("D", "id-4", token="abcdef"),
        live_generic("c", "id-5", token="ghijkl"),
    ]
    assert [each.name for each in export(live(*hooks)).references] == [
        "WEBHOOK_A_TOKEN", "WEBHOOK_B_TOKEN", "WEBHOOK_C_TOKEN", "WEBHOOK_C_TOKEN_2",
    ]  # fmt: skip


def test_a_token_that_may_be_hidden_is_referenced() -> None:
    """A missing token may be hidden, unless the server shows the tokens of other webhooks."""
    hooks = [live_generic("A", "id-1"), live_slack("B", "id-2", token=None), live_generic("D", "4")]
    note = "# the server shows no token: add it if the webhook has one\n"
    assert export(live(*hooks)).text.count(note) == 1
    hooks.append(live_slack("C", "id-3", token="*****"))
    assert note not in export(live(*hooks)).text


def masked(*usernames: str) -> Live:
    """Return webhooks with hidden tokens, one for each user name."""
    hooks = (
        live_slack(f"w{number}", f"id-{number}", username=name, token="*****")
        for number, name in enumerate(usernames)
    )
    return live(*hooks)


def env(name: str) -> SecretRef:
    return SecretRef(scheme="env", name=name)


@pytest.mark.parametrize(
    ("tokens", "references", "assumed"),
    [
        (Tokens(), ("SLACK_BOT_TOKEN", "WEBHOOK_B_TOKEN"), (2, 2)),
        (Tokens(env("T")), ("T", "T"), (4,)),
        (Tokens(named={"B": env("T")}), ("SLACK_BOT_TOKEN", "T"), (2,)),
        (Tokens(named={"A": env("T"), "B": env("T")}), ("T", "T"), ()),
        (Tokens(env("S"), {"A": env("T")}), ("T", "S"), (2,)),
        (Tokens(named={"A": SLACK_TOKEN}), ("SLACK_BOT_TOKEN", "WEBHOOK_B_TOKEN"), (2,)),
        (Tokens(named={"B": SLACK_TOKEN}), ("WEBHOOK_A_TOKEN", "SLACK_BOT_TOKEN"), (2,)),
        (
            Tokens(named={"A": SLACK_TOKEN, "B": env("T")}),
            ("SLACK_BOT_TOKEN", "T"),
            (),
        ),
    ],
)
def test_hidden_tokens_are_assumed_to_be_one_only_for_a_user_name(
    tokens: Tokens, references: tuple[str, ...], assumed: tuple[int, ...]
) -> None:
    """The file has each assumption as a comment, and declares what was assumed.

    A user name to which the user has assigned a token is in the comment, but needs no warning.
    """
    found = masked("A", "B", "A", "B")

    exported = export(found, tokens=tokens)

    declared = {
        each.configuration["username"]: each.configuration["token"]
        for each in read_back(exported.text).webhooks
    }
    assert declared == dict(zip("AB", map(env, references), strict=True))
    for number, line in zip(assumed, exported.unassigned, strict=True):
        users = ", although they have 2 user names" if number == 4 else ""
        assert f" of {number} webhooks{users}: username '" in line
        assert f"#   {line}\n" in exported.text.partition("organization:")[0]


def test_the_usual_reference_is_assumed_of_one_webhook_only_beside_others() -> None:
    """With two Slack apps, nothing shows whose token SLACK_BOT_TOKEN is."""
    (line,) = export(masked("A", "B")).assumptions
    assert line == "env SLACK_BOT_TOKEN is the token of 1 webhook: username 'A' (1)"
    assert export(masked("A")).assumptions == ()
    assert export(masked("A", "B"), tokens=Tokens(named={"A": env("S")})).assumptions == (
        "env SLACK_BOT_TOKEN is the token of 1 webhook: username 'B' (1)",
    )


def test_a_webhook_with_a_hidden_channel_is_a_comment_to_complete() -> None:
    """It is ignored; uncommented and with a channel, the entry declares it."""
    found = live(live_slack("X", channel="*****"), live_slack("A", "id-2"))

    exported = assert_unchanged(found)

    comment = exported.text.partition("`ignore`.\n")[2]
    entry = comment.replace("  # ", "  ").replace(
        "configuration: {", 'configuration: {channel: "#x", '
    )
    text = exported.text.partition("  # CloudTruth shows no valid")[0] + entry
    text = text.replace(f"  - X  # {HIDDEN_CHANNEL}\n", "  - none\n")
    (update, *_) = [each for each in read_back(text).webhooks if each.name == "X"]
    assert update.configuration["channel"] == "#x"


NOT_A_CHANNEL = "`channel` is not the name or id of a Slack channel"
HIDDEN_CHANNEL = "the server shows no valid channel"


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("unknown type teams, so no file can declare it", replace(live_slack("X"), type="teams")),
        (
            "unknown event tag_created, so no file can declare it",
            live_slack("X", events=("tag_created",)),
        ),
        ("`event_types` is an empty list", live_slack("X", events=())),
        ("the name contains invisible characters: U+0007", live_slack("bad\x07name")),
        ("the name contains invisible characters: U+D800", live_slack("bad\ud800name")),
        ("the server hides its configuration", unshown(live_slack("X"))),
        (NOT_A_CHANNEL, live_slack("X", channel="@bob")),
        (HIDDEN_CHANNEL, live_slack("X", channel="https://hooks.slack.com/services/T0/hunter22")),
        (HIDDEN_CHANNEL, live_slack("X", channel="*****")),
        (HIDDEN_CHANNEL, live_slack("X", channel=None)),
        ("`username` is missing", live_slack("X", username="")),
        (
            "`username` contains a placeholder, which is not expanded",
            live_slack("X", username="*"),
        ),
        ("`token` is missing", live_slack("X", token=None)),
        ("`url` is missing", live_generic("X", url=None)),
        (
            "`username` and `password` go together: `password` is missing",
            live_generic("X", username="u"),
        ),
        (
            "`username` and `password` go together: `username` is missing",
            live_generic("X", username="", password="*****"),
        ),
    ],
)
def test_webhooks_that_a_file_cannot_declare_are_ignored(reason: str, found: LiveWebhook) -> None:
    """The ignore entry has the reason, and the first apply does not delete the webhooks."""
    others = (live_slack("A", "id-2"), live_generic("B", "id-3", username="u", password="pw"))
    organization = live(found, *others)
    exported = assert_unchanged(organization)

    assert exported.left_out == ((found.name, reason),)
    assert f"# {reason}\n" in exported.text
    assert plan(read_back(exported.text), organization, {}).counts.ignored == 1


def test_a_hidden_password_is_referenced() -> None:
    """A visible user name shows that there is a password; without a user name there is none."""
    shown = {"url": Secret("https://hooks.example.com/ct"), "username": "u"}
    omitted = replace(live_generic("A", "id-1"), configuration=shown)
    without = replace(live_generic("B", "id-2"), configuration={"url": shown["url"]})

    exported = assert_unchanged(live(omitted, without))

    assert exported.text.count("password: {env: WEBHOOK_A_PASSWORD}") == 1
    assert exported.text.count("password:") == 1


def test_server_text_stays_inside_its_comment() -> None:
    """A type with a line break is a comment of one line; its quotes are kept."""
    strange = replace(live_slack("X"), type='a "b"\nprune: false\u2028#')

    exported = assert_unchanged(live(strange))

    (line,) = [each for each in exported.text.splitlines() if each.startswith("  - X")]
    assert line.endswith(r'type a "b"\u000Aprune: false\u2028#, so no file can declare it')


def test_a_partial_export_uses_the_same_variables() -> None:
    """A variable depends on all live webhooks; only the Slack token has the usual name."""
    url = "https://hooks.slack.com/services/T0/B0/hunter22"
    found = live(
        live_generic("a", "id-1", url=url, token="t"),
        live_generic("b", "id-2", url=url, token="t"),
        live_slack("c", "id-3", token=TOKENS[1]),
    )

    every, part = export(found), export(found, only=("b", "c"))

    names = ("SLACK_BOT_TOKEN", "WEBHOOK_HOOKS_SLACK_COM_URL", "WEBHOOK_A_TOKEN")
    assert {each.name for each in part.references} == set(names)
    assert part.references == every.references
    assert "the same" not in part.text


def test_the_ids_of_webhooks_that_share_a_name_are_explained() -> None:
    """A comment gives the reason for `id`, and the likely duplicates."""
    found = live(live_slack("a", "1"), live_slack("a", "2"), live_slack("a", "3", channel="#x"))

    text = assert_unchanged(found).text

    why = "# `id` because other live webhooks have this name"
    duplicate = "it looks the same as an earlier one: remove it if it is a duplicate"
    assert (text.count(why), text.count(f"{why}; {duplicate}\n")) == (3, 1)


def test_a_nameless_webhook_is_in_no_scope() -> None:
    """The glob `*` matches an empty name, but the first apply must not delete the webhook."""
    found = live(live_slack("", "id-1"), live_slack("a", "id-2"))

    exported = export(found, only=("*", "a", "**"))

    result = plan(read_back(exported.text), found, {})
    assert (result.operations, [each.name for each in result.unmanaged]) == ((), [""])
    assert exported.left_out == (("", "the name is empty"),)
