"""What users type and see: each file of sessions/ has sessions, after what all of them begin with.

A session is `==== title`, a sentence, and steps: `@ FILE` writes the lines below into a file, and
`$ COMMAND` is followed by its output, where `! ` precedes standard error. `--update-golden` writes
the output. `type KEYS webhooks ...` runs on a terminal. `edit` (edit.py) changes files; other
programs must do the same on Linux and macOS. And there are commands for the emulated
CloudTruth: `live NAME FIELDS` changes a webhook, where FIELDS is YAML, as in
`live Deploys '{configuration: {channel: ops}}'`; `organization NAME KEY [ROLE]` adds a key,
`server CHOICES` makes it another server, and `writes` prints the methods of requests that write.
A commit or a digest in a command is the last one shown.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import indent

import pytest
import yaml

from tests.cli.conftest import Cloud, Done, MakeCloud, perform
from tests.emulated.variant import Variant
from tests.folders import write
from tests.goldens import Golden

SESSIONS = [
    (path, *re.split(r"^==== ", path.read_text("utf-8"), flags=re.MULTILINE))
    for path in sorted((Path(__file__).parent / "sessions").glob("*.txt"))
]
SHELL = {"LC_ALL": "C", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{role}_{what}": "t@example.com"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
"""Programs print the same on every machine, and git has an identity."""
_PYTHON = shlex.quote(sys.executable)
PROGRAMS = f"""\
python3() {{ {_PYTHON} "$@"; }}
edit() {{ {_PYTHON} {shlex.quote(str(Path(__file__).with_name("edit.py")))} "$@"; }}
"""
"""Functions of the shell."""
GNU_ONLY = re.compile(r"\b(sed -i|stat -c|cat -A|date -d|readlink -f|head -n -|wc -l)")
ERASED = re.compile(r".*\r\x1b\[K")
"""What is written on a terminal before its line is erased."""
VARYING = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "(id)",
    r"sha256:[0-9a-f]{64}": "sha256:…",
    r"(?<![-\w])[0-9a-f]{12}([0-9a-f]{28})?\b": "(commit)",
    r"127\.0\.0\.1:\d+": "127.0.0.1:(port)",
    r"webhooks-check-\d\w+-\w{8}": "webhooks-check-(time)",
    r"webhooks \d\S+ Python .* OpenSSL .*": "webhooks (versions)",
}


class Session:
    """A folder and an emulated CloudTruth."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.folder = folder
        self.cloud = cloud
        self.environ = {"HOME": str(folder), **cloud.environ}
        self.store = cloud.emulator.store
        self.last: dict[str, str] = {}
        folder.mkdir()

    def play(self, text: str) -> str:
        """Perform the steps of a text; return it with the output of its commands."""
        shown = ""
        for step in re.split(r"^(?=[@$] )", text, flags=re.MULTILINE):
            head, _, rest = step.partition("\n")
            if step.startswith("@ "):
                write(self.folder, {head[2:]: rest})
            if step.startswith("$ "):
                step = f"{head}\n{self.stable(self.perform(head[2:]))}"
            shown += step
        return shown

    def stable(self, output: str) -> str:
        """Return an output without what differs from run to run."""
        for varying, name in VARYING.items():
            for found in re.finditer(varying, output):
                self.last[name] = found[0]
            output = re.sub(varying, name, output)
        return output.replace(self.folder.as_posix(), "(folder)")

    def perform(self, line: str) -> str:
        """Run a command, and return its output and exit code."""
        for name, value in self.last.items():
            line = line.replace(name, value)
        first, _, receiver = line.partition(" | ")
        words = shlex.split(first.removesuffix(" 2>/dev/null"))
        environ = dict(self.environ)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        webhooks = partial(perform, directory=self.folder, **environ)
        match words:
            case ["webhooks", *arguments, "<", name]:
                done = webhooks(*arguments, keys=(self.folder / name).read_text("utf-8"))
            case ["webhooks", *arguments]:
                done = webhooks(*arguments)
            case ["type", keys, "webhooks", *arguments]:
                done = webhooks(*arguments, keys=keys.replace("\\n", "\n"), terminal=True)
            case ["export", *settings]:
                self.environ |= dict(setting.split("=", 1) for setting in settings)
                return ""
            case ["live" | "organization" | "server" | "writes", *arguments]:
                return str(getattr(self, words[0])(*arguments))
            case _:
                first, receiver = line, ""
                done = self.run(line)
        if receiver:
            received = self.run(receiver, done.out)
            done = replace(received, code=done.code or received.code, err=done.err + received.err)
        errors = "" if first.endswith(" 2>/dev/null") else ERASED.sub("", done.err)
        return done.out + indent(errors, "! ") + (f"[exit {done.code}]\n" if done.code else "")

    def run(self, line: str, piped: str = "") -> Done:
        """Run a line in a shell."""
        assert not GNU_ONLY.search(line), f"use `edit`, or what macOS has, too: {line}"
        ran = subprocess.run(
            ["bash", "-c", PROGRAMS + line], cwd=self.folder, env={**os.environ, **SHELL},
            input=piped, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Done(code=ran.returncode, out=ran.stdout, err=ran.stderr)

    # What happens in CloudTruth.

    def live(self, name: str, fields: str) -> str:
        """Change a webhook; one of a new name is `like` another, and `null` deletes it."""
        rows = {row["name"]: row for row in self.store.webhooks()}
        changed = yaml.safe_load(fields)
        if changed is None:
            self.store.delete(rows[name]["id"])
            return ""
        row = rows.get(name) or {**rows[changed["like"]], "id": None, "name": name}
        merged = {**row["configuration"], **changed.get("configuration", {})}
        shown = {key: value for key, value in merged.items() if value is not None}
        self.store.save({**row, **changed, "configuration": shown})
        return ""

    def organization(self, name: str, key: str, role: str = "ADMIN") -> str:
        """Add a key of an organization, which may be new."""
        ids = {known.name: known.id for known in self.store.organizations()}
        id_ = ids.get(name) or self.store.add_organization(name).id
        self.store.add_user(id_, key=key, role=role)
        return ""

    def server(self, choices: str) -> str:
        """Make the choices of a server."""
        self.cloud.emulator.behavior = Variant(**yaml.safe_load(choices))
        return ""

    def writes(self) -> str:
        """Return the methods of all requests that write."""
        return f"{' '.join(self.cloud.writes()) or 'none'}\n"


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
