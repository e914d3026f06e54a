"""The program and an independent validator accept the same files, and those can be loaded."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml
from hypothesis import given, settings, strategies as st
from jsonschema import Draft7Validator

from reconciler.findings import Position, Severity
from reconciler.kinds import KINDS
from reconciler.source.document import LISTED, Document
from reconciler.source.explain import explain
from reconciler.source.lint import Rules
from reconciler.source.load import build
from reconciler.source.schema import Part, parts, schema_text
from tests.loading import load_text
from tests.source.test_schema_file import GOOD
from tests.source.test_yaml_laws import places

# In Python, `$` also matches before a line break at the end of a string.
SCHEMA = json.loads(schema_text("webhooks.schema.json").replace('$"', '\\\\Z"'))
VALIDATOR = Draft7Validator(SCHEMA)
COMPLETE = {
    name: Draft7Validator({"$ref": f"#/$defs/{name}Webhook", "$defs": SCHEMA["$defs"]})
    for name in KINDS
}


def schema_accepts(data: Any) -> bool:
    """Return whether the file is valid and each webhook is complete with its defaults."""
    if not VALIDATOR.is_valid(data):
        return False
    for part in parts(data):
        if part.item is not None and part.data.get("state") != "absent":
            validator = COMPLETE.get(part.data.get("type", ""))
            if validator is None or not validator.is_valid(part.data):
                return False
    return True


def engine_accepts(data: dict[str, Any]) -> bool:
    """Return whether the program accepts all parts of the file, which it then can build."""
    found = list(parts(data))
    if not all(map(Part.is_valid, found)):
        return False
    items = {key: [Position(file="a.yaml", line=1)] * len(data.get(key, ())) for key in LISTED}
    document = Document(file="a.yaml", text="", data=data, items=items)
    built = build([document], {"a.yaml": found})
    return len(built.webhooks) + len(built.absent) == len(data["webhooks"])


VALID: dict[str, Any] = yaml.safe_load(GOOD)
VALUES = (
    *(None, True, 0, 1, -1, 1.0, 0.5, 2**53, [], {}, [1], ["A"], ["A", "A"], {"x": None}),
    *("", "A", "x\n", "slack", "generic", "present", "absent"),
    *("*", "value_*", "nope", "NOPE_*", "*\n", "a?", "[!", "*" * 129),
    *("http://u:p@a", "https://", "ftp://a", "https://a b", "https://a/\n", "x" * 257),
    *({"env": name} for name in ("A", "_a1", "1a", "", "A B", "A\n")),
    *({"env": "A", "version": version} for version in (0, 1, 1.0, 0.5, True, "1")),
    *({"file": "a/b"}, {"file": ""}, {"env": "A", "file": "x"}, {"version": 1}),
)
KEYS = ("name", "chanel", "type", "token", "url", "state", "x-a", "id", "env", "exclude")


PLACES = [path for path, _ in places(VALID) if path]


def with_value(data: dict[str, Any], path: tuple[Any, ...], *value: Any) -> dict[str, Any]:
    """Return a copy with `value` at a path, or without that path; as it is without the parent."""
    data = parent = copy.deepcopy(data)
    try:
        for step in path[:-1]:
            parent = parent[step]
        if value:
            parent[path[-1]] = copy.deepcopy(value[0])
        else:
            del parent[path[-1]]
    except (LookupError, TypeError):  # an earlier change removed the place
        pass
    return data


def test_both_engines_accept_the_same_files() -> None:
    """Both validators agree about any value in any place, and about any missing value."""
    files = [with_value(VALID, path, value) for path in PLACES for value in VALUES]
    results = set()
    for data in (VALID, *files, *(with_value(VALID, path) for path in PLACES)):
        results.add(engine_accepts(data))
        assert engine_accepts(data) is schema_accepts(data), data
    assert results == {True, False}


junk = st.recursive(
    st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=3,
)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Return a file with two values replaced, removed or added anywhere, or any other tree."""
    data = VALID
    for _ in range(2):
        path = draw(st.sampled_from(PLACES))
        path = draw(st.sampled_from([path, (*path[:-1], draw(st.sampled_from(KEYS)))]))
        data = with_value(data, path, *draw(st.lists(junk, max_size=1)))
    other = st.dictionaries(st.sampled_from(["webhooks", "defaults", "limits"]), junk)
    return draw(st.sampled_from([data, data, draw(other)]))


@given(files())
@settings(max_examples=300, deadline=None)
def test_any_file_is_loaded_or_has_errors(data: dict[str, Any]) -> None:
    """A file gives declarations, or errors with a position and a source line."""
    assert engine_accepts(data) is schema_accepts(data)
    document = Document(file="a.yaml", text="", data=data)
    rejected = [part for part in parts(data) if not part.is_valid()]
    assert all(finding.rule != "bad-value" for finding in explain(document, rejected))
    text = json.dumps(data, indent=1)
    outcome = load_text(text)
    errors = [each for each in outcome.findings if each.severity is Severity.ERROR]
    assert (outcome.desired is None) is bool(errors)
    for finding in outcome.findings:
        assert finding.position is not None
        assert 1 <= finding.position.line <= text.count("\n") + 1
        assert finding.excerpt is not None
    if not engine_accepts(data):
        assert errors


TOKEN, URL = "xoxb-123456789012-hunter2", "https://u:hunter2@a.example/x?y=hunter2"
SECRETS = (
    *(TOKEN, URL, f"*{TOKEN}", [TOKEN], [URL], {TOKEN: TOKEN}),
    *({"env": TOKEN}, {"file": TOKEN}, {"env": URL}, {"env": "hunter2 x"}),
)


def test_a_secret_in_any_place_is_not_shown() -> None:
    """No error shows a Slack token or a URL with a password, wherever it is in the file."""
    for data in (with_value(VALID, path, value) for path in PLACES for value in SECRETS):
        outcome = load_text(json.dumps(data), rules=Rules(allow_secrets=("env:A",)))
        assert outcome.findings, data
        assert "hunter2" not in repr(outcome.findings), data
