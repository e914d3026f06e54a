"""Export: live webhooks are written to a file that declares them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from reconciler.findings import has_errors
from reconciler.kinds import EVENT_TYPES
from reconciler.model import Live, LiveWebhook, Secret, SecretRef
from reconciler.planning.planner import plan
from reconciler.source.export import Export, export
from reconciler.source.new_references import SLACK_TOKEN, Tokens
from tests.goldens import Golden, rows
from tests.loading import load_text
from tests.planning.builders import live, live_generic, live_slack, unshown

EXPORTED = Path(__file__).with_name("exported.txt")
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


def assert_unchanged(found: Live, tokens: Tokens | None = None) -> Export:
    exported = export(found, tokens=tokens)
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


EVENTS = ("value_deleted", "value_created", "value_updated")
DISCORD = "https://discord.com/api/webhooks/1/x"
READABLE = (
    live_slack("Deploys", "id-1", channel="#deploys", events=EVENTS),
    live_slack("Audit", "id-2", channel="audit", events=EVENT_TYPES),
    live_slack("Support", "id-3", channel="support", events=EVENTS, username="Help"),
    live_generic("Pager", "id-4", username="ct", password="hunter22", verify=False),
    live_generic("Chat", "id-5", url=DISCORD, username=""),
    live_slack("Bob", "id-6", channel="@bob"),
    live_slack("Long", "id-7", channel="long", events=EVENT_TYPES[:6]),
    live_generic("Pager 2", "id-8", url=DISCORD, username="ct", password="hunter22"),
)
MAY_BE_HIDDEN = (live_generic("A", "1"), live_slack("B", "2", token=None), live_generic("D", "4"))
SHOWN_URL = {"url": Secret("https://hooks.example.com/ct")}


def env(name: str) -> SecretRef:
    return SecretRef(scheme="env", name=name)


def with_tokens(*tokens: object) -> tuple[LiveWebhook, ...]:
    return tuple(
        live_slack(name, name, token=token) for name, token in zip("ABC", tokens, strict=True)
    )


def masked(*usernames: str) -> tuple[LiveWebhook, ...]:
    """Return webhooks with hidden tokens, one for each username."""
    return tuple(
        live_slack(f"w{number}", f"id-{number}", username=name, token="*****")
        for number, name in enumerate(usernames)
    )


FILE = Tokens(SecretRef(scheme="file", name="secrets/slack"))
EXPORTS: dict[str, tuple[tuple[LiveWebhook, ...], Tokens]] = {
    "defaults, plain URLs, globs of events": (READABLE, Tokens()),
    # Hidden tokens of one username have one reference, unless their masks differ.
    "equal masks": (with_tokens("*****", "*****", "*****"), FILE),
    "missing tokens": (with_tokens(None, ..., None), FILE),
    "ciphertexts": (with_tokens("enc:1", "enc:2", "enc:1"), FILE),
    "masks that differ": (with_tokens("xoxb-***AAAA", "xoxb-***BBBB", "xoxb-***AAAA"), FILE),
    "one shown token": (with_tokens(TOKENS[0], TOKENS[0], TOKENS[0]), FILE),
    "two shown tokens": (with_tokens(TOKENS[0], TOKENS[1], TOKENS[1]), FILE),
    "passwords": (
        (*(live_generic(name, name, token="*****") for name in "AB"),
         *(live_generic(name, name, token="abcdef") for name in "CD"),
         live_generic("c", "c", token="ghijkl")), Tokens(),
    ),
    # A missing token may be hidden, unless the server shows the tokens of other webhooks.
    "tokens that may be hidden": (MAY_BE_HIDDEN, Tokens()),
    "tokens that are hidden": ((*MAY_BE_HIDDEN, live_slack("C", "3", token="*****")), Tokens()),
    # Of two Slack apps, nothing shows whose token SLACK_BOT_TOKEN is.
    "one app": (masked("A"), Tokens()),
    "two apps": (masked("A", "B", "A", "B"), Tokens()),
    "one token for all": (masked("A", "B", "A", "B"), Tokens(env("T"))),
    "a token for one app": (masked("A", "B", "A", "B"), Tokens(named={"B": env("T")})),
    "a token for each": (masked("A", "B"), Tokens(named={"A": env("T"), "B": env("T")})),
    "a token for one, and for the others": (masked("A", "B"), Tokens(env("S"), {"A": env("T")})),
    "the usual token for one": (masked("A", "B"), Tokens(named={"A": SLACK_TOKEN})),
    "the usual token for the other": (masked("A", "B"), Tokens(named={"B": SLACK_TOKEN})),
    "the usual and another token": (
        masked("A", "B"), Tokens(named={"A": SLACK_TOKEN, "B": env("T")})
    ),
    # A visible username shows that there is a password.
    "a hidden password": (
        (replace(live_generic("A", "1"), configuration={**SHOWN_URL, "username": "u"}),
         replace(live_generic("B", "2"), configuration=SHOWN_URL)), Tokens(),
    ),
    "a type that is like a file": (
        (replace(live_slack("X"), type='a "b"\nprune: false\u2028#'),), Tokens()
    ),
    "webhooks that share a name": (
        (live_slack("a", "1"), live_slack("a", "2"), live_slack("a", "3", channel="#x")), Tokens()
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", EXPORTS)
def test_a_file_is_as_expected(title: str, golden: Golden) -> None:
    """The file has quotes only where needed, a reference for each secret, and each assumption.

    An assumption needs a warning unless the user has assigned a token to the username.
    """
    webhooks, tokens = EXPORTS[title]
    exported = assert_unchanged(live(*webhooks), tokens)
    warned = "".join(f"warning: {line}\n" for line in exported.unassigned)
    golden.case(EXPORTED, title, exported.text.partition("\n")[2] + warned + "\n")


def test_a_webhook_with_a_hidden_channel_is_a_comment_to_complete() -> None:
    """It is ignored; uncommented and with a channel, the entry declares it."""
    found = live(live_slack("X", channel="*****"), live_slack("A", "id-2"))

    exported = assert_unchanged(found)

    comment = exported.text.partition("`ignore`.\n")[2]
    entry = comment.replace("  # ", "  ").replace(
        "configuration: {", 'configuration: {channel: "#x", '
    )
    text = exported.text.partition("  # CloudTruth shows no valid")[0] + entry
    text = text.replace("  - X  # the server shows no valid channel\n", "  - none\n")
    (update, *_) = [each for each in read_back(text).webhooks if each.name == "X"]
    assert update.configuration["channel"] == "#x"


BUILDERS = {"slack": live_slack, "generic": live_generic}


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("unknown type teams, so no file can declare it", replace(live_slack("X"), type="teams")),
        ("the server hides its configuration", unshown(live_slack("X"))),
        *((reason, BUILDERS[kind](**{"name": "X", **fields}))
          for reason, kind, fields in rows(Path(__file__).with_name("ignored.yaml"))),
    ],
)  # fmt: skip
def test_webhooks_that_a_file_cannot_declare_are_ignored(reason: str, found: LiveWebhook) -> None:
    """The ignore entry has the reason, and the first apply does not delete the webhooks."""
    others = (live_slack("A", "id-2"), live_generic("B", "id-3", username="u", password="pw"))
    organization = live(found, *others)
    exported = assert_unchanged(organization)

    assert exported.left_out == ((found.name, reason),)
    assert f"# {reason}\n" in exported.text
    assert plan(read_back(exported.text), organization, {}).counts.ignored == 1


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


def test_a_nameless_webhook_is_in_no_scope() -> None:
    """The glob `*` matches an empty name, but the first apply must not delete the webhook."""
    found = live(live_slack("", "id-1"), live_slack("a", "id-2"))

    exported = export(found, only=("*", "a", "**"))

    result = plan(read_back(exported.text), found, {})
    assert (result.operations, [each.name for each in result.unmanaged]) == ((), [""])
    assert exported.left_out == (("", "the name is empty"),)
