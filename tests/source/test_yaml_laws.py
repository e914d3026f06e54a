"""Laws of reading YAML, for any bytes and strings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from reconciler.findings import Place
from reconciler.source.nodes import locate
from reconciler.source.position import add_positions
from reconciler.source.yaml import parse
from tests.goldens import cases

PURE = yaml.SafeLoader
FAST = getattr(yaml, "CSafeLoader", None)
needs_libyaml = pytest.mark.skipif(FAST is None, reason="PyYAML is here without libyaml")

TEXTS = cases(Path(__file__).with_name("texts.txt"))
GOOD = TEXTS["anchors and merges"][0]
PIECES = (
    *"abc:-?[]{}#,&*!|>'\"%@`\\~ \n\t\r",
    *("a: ", "- ", "\n  ", "\n- ", "<<: ", "<<: *a", "&a ", "*a", "---\n", "...\n", "\r\n", ": "),
    *("null", "true", "-1", "1e9", "0777", "\\ud83d", "\ufeff", "\u2028", "é", "😀", "\x00"),
    *("webhooks:", "name: a", "token: x", "|-\n", ">2\n", " # c", "''", '""', "!t ", "xoxb-1"),
)
pieces = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a valid file with pieces removed, inserted or duplicated."""
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        put = draw(st.one_of(st.sampled_from(PIECES), st.just(text[start:stop] * 2)))
        text = text[:start] + put + text[stop:]
    return text


def is_plain(value: Any) -> bool:
    match value:
        case None | str() | bool():
            return True
        case int() | float():
            return abs(value) < 2**53
        case list():
            return all(map(is_plain, value))
        case dict():
            return all(type(key) is str for key in value) and all(map(is_plain, value.values()))
    return False


@given(
    st.binary(max_size=60)
    | st.one_of(st.text(max_size=60), pieces, mutated()).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    )
)
@settings(max_examples=400)
@example(b"\xff\xfe")
@example(b"a: \xed\xa0\x80")
@example(b"\ta")
@example(b"a: *")
@example(b"?")
def test_any_bytes_give_findings_or_plain_data(raw: bytes) -> None:
    """Any bytes give data or errors, and every error has a position in the file."""
    loaded = parse(raw, "w.yaml")
    assert loaded.usable or loaded.findings
    assert is_plain(loaded.data)
    json.dumps(loaded.data)
    items = loaded.data.get("webhooks")
    places = loaded.items.get("webhooks", ()) if loaded.usable else ()
    assert len(places) == (len(items) if isinstance(items, list) else 0)
    assert all(1 <= line <= loaded.text.count("\n") + 1 for line in (each.line for each in places))
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").replace("\r\n", "\n")
    rows = text.split("\n")
    for finding in add_positions({"w.yaml": loaded}, loaded.findings):
        place = finding.position
        assert place is not None
        assert 1 <= place.line <= len(rows)
        assert 1 <= place.column <= max(1, len(rows[place.line - 1]))


@needs_libyaml
@given(st.one_of(pieces, mutated()))
@settings(max_examples=300)
def test_both_parsers_give_the_same_result(text: str) -> None:
    """A file has the same meaning with and without libyaml."""
    one, two = (parse(text.encode(), "w.yaml", parser=parser) for parser in (FAST, PURE))
    if re.search(r"\?|[|>][-+0-9]*#", text) and not two.usable:
        return  # only PyYAML rejects some question marks in brackets, and a comment beside `|`
    assert one.usable == two.usable
    if one.usable:
        assert one == two


keys = st.text("abcXYZ _-#'\"é😀", min_size=1, max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(-1e6, 1e6, allow_nan=False).filter(lambda each: not each.is_integer()),
    # For PyYAML, text like 1E5 is not a number, and it writes it without quotes.
    st.text(max_size=12).filter(lambda each: each.isprintable() and not re.match(r"-?\d", each)),
    st.sampled_from(["on", "yes", "0777", "12:30", "2001-01-01", "~", "null", "#a", "a: b", "<<"]),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=15,
)
roots = st.dictionaries(keys, trees, min_size=1, max_size=5)


@given(roots, st.booleans(), st.sampled_from([None, True, False]))
def test_the_output_of_pyyaml_and_json_round_trips(
    data: Any, unicode: bool, flow: bool | None
) -> None:
    """The reader returns every value that a writer wrote."""
    text = yaml.safe_dump(
        data, allow_unicode=unicode, default_flow_style=flow, sort_keys=False, width=60
    )
    for written in (text, json.dumps(data, ensure_ascii=False)):
        if re.search(r"(?i)\\ud|[\t\u2018-\u201f\u00ab]", written):
            continue  # escapes of surrogate pairs, tabs and typographic quotes are rejected
        loaded = parse(written.encode(), "w.yaml")
        assert loaded.usable, (written, loaded)
        assert json.dumps(loaded.data) == json.dumps(data)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    found = [(path, value)]
    if isinstance(value, dict):
        for key, each in value.items():
            found += places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += places(each, (*path, index))
    return found


@given(roots)
@settings(max_examples=60)
def test_positions_point_at_their_paths(data: Any) -> None:
    """The text at the position of a path is its key or value."""
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    rows = text.split("\n")
    for path, value in places(data):
        if not path:
            continue
        place = locate(text, Place("w.json", path))
        shown = rows[place.line - 1][place.column - 1 :]
        if value is None or not isinstance(value, (dict, list)):
            assert shown.startswith(json.dumps(value, ensure_ascii=False))
        else:
            assert shown[0] in "[{"
        if isinstance(path[-1], str):
            place = locate(text, Place("w.json", path, key=True))
            shown = rows[place.line - 1][place.column - 1 :]
            assert shown.startswith(json.dumps(path[-1], ensure_ascii=False))
