"""The reconciler of the Deployment as a process: its arguments, user and read-only file systems."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.deploy.test_manifests import container, patches, pod
from tests.emulated.emulator import LOCAL_KEY, Emulator, LogEntry
from tests.folders import ROOT, commit, git, running, write
from tests.reconcile.test_command import until
from tests.reconcile.world import configuration, slack
from tests.served import served
from tests.waiting import TIMEOUT

USER = pod()["securityContext"]["runAsUser"]
ARGUMENTS = [*container()["args"], patches()[-1]["value"]]
TOKEN = "xoxb-1111111111-golden"

# In a new mount namespace, the process gets a file system without a writable folder, and Python,
# packages and program at paths that its user can read.
ISOLATED = Path(__file__).with_name("isolated.sh").read_text("utf-8")


def _can_isolate() -> bool:
    tools = all(shutil.which(name) for name in ("unshare", "setpriv", "mount"))
    if not tools or os.name != "posix" or os.getuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


class GitSync:
    """git-sync with `--root` and `--link=current`, with the least patience for old worktrees.

    `sync` follows `SyncRepo` of its main.go: fetch one commit, add a worktree with a relative link
    to the repository, move the link, then remove the previous worktree and collect garbage.
    """

    def __init__(self, root: Path, repository: Path, *, ref: str = "main") -> None:
        self.root, self.repository, self.ref = root, repository, ref
        self.link = root / "current"
        root.mkdir(exist_ok=True)
        git(root, "init", "-q", "-b", "git-sync")

    def sync(self) -> str:
        """Publish the newest commit, and return it."""
        source = f"file://{self.repository}"
        options = ("--prune", "--no-auto-gc", "--depth", "1")
        _git(self.root, "fetch", source, self.ref, *options)
        commit = _git(self.root, "rev-parse", "FETCH_HEAD^{}")
        worktree = self.root / ".worktrees" / commit
        if worktree.exists():
            return commit
        _git(self.root, "reset", "--soft", commit, "--")
        add = ("worktree", "add", "--force", "--detach", str(worktree), commit, "--no-checkout")
        _git(self.root, *add)
        (worktree / ".git").write_text(f"gitdir: ../../.git/worktrees/{commit}\n")
        _git(worktree, "reset", "--hard", commit, "--")
        temporary = self.root / "tmp-link"
        temporary.symlink_to(Path(".worktrees") / commit)
        temporary.replace(self.link)
        self._clean(commit)
        return commit

    def _clean(self, commit: str) -> None:
        for worktree in (self.root / ".worktrees").iterdir():
            if worktree.name != commit:
                shutil.rmtree(worktree)
        _git(self.root, "worktree", "prune")
        _git(self.root, "reflog", "expire", "--expire-unreachable=all", "--all")
        _git(self.root, "-c", "gc.pruneExpire=now", "gc", "-q")


def _git(folder: Path, *arguments: str) -> str:
    """Run git as the user of git-sync, to whom the volume belongs."""
    return git(folder, "-c", "safe.directory=*", *arguments)


class Cluster:
    """A pod: a volume that git-sync fills, and the reconciler beside it.

    `at_request` is called at each request that the server receives.
    """

    def __init__(self, folder: Path, url: str, emulator: Emulator) -> None:
        self.folder, self.emulator = folder, emulator
        self.at_request: Callable[[], None] = lambda: None
        self.repository = folder / "repository"
        for name in ("repository", "python", "packages", "program"):
            (folder / name).mkdir()
        git(self.repository, "init", "-q", "-b", "main")
        self.git_sync = GitSync(folder / "git", self.repository)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.environ = {
            "CLOUDTRUTH_API_KEY": LOCAL_KEY,
            "CLOUDTRUTH_SERVER_URL": url,
            "SLACK_BOT_TOKEN": TOKEN,
            **{entry["name"]: entry["value"] for entry in container()["env"]},
        }

    def merge(self, *names: str) -> None:
        """Merge a change that declares webhooks."""
        files = configuration(*(slack(name, name) for name in names))
        text = files["webhooks.yaml"].replace("env: TOK", "env: SLACK_BOT_TOKEN")
        write(self.repository, {"webhooks.yaml": text})
        commit(self.repository)

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())

    def _arguments(self, *more: str) -> list[str]:
        """Return the arguments of the manifest, with paths and address of this machine."""
        replaced = {"/git/current": f"{self.folder}/git/current", "0.0.0.0:9464": self.address}
        arguments = [*ARGUMENTS, *more]
        for old, new in replaced.items():
            assert sum(old in argument for argument in arguments) == 1
            arguments = [argument.replace(old, new) for argument in arguments]
        return arguments

    def start(self, *more: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """Start it as this user."""
        command = [sys.executable, "-m", "reconciler", *self._arguments(*more)]
        return running(self.folder, *command, **self.environ)

    def start_isolated(self) -> AbstractContextManager[subprocess.Popen[str]]:
        """Start it as the manifest's user, without a capability or a writable file system."""
        for path in (self.folder / "git", *(self.folder / "git").rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
        places = {
            "PYTHON": sys.base_prefix,
            "PACKAGES": sysconfig.get_paths()["purelib"],
            "PROGRAM": str(ROOT),
            "USER_ID": str(USER),
            "LD_LIBRARY_PATH": str(self.folder / "python" / "lib"),  # of a shared build
        }
        executable = self.folder / "python" / "bin" / Path(sys.executable).resolve().name
        command = ["unshare", "--mount", "sh", "-c", ISOLATED, "sh", str(executable)]
        arguments = ["-m", "reconciler", *self._arguments()]
        places["PYTHONPATH"] = f"{self.folder}/program:{self.folder}/packages"
        return running(self.folder, *command, *arguments, **self.environ, **places)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=TIMEOUT) as response:
            return str(response.read().decode())


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Return a pod in a folder that other users can read."""

    def listen(entry: LogEntry) -> None:
        cluster.at_request()

    emulator = Emulator(listener=listen)
    with tempfile.TemporaryDirectory() as name, served(emulator) as url:
        Path(name).chmod(0o755)
        cluster = Cluster(Path(name), url, emulator)
        yield cluster


def ended(process: subprocess.Popen[str]) -> None:
    """End a process as Kubernetes does."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143, output


