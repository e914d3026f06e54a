"""Every block of shell commands for users runs as written; see block_setups.py."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from select import select
from shlex import quote

import pytest
import yaml

from tests.cli.conftest import MakeCloud, Shell
from tests.deliveries.fake_slack import GOOD, FakeSlack
from tests.docs.block_setups import ELSEWHERE, SECRETS, SETUPS, STAND_INS, BlockSetup
from tests.docs.test_code_blocks import BLOCKS
from tests.folders import ROOT, copy_parts, git, write
from tests.served import served
from tests.waiting import TIMEOUT

PARTS = ("reconciler", "tests", "schemas", "docs", "examples", "scripts", "benchmarks", ".ci")


def commands(workflow: str) -> str:
    """Return the scripts of a workflow's steps, each for a shell with its own variables."""
    given = {**SECRETS, "CLOUDTRUTH_API_KEY": "an-example-key"}
    filled = re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda name: given[name[1]], workflow)
    steps = [step for job in yaml.safe_load(filled)["jobs"].values() for step in job["steps"]]
    lines = []
    for step in steps:
        settings = [f"{key}={quote(value)}" for key, value in step.get("env", {}).items()]
        lines.append(f"({' '.join(('export PATH', *settings))}; {step.get('run', ':')})")
    return "\n".join(lines)


SHELL = {
    each.name: each.text
    for each in BLOCKS
    if each.language == "sh" and each.page != "CONTRIBUTING.md"
} | {
    each.name: commands(each.text)
    for each in BLOCKS
    if each.language == "yaml" and re.search(r"^ +- run: ", each.text, re.M)
}


def test_every_block_has_an_entry() -> None:
    """Every block has an entry, and every entry has a block."""
    assert sorted(SHELL) == sorted([*SETUPS, *ELSEWHERE])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_blocks_run_elsewhere_are_mentioned_there(name: str) -> None:
    """The file in the entry contains the text that shows that it runs the block."""
    file, holds, reason = ELSEWHERE[name]
    assert holds in (ROOT / file).read_text("utf-8")
    assert reason


@pytest.fixture
def slack() -> Iterator[str]:
    with served(FakeSlack()) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("name", SETUPS)
def test_a_block_runs(
    name: str, tmp_path: Path, cloud: MakeCloud, shell: Shell, slack: str
) -> None:
    """Every line succeeds, with the effects that the page describes."""
    setup, block = SETUPS[name], SHELL[name]
    site = {**cloud(any_key=True, **setup.choices).environ, "WEBHOOKS_SLACK_URL": slack}
    folder = tmp_path / "work"
    prepare(setup, folder, tmp_path / "stand-ins")
    if setup.live:
        write(tmp_path, {**setup.files, "webhooks.yaml": setup.live})
        assert shell("apply", "--yes", **{**site, **SECRETS}).code == 0
    for old, new in setup.smaller.items():
        assert old in block
        block = block.replace(old, new)
    (tmp_path / "calls").touch()
    code, screen = run(block, folder, {**stand_in_environment(tmp_path), **site, **setup.environ})
    assert code == 0, screen
    rest = screen
    for text in setup.prints:
        assert text in rest, screen
        rest = rest.partition(text)[2]
    assert (tmp_path / "calls").read_text().splitlines() == list(setup.calls)


def prepare(setup: BlockSetup, folder: Path, stand_ins: Path) -> None:
    """Create the block's folder, and the stand-in programs."""
    folder.mkdir()
    if setup.clone:
        copy_parts(folder, *PARTS)
    if setup.before:
        commit(folder, setup.before)
    write(folder, setup.files)
    programs = {path.name: path.read_text("utf-8") for path in STAND_INS.iterdir()}
    write(stand_ins, {**programs, "python3": programs["python"]})
    for path in stand_ins.iterdir():
        path.chmod(0o755)


def commit(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, and commit the folder on the branch `main`."""
    write(folder, files)
    for command in ("init -q -b main", "add .", "commit -q -m one"):
        git(folder, *command.split())


def stand_in_environment(place: Path) -> dict[str, str]:
    """Return an environment whose PATH has the stand-ins first, then this program."""
    folders = (str(place / "stand-ins"), str(Path(sys.executable).parent), os.environ["PATH"])
    return {
        "PATH": os.pathsep.join(folders),
        "HOME": str(place),
        "CALLS": str(place / "calls"),
        "GOOD": GOOD,
        "PYTHON": sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
    }


def run(block: str, folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    """Run commands on a terminal where `yes` is typed at every prompt.

    At its second, `init` asks for the reference of a token: there only Enter is typed.
    """
    parent, child = pty.openpty()
    quiet = termios.tcgetattr(child)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(child, termios.TCSANOW, quiet)
    os.write(parent, b"yes\n\nyes\n" if "webhooks init" in block else b"yes\n" * 4)
    seen = b""
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=environ,
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(child)
        while select([parent], [], [], TIMEOUT)[0]:
            output = b""
            with suppress(OSError):  # at the end: an error on Linux, no output on macOS
                output = os.read(parent, 65536)
            if not output:
                break
            seen += output
        else:
            process.kill()
    os.close(parent)
    return process.returncode, seen.decode().replace("\r\n", "\n")
