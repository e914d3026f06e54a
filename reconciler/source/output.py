"""Write files, so that nothing is lost.

Files are written atomically: to a temporary file beside the old one, synced and renamed, so that
neither a full disk nor a crash leaves a partial file or loses the old one. Only the owner can read
the file; a configuration file keeps its permissions. Targets that are not regular files, such as a
pipe or /dev/stdout, are written to directly. A file is only replaced by a file of the same kind, so
that an output option cannot overwrite the configuration, a secret or another file, even via links.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

from reconciler.errors import OutputError, UsageError
from reconciler.source.files import DECLARES_WEBHOOKS, NotReadableError, read_regular

# How every JSON document of this program starts.
_JSON: Final = rb'\A\{\s*"format_version": "\w+",\s*"kind": '


class FileKind(Enum):
    """A kind of file: its name, and a pattern that recognizes its content."""

    PLAN = ("a saved plan", _JSON + rb'"plan"')
    REPORT = ("a report", _JSON + rb'"(report|error)"')
    WEBHOOKS = ("a webhooks file", DECLARES_WEBHOOKS)
    WORKFLOW = (
        "a webhooks workflow",
        rb"(?m)^ *(WEBHOOKS_ALLOW_SECRETS: |uses: .*/workflows/webhooks\.yml)",
    )
    # Only files that the run has loaded are edited, so no content is refused.
    CONFIGURATION = ("a configuration file", rb"")


def write_atomically(
    path: Path, data: bytes, *, over: FileKind | None = None, parents: bool = False
) -> None:
    """Write `data` to the file `path`; with `parents`, create missing directories.

    An existing file is replaced only if it is of the kind `over` or empty; without `over` it is
    never replaced. Links are followed: the target is replaced, not the link. Raises UsageError for
    another kind of file, OutputError if it cannot be written; the old file is then unchanged.
    """
    check_kind(path, over)
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        if _is_special(path):
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data, over is FileKind.CONFIGURATION)
    except (OSError, ValueError) as cause:
        raise _refusal(path, cause) from None


def check_kind(path: Path, over: FileKind | None) -> None:
    """Raise UsageError if `path` is a file that is neither of the kind `over` nor empty."""
    if not os.path.isfile(path):
        return
    why = "already exists"
    if over is not None:
        noun, pattern = over.value
        try:
            content = read_regular(path)
            if not content or re.search(pattern, content):
                return
            why = f"already exists and is not {noun}"
        except NotReadableError as cause:
            why = f"exists and {cause}"
    raise UsageError(f"{path} {why}", hint="choose another file name, or rename this file")


def check_writable(path: Path, *, over: FileKind | None = None) -> None:
    """Raise the errors of `write_atomically` that can be detected before writing."""
    check_kind(path, over)
    try:
        if not _is_special(path):
            parent = Path(os.path.realpath(path)).parent
            # Only an attempt tells: permissions know nothing about a read-only file system.
            with tempfile.TemporaryFile(prefix=".", dir=parent):
                pass
    except (OSError, ValueError) as cause:
        raise _refusal(path, cause) from None


def _is_special(path: Path) -> bool:
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "")
    return os.path.exists(path) and not os.path.isfile(path)


def is_writable(path: Path) -> bool:
    """Return whether the permissions of a file allow to change it."""
    # An administrator may write every file, also one that its owner has protected.
    return os.access(path, os.W_OK) and bool(os.stat(path).st_mode & stat.S_IWUSR)


def _replace(path: Path, data: bytes, keeps_mode: bool) -> None:
    # In the same folder, because a rename is atomic only within a file system. The name is cut, as
    # a name of the maximum length could not get longer.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            # Without it, the rename could reach the disk before the content.
            os.fsync(stream.fileno())
        if keeps_mode:
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    # Also if the user interrupts.
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _refusal(path: Path, cause: OSError | ValueError) -> OutputError:
    reason = "invalid file name"
    if isinstance(cause, OSError) and cause.errno is not None:
        reason = os.strerror(cause.errno).lower()
    return OutputError(f"cannot write {path}: {reason}", hint="use a writable path")
