"""Reading the base revision of a configuration from git."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reconciler.source.files import NotReadableError, Sources
from reconciler.source.history import Commit, NoBaseError, git_in, matching_lines, renames, tracked
from reconciler.workflow import Inputs
from tests.folders import commit, git, write
from tests.goldens import rows


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)

    def commit(self, **files: str) -> str:
        paths = {name.replace("__", "/").replace("_", "."): files[name] for name in files}
        write(self.folder, paths)
        return commit(self.folder)

    def read(self, commit: str, *paths: str, inside: str = ".") -> Sources:
        directory = self.folder / inside
        return Commit(commit, directory, git_in(directory)).read(paths)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def contents(found: Sources) -> dict[str, bytes]:
    return {each.file: each.raw for each in found.files}


def test_a_directory_gives_its_yaml_files(repository: Repository) -> None:
    """A directory in git is read like one on disk, without hidden files and links."""
    (repository.folder / "hooks").mkdir()
    (repository.folder / "hooks" / "link.yaml").symlink_to("a.yaml")
    tip = repository.commit(
        hooks__a_yaml="a",
        hooks__b_yml="b",
        hooks__c_txt="c",
        hooks___d_yaml="d",
        hooks__e__f_yaml="f",
        hooks___g__h_yaml="h",
    )
    found = {"hooks/a.yaml": b"a", "hooks/b.yml": b"b", "hooks/e/f.yaml": b"f"}
    assert contents(repository.read(tip, "hooks")) == found
    assert contents(repository.read(tip, "hooks/a.yaml", "hooks")) == found
    inside = {name.removeprefix("hooks/"): raw for name, raw in found.items()}
    assert contents(repository.read(tip, ".", inside="hooks")) == inside


def test_paths_are_relative_to_the_working_directory(repository: Repository) -> None:
    """A run inside a folder of the repository has the same paths in messages as on disk."""
    tip = repository.commit(team__webhooks_yaml="x", shared__w_yaml="y")
    assert contents(repository.read(tip, inside="team")) == {"webhooks.yaml": b"x"}
    absolute = str(repository.folder / "team" / "webhooks.yaml")
    assert contents(repository.read(tip, absolute)) == {"team/webhooks.yaml": b"x"}
    above = repository.read(tip, "../shared/w.yaml", inside="team")
    assert contents(above) == {"../shared/w.yaml": b"y"}


def test_a_new_file_has_an_empty_base(repository: Repository) -> None:
    """Every webhook of a new file is new. A path is not one of git's patterns."""
    tip = repository.commit(readme_md="x")
    repository.commit(webhooks_yaml="new")
    assert contents(repository.read(tip)) == contents(repository.read(tip, ":(top)readme.md")) == {}


@pytest.mark.parametrize(("path", "word"), rows(Path(__file__).with_name("without_history.yaml")))
def test_what_has_no_history_is_an_error(repository: Repository, path: str, word: str) -> None:
    """A commit without a configuration would make every webhook new."""
    commit = repository.commit(webhooks_yaml="x")
    with pytest.raises(NoBaseError, match=re.escape(word)):
        repository.read(commit, path)


def test_a_missing_blob_is_not_an_empty_file(tmp_path: Path) -> None:
    """A partial clone without the file's content is an error."""
    listing = b"100644 blob " + b"b" * 40 + b"\twebhooks.yaml\0"
    outputs = {"--literal-pathspecs": listing}
    with pytest.raises(NoBaseError, match="cannot be read by git"):
        Commit("a" * 40, tmp_path, lambda words: outputs.get(words[0])).read(())


def test_a_renamed_file_is_known_by_its_earlier_name(repository: Repository) -> None:
    """The rename is in the index, or in a later commit."""
    repository.commit(a_yaml="webhooks: []")
    repository.git("mv", "a.yaml", "b.yaml")
    for revision in ("HEAD", "HEAD^"):
        before = Commit(revision, repository.folder, git_in(repository.folder))
        assert renames(before, ("b.yaml",), None) == {"a.yaml": "b.yaml"}
        repository.commit()


@pytest.mark.parametrize("path", [".", ""])
def test_git_of_the_repository_is_not_run(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A program of that name in the current directory is not used, even if PATH has `.`."""
    tip = repository.commit(webhooks_yaml="old")
    program = repository.folder / "git"
    program.write_text("#!/bin/sh\ntouch planted\n")
    program.chmod(0o755)
    monkeypatch.chdir(repository.folder)
    monkeypatch.setenv("PATH", path + os.pathsep + os.environ["PATH"])
    assert contents(repository.read(tip)) == {"webhooks.yaml": b"old"}
    assert not (repository.folder / "planted").exists()


def test_only_files_in_git_are_tracked(repository: Repository) -> None:
    """Links, new files and files outside the repository are not tracked."""
    folder = repository.folder
    (folder / "link").symlink_to("elsewhere")
    repository.commit(a_txt="a", sub__b_txt="b")
    (folder / "new.txt").write_text("new")
    absolute = str(folder / "a.txt")
    names = ["a.txt", absolute, "sub/../sub/b.txt", "link", "new.txt", "*.txt"]
    git = git_in(folder)
    assert tracked(names, directory=folder, git=git) == {"a.txt", absolute, "sub/../sub/b.txt"}
    assert tracked([*names[2:], "../x"], directory=folder, git=git) == {"sub/../sub/b.txt"}
    assert tracked(["b.txt"], directory=folder / "sub", git=git_in(folder / "sub")) == {"b.txt"}
    assert tracked(names, directory=folder, git=lambda words: None) == frozenset()


def test_lines_are_found_in_the_whole_repository(repository: Repository) -> None:
    """From any folder, in a commit and in the working tree, whatever the configuration of git."""
    (repository.folder / "link.yaml").symlink_to("ä.yaml")
    repository.git("config", "grep.fullName", "true")
    repository.git("config", "grep.lineNumber", "true")
    tip = repository.commit(
        ä_yaml="x\nname: A\r\n", b__c_YML="b\\x", b__d_txt="name", h___g__e_yml="name\0"
    )
    (repository.folder / "ä.yaml").write_text("name: B")
    git = git_in(repository.folder / "b")
    lines = {"../ä.yaml": b"name: A\r\n", "c.YML": b"b\\x\n", "../h/.g/e.yml": b"name\0\n"}
    texts = ("name", "\\")
    assert matching_lines(texts, git, Commit(tip, repository.folder / "b", git)) == lines
    assert matching_lines(texts, git, None) == lines | {"../ä.yaml": b"name: B\n"}
    assert matching_lines(["none"], git, None) == matching_lines(texts, lambda words: None, None)
    with pytest.raises(NotReadableError, match="cannot be searched by git"):
        matching_lines(texts, lambda words: None, Commit(tip, repository.folder, git))


def test_a_policy_behind_a_link_on_the_base_branch_is_refused(repository: Repository) -> None:
    """A pull request that replaces the link with a folder would otherwise bring its own policy."""
    (repository.folder / "policies").symlink_to("shared")
    base = repository.commit(shared__p_json='{"minProperties": 99}')
    (repository.folder / "policies").unlink()
    repository.commit(policies__p_json="{}")
    run = git_in(repository.folder)
    inputs = Inputs(repository.folder, {}, bytes, git=run, policy_base=base)
    with pytest.raises(NotReadableError, match="leads through policies, a link"):
        inputs.read_policy("policies/p.json")
    assert inputs.read_policy("shared/p.json") == b'{"minProperties": 99}'
