"""A blocked plan ends with the edits that unblock it; each edit works as printed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import SECRETS, File, Shell, expect

NAMES = ["old", "b*[?]", "c c", "-d", "#e", "f: 'g\"", "::h", "ï"]
BASE: dict[str, Any] = {"defaults": {
    "type": "slack", "event_types": ["*"],
    "configuration": {"token": {"env": "TOKEN"}, "channel": "#x", "username": "CT"},
}}  # fmt: skip


def declaring(*names: str, **more: Any) -> dict[str, Any]:
    return {**BASE, **more, "webhooks": [{"name": each} for each in names]}


def absent(*names: str) -> dict[str, Any]:
    webhooks = [{"name": "kept"}, *({"name": each, "state": "absent"} for each in names)]
    return {**BASE, "webhooks": webhooks}


EASY = [each for each in NAMES if each != "::h"]
ALL = ["prune", "ignore", "export", "limits", "apply"]
UNDECLARED = ["prune", "ignore", "export", "apply"]
SITUATIONS = {
    "too many": (EASY, declaring("kept"), ALL),
    "more than half": (EASY[:2], declaring("kept", ignore=["kept"]), UNDECLARED),
    "over the limit": (EASY[:2], declaring("kept", limits={"max_deletes": 1}), ALL),
    "a name that a CI runner would execute": (
        NAMES, declaring("kept"), ["prune", "ignore", "limits", "apply"],
    ),
    "of one scope": (EASY, declaring("other", scope=["[!k]*"]), UNDECLARED),
    "nothing declared": (EASY, declaring(), ["ignore", "export", "apply"]),
    "nothing declared, nothing deleted": ([], declaring(prune=False), ["apply"]),
    "nothing recognized": (EASY, declaring("new"), UNDECLARED),
    "declared absent": (EASY, absent(*EASY), ["limits", "apply"]),
    "both": (EASY, absent(*EASY[:2]), ["prune", "export", "limits", "apply"]),
}  # fmt: skip


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_each_edit_unblocks(shell: Shell, file: File, tmp_path: Path, situation: str) -> None:
    """Each edit of the text, Markdown and JSON output is the same, and unblocks the plan."""
    names, declared, expected = SITUATIONS[situation]
    write(file, declaring("kept", *names))
    assert shell("apply", "--local", "--yes", **SECRETS).code == 0
    write(file, declared)
    plan = ("plan", "--local", "--timeout", "7")
    blocked = shell(*plan, "--format", "json", **SECRETS)
    assert blocked.code == 5
    edits = [each["text"] for each in json.loads(blocked.out)["organizations"][0]["unblock"]]
    assert [kind(each) for each in edits] == expected
    text, markdown = (
        shell(*plan, "--format", form, **SECRETS).out for form in ("text", "markdown")
    )
    assert [line.strip() for line in text.splitlines() if line.strip() in edits] == edits
    assert [each for each in edits if each not in markdown.replace("\\|", "|")] == []
    for edit in edits[:-1]:
        given: tuple[str, ...] = ()
        if kind(edit) == "export":
            assert shell(*shlex.split(edit)[1:], **SECRETS).code == 0, edit
            given = ("-f", "webhooks.yaml", "-f", "undeclared.yaml", "--organization", "Acme")
        else:
            write(file, paste(declared, yaml.safe_load(edit)))
        expect(shell(*plan, *given, **SECRETS), 0)
        write(file, declared)
        (tmp_path / "undeclared.yaml").unlink(missing_ok=True)  # the edits are alternatives
    expect(shell(*shlex.split(edits[-1])[1:], "--yes", **SECRETS), 0)


def kind(edit: str) -> str:
    found = re.match(r"(?:webhooks )?(\w+)", edit)
    assert found is not None
    return found[1]


def write(file: File, declared: dict[str, Any]) -> None:
    file(yaml.safe_dump(declared, allow_unicode=True))


def paste(declared: dict[str, Any], edit: dict[str, Any]) -> dict[str, Any]:
    """Return the declarations with an edit; lists get longer."""
    ((key, value),) = edit.items()
    return {**declared, key: [*declared.get(key, ()), *value] if key == "ignore" else value}
