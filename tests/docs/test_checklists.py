"""The checklists of docs/architecture.md, followed to the letter in a copy of the program.

Each addition below is a toy that somebody could have made with nothing but the list: it touches
the places that the list names, all of them and no other, and then it works.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from reconciler.render import FINDINGS_RENDERERS, RENDERERS
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TOYS = Path(__file__).parent / "additions"
Edit = Callable[[str], str]


def checklist(title: str, name: str) -> set[str]:
    """Return the places that a list names, with the addition's name filled in."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    places = set()
    for item in re.findall(r"^- \[ \] ([^:]+):", section, flags=re.M):
        first, *others = re.findall(r"`([^`]+)`", item)
        places |= {first, *(f"{first.rpartition('/')[0]}/{other}" for other in others)}
    return {place.replace("NAME", name) for place in places}


def after(anchor: str, line: str) -> Edit:
    """Return how to put a line below the line that holds `anchor`."""

    def edit(text: str) -> str:
        assert text.count(anchor) == 1, anchor
        at = text.index("\n", text.index(anchor)) + 1
        return text[:at] + line + text[at:]

    return edit


def instead(old: str, new: str) -> Edit:
    """Return how to replace the one `old`."""

    def edit(text: str) -> str:
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return edit


def toy(name: str) -> Edit:
    """Return how to make a file that was not there."""

    def edit(text: str) -> str:
        assert not text
        return (TOYS / name).read_text("utf-8")

    return edit


