"""Which files are read, and the errors of those that cannot be."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from shutil import rmtree

import pytest

from reconciler.source import files
from reconciler.source.files import STDIN_NAME, Sources, read
from reconciler.source.history import Commit, NoBaseError, git_in
from tests.folders import ROOT, commit, git
from tests.goldens import rows


def read_in(directory: Path, *paths: str) -> Sources:
    return read(paths, directory=directory, stdin=lambda: pytest.fail("standard input was read"))


def names(sources: Sources) -> list[str]:
    assert sources.findings == ()
    return [each.file for each in sources.files]


def only_message(sources: Sources) -> str:
    (finding,) = sources.findings
    return f"{finding.message} | {finding.hint}"


def make(directory: Path, there: Iterable[str]) -> None:
    """Create empty files, links (`@name>target`) and pipes (`|name`)."""
    for name in there:
        link, _, target = name.strip("@|").partition(">")
        path = directory / link
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        elif name.startswith("|"):
            os.mkfifo(path)
        else:
            path.touch()


@pytest.mark.parametrize(
    ("there", "paths", "expected"), rows(Path(__file__).with_name("read_files.yaml"))
)
def test_files_that_are_read(tmp_path: Path, there: list[str], paths: str, expected: str) -> None:
    """A directory or a glob means the YAML files in it, each once, in order, at a revision, too."""
    make(tmp_path, there)
    assert names(read_in(tmp_path, *paths.split())) == expected.split()
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    with suppress(NoBaseError) if "/link" in paths else nullcontext():
        committed = Commit("HEAD", tmp_path, git_in(tmp_path)).read(paths.split())
        assert names(committed) == expected.split()


@pytest.mark.parametrize(
    ("there", "expected"), rows(Path(__file__).with_name("default_files.yaml"))
)
def test_the_default_is_the_first_that_exists(
    there: list[str], expected: str, tmp_path: Path
) -> None:
    """Without `-f`, one of the two files or the folder is read, at a revision, too."""
    make(tmp_path, there)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    assert names(read_in(tmp_path)) == expected.split()
    rmtree(tmp_path / "webhooks", ignore_errors=True)
    assert names(Commit("HEAD", tmp_path, git_in(tmp_path)).read(())) == expected.split()


@pytest.mark.parametrize(
    ("there", "paths", "expected"), rows(Path(__file__).with_name("paths.yaml"))
)
def test_unreadable_paths(
    tmp_path: Path, there: tuple[str, ...], paths: tuple[str, ...], expected: str
) -> None:
    """One finding gives the path, the reason and the next step; reading never waits for a pipe."""
    make(tmp_path, there)
    sources = read_in(tmp_path, *paths)
    assert sources.files == ()
    assert only_message(sources).startswith(expected)


def test_an_unreadable_subdirectory_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The subdirectory may contain webhooks, so the others would be incomplete."""
    (tmp_path / "conf" / "locked").mkdir(parents=True)
    (tmp_path / "conf" / "a.yaml").touch()
    scandir = os.scandir

    def deny(path: str) -> object:  # root, which may run the tests, can read everything
        if os.path.basename(path) == "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    sources = read_in(tmp_path, "conf")
    assert sources.files == ()
    assert only_message(sources).startswith(
        "cannot read conf: it contains a directory, locked, that cannot be opened (Permission"
    )


def test_names_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    """Any path has a short name with forward slashes."""
    make(tmp_path, ("work/conf/a.yaml", "outside.yaml"))
    paths = (str(tmp_path / "work/conf/a.yaml"), "../outside.yaml")
    assert names(read_in(tmp_path / "work", *paths)) == ["conf/a.yaml", "../outside.yaml"]


def test_stdin_is_read_for_a_dash(tmp_path: Path) -> None:
    """Standard input is read once, also among files."""
    (tmp_path / "a.yaml").write_bytes(b"a")
    typed = iter([b"typed"])
    sources = read(("-", "a.yaml", "-"), directory=tmp_path, stdin=lambda: next(typed))
    assert [(each.file, each.raw) for each in sources.files] == [
        (STDIN_NAME, b"typed"),
        ("a.yaml", b"a"),
    ]


def test_too_large_input_is_rejected(tmp_path: Path) -> None:
    """The limit applies to standard input and to files, also those that report a wrong size."""
    wrong = Path("/proc/self/maps")
    if wrong.exists():  # only Linux has such files
        with pytest.raises(files.NotReadableError, match="larger than 0 KiB"):
            files.read_regular(wrong, limit=4)
    with (tmp_path / "big.yaml").open("wb") as stream:
        stream.truncate(files.MAX_FILE_BYTES + 1)
    assert "larger than 64 MiB" in only_message(read_in(tmp_path, "big.yaml"))
    for page in ("file", "rules"):
        assert "64 MiB" in (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    large = bytes(files.MAX_FILE_BYTES + 1)
    assert "larger than 64 MiB" in only_message(
        read(("-",), directory=tmp_path, stdin=lambda: large)
    )


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    """An unreadable file hides neither other errors nor valid files."""
    (tmp_path / "good.yaml").touch()
    sources = read_in(tmp_path, "none.yaml", "good.yaml", "/dev/null")
    assert [each.file for each in sources.files] == ["good.yaml"]
    assert len(sources.findings) == 2
    assert {each.rule for each in sources.findings} == {"unreadable-file"}
