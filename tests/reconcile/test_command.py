"""`webhooks reconcile` as a command and as a process, with real clones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Shell, expect, perform
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.folders import commit, git, write
from tests.reconcile.world import ENVIRON, configuration, slack
from tests.served import PauseAtWrite, served
from tests.waiting import TIMEOUT

FILES = configuration(slack("alpha", "a"), slack("beta", "b"))


class Site:
    """A clone, and a server that can pause at a write."""

    def __init__(self, folder: Path, url: str, emulator: Emulator, hold: PauseAtWrite) -> None:
        self.folder, self.emulator, self.hold = folder, emulator, hold
        self.environ = {
            "CLOUDTRUTH_API_KEY": LOCAL_KEY,
            "CLOUDTRUTH_SERVER_URL": url,
            "HOME": str(folder.parent),
            **ENVIRON,
        }
        self.shell: Shell = partial(perform, directory=folder, **self.environ)

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = ["reconcile", "--rev", "HEAD", "--every", "10s", "--apply", *arguments]
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *command],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve an emulator, and make a clone with a commit."""
    hold = PauseAtWrite()
    emulator = Emulator(listener=hold)
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q")
    write(folder, FILES)
    commit(folder)
    with served(emulator) as url, ExitStack() as stack:
        stack.callback(hold.release)
        yield Site(folder, url, emulator, hold)


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read the output of a process up to a line with `text`."""
    read = ""
    assert process.stdout is not None
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(read)


def test_one_round_reports_the_difference(site: Site) -> None:
    """It exits as `plan --detailed-exitcode` does, and reads the commit, not the tree."""
    (site.folder / "webhooks.yaml").unlink()
    done = site.shell("reconcile", "--rev", "HEAD")
    expect(done, 2, "+ alpha", "Plan: 2 to create")
    assert site.names() == []


def _other_user(site: Site) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a clone to another user")
    for path in (site.folder, *site.folder.rglob("*")):
        os.chown(path, 12345, 12345)


def _without_git(site: Site) -> None:
    shutil.rmtree(site.folder / ".git")


def _without_organization(site: Site) -> None:
    write(site.folder, configuration(slack("alpha", "a"), organization=""))
    commit(site.folder)


@pytest.mark.parametrize(
    ("options", "prepare", "code", "text"),
    [
        ("--rev nope", None, 3, "git finds no commit nope"),
        ("--rev origin/main", None, 3, "git finds no commit origin/main"),
        ("--rev --help", None, 3, "git finds no commit --help"),
        ("--rev HEAD", _other_user, 3, "safe.directory"),
        ("--rev HEAD", _without_git, 3, "git finds no commit"),
        ("--rev HEAD", _without_organization, 3, "names no organization"),
        ("--rev HEAD -f other.yaml", None, 3, "there is no file other.yaml in commit"),
        ("--rev HEAD --apply", None, 64, "use `webhooks apply`"),
        ("--rev HEAD --every 9s", None, 64, "at least 10s"),
        ("--rev HEAD --every soon", None, 64, "at least 10s"),
        ("", None, 64, "--rev"),
    ],
)
def test_what_cannot_be_reconciled_is_an_error(
    site: Site, options: str, prepare: Any, code: int, text: str
) -> None:
    """A revision that is not fetched, a clone of another user, a file without an organization."""
    if prepare is not None:
        prepare(site)
    expect(site.shell("reconcile", *options.split()), code, text)
    assert site.names() == []


def test_a_shallow_clone_and_a_link_to_it_are_read(site: Site) -> None:
    """With git-sync, a link names the worktree of the newest commit, and REV is HEAD."""
    git(site.folder.parent, "clone", "-q", "--depth", "1", f"file://{site.folder}", "shallow")
    (site.folder / "current").symlink_to(site.folder.parent / "shallow")
    done = site.shell("reconcile", "--rev", "HEAD", "--repository", "current")
    expect(done, 2, "Plan: 2 to create")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_wait(site: Site, number: int) -> None:
    """The exit code is that of the signal, long before the next round."""
    with site.start("--every", "1h") as process:
        until(process, "Acme: applied")
        process.send_signal(number)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 128 + number, output
    assert site.names() == ["alpha", "beta"]


def test_a_signal_during_a_write_ends_the_process(site: Site) -> None:
    """The write in flight is resolved, no other is started, and the next process finishes."""
    site.hold.after(1)
    with site.start("--parallelism", "1") as process:
        site.hold.wait(process)
        process.send_signal(signal.SIGTERM)
        until(process, "Interrupted")
        site.hold.release()
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 143, output
    assert site.names() == ["alpha"]


@pytest.mark.slow
def test_ten_kills_leave_no_duplicate(site: Site) -> None:
    """After `kill -9` at any write, the next process finishes what is left."""
    for number in range(10):
        webhooks = (slack(f"w-{n}", f"c{n}-{number}") for n in range(number + 3))
        write(site.folder, configuration(*webhooks))
        commit(site.folder)
        site.hold.after(1 + number % 3)
        with site.start("--parallelism", "2") as process:
            site.hold.wait(process)
            process.kill()
            site.hold.release()
    with site.start() as process:
        until(process, "no changes")
        process.terminate()
    assert site.names() == sorted(f"w-{n}" for n in range(12))
