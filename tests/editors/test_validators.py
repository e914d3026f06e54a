"""Three independent validators agree: `validate`, ajv and a language server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from reconciler.findings import has_errors
from reconciler.source.files import SourceFile, Sources
from reconciler.source.lint import Rules
from reconciler.source.load import load_parsed, parse_files
from reconciler.source.yaml import parse
from tests.editors.conftest import SCHEMA
from tests.editors.language_server import LanguageServer
from tests.editors.samples import BASE, BEYOND, INVALID, VALID

_EXAMPLES = SCHEMA.parents[1] / "examples"
_PATHS = {
    path.relative_to(_EXAMPLES).as_posix(): path
    for path in sorted(_EXAMPLES.rglob("*.y*ml"))
    if "\nwebhooks:" in path.read_text("utf-8")
}
EXAMPLES = {name: path.read_text("utf-8") for name, path in _PATHS.items()}
GOOD = {**VALID, **EXAMPLES}
ALL = {**GOOD, **INVALID, **BEYOND}
EXPECTED = [name not in INVALID for name in ALL]


def validate(text: str) -> bool:
    """Return whether `validate` finds no error."""
    base = SourceFile(file="base.yaml", raw=BASE.encode())
    file = SourceFile(file="a.yaml", raw=text.encode())
    return not has_errors(
        load_parsed(
            parse_files(Sources(files=(file,), read_parent=lambda name: base)), Rules()
        ).findings
    )


@pytest.mark.parametrize("name", sorted(ALL.keys() - EXAMPLES.keys()))
def test_validate(name: str) -> None:
    """`validate` accepts only the valid files; the examples are run in tests/docs."""
    assert validate(ALL[name]) is (name in GOOD)


def test_ajv_in_strict_mode(tools: Path) -> None:
    """ajv accepts the schema in its strictest mode and rejects the same files."""
    documents = []
    for text in ALL.values():
        loaded = parse(text.encode(), "webhooks.yaml")
        # A file that is not a mapping cannot be passed to ajv.
        documents.append(loaded.data if loaded.usable else [])
    done = subprocess.run(
        ["node", tools / "ajv.mjs"],
        input=json.dumps({"schema": json.loads(SCHEMA.read_text("utf-8")), "documents": documents}),
        cwd=tools,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert differing(json.loads(done.stdout)) == []


def test_the_language_server(editor: LanguageServer) -> None:
    """The language server has diagnostics only for the files that the schema rejects."""
    folders = {name: path.parent for name, path in _PATHS.items()}
    found = editor.diagnostics_of((text, folders.get(name)) for name, text in ALL.items())
    verdicts = [not [each for each in one if each["severity"] == 1] for one in found]
    assert differing(verdicts) == []


def differing(verdicts: list[bool]) -> list[str]:
    """Return the names of the files on which a validator disagrees."""
    assert len(verdicts) == len(EXPECTED)
    return [
        name
        for name, verdict, expected in zip(ALL, verdicts, EXPECTED, strict=True)
        if verdict is not expected
    ]
