"""The judge's explanations: one for each mistake, at its place, with a way out."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.findings import Finding, Place, error
from reconciler.source import explain as module
from reconciler.source.position import placed
from reconciler.source.schema import accepts, parts, schema
from reconciler.source.yaml import Document, parse


def read(text: str) -> Document:
    document = parse(text.encode(), "w.yaml")
    assert document.usable
    return document


def rejected(data: Any) -> list[Finding]:
    """What the schema rejects of a file, with places as paths."""
    document = data
    if not isinstance(data, Document):
        document = Document(file="w.yaml", text="{}\n", data=data)
    return module.explain(document, [each for each in parts(document.data) if not accepts(each)])


def explain(document: Document) -> list[Finding]:
    """The same with positions, without what else a complete webhook would need."""
    found = placed({document.file: document}, rejected(document))
    return [
        each
        for each in found
        if (each.rule, each.hint) != ("missing-field", DEFAULTS) or "`type`" in each.message
    ]


def said(each: Finding) -> tuple[str, str, str, str | None]:
    place = each.position
    assert place is not None
    return (
        f"{place.line}:{place.column}+{place.width}",
        each.rule,
        each.message,
        each.hint,
    )


NONE = "to declare that there are no webhooks, write `webhooks: []`"
DEFAULTS = "write it here, or for all webhooks of the file under `defaults`"
FILL = "write a text, or delete the key"
FIELDS = "write the webhook's fields, beginning with `- name: ...`"
NAME = "write `name: ...`: it says which webhook this is"
REFER = "refer to it: `{env: NAME}` or `{file: PATH}`"
ALL_EVENTS = (
    "the events are parameter, template, project, environment or value, with _created, _updated "
    "or _deleted, as in `value_created`"
)
EVENTS = "event_types: ['*']"
SLACK = "name: a, type: slack"
GENERIC = "name: a, type: generic"

ROOT = {
    "version: 1": ("1:1+7", "missing-field", "`webhooks` is missing",
        f"{NONE}; move a file of another kind out of this directory"),
    '{"name": "A", "type": "slack", "event_types": ["*"]}': (
        "1:2+6", "missing-field", "`webhooks` is missing: a single webhook makes up the file",
        "begin the file with `webhooks:`, and below it the webhook with `- name: ...`",
    ),
    "webhooks:": ("1:1+8", "null-value", "`webhooks` has no value", NONE),
    "webhooks: {a: 1}": (
        "1:11+6", "wrong-type", "`webhooks` must be a list, not a mapping",
        "begin each webhook with `- name: ...`",
    ),
    "webhooks: []\nversion: 2": (
        "2:10+1", "unsupported-version", "this version of the file's format is not known",
        "write `version: 1`; a newer version needs a newer program",
    ),
    "webhooks: []\nversion: '1'": (
        "2:10+3", "wrong-type", "`version` must be a whole number, not text",
        "write the number without quotes",
    ),
    "webhooks: []\nprune: yes": (
        "2:8+3", "wrong-type", "`prune` must be true or false, not text",
        "write `true` or `false`, without quotes",
    ),
    "webhooks: []\nscope: a-*": (
        "2:8+3", "wrong-type", "`scope` must be a list, not text",
        "write a list, even of one item: `[item]`",
    ),
    "webhooks: []\nignore: [a, b, a]": (
        "2:16+1", "duplicate-item", "this stands twice in `ignore`", "delete one of the two",
    ),
    "webhooks: []\nprotect: [7]": (
        "2:11+1", "not-text", "an item of `protect` must be text, and YAML reads this as a number",
        "put it in quotes",
    ),
    "webhooks: []\nprotect: ['']": ("2:11+2", "empty-text", "an item of `protect` is empty", FILL),
    "webhooks: []\nlimits: {max_deletes: -1}": (
        "2:23+2", "out-of-range", "`max_deletes` must be at least 0",
        "write a whole number, 0 or more",
    ),
    "webhooks: []\nlimits: {max_deletes: true}": (
        "2:23+4", "wrong-type", "`max_deletes` must be a whole number, not true or false",
        "write a number such as `5`",
    ),
    "webhooks: []\nlimits: [5]": (
        "2:9+3", "wrong-type", "`limits` must be a mapping, not a list",
        "write `key: value`, on indented lines below",
    ),
    "webhooks: []\nprotec: [a]": (
        "2:1+6", "unknown-key", "unknown key `protec`", "did you mean `protect`?",
    ),
    "webhooks: []\nchannel: a": (
        "2:1+7", "unknown-key", "unknown key `channel`",
        "known here: `$schema`, `version`, `organization`, `prune`, `scope`, `ignore`, `protect`, "
        "`limits`, `defaults` and `webhooks`",
    ),
    "webhooks: []\norganization: #Acme": (
        "2:15+3", "comment-value",
        "`organization` has no value: in YAML a `#` after a space starts a comment",
        'put the text in quotes: `organization: "#..."`',
    ),
    "webhooks: []\norganization: # Acme": (
        "2:15+3", "null-value", "`organization` has no value", "give it one, or delete the key",
    ),
    "webhooks: []\nscope:\n  - #a": (
        "3:5+2", "comment-value",
        "an item of `scope` has no value: in YAML a `#` after a space starts a comment",
        'put the text in quotes: `- "#..."`',
    ),
    "webhooks: []\nscope:\n  - ": (
        "3:3+1", "null-value", "an item of `scope` has no value", "give it one, or delete the line",
    ),
    f"webhooks: []\nscope: [{'a' * 257}]": (
        "2:9+257", "text-too-long", "an item of `scope` is longer than 256 characters",
        "shorten it",
    ),
    "webhooks: []\ndefaults: slack": (
        "2:11+5", "wrong-type", "`defaults` must be a mapping, not text",
        "write `key: value`, on indented lines below",
    ),
    "webhooks: []\ndefaults: {type: slak}": (
        "2:18+4", "unknown-type", "unknown type `slak`", "did you mean `slack`?",
    ),
    "webhooks: []\ndefaults: {name: a}": (
        "2:12+4", "unknown-key", "unknown key `name`",
        "known here: `type`, `event_types` and `configuration`",
    ),
    "webhooks: []\ndefaults: {type: slack, configuration: {url: x}}": (
        "2:41+3", "unknown-key", "unknown key `url`",
        "`url` belongs to webhooks of type `generic`",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ROOT.items())
def test_settings_of_a_file(text: str, expected: tuple[str, str, str, str | None]) -> None:
    """Each mistake at the root yields one finding that says what, where, and what next."""
    assert [said(each) for each in explain(read(text))] == [expected]


ITEMS = {
    "a": ("1:12+1", "wrong-type", "a webhook must be a mapping, not text", FIELDS),
    "~": ("1:12+1", "null-value", "a webhook has no value", "give it one, or delete the line"),
    "{type: slack}": ("1:13+4", "missing-field", "`name` is missing", NAME),
    "{name: a}": ("1:19+1", "missing-field", "`type` is missing", DEFAULTS),
    f"{{{SLACK}, nmae: b}}": (
        "1:35+4", "unknown-key", "unknown key `nmae`", "did you mean `name`?",
    ),
    f"{{{SLACK}, channel: b}}": (
        "1:35+7", "unknown-key", "unknown key `channel`", "`channel` belongs under `configuration`",
    ),
    "{name: a, type: slak}": (
        "1:28+4", "unknown-type", "unknown type `slak`", "did you mean `slack`?",
    ),
    "{name: a, type: mail}": (
        "1:28+4", "unknown-type", "unknown type `mail`", "the types are `slack` and `generic`",
    ),
    "{name: a, type: 5}": (
        "1:28+1", "not-text", "`type` must be text, and YAML reads this as a number",
        "put it in quotes",
    ),
    f"{{{SLACK}, state: gone}}": (
        "1:42+4", "unknown-state", "unknown state `gone`",
        "write `state: absent` to have the webhook deleted; else leave it out",
    ),
    "{name: a, state: absent, type: slack}": (
        "1:37+4", "unknown-key", "unknown key `type`",
        "an entry with `state: absent` takes only `name`, `state`, `id` and `organization`",
    ),
    "{state: absent, id: x}": ("1:13+5", "missing-field", "`name` is missing", NAME),
    f"{{{SLACK}, event_types: []}}": (
        "1:48+2", "empty-list", "`event_types` needs an item",
        'name events, or write `["*"]` for all',
    ),
    f"{{{SLACK}, event_types: ['{'*' * 129}']}}": (
        "1:49+3", "text-too-long", "an item of `event_types` is longer than 128 characters",
        "shorten it",
    ),
    f"{{{SLACK}, event_types: [value_create]}}": (
        "1:49+12", "unknown-event", "unknown event `value_create`",
        "did you mean `value_created`?",
    ),
    f"{{{SLACK}, event_types: [5]}}": (
        "1:49+1", "not-text",
        "an item of `event_types` must be text, and YAML reads this as a number",
        "put it in quotes",
    ),
    f"{{{SLACK}, event_types: ['']}}": ("1:49+2", "empty-text", "an event is empty", ALL_EVENTS),
    f"{{{SLACK}, previously: old}}": (
        "1:47+3", "wrong-type", "`previously` must be a list, not text",
        "write a list, even of one item: `[item]`",
    ),
    f"{{{SLACK}, configuration: x}}": (
        "1:50+1", "wrong-type", "`configuration` must be a mapping, not text",
        "write `key: value`, on indented lines below",
    ),
    f"{{{SLACK}, configuration: {{channel: true}}}}": (
        "1:60+4", "not-text", "`channel` must be text, and YAML reads this as true or false",
        "put it in quotes",
    ),
    f"{{{SLACK}, configuration: {{channel: [a]}}}}": (
        "1:60+3", "wrong-type", "`channel` must be text, not a list",
        "write one text; in quotes it may hold any character",
    ),
    f"{{{SLACK}, configuration: {{verify: true}}}}": (
        "1:51+6", "unknown-key", "unknown key `verify`",
        "`verify` belongs to webhooks of type `generic`",
    ),
    f"{{{GENERIC}, configuration: {{verify: no}}}}": (
        "1:61+2", "wrong-type", "`verify` must be true or false, not text",
        "write `true` or `false`, without quotes",
    ),
    f"{{{GENERIC}, configuration: {{url: example.com/x}}}}": (
        "1:58+3", "bad-url", "`url` is no absolute http or https URL",
        "start it with `https://` or `http://`, and leave spaces out",
    ),
    f"{{{SLACK}, configuration: {{token: 12345}}}}": (
        "1:58+3", "not-text", "`token` must be text, and YAML reads this as a number",
        REFER,
    ),
    f"{{{SLACK}, configuration: {{token: [a]}}}}": (
        "1:58+3", "wrong-type", "`token` must be text, not a list", REFER,
    ),
    f"{{{SLACK}, configuration: {{token: ''}}}}": (
        "1:58+2", "empty-text", "`token` is empty", FILL,
    ),
    f"{{{SLACK}, configuration: {{token: {{evn: A}}}}}}": (
        "1:59+3", "unknown-key", "unknown key `evn`", "did you mean `env`?",
    ),
    f"{{{SLACK}, configuration: {{token: {{env: A, file: b}}}}}}": (
        "1:58+17", "bad-reference", "`token` takes `env` or `file`, not both",
        "write `{env: NAME}` or `{file: PATH}`",
    ),
    f"{{{SLACK}, configuration: {{token: {{value: abc}}}}}}": (
        "1:58+12", "bad-reference", "`token` takes text or a reference to a secret",
        "write `{env: NAME}` or `{file: PATH}`",
    ),
    f"{{{SLACK}, configuration: {{token: {{env: my-token}}}}}}": (
        "1:64+3", "bad-variable-name", "this cannot be the name of a variable",
        "write the name of the variable that holds the secret, not the secret",
    ),
    f"{{{SLACK}, configuration: {{token: {{env: A, version: 0}}}}}}": (
        "1:76+1", "out-of-range", "`version` must be at least 1",
        "write a whole number, 1 or more",
    ),
    f"{{{SLACK}, configuration: {{token: {{env: A, versoin: 1}}}}}}": (
        "1:67+7", "unknown-key", "unknown key `versoin`", "did you mean `version`?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("item", "expected"), ITEMS.items())
def test_webhooks(item: str, expected: tuple[str, str, str, str | None]) -> None:
    """Each mistake in a webhook yields one finding, of the branch its author had in mind."""
    assert [said(each) for each in explain(read(f"webhooks: [{item}]"))] == [expected]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("webhook: []", "webhooks"),
        ("webhooks: [{nam: a, type: slack}]", "name"),
        ("webhooks: [{name: a, tpye: slack}]", "type"),
    ],
)
def test_a_misspelt_key_is_not_called_missing_as_well(text: str, meant: str) -> None:
    """One slip, one finding: the advice for the misspelt key is enough."""
    (found,) = explain(read(text))
    assert (found.rule, found.hint) == ("unknown-key", f"did you mean `{meant}`?")


def test_an_anchor_does_not_stand_for_a_key_of_the_file() -> None:
    """A key that begins with `x-` is no misspelling: what is missing is said."""
    (found,) = explain(read("x-webhooks: []"))
    assert found.rule == "missing-field"


def test_a_misspelt_type_does_not_hide_the_rest() -> None:
    """The nearest type's branch is explained as well."""
    document = read("webhooks: [{name: a, type: slak, configuration: {chanel: b}}]")
    assert {each.rule for each in explain(document)} == {"unknown-type", "unknown-key"}


