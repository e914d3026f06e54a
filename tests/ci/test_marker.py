"""The hidden first line of comments and issues."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ci.marker import Kind, Marker, State, decode, encode
from reconciler.model import Scheme, SecretRef
from reconciler.planning.plan import OperationDigest, SecretCause
from reconciler.planning.resend import Resend

DIGEST = "sha256:" + "0123456789abcdef" * 4
OPERATION = "fedcba9876543210" * 2
MARKER = Marker(
    kind=Kind.PLAN,
    file="webhooks.yaml",
    organization="org-1",
    origin="https://api.cloudtruth.io",
    digest=DIGEST,
    part=2,
    complete=True,
    operations=(OperationDigest(digest=OPERATION, name="Audit", id="w-1"),),
)

names = st.text(max_size=40)
digests = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
operations = st.builds(OperationDigest, digest=digests, name=names, id=st.none() | names)
references = st.builds(
    SecretRef, scheme=st.sampled_from(Scheme), name=names, version=st.none() | st.integers(1, 9)
)
resends = st.builds(
    Resend,
    webhook=names,
    field=names,
    value=st.none() | names | st.booleans() | references,
    cause=st.sampled_from(SecretCause),
)
markers = st.builds(
    Marker,
    kind=st.sampled_from(Kind),
    label=names,
    file=names,
    organization=names,
    digest=st.none() | st.just("") | st.just(DIGEST),
    part=st.integers(1, 10),
    total=st.integers(1, 10),
    operations=st.lists(operations, max_size=3).map(tuple),
    resends=st.lists(st.tuples(digests, resends), max_size=3).map(tuple),
    settled=st.lists(st.tuples(digests, st.sampled_from(State)), max_size=3).map(tuple),
    complete=st.booleans(),
    code=names,
    failing=st.lists(st.tuples(names, names), max_size=3).map(tuple),
)


@given(markers)
def test_what_is_encoded_decodes_to_the_same(marker: Marker) -> None:
    """A marker survives its line, whatever names it holds, and stays inside its HTML comment."""
    line = encode(marker)
    assert decode(f"{line}\nrest") == marker
    assert line.isprintable()
    inner = line.removeprefix("<!--").removesuffix("-->")
    assert "--" not in inner
    assert ">" not in inner


@given(st.text())
def test_any_other_text_is_no_marker_and_no_crash(text: str) -> None:
    """What nobody encoded decodes to nothing."""
    assert decode(text) is None
    assert decode(f"<!-- cloudtruth-webhooks {text} -->") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"v":3', '"v":2'),
        (DIGEST, DIGEST[:-1]),
        (DIGEST, "sha256:" + "g" * 64),
        (OPERATION, "all"),
        ('"operations":[[', '"operations":[1,['),
        ('"operations":[[', '"operations":{"a":[['),
        ('"w-1"', "1"),
        ('"part":2', '"part":0'),
        ('"part":2', '"part":true'),
        ('"part":2', '"part":1'),
        ('"kind":"plan"', '"kind":"order"'),
        ('"complete":true', '"complete": true'),
        ('"complete":true', '"complete":false'),
        ('"file":"webhooks.yaml"', '"file":null'),
        ('"part":', '"run":'),
        ("<!-- cloudtruth", " <!-- cloudtruth"),
    ],
)
def test_a_line_that_somebody_edited_is_no_marker(old: str, new: str) -> None:
    """Whatever is not exactly of the form counts as no review."""
    line = encode(MARKER)
    assert old in line
    assert decode(line.replace(old, new)) is None
    assert decode(line) == MARKER


def test_an_editor_of_the_web_page_may_change_line_ends() -> None:
    """A carriage return after the line is no edit of it."""
    assert decode(encode(MARKER) + "\r\nrest") == MARKER


def test_deep_nesting_is_no_marker() -> None:
    """JSON that overflows the parser's stack is refused like any other."""
    assert decode(f'<!-- cloudtruth-webhooks {{"v":{"[" * 100_000}}} -->') is None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"kind": Kind.DRIFT, "digest": None, "operations": ()}, True),
        ({"organization": ""}, True),
        ({"organization": "org-2"}, False),
        ({"file": "other.yaml"}, False),
        ({"label": "eu"}, False),
    ],
)
def test_without_a_label_file_and_organization_tell_whose_it_is(change: dict, same: bool) -> None:
    """An organization that is not known yet is no difference."""
    assert MARKER.same_subject(replace(MARKER, **change)) is same


def test_with_a_label_the_label_alone_tells_whose_it_is() -> None:
    """Files may be renamed under a label."""
    labelled = replace(MARKER, label="eu")
    assert labelled.same_subject(replace(labelled, file="x.yaml", organization="org-9"))
