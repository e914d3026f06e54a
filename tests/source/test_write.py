"""Files are written completely and privately; a failure keeps the old file."""

from __future__ import annotations

import os
import resource
import stat
import threading
from pathlib import Path

import pytest

from reconciler.errors import OutputError
from reconciler.source.output import FileKind, write_atomically
from tests.waiting import TIMEOUT

KIND, OLD = FileKind.WEBHOOKS, b"webhooks: []\n"


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
