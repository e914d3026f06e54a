"""An edit changes only the value that it names, in every style a file can be written in."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from reconciler.source.writer import (
    ChangeItems,
    Edit,
    Item,
    NotEditableError,
    SetValue,
    edit_file,
    unified_diff,
)
from reconciler.source.yaml import parse
from tests.laws.written import EVENTS, USERNAMES, entries, written


@st.composite
def changes(draw: st.DrawFn, data: list[dict[str, Any]]) -> tuple[list[Edit], dict[str, Any]]:
    """Return edits for the data of a file, and the data that they must result in."""
    after = deepcopy(data)
    edits: list[Edit] = []
    for index, entry in enumerate(after):
        path = ("webhooks", index)
        for key in sorted({"channel", "username", "url"} & entry["configuration"].keys()):
            if draw(st.booleans()):
                entry["configuration"][key] = draw(USERNAMES)
                edits.append(SetValue((*path, "configuration", key), entry["configuration"][key]))
        if draw(st.booleans()):
            entry["name"] = f"renamed {index}"
            edits.append(SetValue((*path, "name"), entry["name"]))
        if draw(st.booleans()):
            members = draw(st.lists(st.sampled_from(EVENTS), min_size=1, unique=True))
            written = entry["event_types"]
            added = [event for event in members if event not in written]
            removed = frozenset(
                index for index, event in enumerate(written) if event not in members
            )
            entry["event_types"] = [event for event in written if event in members] + added
            edits.append(ChangeItems((*path, "event_types"), removed, tuple(map(Item, added))))
    if draw(st.booleans()):
        number = draw(st.integers(0, len(after) - 1))
        edits = [edit for edit in edits if getattr(edit, "path", (0, -1))[1] != number]
        edits.append(ChangeItems(("webhooks",), frozenset({number})))
        del after[number]
    if draw(st.booleans()):
        entry = draw(entries("added"))
        comment = draw(st.sampled_from(("", "found live")))
        edits.append(ChangeItems(("webhooks",), added=(Item(entry, comment),)))
        after.append(entry)
    return edits, {"webhooks": after}


@given(data=st.data())
@settings(max_examples=300)
def test_only_the_named_values_change(data: st.DataObject) -> None:
    """The edited file has exactly the edited data; without edits it has exactly its bytes."""
    raw, before = data.draw(written("prune: false"))
    parsed = parse(raw, "f.yaml")
    assert not parsed.findings
    edits, after = data.draw(changes(before))
    edited = edit_file(raw, edits)
    found = parse(edited, "f.yaml")
    assert not found.findings, edited.decode()
    assert found.data == {**parsed.data, **after}
    assert edit_file(raw, ()) == raw
    kept = [line for line in edited.splitlines() if line in raw.splitlines()]
    assert len(kept) >= len(raw.splitlines()) - _lines_of(edits, before)
    assert edited.count(b"\r\n") in (0, edited.count(b"\n"))


def _lines_of(edits: list[Edit], before: list[dict[str, Any]]) -> int:
    """Return how many lines the edits may change or remove at most."""
    lines = 0
    for edit in edits:
        match edit:
            case SetValue():
                lines += 1
            case ChangeItems(("webhooks", int(index), "event_types"), _, _):
                lines += len(before[index]["event_types"]) + 1
            case ChangeItems(_, removed, _):
                lines += 1
                lines += sum(9 + len(before[number]["event_types"]) for number in removed)
    return lines


ANCHORED = "x-a: [&e a, &e b, *e]\nwebhooks: &w []\n"


def test_an_anchor_is_neither_moved_nor_removed() -> None:
    """A list with an anchor is refused; other values change, also if an anchor is written twice."""
    raw = ANCHORED.encode()
    with pytest.raises(NotEditableError, match="has a YAML anchor or tag"):
        edit_file(raw, [ChangeItems(("webhooks",), added=(Item({"name": "New"}),))])
    edited = edit_file(raw, [ChangeItems(("x-a",), removed=frozenset({2}))])
    assert edited == raw.replace(b", *e", b"")


@given(data=st.data())
@settings(max_examples=15)
def test_git_applies_the_patch(data: st.DataObject, tmp_path_factory: Any) -> None:
    """`git apply` makes the edited file from the original and the patch."""
    raw, before = data.draw(written("prune: false"))
    edits, _ = data.draw(changes(before))
    edited = edit_file(raw, edits)
    if edited == raw:
        return
    directory: Path = tmp_path_factory.mktemp("patch")
    (directory / "f.yaml").write_bytes(raw)
    patch = unified_diff("f.yaml", raw, edited).encode()
    subprocess.run(["git", "apply", "-"], cwd=directory, input=patch, check=True)
    assert (directory / "f.yaml").read_bytes() == edited
