"""Live webhooks written as a file, and read again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings import has_errors
from reconciler.model import UNKNOWN, Live, LiveWebhook, Secret
from reconciler.planning.planner import plan
from reconciler.source.export import Export, as_glob, export, scalar
from reconciler.source.files import SourceFile, Sources
from reconciler.source.load import load_files
from tests.planning.builders import live, live_generic, live_slack, unshown

HOSTILE = (
    'quotes "and\' more', "a # comment", "emoji 🚀", "yes", "~", "007", "x" * 256, "Ops", "ops",
    "- dash", "colon: x", "{brace}", "[list]", "star*", "what?", "&anchor", "%x", "@at", "`tick`",
    "null", "1e3", "12:30", "2001-01-01", "Ünïcode", "on", "back\\slash", "tab\tx", "new\nline",
    "\u202eevil", "a,b", "| pipe", "", " spaces ", "zero\u200bwidth", "=", "<<", "!tag",
)  # fmt: skip


def read_back(text: str):
    sources = Sources(files=(SourceFile(file="exported.yaml", raw=text.encode()),))
    declared = load_files(sources)
    assert declared.desired is not None, [f"{f.rule}: {f.message}" for f in declared.findings]
    assert not has_errors(declared.findings)
    return declared.desired


def assert_unchanged(found: Live) -> Export:
    exported = export(found)
    result = plan(read_back(exported.text), found, {})
    assert result.operations == ()
    assert result.blocked == () or exported.declared == 0
    return exported


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_any_name_comes_back(name: str):
    """Planning the export shows no change, whatever the name."""
    assert_unchanged(live(live_slack(name, channel=name or "#x", username=name or "x")))


@pytest.mark.parametrize("letter", ["1", "github-", "é-", "-"])
@pytest.mark.parametrize("length", range(90, 120))
def test_a_long_name_gives_a_variable_that_may_be_used(letter: str, length: int):
    """Wherever a long name is cut, no digit and no forbidden prefix comes to stand in front."""
    exported = assert_unchanged(live(live_slack(letter * length)))
    (variable,) = exported.variables
    assert variable.startswith("WEBHOOK_")


def test_300_webhooks_made_by_hand_come_back():
    """Both types, hostile names, shared and own tokens, twins."""
    hooks = [
        live_slack(f"{name}{n}", f"id-{n}-{i}", token=f"xoxb-{n % 3}000000000-AAAA")
        if (n + i) % 3
        else live_generic(f"{name}{n}", f"id-{n}-{i}", username="u", password=f"pw{n}")
        for n in range(9)
        for i, name in enumerate(HOSTILE)
    ]
    hooks += [live_slack("twin", "id-a"), live_slack("twin", "id-b", channel="#other")]

    exported = assert_unchanged(live(*hooks))

    assert exported.declared > 270


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=8)), max_size=5))
def test_any_text_comes_back(pairs: list[tuple[str, str]]):
    """A law, not a list of examples."""
    hooks = [
        live_slack(name.encode("utf-8", "replace").decode(), f"id-{n}", channel=channel or "c")
        for n, (name, channel) in enumerate(pairs)
        if channel.isprintable()
    ]
    assert_unchanged(live(*hooks))


def test_the_file_reads_like_one_a_person_wrote():
    """Defaults pulled out, globs, quotes only where needed, variables at the end."""
    values = ("value_created", "value_updated", "value_deleted")
    found = live(
        live_slack("Deploys", "id-1", channel="#deploys", events=values),
        live_slack("Audit", "id-2", channel="audit", events=("parameter_deleted",)),
        live_generic("Pager", "id-3", username="ct", password="hunter22", verify=False),
    )  # fmt: skip

    text = export(found).text

    assert text.partition("\n\n")[2] == (
        """\
organization: Acme
prune: true  # what is live, in scope and not declared here gets deleted

defaults:
  type: slack
  configuration:
    token: {env: WEBHOOK_SLACK_TOKEN}
    username: CloudTruth

webhooks:
  - name: Audit
    event_types: [parameter_deleted]
    configuration:
      channel: audit

  - name: Deploys
    event_types: ["value_*"]
    configuration:
      channel: "#deploys"

  # https://hooks.example.com/***
  - name: Pager
    type: generic
    event_types: [value_created, value_updated]
    configuration:
      url: {env: WEBHOOK_PAGER_URL}
      verify: false
      username: ct
      password: {env: WEBHOOK_PAGER_PASSWORD}

