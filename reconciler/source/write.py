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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import OutputError, UsageError
from reconciler.source.files import NotReadableError, read_regular


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a file is, in words, and a pattern that finds it in the content."""

    noun: str
    pattern: re.Pattern[bytes]


PLAN: Final = Kind(
    noun="a saved plan", pattern=re.compile(rb'\A\{\s*"format_version": "\w+",\s*"kind": "plan"')
)
REPORT: Final = Kind(
    noun="a report",
    pattern=re.compile(rb'\A\{\s*"format_version": "\w+",\s*"kind": "(report|error)"'),
)
WEBHOOKS: Final = Kind(
    noun="a file of webhooks", pattern=re.compile(rb"""^["']?webhooks["']? *:""", re.MULTILINE)
)
WORKFLOW: Final = Kind(
    noun="a workflow of webhooks", pattern=re.compile(rb"^ *WEBHOOKS_ALLOW_SECRETS: ", re.MULTILINE)
)
REQUESTS: Final = Kind(noun="a log of requests", pattern=re.compile(rb'\A\{"seq": '))

_MODE: Final = 0o600


def write_atomically(path: Path, data: bytes, *, over: Kind | None = None) -> None:
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


def check_kind(path: Path, over: Kind | None) -> None:
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


def check_writable(path: Path, *, over: Kind | None = None) -> None:
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
            os.fchmod(stream.fileno(), _MODE)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a crash too, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refusal(path: Path, cause: OSError | ValueError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {_reason(cause)}", hint="fix that, or name another file"
    )


def _reason(cause: OSError | ValueError) -> str:
    if isinstance(cause, OSError) and cause.errno is not None:
        return os.strerror(cause.errno).lower()
    return "the name is not one a file can have"
