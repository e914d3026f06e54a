"""The checklists of docs/architecture.md, followed to the letter in a copy of the program.

Each addition below is a toy that a user can make with the list alone: it touches
the places that the list names, all of them and no other, and then it works. The new webhook type
is tried in tests/contract/test_third_type.py.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.render import FINDINGS_RENDERERS, RENDERERS
from tests.contract.test_third_type import WEBHOOK_TYPE
from tests.folders import ROOT, Copy, Edit, after, by_script, instead, new_file

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TOYS = Path(__file__).parent / "additions"


def checklist(title: str, name: str) -> set[str]:
    """Return the places that a list names, with the addition's name filled in."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    places = set()
    for item in re.findall(r"^- \[ \] ([^:]+):", section, flags=re.M):
        first, *others = re.findall(r"`([^`]+)`", item)
        places |= {first, *(f"{first.rpartition('/')[0]}/{other}" for other in others)}
    return {place.replace("NAME", name) for place in places}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of the program as it is."""
    return Copy(tmp_path, "scripts", "docs", "examples")


COMMAND: Mapping[str, Edit] = {
    "reconciler/cli/commands/count.py": new_file(TOYS / "count.py"),
    "reconciler/cli/main.py": after(
        '"plan": "Show',
        '    "count": "Count declared webhooks.",\n',
    ),
    "docs/commands.md": by_script,
}
OUTPUT: Mapping[str, Edit] = {
    "reconciler/render/brief.py": new_file(TOYS / "brief.py"),
    "reconciler/render/__init__.py": instead(
        '("text", "json", "markdown")', '("text", "json", "markdown", "brief")'
    ),
    "pyproject.toml": after('  "reconciler.render.github",', '  "reconciler.render.brief",\n'),
    "docs/commands.md": by_script,
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


def test_every_folder_is_explained() -> None:
    """A newcomer finds each folder and module of the package explained."""
    section = PAGE.partition("## Folders")[2].partition("\n## ")[0]
    for each in sorted((ROOT / "reconciler").iterdir()):
        if each.is_dir() and (each / "__init__.py").exists():
            assert f"`{each.name}/`" in section, each.name
        elif each.suffix == ".py" and not each.name.startswith("__"):
            assert f"`{each.name}`" in section, each.name
    for name in re.findall(r"`(\w+\.py)`", section):
        assert list((ROOT / "reconciler").rglob(name)), name
