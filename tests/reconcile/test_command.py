"""`webhooks reconcile` as a command and as a process, with real clones."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.commands import reconcile
from reconciler.errors import ExitCode, Terminated
from reconciler.reconcile.withhold import Suspensions
from tests.cli.conftest import Done, Shell, expect, perform
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.variant import ReadBack, Variant
from tests.folders import commit, git, running, write
from tests.ports import SkippingClock
from tests.reconcile.world import ENVIRON, configuration, slack
from tests.served import PauseAtWrite, served
from tests.waiting import TIMEOUT

RECONCILE = ("reconcile", "--rev", "HEAD", "--every", "10s", "--apply")
FILES = configuration(slack("alpha", "a"), slack("beta", "b"))


class Site:
    """A repository, and a server that may pause at a write."""

    def __init__(
        self, folder: Path, url: str, emulator: Emulator, hold: PauseAtWrite | None = None
    ) -> None:
        self.folder, self.emulator, self.hold = folder, emulator, hold or PauseAtWrite()
        folder.mkdir()
        git(folder, "init", "-q")
        self.environ = {
            "CLOUDTRUTH_API_KEY": LOCAL_KEY,
            "CLOUDTRUTH_SERVER_URL": url,
            "HOME": str(folder.parent),
            **ENVIRON,
        }
        self.shell: Shell = partial(perform, directory=folder, **self.environ)

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())

    def start(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        program = (sys.executable, "-m", "reconciler", *RECONCILE, *arguments)
        return running(self.folder, *program, **self.environ)


Action = Callable[[Site], object]


class Steps(SkippingClock):
    """A clock that does something in each wait between rounds, and ends the program in the last."""

    def __init__(self, site: Site, *actions: Action) -> None:
        super().__init__()
        self._site, self._actions = site, list(actions)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if seconds < 9:
            return  # before a request is repeated
        if not self._actions:
            raise Terminated(ExitCode.SIGTERM)
        self._actions.pop(0)(self._site)


def rounds(site: Site, *actions: Action, rev: str = "HEAD", options: str = "") -> Done:
    """Run a round, and another after each of `actions`."""
    words = ("reconcile", "--rev", rev, "--every", "10s", "--apply", *options.split())
    return site.shell(*words, clock=Steps(site, *actions))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve an emulator, and make a clone with a commit."""
    hold = PauseAtWrite()
    emulator = Emulator(listener=hold)
    with served(emulator) as url, ExitStack() as stack:
        stack.callback(hold.release)
        site = Site(tmp_path / "clone", url, emulator, hold)
        write(site.folder, FILES)
        commit(site.folder)
        yield site


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read the output of a process up to a line with `text`."""
    read = ""
    assert process.stdout is not None
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(read)


def _commit(*webhooks: str, **options: str) -> Action:
    """Return an action that commits webhooks."""

    def action(site: Site) -> None:
        write(site.folder, configuration(*webhooks, **options))
        commit(site.folder)

    return action


def _commit_text(text: str) -> Action:
    def action(site: Site) -> None:
        write(site.folder, {"webhooks.yaml": text})
        commit(site.folder)

    return action


def _set_aside(site: Site) -> None:
    site.folder.rename(site.folder.parent / "aside")


def _empty(site: Site) -> None:
    _set_aside(site)
    site.folder.mkdir()


def _restore(site: Site) -> None:
    if site.folder.exists():
        site.folder.rmdir()
    (site.folder.parent / "aside").rename(site.folder)


def _branch(site: Site) -> None:
    git(site.folder, "update-ref", "refs/remotes/origin/main", "HEAD")


def _half_deleted(site: Site) -> None:
    (site.folder / "webhooks.yaml").write_text("webhooks: []\n")
    (site.folder / ".git" / "index").unlink()


ALPHA, BETA, GAMMA = (slack(name, name[0]) for name in ("alpha", "beta", "gamma"))
ALL = (ALPHA, BETA, GAMMA)


@pytest.mark.parametrize(
    ("rev", "bad", "good", "text"),
    [
        ("origin/main", lambda site: None, _branch, "no commit origin/main"),
        ("HEAD", _commit_text("webhooks: ["), _commit(*ALL), "the files are invalid"),
        ("HEAD", _commit(organization=""), _commit(*ALL), "names no organization"),
        ("HEAD", lambda site: git(site.folder, "rm", "-q", "webhooks.yaml") or commit(site.folder),
         _commit(*ALL), "there is no file webhooks.yaml in commit"),
        ("HEAD", _commit(ALPHA, organization="Globex"), _commit(*ALL), "'Globex'"),
        ("HEAD", _commit(head="scope: ['*']\n"), _commit(*ALL),
         "Acme: would delete alpha"),
        ("HEAD", _set_aside, _restore, "no folder in "),
        ("HEAD", _empty, _restore, "no repository that git can read in "),
        ("HEAD", _half_deleted, _commit(*ALL), "Acme: unchanged"),
    ],
    ids=["not-fetched", "invalid", "no-organization", "no-file", "other-organization", "guard",
         "removed", "empty", "half-deleted"],
)  # fmt: skip
def test_a_bad_commit_or_clone_is_reported_until_it_is_good(
    site: Site, rev: str, bad: Action, good: Action, text: str
) -> None:
    """Nothing is deleted or written for it, and the next good commit is applied."""
    names: list[list[str]] = []
    done = rounds(
        site, bad, lambda site: names.append(site.names()), good, lambda site: None, rev=rev
    )
    expect(done, 143, text, "Acme: applied", "Acme: unchanged", without=("--allow-deletes",))
    before = [] if rev != "HEAD" else ["alpha", "beta"]
    assert names == [before]
    is_new = good not in (_branch, _restore)
    assert site.names() == ["alpha", "beta", "gamma"][: 2 + is_new]


def test_the_first_commit_is_soon_read(site: Site) -> None:
    """A clone may appear after the start of the process; from then on the interval counts."""
    times: list[float] = []

    def look(site: Site) -> None:
        times.append(clock.monotonic() - began)

    clock = Steps(site, look, _branch, look)
    began = clock.monotonic()
    line = "reconcile --rev origin/main --every 1h"
    expect(site.shell(*line.split(), clock=clock), 143, "no commit", "Plan: 2 to create")
    assert times[0] < 30 < 3600 < times[1] < 3700


GIT = """\
    #!/bin/sh
    case "$*" in *{command}*) test -e {hook} && mv {hook} {hook}.done && sh {hook}.done ;; esac
    exec {git} "$@"
    """


@pytest.mark.parametrize(
    ("command", "hook", "first", "second"),
    [
        ("cat-file", "ln -sfn new current", "Acme: applied", "delete gamma"),
        ("cat-file", "rm -rf old; ln -sfn new current", "nothing was written", "create delta"),
        ("update-ref", "rm -rf old; ln -sfn new current", "Acme: applied", "delete gamma"),
    ],
)
def test_a_worktree_that_changes_within_a_round(
    site: Site, monkeypatch: pytest.MonkeyPatch, command: str, hook: str, first: str, second: str
) -> None:
    """A round reads one commit, or writes nothing; the next round reads the new worktree."""
    parent = site.folder.parent
    for name, webhook in (("old", GAMMA), ("new", slack("delta", "d"))):
        _commit(ALPHA, BETA, webhook)(site)
        git(parent, "clone", "-q", "--depth", "1", f"file://{site.folder}", name)
    (parent / "current").symlink_to("old")
    (parent / "hook").write_text(f"cd {parent}; {hook}")
    stand_in = parent / "bin" / "git"
    stand_in.parent.mkdir()
    real = shutil.which("git")
    stand_in.write_text(
        textwrap.dedent(GIT).format(command=command, hook=parent / "hook", git=real)
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    done = rounds(site, lambda site: None, options=f"--repository {parent / 'current'}")
    expect(done, 143, second)
    assert (first in done.out.split(second)[0], "be written" in done.out) == (True, False)
    assert site.names() == ["alpha", "beta", "delta"]


def test_a_clone_whose_refs_cannot_be_written(site: Site) -> None:
    """Everything is applied, and one line names what a restart does not know."""
    (site.folder / ".git" / "refs" / "webhooks").write_text("in the way")
    done = rounds(site, _commit(*ALL), lambda site: None)
    expect(done, 143, "Acme: applied", "Acme: unchanged")
    assert done.out.count("the clone cannot be written") == 1


def test_a_plan_shows_the_rotation_that_apply_would_send(site: Site) -> None:
    """It has the exit code of a change; another clone prints that it cannot know."""
    site.emulator.behavior = Variant(read_back=ReadBack.MASK)
    rounds(site)
    _commit(ALPHA, slack("beta", "b").replace("channel", "token: {env: TOK, version: 2}, channel"))(
        site
    )
    plan = ("reconcile", "--rev", "HEAD")
    expect(site.shell(*plan), 2, "~ beta", "Plan: 0 to create, 1 to update")
    git(site.folder, "clone", "-q", ".", "other")
    expect(site.shell(*plan, "--repository", "other"), 0, "note: Acme: no commit is known")
    sent = "Acme: env TOK (version 2): sent with its value at the start of this process"
    expect(rounds(site), 143, "Acme: update beta (token resent", sent)
    done = site.shell(*plan)
    expect(done, 0, "No changes")
    assert "note:" not in done.err


def test_a_clone_of_another_user_works_with_safe_directory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git's own setting allows it, and the error names it."""
    if os.getuid() != 0:
        pytest.skip("only root can give a clone to another user")
    for path in (site.folder, *site.folder.rglob("*")):
        os.chown(path, 12345, 12345)
    expect(site.shell("reconcile", "--rev", "HEAD"), 3, "safe.directory")
    monkeypatch.setenv("HOME", str(site.folder.parent))
    (site.folder.parent / ".gitconfig").write_text(f"[safe]\n\tdirectory = {site.folder}\n")
    expect(site.shell("reconcile", "--rev", "HEAD"), 2, "Plan: 2 to create")