def test_without_a_type_the_defaults_choose_the_branch() -> None:
    """A webhook that leaves its type to `defaults` is judged as one of that type."""
    text = "webhooks: [{name: a, configuration: {url: 'https://x', channel: b}}]\ndefaults: {type: "
    for type_, alien in (("slack", "url"), ("generic", "channel")):
        (found,) = explain(read(f"{text}{type_}}}"))
        assert found.message == f"unknown key `{alien}`"


def test_without_any_type_the_better_fitting_branch_is_explained() -> None:
    """Nothing says the type: the branch with fewer objections is the likely one."""
    document = read("webhooks: [{name: a, configuration: {url: 'https://x', verify: 1}}]")
    assert {each.rule for each in explain(document)} == {"wrong-type", "missing-field"}


def test_merged_mistakes_are_shown_where_they_are_written() -> None:
    """An anchor's mistake is mended at the anchor."""
    document = read(
        "x-a: &a {type: slack, configuration: {chanel: x}}\nwebhooks:\n  - {name: a, <<: *a}\n"
    )
    (found,) = explain(document)
    assert found.position is not None
    assert (found.position.line, found.rule) == (1, "unknown-key")
    assert found.excerpt == "x-a: &a {type: slack, configuration: {chanel: ***}}"


def test_a_comment_in_place_of_a_secret_is_not_quoted() -> None:
    """What follows the # may be the secret itself."""
    document = read(f"webhooks: [{{{SLACK}, configuration: {{token: #abc\n}}}}]")
    (found,) = explain(document)
    assert found.rule == "comment-value"
    assert found.hint == 'put the text in quotes: `token: "#..."`'
    assert "abc" not in repr(found)


