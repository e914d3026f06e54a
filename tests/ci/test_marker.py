"""The hidden first line of comments and issues."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from reconciler.ci.marker import (
    Marker,
    MarkerKind,
    Outcome,
    ShownOperation,
    Subject,
    decode,
    encode,
)
from reconciler.model import SecretRef
from reconciler.planning.plan import SecretCause
from reconciler.planning.resend import Resend
from reconciler.planning.review import operation_digest
from reconciler.source.schemes import SCHEMES
from tests.goldens import rows

DIGEST = "sha256:" + "0123456789abcdef" * 4
OPERATION = "fedcba9876543210" * 2
ACME = Subject("https://api.cloudtruth.io", "org-1", "Acme", "Acme")
MARKER = Marker(
    kind=MarkerKind.PLAN,
    file="webhooks.yaml",
    digest=DIGEST,
    part=2,
    subjects=(ACME,),
    operations=(ShownOperation(ACME, operation_digest(OPERATION, "w-1", "Audit")),),
    outcomes=(Outcome(ACME, complete=True),),
    head="c0ffee",
)

names = st.text(max_size=40)
digests = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
ids = st.none() | names | st.uuids().map(str)
operations = st.builds(operation_digest, digests, ids, names)
references = st.builds(
    SecretRef,
    scheme=st.sampled_from([*SCHEMES, "literal"]),
    name=names,
    version=st.none() | st.integers(1, 9),
)
resends = st.builds(
    Resend,
    webhook=names,
    field=names,
    value=st.none() | names | st.booleans() | references,
    cause=st.sampled_from(SecretCause),
    id=st.just(""),
)
subjects = st.builds(Subject, names, names, names, names)
shown = st.builds(ShownOperation, subjects, operations, st.none() | resends).map(
    lambda row: row._replace(resend=row.resend and row.resend._replace(id=row.digest.id or ""))
)
outcomes = st.builds(
    Outcome,
    subjects,
    names,
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(digests, st.booleans()), max_size=3).map(tuple),
)
markers = st.builds(
    Marker,
    kind=st.sampled_from(MarkerKind),
    label=names,
    file=names,
    environment=names,
    digest=st.none() | st.just("") | st.just(DIGEST),
    part=st.integers(1, 10),
    total=st.integers(1, 10),
    subjects=st.lists(subjects, max_size=3).map(tuple),
    operations=st.lists(shown, max_size=3).map(tuple),
    outcomes=st.lists(outcomes, max_size=3).map(tuple),
    code=names,
    failing=st.lists(st.tuples(names, names), max_size=3).map(tuple),
    head=st.just("") | st.just("c0ffee"),
)


@given(markers)
def test_an_encoded_marker_decodes_to_the_same(marker: Marker) -> None:
    """A marker is one line inside an HTML comment, whatever names it has."""
    line = encode(marker)
    assert decode(f"{line}\nrest") == marker
    assert decode(f"{line}\r\nrest") == marker  # the line breaks of the web editor
    assert line.isprintable()
    inner = line.removeprefix("<!--").removesuffix("-->")
    assert "--" not in inner
    assert ">" not in inner


@given(st.text())
@example('{"v":' + "[" * 100_000 + "}")  # overflows the parser's stack
def test_other_text_is_not_a_marker(text: str) -> None:
    """Text that was not encoded decodes to None."""
    assert decode(text) is None
    assert decode(f"<!-- cloudtruth-webhooks {text} -->") is None


@pytest.mark.parametrize(("old", "new"), rows(Path(__file__).with_name("edited_markers.yaml")))
def test_an_edited_marker_is_not_a_marker(old: str, new: str) -> None:
    """A line that is not exactly in the format is not a review."""
    line = encode(MARKER)
    fields, _, packed = line.removesuffix(" -->").rpartition(" ")
    content = f"{fields}\n{zlib.decompress(b64decode(packed)).decode()}"
    assert old in content
    fields, _, lists = content.replace(old, new).partition("\n")
    packed = b64encode(zlib.compress(lists.encode())).decode()
    assert decode(f"{fields} {packed} -->") is None
    assert decode(line) == MARKER
