"""Every block of code that people can read is run here, or judged by what would run it.

`sh`: each `webhooks` command must be one that the program understands; with the remark `first
command` the block is run. `python`: run with the remark `run`, else its names must be public.
`yaml`: a file of webhooks, a workflow, a part of one, or GitLab's; each goes to its judge. `text`:
what the program puts out; the remark `output of FILE` has it compared.
"""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import reconciler.workflow
from reconciler.cli.command import Group
from reconciler.cli.main import PROGRAM, program
from tests.cli.conftest import Shell
from tests.docs.blocks import Block, blocks

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "examples" / "README.md",
]
BLOCKS = [each for page in PAGES if page.exists() for each in blocks(page, ROOT)]
LANGUAGES = {"sh", "yaml", "python", "text"}


def of(language: str) -> list[Any]:
    return [pytest.param(each, id=str(each)) for each in BLOCKS if each.language == language]


def test_every_block_says_what_it_is() -> None:
    """No block is without a language, and there is a judge for each language."""
    assert [str(each) for each in BLOCKS if each.language not in LANGUAGES] == []
    assert {"sh", "yaml", "python"} <= {each.language for each in BLOCKS}


def understand(words: list[str]) -> None:
    """Parse a command line as the program would. Raises click's errors."""
    command: click.Command = program()
    context = click.Context(command, info_name=PROGRAM)
    while isinstance(command, Group):
        if not words or words[0].startswith("-"):
            assert words in (["--help"], ["--version"])
            return
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    if not {"-h", "--help"} & set(words):
        command.make_context(command.name, words, parent=context.parent)


@pytest.mark.parametrize("block", of("sh"))
def test_shell(block: Block) -> None:
    """The shell accepts the block, and the program every command of its own in it."""
    checked = subprocess.run(
        ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for at, word in enumerate(words):
            if Path(word).name in ("webhooks", "cloudtruth-webhooks") and "=" not in word:
                end = next(
                    (i for i, w in enumerate(words[at:]) if w in ("|", ">", "&&", ">>")), None
                )
                arguments = words[at + 1 : None if end is None else at + end]
                if words[at - 1 : at] != ["install"] and words[at - 2 : at - 1] != ["--from"]:
                    understand(arguments)


@pytest.mark.parametrize("block", of("python"))
def test_python(block: Block, tmp_path: Path) -> None:
    """A whole program runs; a part of one is Python and uses what is public."""
    tree = ast.parse(block.text)
    if block.remark == "run":
        shutil.copytree(ROOT / "examples", tmp_path / "examples")
        done = subprocess.run(
            [sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called - {"print", "len"} <= set(reconciler.workflow.__all__)


def judged(text: str, path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    path.write_text(text, "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml(block: Block, shell: Shell, tmp_path: Path) -> None:
    """A file of webhooks is valid without a warning, anything else what its own judge accepts."""
    data = yaml.safe_load(block.text)
    if isinstance(data, dict) and "webhooks" in data and "repos" not in data:
        (tmp_path / "webhooks.yaml").write_text(block.text, "utf-8")
        done = shell("validate", "--strict")
        assert done.code == 0, done.out
        return
    if isinstance(data, list) and data and set(data[0]) & {"uses", "run"}:
        step = "".join(f"      {line}\n" for line in block.text.splitlines())
        block_text = f"on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n{step}"
        done_ = judged(block_text, tmp_path / "w.yml", "vendor.github-workflows")
    elif isinstance(data, dict) and "jobs" in data:
        done_ = judged(block.text, tmp_path / "w.yml", "vendor.github-workflows")
    elif isinstance(data, dict) and "stages" in data:
        done_ = judged(block.text, tmp_path / ".gitlab-ci.yml", "vendor.gitlab-ci")
    else:
        # A part of a file: at least it is YAML, as just seen, and says something.
        assert data
        return
    assert done_.returncode == 0, done_.stdout


@pytest.mark.parametrize("block", [each for each in of("text") if each.values[0].remark])
def test_output(block: Block, shell: Shell, tmp_path: Path) -> None:
    """What the page shows is what the program says about the file that the remark names."""
    name = block.remark.removeprefix("output of ")
    (tmp_path / "webhooks.yaml").write_bytes((ROOT / "tests/docs/files" / name).read_bytes())
    done = shell("validate")
    assert done.code == 3
    assert block.text in done.out


def test_links_lead_somewhere() -> None:
    """Every link inside the repository leads to a file, and to a heading of it if it says one."""
    broken = []
    for page in PAGES:
        text = page.read_text("utf-8") if page.exists() else ""
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name) if name else page
            if not path.exists() or (anchor and anchor not in headings(path)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def headings(path: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in titles}