def test_the_channel_that_became_a_comment() -> None:
    """The most frequent mistake gets the form to write."""
    text = f"webhooks:\n  - {{{SLACK}}}\n  - name: b\n    type: slack\n    configuration:\n"
    (found,) = explain(read(text + "      channel: #alerts  # for all\n"))
    assert said(found) == (
        "6:16+3",
        "comment-value",
        "`channel` has no value: in YAML a `#` after a space starts a comment",
        'put the text in quotes: `channel: "#..."`',
    )


COMPLETE: dict[str, dict[str, Any]] = {
    "slack": {"token": {"env": "A"}, "channel": "#a", "username": "b"},
    "generic": {"url": "https://x"},
}


def webhook(type_: str, **configuration: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "type": type_,
        "event_types": ["value_created", "*_deleted", "[pt]*"],
        "configuration": {**COMPLETE[type_], **configuration},
    }


@pytest.mark.parametrize("type_", COMPLETE)
def test_complete_webhooks_are_accepted(type_: str) -> None:
    """What has all it needs is fine, with every optional field too."""
    whole = webhook(type_)
    assert rejected({"webhooks": [whole]}) == []
    whole |= {"id": "x", "previously": ["b"], "organization": "Acme", "state": "present"}
    assert rejected({"webhooks": [whole]}) == []


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        ("slack", ("name",)),
        ("slack", ("type",)),
        ("slack", ("event_types",)),
        ("slack", ("configuration",)),
        ("slack", ("configuration", "token")),
        ("slack", ("configuration", "channel")),
        ("slack", ("configuration", "username")),
        ("generic", ("configuration", "url")),
    ],
)
def test_complete_webhooks_lack_nothing(type_: str, path: tuple[str, ...]) -> None:
    """After `defaults` are merged, each needed field that is not there is named."""
    whole = webhook(type_)
    holder = whole if len(path) == 1 else whole["configuration"]
    del holder[path[-1]]
    (found,) = rejected({"webhooks": [whole]})
    assert (found.place, found.rule) == (
        Place("w.yaml", ("webhooks", 0, *path), key=True),
        "missing-field",
    )
    assert found.message == f"`{path[-1]}` is missing"


