"""Every block of shell commands on our pages runs here as it is written: see worlds.py."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from select import select
from shlex import quote

import pytest
import yaml

from tests.cli.conftest import MakeCloud, Shell
from tests.docs.test_code_blocks import BLOCKS
from tests.docs.worlds import ELSEWHERE, SECRETS, STAND_INS, WORLDS, World
from tests.fakes import serve
from tests.folders import ROOT, copy_parts, git, write
from tests.slack.fake_slack import FakeSlack
from tests.waiting import TIMEOUT

COPIED = ("reconciler", "tests", "schemas", "docs", "examples", "scripts", "benchmarks", ".ci")


def commands(workflow: str) -> str:
    """Return what the steps of a workflow run, each in a shell with its own variables."""
    given = {**SECRETS, "CLOUDTRUTH_API_KEY": "an-example-key"}
    filled = re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda name: given[name[1]], workflow)
    steps = [step for job in yaml.safe_load(filled)["jobs"].values() for step in job["steps"]]
    lines = []
    for step in steps:
        settings = [f"{key}={quote(value)}" for key, value in step.get("env", {}).items()]
        lines.append(f"({' '.join(('export PATH', *settings))}; {step.get('run', ':')})")
    return "\n".join(lines)


SHELL = {each.name: each.text for each in BLOCKS if each.language == "sh"} | {
    each.name: commands(each.text)
    for each in BLOCKS
    if each.language == "yaml" and re.search(r"^ +- run: ", each.text, re.M)
}


def test_every_block_has_its_world() -> None:
    """No block is forgotten, and no entry is left of one that has gone or has another name."""
    assert sorted(SHELL) == sorted([*WORLDS, *ELSEWHERE])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_run_elsewhere_is(name: str) -> None:
    """The place that an entry names speaks of the block."""
    file, holds, reason = ELSEWHERE[name]
    assert holds in (ROOT / file).read_text("utf-8")
    assert reason


@pytest.fixture
def slack() -> Iterator[str]:
    with serve(FakeSlack()) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_a_block_runs(
    name: str, tmp_path: Path, cloud: MakeCloud, shell: Shell, slack: str
) -> None:
    """Every line of it succeeds, and what the page lets one expect is seen."""
    world, block = WORLDS[name], SHELL[name]
    site = {**cloud(any_key=True, **world.choices).environ, "WEBHOOKS_SLACK_URL": slack}
    folder = tmp_path / "work"
    lay(world, folder, tmp_path / "stand-ins")
    if world.live:
        write(tmp_path, {**world.files, "webhooks.yaml": world.live})
        assert shell("apply", "--yes", **{**site, **SECRETS}).code == 0
    for old, new in world.smaller.items():
        assert old in block
        block = block.replace(old, new)
    (tmp_path / "calls").touch()
    code, screen = run(block, folder, {**surroundings(tmp_path), **site, **world.environ})
    assert code == 0, screen
    rest = screen
    for text in world.says:
        assert text in rest, screen
        rest = rest.partition(text)[2]
    assert (tmp_path / "calls").read_text().splitlines() == list(world.calls)
    for each in world.unchanged:
        assert files_in(folder / each) == files_in(ROOT / each)


def lay(world: World, folder: Path, stand_ins: Path) -> None:
    """Make the block's folder, and the programs that stand in for others."""
    folder.mkdir()
    if world.clone:
        copy_parts(folder, *COPIED)
    if world.before:
        commit(folder, world.before)
    write(folder, world.files)
    write(stand_ins, {**STAND_INS, "python3": STAND_INS["python"]})
    for each in (*stand_ins.iterdir(), *(folder / name for name in world.files)):
        if each.read_text().startswith("#!"):
            each.chmod(0o755)


def commit(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, and commit all of the folder on the branch `main`."""
    write(folder, files)
    for command in ("init -q -b main", "add .", "commit -q -m one"):
        git(folder, *command.split())


def surroundings(place: Path) -> dict[str, str]:
    """Return an environment in which stand-ins and then this program are found first."""
    folders = (str(place / "stand-ins"), str(Path(sys.executable).parent), os.environ["PATH"])
    return {
        "PATH": os.pathsep.join(folders),
        "HOME": str(place),
        "CALLS": str(place / "calls"),
        "STAND_INS": str(place / "stand-ins"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
    }


def run(block: str, folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    """Run commands at a terminal where `yes` is typed to every question."""
    parent, child = pty.openpty()
    quiet = termios.tcgetattr(child)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(child, termios.TCSANOW, quiet)
    os.write(parent, b"yes\n" * 4)
    seen = b""
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=environ,
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(child)
        while select([parent], [], [], TIMEOUT)[0]:
            try:
                seen += os.read(parent, 65536)
            except OSError:  # how Linux says that nobody is left at the other side
                break
        else:
            process.kill()
    os.close(parent)
    return process.returncode, seen.decode().replace("\r\n", "\n")


def files_in(folder: Path) -> dict[str, bytes]:
    found = (each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): each.read_bytes() for each in found}
