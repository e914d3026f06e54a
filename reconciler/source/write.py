"""Files are written whole or not at all.

The content goes to a temporary file beside the old one, is synced and then renamed over it, so
that neither a full disk nor a crash leaves half a file or loses the old one. Only the owner may
read what is written. What is no regular file, such as a pipe or /dev/stdout, is written into.

A file is only replaced by one of its kind, so that no option that names an output can destroy the
declarations, a secret or anything else, whatever links lead there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from reconciler.errors import OutputError, UsageError
from reconciler.source.files import NotReadableError, read_regular


class FileKind(NamedTuple):
    """What a file is, in words, and a pattern that finds it in the content."""

    noun: str
    pattern: re.Pattern[bytes]


_JSON: Final = rb'\A\{\s*"format_version": "\w+",\s*"kind": '
PLAN: Final = FileKind("a saved plan", re.compile(_JSON + rb'"plan"'))
REPORT: Final = FileKind("a report", re.compile(_JSON + rb'"(report|error)"'))
WEBHOOKS: Final = FileKind(
    "a file of webhooks", re.compile(rb"""^["']?webhooks["']? *:""", re.MULTILINE)
)
WORKFLOW: Final = FileKind(
    "a workflow of webhooks", re.compile(rb"^ *WEBHOOKS_ALLOW_SECRETS: ", re.MULTILINE)
)
REQUESTS: Final = FileKind("a log of requests", re.compile(rb'\A\{"seq": '))


def write_atomically(path: Path, data: bytes, *, over: FileKind | None = None) -> None:
    """Make `data` the content of `path`.

    An existing file is replaced if it is of the kind `over` or empty; without `over` none is. A
    link is followed: the file it leads to is replaced, not the link. Raises UsageError for another
    file, OutputError if it cannot be written; what was there is then still there.
    """
    check_kind(path, over)
    try:
        if _is_special(path):
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except (OSError, ValueError) as cause:
        raise _refusal(path, cause) from None


def make_folder(path: Path) -> None:
    """Make a directory, and those above it, if it is not there. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise OutputError(
            f"cannot make the directory {path}: {_reason(cause)}",
            hint="fix that, and run it again",
        ) from None


def check_kind(path: Path, over: FileKind | None) -> None:
    """Raise UsageError if `path` is a file that is neither of the kind `over` nor empty."""
    if not os.path.isfile(path):
        return
    why = "exists"
    if over is not None:
        try:
            content = read_regular(path)
        except (FileNotFoundError, NotReadableError) as cause:
            why = f"exists and {cause}"
        else:
            if not content or over.pattern.search(content):
                return
            why = f"exists and is not {over.noun}"
    raise UsageError(f"{path} {why}: it is not replaced", hint="name a file that does not exist")


def check_writable(path: Path, *, over: FileKind | None = None) -> None:
    """Raise what `write_atomically` would raise, as far as that shows beforehand."""
    check_kind(path, over)
    try:
        if not _is_special(path):
            parent = Path(os.path.realpath(path)).parent
            with tempfile.TemporaryFile(prefix=".", dir=parent):
                pass
    except (OSError, ValueError) as cause:
        raise _refusal(path, cause) from None


def _is_special(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "")
    return not stat.S_ISREG(mode)


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o600)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    with suppress(OSError):  # the new name survives a crash too, where the system can
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _refusal(path: Path, cause: OSError | ValueError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {_reason(cause)}", hint="fix that, or name another file"
    )


def _reason(cause: OSError | ValueError) -> str:
    if isinstance(cause, OSError) and cause.errno is not None:
        return os.strerror(cause.errno).lower()
    return "the name is not one a file can have"