@pytest.mark.parametrize(
    ("host", "option"), [("127.0.0.1", ""), ("127.0.0.1", "localhost:"), ("::1", "[::1]:")]
)
def test_a_port_in_use_ends_the_program_before_the_first_round(
    site: Site, host: str, option: str
) -> None:
    """Nothing is written without the metrics that were asked for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6")
    with closing(taken):
        port = taken.getsockname()[1]
        done = rounds(site, options=f"--metrics-address {option}{port}")
    expect(done, 1, f", port {port}: Address already in use", "choose another --metrics-address")
    assert site.names() == []


@pytest.mark.parametrize("mode", ["--apply", "--no-prune"])
def test_a_declaration_that_is_not_applied_has_a_line(site: Site, mode: str) -> None:
    """Each round names it with the reason, also without --apply."""
    rounds(site)
    copy = {**site.emulator.webhook("alpha"), "id": "copy"}
    copy["configuration"] = {**copy["configuration"], "channel": "#other"}
    site.emulator.store.save(copy)
    done = site.shell(*RECONCILE[:5], mode, clock=Steps(site))
    expect(done, 143, "Acme: keep alpha (declaration not applied: webhooks with this name differ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_wait(site: Site, number: int) -> None:
    """The exit code is that of the signal, long before the next round."""
    with site.start("--every", "1h") as process:
        until(process, "Acme: applied")
        process.send_signal(number)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 128 + number, output
    assert site.names() == ["alpha", "beta"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_during_a_write_ends_the_process(site: Site, number: int) -> None:
    """The write in flight is resolved, no other is started, and the next process finishes."""
    site.hold.after(1)
    with site.start("--parallelism", "1") as process:
        site.hold.wait(process)
        process.send_signal(number)
        until(process, "Interrupted")
        site.hold.release()
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 128 + number, output
    assert site.names() == ["alpha"]


@pytest.mark.parametrize("place", [Suspensions, reconcile], ids=["record", "show"])
def test_a_signal_after_the_writes(site: Site, monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    """The base and the log have what was written, and the process ends."""
    name = "record" if place is Suspensions else "_show"
    after = getattr(place, name)

    def signaled(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        after(*arguments)

    monkeypatch.setattr(place, name, signaled)
    expect(rounds(site), 130, "create beta", "Acme: applied", "stopped by a signal")
    git(site.folder, "rev-parse", f"refs/webhooks/reconciled/{site.emulator.organization}")


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
        until(process, "unchanged")
        process.terminate()
    assert site.names() == sorted(f"w-{n}" for n in range(12))