@pytest.mark.parametrize(("one", "other"), [("username", "password"), ("password", "username")])
def test_basic_authentication_needs_both_halves(one: str, other: str) -> None:
    """A user without a password, or the reverse, is no authentication."""
    (found,) = rejected({"webhooks": [webhook("generic", **{one: "x"})]})
    assert found == error(
        "missing-field",
        f"`username` and `password` come together: `{other}` is missing",
        DEFAULTS,
        Place("w.yaml", ("webhooks", 0, "configuration", other), key=True),
    )


SECRET = "hunter2"
SECRETS = [
    f"{{{GENERIC}, configuration: {{url: {SECRET}}}}}",
    f"{{{GENERIC}, configuration: {{password: [{SECRET}]}}}}",
    f"{{{GENERIC}, configuration: {{pasword: {SECRET}}}}}",
    f"{{{SLACK}, configuration: {{url: 'https://{SECRET}'}}}}",
    f"{{{SLACK}, configuration: {{token: {{{SECRET}: {SECRET}}}}}}}",
    f"{{{SLACK}, configuration: {{token: {{env: {SECRET}-x}}}}}}",
    f"{{{SLACK}, configuration: {{token: {{env: A, version: {SECRET}}}}}}}",
    f"{{{SLACK}, configuration: {{token: #{SECRET}\n}}}}",
    f"{{{SLACK}, configuration: {{channel: 5, token: {SECRET}}}}}",
    f"{{{SLACK}, configuration: {{token: {SECRET}, channel: 5}}}}",
    f"{{{SLACK}, token: {SECRET}}}",
    f"{{name: a, type: xoxb-{SECRET}}}",
    f"{{{SLACK}, event_types: [xoxb-{SECRET}]}}",
    f"{{{SLACK}, xoxb-{SECRET}: 1}}",
]


