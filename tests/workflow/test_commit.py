"""A configuration that is read from a commit, as a reconciler does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.errors import ConfigurationError
from reconciler.model import Secret
from reconciler.source.history import commit_at, git_in
from reconciler.workflow import Inputs, gather, load
from tests.folders import commit, git, write

FILES = {
    "team/webhooks.yaml": "extends: ../base.yaml\norganization: Acme\nwebhooks: []\n",
    "base.yaml": """\
webhooks:
- name: deploys
  type: generic
  event_types: ["*"]
  configuration:
    url: {file: secrets/url}
    token: {file: secrets/token}
""",
    "secrets/url": "https://example.com/committed",
    "policy.json": '{"minProperties": 1}',
}


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Return the inputs of a commit with these files; the token is not in git."""
    git(tmp_path, "init", "-q")
    write(tmp_path, FILES)
    commit(tmp_path)
    write(tmp_path, {"secrets/token": "from the disk"})
    return inputs_at(tmp_path)


def inputs_at(folder: Path) -> Inputs:
    directory = folder / "team"
    run = git_in(directory)
    at = commit_at("HEAD", directory, run)
    assert at is not None
    inputs = Inputs(directory, {}, bytes, git=run, policies=("../policy.json",))
    return inputs._replace(commit=at)


def values(inputs: Inputs) -> dict[str, Secret]:
    return {str(ref): value for ref, value in gather(load(inputs)).secrets.items()}


def test_the_working_tree_is_not_read(inputs: Inputs) -> None:
    """Files, parents, policies and tracked secret files are those of the commit."""
    expected = {
        "file ../secrets/url": Secret("https://example.com/committed"),
        "file ../secrets/token": Secret("from the disk"),
    }
    assert values(inputs) == expected
    root = inputs.directory.parent
    write(root, {"secrets/url": "https://evil.example", "base.yaml": "x", "policy.json": "false"})
    shutil.rmtree(inputs.directory)
    inputs.directory.mkdir()
    assert values(inputs) == expected


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("no.yaml",), "there is no file no.yaml in commit"),
        (("webhooks.yaml", "other"), "there is no file other in commit"),
        (("-",), "standard input"),
        (("*.yaml",), "globs have no history"),
        (("../../outside.yaml",), "cannot list"),
    ],
)
def test_a_commit_without_the_files_is_an_error(
    inputs: Inputs, paths: tuple[str, ...], message: str
) -> None:
    """A missing file is not an empty configuration, which would delete its webhooks."""
    with pytest.raises(ConfigurationError) as problem:
        load(inputs._replace(paths=paths))
    texts = [problem.value.message, *(each.message for each in problem.value.findings)]
    assert any(message in text for text in texts)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the program is not installed, it is as if the folder had no history."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert git_in(tmp_path)(["--version"]) is None


def test_a_secret_behind_a_link_of_the_commit_is_refused(inputs: Inputs) -> None:
    """The content of a link is a path, and its target may belong to another commit."""
    root = inputs.directory.parent
    (root / "secrets" / "url").unlink()
    (root / "secrets" / "url").symlink_to("token")
    git(root, "add", "secrets/url")
    git(root, "commit", "-q", "-m", "link")
    gathered = gather(load(inputs_at(root)))
    problems = [str(each.message) for found in gathered.problems.values() for each in found]
    assert any("a link or a submodule" in message for message in problems)