# Set these before `webhooks apply`:
#   WEBHOOK_PAGER_PASSWORD  password of Pager
#   WEBHOOK_PAGER_URL  url of Pager
#   WEBHOOK_SLACK_TOKEN  token of Audit, Deploys
"""
    )


def test_no_secret_and_no_address_is_written():
    """References only."""
    found = live(live_slack(), live_generic(url="https://h.example.com/T0/B0/zzz", token="abcdef"))

    text = export(found).text

    assert "xoxb" not in text
    assert "zzz" not in text
    assert "abcdef" not in text


def test_masked_values_are_not_taken_for_one_value():
    """Stars are equal and say nothing."""
    found = live(live_slack("A", "id-1", token="*****"), live_slack("B", "id-2", token="*****"))

    assert list(export(found).variables) == [
        "WEBHOOK_A_TOKEN",
        "WEBHOOK_B_TOKEN",
    ]


@pytest.mark.parametrize(
    "found",
    [
        LiveWebhook(
            id="1",
            name="X",
            type="teams",
            event_types=frozenset(["value_created"]),
            configuration={},
        ),
        live_slack("X", events=("tag_created",)),
        live_slack("X", channel="*****"),
        live_slack("X", username=None),
        live_slack("X", events=()),
        unshown(live_slack("X"), UNKNOWN),
        live_slack("bad\x07name"),
    ],
    ids=["type", "event", "channel", "username", "no events", "configuration", "name"],
)
def test_what_a_file_cannot_say_is_ignored_with_the_reason(found: LiveWebhook):
    """It must not be deleted by the first apply."""
    organization = live(found, live_slack("Other", "id-2"))
    exported = assert_unchanged(organization)

    assert [name for name, _ in exported.left_out] == [found.name]
    assert plan(read_back(exported.text), organization, {}).ignored == 1


def test_a_password_that_is_left_out_is_there_all_the_same():
    """Its user name is shown, and the two come together; without one there is neither."""
    shown = {"url": Secret("https://hooks.example.com/ct"), "username": "u"}
    omitted = replace(live_generic("A", "id-1"), configuration=shown)
    without = replace(live_generic("B", "id-2"), configuration={"url": shown["url"]})

    exported = assert_unchanged(live(omitted, without))

    assert exported.text.count("password: {env: WEBHOOK_A_PASSWORD}") == 1
    assert exported.text.count("password:") == 1


def test_what_a_server_says_does_not_leave_its_comment():
    """A type with a line break in it is a comment of one line, and its quotes are left as is."""
    strange = replace(live_slack("X"), type='a "b"\nprune: false\u2028#')

    exported = assert_unchanged(live(strange))

    (line,) = [each for each in exported.text.splitlines() if each.startswith("  - X")]
    assert line.endswith(r'does not know the type a "b"\u000Aprune: false\u2028#')


def test_an_edit_made_by_hand_shows_after_the_export():
    """The export is a file like any other."""
    text = export(live(live_slack())).text

    changed = plan(read_back(text), live(live_slack(channel="#by-hand")), {})

    assert [each.name for each in changed.updates] == ["Deploys"]


def test_a_part_can_be_exported_with_its_own_scope():
    """What is not exported is out of scope, so it is not deleted."""
    found = live(live_slack("a-1", "id-1"), live_slack("b-1", "id-2"))

    exported = export(found, only=("a-*",))

    result = plan(read_back(exported.text), found, {})
    assert (result.operations, [each.name for each in result.unmanaged]) == ((), ["b-1"])


def test_a_nameless_webhook_is_in_no_scope():
    """A glob of nothing but stars matches it too, and it must not be deleted by the first apply."""
    found = live(live_slack("", "id-1"), live_slack("a", "id-2"))

    exported = export(found, only=("*", "a", "**"))

    result = plan(read_back(exported.text), found, {})
    assert (result.operations, [each.name for each in result.unmanaged]) == ((), [""])


def test_an_empty_organization_gives_an_empty_list():
    """Nothing live: nothing declared."""
    assert "webhooks: []" in export(live()).text


@pytest.mark.parametrize(
    ("name", "glob"), [("a*b", "a[*]b"), ("[x]?", "[[]x][?]"), ("bell\x07", "bell?")]
)
def test_a_name_becomes_a_glob_that_matches_it(name: str, glob: str):
    """Special characters lose their meaning."""
    assert as_glob(name) == glob


@pytest.mark.parametrize(
    ("text", "yaml"),
    [
        ("plain", "plain"),
        ("two words", "two words"),
        ("yes", '"yes"'),
        ("007", '"007"'),
        ("#x", '"#x"'),
        ('a "b" \\', r'"a \"b\" \\"'),
        ("no-break\u00a0space", r'"no-break\u00A0space"'),
        ("zero\u200bwidth", r'"zero\u200Bwidth"'),
        ("\U000e0041", r'"\U000E0041"'),
    ],
)
def test_quotes_stand_only_where_they_are_needed(text: str, yaml: str):
    """As a person writes."""
    assert scalar(text) == yaml


def test_a_long_name_is_written_at_once():
    """Whether quotes are needed is seen in one pass, however long a word is before it ends."""
    text = "a" * 10_000
    assert scalar(text) == text
    assert scalar(f"{text}!") == f'"{text}!"'


def test_equal_tokens_of_some_are_named_after_the_first():
    """One name for one value."""
    found = live(
        live_slack("A", "id-1", token="xoxb-1111111111-AAAA"),
        live_slack("B", "id-2", token="xoxb-1111111111-AAAA"),
        live_slack("C", "id-3", token="xoxb-2222222222-AAAA"),
        live_slack("c", "id-4", token="xoxb-3333333333-AAAA"),
    )

    assert list(export(found).variables) == [
        "WEBHOOK_A_TOKEN",
        "WEBHOOK_C_TOKEN",
        "WEBHOOK_C_TOKEN_2",
    ]