@pytest.mark.parametrize("item", SECRETS)
def test_no_value_of_a_secret_is_ever_shown(item: str) -> None:
    """Whatever is wrong with a secret, it is not said aloud."""
    found = explain(read(f"webhooks: [{item}]"))
    assert found
    assert SECRET not in repr(found)


def test_every_keyword_of_the_schema_has_words() -> None:
    """Whatever the engine objects to, there are words for it."""

    def keywords(part: Any) -> set[str]:
        found: set[str] = set()
        if isinstance(part, dict):
            found |= {key for key in part if key in KEYWORDS}
            for key, each in part.items():
                if key not in ("default", "examples", "defaultSnippets"):
                    found |= keywords(each)
        elif isinstance(part, list):
            for each in part:
                found |= keywords(each)
        return found

    explained_elsewhere = {"enum"}  # of a union: `_bad_event`
    assert keywords(schema()) - explained_elsewhere == module.WORDS.keys()


KEYWORDS = frozenset(Draft7Validator.VALIDATORS) - {
    "$ref", "allOf", "if", "items", "properties", "patternProperties",
}  # fmt: skip
"""The keywords that can reject a value themselves."""


@pytest.mark.parametrize("data", [{}, {"webhooks": 1}, {"defaults": []}, {"webhooks": [[]]}])
def test_any_data_is_explained(data: Any) -> None:
    """Data of any shape yields findings, never an exception."""
    assert rejected(data)
