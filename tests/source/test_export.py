"""Export: live webhooks are written to a file that declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from reconciler.findings import has_errors
from reconciler.kinds import EVENT_TYPES
from reconciler.model import Live, LiveWebhook
from reconciler.planning.planner import plan
from reconciler.source.export import Export, export
from reconciler.source.new_references import Tokens
from reconciler.source.schemes import parse_reference
from tests.goldens import Golden, cases, rows
from tests.loading import load_text
from tests.planning.builders import live, live_generic, live_rows, live_slack, unshown

EXPORTED = Path(__file__).with_name("exported.txt")
HOSTILE = (
    'quotes "and\' more', "a # comment", "emoji 🚀", "yes", "~", "007", "[" * 256, "Ops", "ops",
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
    username = draw(st.sampled_from(("ct", "", None, "***", ...)) | st.text(max_size=8))
    if draw(st.booleans()):
        channel = draw(st.sampled_from(("#a", "b", "C0123ABCD", "@bob", "", None)) | st.text())
        token = draw(st.sampled_from(TOKENS + MASKS))
        made = live_slack(name, id, events=events, channel=channel, token=token, username=username)
    else:
        fields = {
            "url": draw(st.sampled_from(PLAIN_URLS + SECRET_URLS + MASKS)),
            "verify": draw(st.sampled_from((True, False, None, 0, "no", ...))),
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


def assigned(shared: str | None = None, named: Mapping[str, str] | None = None) -> Tokens:
    """Return the references of tokens that a user has assigned, see Tokens."""
    references = {name: parse_reference(text) for name, text in (named or {}).items()}
    return Tokens(parse_reference(shared) if shared else None, references)


@pytest.mark.parametrize("title", cases(EXPORTED))
def test_a_file_is_as_expected(title: str, golden: Golden) -> None:
    """The file has quotes only where needed, a reference for each secret, and each assumption.

    An assumption needs a warning unless the user has assigned a token to the username.
    """
    webhooks, references = (*yaml.safe_load_all(cases(EXPORTED)[title][0]), {})[:2]
    exported = assert_unchanged(live(*live_rows(webhooks)), assigned(**references))
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
