"""The hidden first line of comments and issues."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ci.marker import OPERATIONS_SPACE, Marker, decode, encode, listed
from reconciler.planning.digest import Operation

DIGEST = "sha256:" + "0123456789abcdef" * 4
OPERATION = "fedcba9876543210" * 2
MARKER = Marker(
    kind="plan",
    label="",
    file="webhooks.yaml",
    organization="org-1",
    origin="https://api.cloudtruth.io",
    digest=DIGEST,
    operations=(OPERATION,),
    run="https://github.com/acme/hooks/actions/runs/1",
    version="1.2.3",
)

names = st.text(max_size=40)


@given(
    label=names,
    file=names,
    organization=names,
    operations=st.none() | st.lists(st.from_regex(r"[0-9a-f]{32}", fullmatch=True), max_size=3),
)
def test_what_is_encoded_decodes_to_the_same(
    label: str, file: str, organization: str, operations: list[str] | None
) -> None:
    """A marker survives its line, whatever names it holds, and stays inside its HTML comment."""
    marker = replace(
        MARKER,
        label=label,
        file=file,
        organization=organization,
        operations=None if operations is None else tuple(operations),
    )
    line = encode(marker)
    assert decode(f"{line}\nrest") == marker
    assert "\n" not in line
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
        ('"v":1', '"v":2'),
        (DIGEST, DIGEST[:-1]),
        (DIGEST, "sha256:" + "g" * 64),
        (OPERATION, "all"),
        ('"operations":["', '"operations":[1,"'),
        ('"operations":[', '"operations":{"a":['),
        ('"operations":["' + OPERATION + '"]', '"operations":{}'),
        ('"file":"webhooks.yaml"', '"file":null'),
        ('"version":', '"v2":'),
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


def test_operations_are_listed_once() -> None:
    """By their digests."""
    twice = [Operation(digest=OPERATION, name=name) for name in ("a", "b")]
    assert listed(twice) == (OPERATION,)
    assert listed([]) == ()


def test_too_many_operations_are_not_listed() -> None:
    """Beyond the space in a comment only the plan as a whole can be approved."""
    distinct = [Operation(digest=f"{number:032x}", name="w") for number in range(2000)]
    assert listed(distinct) is None
    assert len(listed(distinct[:800]) or ()) == 800
    assert len(encode(replace(MARKER, operations=listed(distinct[:800])))) < OPERATIONS_SPACE + 1000


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"run": "elsewhere", "version": "9", "digest": None, "operations": ()}, True),
        ({"organization": ""}, True),
        ({"organization": "org-2"}, False),
        ({"file": "other.yaml"}, False),
        ({"kind": "drift"}, False),
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
