"""Files are written completely and privately; a failure keeps the old file."""

from __future__ import annotations

import os
import resource
import stat
import threading
from pathlib import Path

import pytest

from reconciler.errors import OutputError, UsageError
from reconciler.source.write import FileKind, write_atomically
from tests.waiting import TIMEOUT

KIND, OLD = FileKind.REQUESTS, b'{"seq": 1}'


@pytest.mark.parametrize("old", [None, OLD * 2])
def test_writes_a_private_file(tmp_path: Path, old: bytes | None) -> None:
    """Only the owner can read the file, also if it replaces one with looser permissions."""
    path = tmp_path / "plan.json"
    if old is not None:
        path.write_bytes(old)
        path.chmod(0o644)
    write_atomically(path, b"new", over=KIND)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_follows_a_link(tmp_path: Path) -> None:
    """A link stays a link; its target is replaced."""
    folder = tmp_path / "folder"
    folder.mkdir()
    link = tmp_path / "link"
    link.symlink_to(folder / "real")
    write_atomically(link, OLD)
    write_atomically(link, b"new", over=KIND)
    assert link.is_symlink()
    assert (folder / "real").read_bytes() == b"new"


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """If the content does not fit, the old file is complete and no partial file remains."""
    path = tmp_path / "plan.json"
    path.write_bytes(OLD)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*plan\.json: file too large"):
            write_atomically(path, b"x" * 100_000, over=KIND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("over", "why"),
    [(None, "already exists$"), (KIND, "already exists and is not a request log$")],
    ids=["any", "another"],
)
def test_a_file_of_another_kind_is_not_replaced(
    tmp_path: Path, over: FileKind | None, why: str
) -> None:
    """The error has the kind of the existing file."""
    path = tmp_path / "token"
    path.write_bytes(b"secret")
    with pytest.raises(UsageError, match=f"token {why}"):
        write_atomically(path, b"new", over=over)
    assert path.read_bytes() == b"secret"


def test_unwritable_paths_are_errors(tmp_path: Path) -> None:
    """A missing folder, or a path with a file where a folder must be, is an error."""
    (tmp_path / "file").write_bytes(b"")
    for path, reason in (
        (tmp_path / "no" / "plan.json", "no such file or directory"),
        (tmp_path, "is a directory"),
        (tmp_path / "file" / "plan.json", "not a directory"),
        (tmp_path / "a\0b", "invalid file name"),
    ):
        with pytest.raises(OutputError, match=reason) as odd:
            write_atomically(path, b"x")
        assert odd.value.__cause__ is None


def test_writes_into_a_pipe(tmp_path: Path) -> None:
    """Anything but a regular file is written to, not replaced."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(path.read_bytes()))
    reader.start()
    write_atomically(path, b"new")
    reader.join(TIMEOUT)
    assert seen == [b"new"]
    assert stat.S_ISFIFO(path.stat().st_mode)
