"""A webhook type is one module and one line in a dict: everything else follows from them.

A type that the program does not have is added to a copy of it, by the checklist of
docs/architecture.md, and goes through the schema, validation, planning, applying and exporting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.source.yaml import parse
from tests.folders import Copy, Edit, after, by_script, instead, new_file

HERE = Path(__file__).parent / "third_type"
EXAMPLE = (HERE / "pager.yaml").read_text("utf-8")
SECRET = {"PAGER_ROUTING_KEY": "a-routing-key-of-the-example"}
WEBHOOK_TYPE: Mapping[str, Edit] = {
    "reconciler/kinds/pager.py": new_file(HERE / "pager.py"),
    "reconciler/kinds/__init__.py": lambda text: instead(
        "from reconciler.kinds import generic, slack",
        "from reconciler.kinds import generic, pager, slack",
    )(after('"generic": generic.KIND', '    "pager": pager.KIND,\n')(text)),
    "schemas/webhooks.schema.json": by_script,
    "examples/pager.yaml": new_file(HERE / "pager.yaml"),
}
MISTAKES = {
    ("routing_key:", "routing_kye:"): "did you mean `routing_key`?",
    ("type: pager", "type: pagr"): "did you mean `pager`?",
    ("    service: night-shift\n", "    {}\n"): "`service` is missing",
    ("{env: PAGER_ROUTING_KEY}", "in-the-file"): "`routing_key` is a secret",
    ("service: night-shift", "channel: a"): "`channel` belongs to webhooks of type `slack`",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the program with a third type, its schema written by the script."""
    made = Copy(tmp_path_factory.mktemp("copy"), "scripts", "examples")
    made.add(WEBHOOK_TYPE)
    assert made.python("scripts/schema.py", "--check").returncode == 1
    assert made.python("scripts/schema.py").returncode == 0
    assert made.python("scripts/schema.py", "--check").returncode == 0
    return made


def test_the_third_type_works(copy: Copy) -> None:
    """It is validated, planned, applied and then in sync, and its secret is one."""
    file = ("-f", "examples/pager.yaml")
    assert copy.webhooks("validate", *file, "--strict").returncode == 0
    planned = copy.webhooks("plan", *file, "--local", "--detailed-exitcode", **SECRET)
    assert planned.returncode == 2, planned.stderr
    assert "pager night-shift" in planned.stdout
    assert "env PAGER_ROUTING_KEY" in planned.stdout
    applied = copy.webhooks("apply", *file, "--local", "--yes", **SECRET)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    again = copy.webhooks("plan", *file, "--local", "--detailed-exitcode", **SECRET)
    assert (again.returncode, "No changes." in again.stdout) == (0, True)
    exported = copy.webhooks("export", "--local")
    assert "type: pager" in exported.stdout
    for done in (planned, applied, again, exported):
        assert SECRET["PAGER_ROUTING_KEY"] not in done.stdout + done.stderr


def test_mistakes_in_the_third_type_are_explained(copy: Copy) -> None:
    """Its mistakes have the same messages as those in other types."""
    for (old, new), expected in MISTAKES.items():
        assert old in EXAMPLE
        (copy.folder / "bad.yaml").write_text(EXAMPLE.replace(old, new))
        done = copy.webhooks("validate", "-f", "bad.yaml", "--strict")
        assert done.returncode == 3, new
        assert expected in done.stdout, done.stdout
        assert "in-the-file" not in done.stdout


def test_editors_know_the_third_type(copy: Copy) -> None:
    """The schema that an editor reads accepts it, refuses its mistakes and offers a skeleton."""
    schema: dict[str, Any] = json.loads((copy.folder / "schemas/webhooks.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    judge = Draft7Validator(schema)
    assert judge.is_valid(_data(EXAMPLE))
    assert not judge.is_valid(_data(EXAMPLE.replace("routing_key", "routing_kye")))
    untyped = EXAMPLE.replace("type: pager", "event_types: [value_created]")
    assert judge.is_valid(_data(untyped))  # `defaults` without a type take the fields of any
    snippets = schema["$defs"]["webhook"]["defaultSnippets"]
    assert snippets[-1]["body"]["configuration"] == {
        "routing_key": {"env": "${3:PAGER_ROUTING_KEY}"},
        "service": "${4:night-shift}",
    }


def _data(text: str) -> object:
    document = parse(text.encode(), "pager.yaml")
    assert document.usable
    return document.data