class Copy:
    """A copy of the program in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("reconciler", "schemas", "scripts", "docs", "examples"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def add(self, edits: Mapping[str, Edit]) -> None:
        """Make the edits, each of a file."""
        for name, edit in edits.items():
            path = self.folder / name
            text = edit(path.read_text("utf-8") if path.exists() else "")
            path.write_text(text, "utf-8")

    def python(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder, where the copy goes before what is installed."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**kept, **environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def webhooks(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the copy."""
        return self.python("-m", "reconciler", *arguments, **environ)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of the program as it is."""
    return Copy(tmp_path)


def with_pager(text: str) -> str:
    """Add the toy type to the schema: its definitions, and where they are listed."""
    schema = json.loads(text)
    definitions = schema["$defs"]
    added = json.loads((TOYS / "pager.schema.json").read_text("utf-8"))
    assert not definitions.keys() & added.keys()
    definitions.update(added)
    definitions["webhook"]["anyOf"].insert(2, {"$ref": "#/$defs/authoredPager"})
    definitions["defaults"]["anyOf"].insert(2, {"$ref": "#/$defs/pagerDefaults"})
    untyped = definitions["untypedDefaults"]["properties"]["configuration"]["properties"]
    untyped["routing_key"] = {"$ref": "#/$defs/bearerToken"}
    untyped["service"] = {"$ref": "#/$defs/slackUsername"}
    return json.dumps(schema, indent=2)


WEBHOOK_TYPE: Mapping[str, Edit] = {
    "reconciler/kinds/pager.py": toy("pager.py"),
    "reconciler/kinds/__init__.py": lambda text: instead(
        "from reconciler.kinds import generic, slack",
        "from reconciler.kinds import generic, pager, slack",
    )(after('"generic": generic.KIND', '    "pager": pager.KIND,\n')(text)),
    "schemas/webhooks.schema.json": with_pager,
    "examples/pager.yaml": toy("pager.yaml"),
}
COMMAND: Mapping[str, Edit] = {
    "reconciler/cli/commands/count.py": toy("count.py"),
    "reconciler/cli/main.py": after(
        '"plan": "Show',
        '    "count": "Count declared webhooks.",\n',
    ),
    "docs/commands.md": lambda text: text,  # by its script
}
OUTPUT: Mapping[str, Edit] = {
    "reconciler/render/brief.py": toy("brief.py"),
    "reconciler/render/__init__.py": lambda text: after(
        '    "markdown": _markdown,', '    "brief": _brief,\n'
    )(instead("def _github()", f"{(TOYS / 'loader.txt').read_text('utf-8')}def _github()")(text)),
    "pyproject.toml": after('  "reconciler.render.github",', '  "reconciler.render.brief",\n'),
    "docs/commands.md": lambda text: text,  # by its script
}


@pytest.mark.parametrize(
    ("title", "name", "edits"),
    [
        ("How to add a webhook type", "pager", WEBHOOK_TYPE),
        ("How to add a command", "count", COMMAND),
        ("How to add an output", "brief", OUTPUT),
    ],
)
def test_a_list_is_complete(title: str, name: str, edits: Mapping[str, Edit]) -> None:
    """What an addition touches is what its list names."""
    assert checklist(title, name) == set(edits)


@pytest.mark.slow
def test_a_new_type_works(copy: Copy) -> None:
    """A third type is validated, planned, applied and then in order, and its secret is one."""
    copy.add(WEBHOOK_TYPE)
    file = ("-f", "examples/pager.yaml")
    secret = {"PAGER_ROUTING_KEY": "a-routing-key-of-the-example"}
    assert copy.webhooks("validate", *file, "--strict").returncode == 0
    planned = copy.webhooks("plan", *file, "--local", "--detailed-exitcode", **secret)
    assert planned.returncode == 2, planned.stderr
    assert "pager night-shift" in planned.stdout
    assert "env PAGER_ROUTING_KEY" in planned.stdout
    applied = copy.webhooks("apply", *file, "--local", "--yes", **secret)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    again = copy.webhooks("plan", *file, "--local", "--detailed-exitcode", **secret)
    assert (again.returncode, "No changes." in again.stdout) == (0, True)
    exported = copy.webhooks("export", "--local")
    assert "type: pager" in exported.stdout
    for done in (planned, applied, again, exported):
        assert secret["PAGER_ROUTING_KEY"] not in done.stdout + done.stderr


@pytest.mark.slow
def test_mistakes_in_a_new_type_are_explained(copy: Copy) -> None:
    """Nobody wrote a message for the new type, and its mistakes are explained all the same."""
    copy.add(WEBHOOK_TYPE)
    text = (TOYS / "pager.yaml").read_text("utf-8")
    cases = {
        ("routing_key:", "routing_kye:"): "did you mean `routing_key`?",
        ("type: pager", "type: pagr"): "did you mean `pager`?",
        ("    service: night-shift\n", "    {}\n"): "`service` is missing",
        ("{env: PAGER_ROUTING_KEY}", "in-the-file"): "`routing_key` is a secret",
        ("service: night-shift", "channel: a"): "`channel` belongs to webhooks of type `slack`",
    }
    for (old, new), expected in cases.items():
        assert old in text
        (copy.folder / "bad.yaml").write_text(text.replace(old, new))
        done = copy.webhooks("validate", "-f", "bad.yaml", "--strict")
        assert done.returncode == 3, new
        assert expected in done.stdout, done.stdout
        assert "in-the-file" not in done.stdout


@pytest.mark.slow
def test_a_new_command_works(copy: Copy) -> None:
    """A new command runs, is in the help, and the page of commands is written by its script."""
    copy.add(COMMAND)
    done = copy.webhooks("count", "-f", "examples/webhooks.yaml")
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert "count " in copy.webhooks("--help").stdout
    assert copy.python("scripts/commands.py").returncode == 0
    assert "## `webhooks count`" in (copy.folder / "docs" / "commands.md").read_text("utf-8")


@pytest.mark.slow
def test_a_new_output_works(copy: Copy) -> None:
    """A new format is offered and shows plans, reports and failures."""
    copy.add(OUTPUT)
    secrets = {"SLACK_BOT_TOKEN": "xoxb-" + "0123456789-abcdef", "PAGER_PASSWORD": "example"}
    file = ("-f", "examples/webhooks.yaml", "--local", "--format", "brief")
    planned = copy.webhooks("plan", *file, **secrets)
    assert (planned.returncode, planned.stdout) == (0, "3 planned\n"), planned.stderr
    applied = copy.webhooks("apply", *file, "--yes", **secrets)
    assert (applied.returncode, applied.stdout) == (0, "3 carried out\n"), applied.stderr
    assert copy.python("scripts/commands.py").returncode == 0
    assert "|markdown|brief]" in (copy.folder / "docs" / "commands.md").read_text("utf-8")


def test_every_format_is_in_the_contract() -> None:
    """The line in pyproject.toml, which only `lint-imports` reads, is not forgotten."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = (
        each
        for each in project["tool"]["importlinter"]["contracts"]
        if each["name"] == "Renderers do not know each other"
    )
    formats = {*RENDERERS, *FINDINGS_RENDERERS}
    assert set(contract["modules"]) == {f"reconciler.render.{name}" for name in formats}


def test_every_folder_has_its_paragraph() -> None:
    """A newcomer finds each folder and module of the package explained."""
    section = PAGE.partition("## Folder by folder")[2].partition("\n## ")[0]
    for each in sorted((ROOT / "reconciler").iterdir()):
        if each.is_dir() and (each / "__init__.py").exists():
            assert f"`{each.name}/`" in section, each.name
        elif each.suffix == ".py" and not each.name.startswith("__"):
            assert f"`{each.name}`" in section, each.name
    for name in re.findall(r"`(\w+\.py)`", section):
        assert list((ROOT / "reconciler").rglob(name)), name
