"""What users type and see: each file of sessions/ has sessions, after what all of them begin with.

A session is `==== title`, a sentence, and steps: `@ FILE` writes the lines below into a file, and
`$ COMMAND` is followed by its output, where `! ` precedes standard error. `--update-golden` writes
the output. `type KEYS webhooks ...` runs on a terminal. Besides programs there are commands for the
emulated CloudTruth: `live NAME FIELDS` changes a webhook, `organization NAME KEY` adds a key, and
`server CHOICES` makes it another server.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Cloud, MakeCloud, perform
from tests.emulated.variant import Variant
from tests.folders import write
from tests.goldens import Golden

SESSIONS = [
    (path, *re.split(r"^==== ", path.read_text("utf-8"), flags=re.MULTILINE))
    for path in sorted((Path(__file__).parent / "sessions").glob("*.txt"))
]
IDENTITY = {
    f"GIT_{role}_{what}": "t@example.com"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
ERASED = re.compile(r".*\r\x1b\[K")
"""What is written on a terminal before its line is erased."""
VARYING = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "(id)",
    r"sha256:[0-9a-f]{64}": "sha256:…",
    r"(?<![-\w])[0-9a-f]{12}([0-9a-f]{28})?\b": "(commit)",
    r"127\.0\.0\.1:\d+": "127.0.0.1:(port)",
}


class Session:
    """A folder and an emulated CloudTruth."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.folder = folder
        self.cloud = cloud
        folder.mkdir()

    def play(self, text: str) -> str:
        """Perform the steps of a text; return it with the output of its commands."""
        shown = ""
        for step in re.split(r"^(?=[@$] )", text, flags=re.MULTILINE):
            head, _, rest = step.partition("\n")
            if step.startswith("@ "):
                write(self.folder, {head[2:]: rest})
            if step.startswith("$ "):
                step = f"{head}\n{self.perform(head[2:])}"
            shown += step
        for varying, name in VARYING.items():
            shown = re.sub(varying, name, shown)
        return shown.replace(self.folder.as_posix(), "(folder)")

    def perform(self, line: str) -> str:
        """Run a command, and return its output and exit code."""
        first, _, receiver = line.partition(" | ")
        words = shlex.split(first)
        environ = {"HOME": str(self.folder), **self.cloud.environ}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        match words:
            case ["webhooks", *arguments]:
                done = perform(*arguments, directory=self.folder, **environ)
                code, out, err = done.code, done.out, done.err
                if receiver:
                    failed, out, more = self.run(receiver, out)
                    code, err = code or failed, err + more
            case ["type", keys, "webhooks", *arguments]:
                typed = keys.replace("\\n", "\n")
                done = perform(
                    *arguments, directory=self.folder, keys=typed, terminal=True, **environ
                )
                code, out, err = done.code, done.out, ERASED.sub("", done.err)
            case ["live", name, fields]:
                self.change(name, yaml.safe_load(fields))
                return ""
            case ["organization", name, key]:
                store = self.cloud.emulator.store
                ids = {known.name: known.id for known in store.organizations()}
                store.add_user(ids.get(name) or store.add_organization(name).id, key=key)
                return ""
            case ["server", choices]:
                self.cloud.emulator.behavior = Variant(**yaml.safe_load(choices))
                return ""
            case _:
                code, out, err = self.run(line)
        return out + indent(err, "! ") + (f"[exit {code}]\n" if code else "")

    def run(self, line: str, piped: str = "") -> tuple[int, str, str]:
        """Run a line in a shell; return its exit code, its output and its errors."""
        ran = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env={**os.environ, **IDENTITY}, input=piped,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout, ran.stderr

    def change(self, name: str, fields: Any) -> None:
        """Change a webhook live; one of a new name is `like` another, and `null` deletes."""
        store = self.cloud.emulator.store
        rows = {row["name"]: row for row in store.webhooks()}
        if fields is None:
            store.delete(rows[name]["id"])
            return
        row = rows.get(name) or {**rows[fields["like"]], "id": store.new_id(), "name": name}
        merged = {**row["configuration"], **fields.get("configuration", {})}
        shown = {key: value for key, value in merged.items() if value is not None}
        store.save({**row, **fields, "configuration": shown})


@pytest.mark.parametrize(
    ("path", "start", "agreed"),
    [
        pytest.param(path, start, text, id=f"{path.stem}: {text.partition(chr(10))[0]}")
        for path, start, *texts in SESSIONS
        for text in texts
    ],
)
def test_a_session_is_as_expected(
    path: Path, start: str, agreed: str, tmp_path: Path, cloud: MakeCloud, golden: Golden
) -> None:
    """Each command prints what the file has, with its exit code if that is not 0."""
    session = Session(tmp_path / "work", cloud())
    session.play(start)
    golden.part(path, agreed, session.play(agreed) + "\n")
