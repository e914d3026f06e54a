"""Mistakes that the canaries must find, as changes to the text of a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_NEEDED = (
    "ci/__init__.py", "ci/fake_github.py", "served.py", "skipping.py", "slack/__init__.py",
    "slack/fake_slack.py", "waiting.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One mistake: in `file`, `old` becomes `new`. `seen` is a part of what then is found."""

    name: str
    file: str
    old: str
    new: str
    seen: str


LEAKS = (
    Leak(
        name="a secret that shows itself to debuggers",
        file="reconciler/model.py",
        old='    def __repr__(self) -> str:\n        return "***"\n',
        new="    def __repr__(self) -> str:\n        return f'Secret({self.__value!r})'\n",
        seen="API key, raw, in ",
    ),
    Leak(
        name="the server's words repeated as they are",
        file="reconciler/api/answers.py",
        old="        said = _bounded(redacted(text, hidden))\n",
        new="        said = _bounded(text)\n",
        seen="API key, a part, in output",
    ),
    Leak(
        name="an address shown with its user",
        file="reconciler/model.py",
        old="            host = parts.hostname\n",
        new="            host = parts.netloc\n",
        seen="user in the live url, raw, in output",
    ),
    Leak(
        name="bodies among what --debug shows",
        file="reconciler/api/transport.py",
        old="            path=call.path,\n            status=status,\n            seconds",
        new='            path=f"{call.path} {call.content!r}",\n'
        "            status=status,\n            seconds",
        seen="the last net had to catch",
    ),
    Leak(
        name="where a redirect leads, in full",
        file="reconciler/api/answers.py",
        old='    offered = Secret(location).origin() or ""\n',
        new="    return location\n    offered = Secret(location).origin() or ''\n",
        seen="redirect, raw, in output",
    ),
    Leak(
        name="an excerpt with the literal in it",
        file="reconciler/source/excerpt.py",
        old="    return _starred(lines(text)[number], _spans(text, number), position.column - 1)\n",
        new="    return lines(text)[number]\n",
        seen="literal in YAML, raw, in output",
    ),
)


def patched(leak: Leak, folder: Path) -> Path:
    """Copy the package and the canaries into `folder`, with the mistake."""
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("reconciler", "schemas", "tests/secrecy", "tests/emulated"):
        shutil.copytree(_ROOT / name, folder / name, ignore=leave)
    (folder / "tests" / "__init__.py").touch()
    for name in _NEEDED:
        (folder / "tests" / name).parent.mkdir(exist_ok=True)
        shutil.copy(_ROOT / "tests" / name, folder / "tests" / name)
    file = folder / leak.file
    text = file.read_text(encoding="utf-8")
    if text.count(leak.old) != 1:
        raise LookupError(f"{leak.name}: the text to change is not there once in {leak.file}")
    file.write_text(text.replace(leak.old, leak.new), encoding="utf-8")
    return folder


def hunt(leak: Leak, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the canaries on a copy with the mistake until it is found."""
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tests.secrecy", "--first"],
        cwd=patched(leak, folder),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
