"""Every code block in the docs is run, or checked by the program that would run it.

`sh` is run in test_shell_blocks.py, `python` here. `yaml` is a configuration file, a workflow, a
part of one, or GitLab's; each has its checker. `text` is compared with the program's output, `json`
with what a policy judges.
docs/tasks.md has its own module, test_tasks.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from reconciler.source.policy import check_policies
from tests.cli.conftest import MakeCloud, Shell
from tests.deliveries.fake_slack import GOOD, SCOPES, FakeSlack
from tests.docs.block_setups import README, SECRETS, Block, blocks
from tests.folders import ROOT, python
from tests.goldens import Golden
from tests.loading import load_texts
from tests.served import served

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "examples" / "README.md",
]
BLOCKS = [
    each
    for page in PAGES
    if page.exists() and page.name != "tasks.md"
    for each in blocks(page, ROOT)
]
LANGUAGES = {"sh", "yaml", "python", "text", "json"}

_CHECKED = """
import os
from pathlib import Path
from reconciler.workflow import *
inputs = Inputs(
    directory=Path("examples"), environ=os.environ, stdin=bytes, paths=("webhooks.yaml",)
)
checked = accept(validate(inputs), inputs)
key = Secret(os.environ["CLOUDTRUTH_API_KEY"])
server_url = os.environ["CLOUDTRUTH_SERVER_URL"]
"""
PARTS = {
    "docs/library.md: Plan two organizations side by side": (_CHECKED, "Plan: 3 to create"),
    "docs/library.md: Apply": (_CHECKED, "3 created"),
}
"""Parts of Python programs: the lines before them in the program, and what they print."""


def of(language: str) -> list[Any]:
    return [pytest.param(each, id=str(each)) for each in BLOCKS if each.language == language]


def test_every_block_has_a_language() -> None:
    """The language of each block has a checker."""
    assert [str(each) for each in BLOCKS if each.language not in LANGUAGES] == []
    assert {"sh", "yaml", "python"} <= {each.language for each in BLOCKS}


@pytest.mark.parametrize("block", of("json"))
def test_the_documentation_shows_what_a_policy_judges(block: Block) -> None:
    """The document is that of the file in `examples`, without the id of an organization."""
    names = [f"examples/organizations/{name}.yaml" for name in ("staging", "base")]
    loaded = load_texts({name: (ROOT / name).read_bytes() for name in names}, names[0])
    policy = f'{{"const": {block.text}}}'.encode()
    assert check_policies(loaded, ["p.json"], lambda path: policy, {}).desired is not None


@pytest.mark.parametrize("block", of("python"))
def test_python_blocks_run(block: Block, tmp_path: Path, cloud: MakeCloud) -> None:
    """Complete programs run as written, parts after the code that the page describes."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    before, expected = PARTS.get(block.name, ("", ""))
    environ = {**SECRETS, **cloud(any_key=True).environ}
    done = python(tmp_path, "-c", before + block.text, **environ)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_blocks_are_valid(block: Block, shell: Shell, tmp_path: Path) -> None:
    """A configuration file, or a part of one, is valid without a warning."""
    data = yaml.safe_load(block.text)
    file = complete_file(data)
    if file is not None:
        text = block.text if file is data else yaml.safe_dump(file)
        (tmp_path / "webhooks.yaml").write_text(text, "utf-8")
        shutil.copy(ROOT / "examples/organizations/base.yaml", tmp_path)
        done = shell("validate", "--strict")
        assert done.code == 0, done.out
        return
    schema, text = "vendor.github-workflows", block.text
    if isinstance(data, list):
        steps = indent(block.text, "      ")
        text = f"on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}"
        inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
        assert {name for step in data for name in step["with"]} <= set(inputs)
    elif "stages" in data:
        schema = "vendor.gitlab-ci"
    (tmp_path / ".gitlab-ci.yml").write_text(text, "utf-8")
    judge = ("-m", "check_jsonschema", "--builtin-schema", schema)
    judged = python(tmp_path, *judge, ".gitlab-ci.yml")
    assert judged.returncode == 0, judged.stdout


def complete_file(data: Any) -> dict[str, Any] | None:
    """Return `data` as a configuration file, adding what a part of one lacks."""
    if not isinstance(data, dict):
        return None
    if "webhooks" in data or "extends" in data:
        return data
    if "defaults" in data:
        return {**data, "webhooks": []}
    if set(data) <= {"token", "channel", "username"}:
        configuration = {"token": {"env": "T"}, "channel": "a", "username": "b", **data}
        webhook = {"name": "a", "type": "slack", "event_types": ["*"]}
        return {"webhooks": [{**webhook, "configuration": configuration}]}
    return None


def misspelled(shell: Shell, folder: Path) -> str:
    """Validate a file with a misspelled key."""
    (folder / "webhooks.yaml").write_bytes((ROOT / "tests/docs/files/misspelled.yaml").read_bytes())
    return shell("validate").out


def checked_slack(shell: Shell, folder: Path) -> str:
    """Check a webhook of the README's file with a token that lacks a scope."""
    (folder / "webhooks.yaml").write_text(README, "utf-8")
    with served(FakeSlack(tokens={GOOD: SCOPES[:2]})) as url:
        shell("apply", "--local", "--yes", **SECRETS)
        done = shell("check", "--local", "--only", "Deploys", "--slack-url", url, **SECRETS)
        return done.out.replace(" --local", "")  # the page shows the command without it


def tree(name: str) -> Callable[[Shell, Path], str]:
    """Return a function that lists the files of a worked repository, each with its comment."""

    def listed(shell: Shell, folder: Path) -> str:
        place = ROOT / "examples" / "repositories" / name
        files = {
            path.relative_to(place).as_posix(): path.read_text("utf-8").splitlines()
            for path in sorted(place.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
        width = max(map(len, files)) + 2
        # The first line of a YAML file names its schema.
        return "".join(
            f"{file:{width}}{lines[2 if file.endswith('.yaml') else 0].removeprefix('# ')}\n"
            for file, lines in files.items()
        )

    return listed


TEXTS: dict[str, Callable[[Shell, Path], str]] = {
    "README.md: The file": misspelled,
    "docs/deliveries.md: Check the webhooks": checked_slack,
    "docs/examples.md: One organization": tree("one"),
    "docs/examples.md: Five organizations": tree("five"),
    "docs/examples.md: Sixty organizations": tree("sixty"),
}
"""Output on a page, and a function that produces it."""
DRAWINGS = {"docs/architecture.md: Architecture", "docs/organizations.md: Brands and environments"}
"""Texts that no program prints."""


@pytest.mark.parametrize("block", of("text"))
def test_output_blocks_match_the_program(
    block: Block, shell: Shell, tmp_path: Path, golden: Golden
) -> None:
    """The text on the page is exactly the program's output, or its first paragraphs."""
    if block.page == "docs/commands.md" or block.name in DRAWINGS:
        return  # the page is compared in test_generated.py
    paragraphs = TEXTS[block.name](shell, tmp_path).rstrip("\n").split("\n\n")
    shown = "\n\n".join(paragraphs[: block.text.count("\n\n") + 1])
    golden.part(ROOT / block.page, block.text, f"{shown}\n")