@pytest.mark.skipif(not _can_isolate(), reason="only root can make mount namespaces")
def test_it_runs_as_another_user_on_a_read_only_file_system(cluster: Cluster) -> None:
    """It applies, serves health and metrics, ends at SIGTERM, and continues after a restart."""
    cluster.merge("alpha")
    cluster.git_sync.sync()
    with cluster.start_isolated() as process:
        output = until(process, "Acme: applied")
        assert "the clone cannot be written" in output
        assert cluster.get("/healthz") == "ok\n"
        assert 'webhooks_drift{kind="create",organization="Acme"} 0.0' in cluster.get("/metrics")
        ended(process)
    cluster.merge("alpha", "beta")
    cluster.git_sync.sync()
    with cluster.start_isolated() as process:
        until(process, "create beta (declared, not live): applied")
        ended(process)
    assert cluster.names() == ["alpha", "beta"]


@pytest.mark.slow
def test_a_worktree_that_git_sync_replaces_is_never_half_read(cluster: Cluster) -> None:
    """At each request of three rounds a commit is merged and the worktree of the round removed."""
    cluster.merge("w-0")
    cluster.git_sync.sync()
    merged = 0

    def merge() -> None:
        nonlocal merged
        if merged < 5:
            merged += 1
            cluster.merge(*(f"w-{number}" for number in range(merged + 1)))
            cluster.git_sync.sync()

    cluster.at_request = merge
    with cluster.start("--every", "10s") as process:
        output = until(process, "Acme: unchanged")
        ended(process)
    assert merged == 5
    assert cluster.names() == [f"w-{number}" for number in range(6)]
    assert "delete" not in output
