"""What git-sync v4 does with its volume: a worktree for each commit, and a link that moves."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.folders import git


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
