"""Which references to secrets are allowed. A reference is judged by its name alone.

Whoever can change a declaration can name any variable and any file of the machine that applies
it, and have it sent anywhere. So what belongs to the machine or to the run itself is never sent,
and a run may allow only a list.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, assert_never

from reconciler.errors import UsageError
from reconciler.model import Scheme, SecretRef
from reconciler.source.files import STDIN_NAME
from reconciler.source.literals import masked
from reconciler.source.remark import Remark, error

FORBIDDEN_VARIABLES: Final = (
    "CLOUDTRUTH_", "GITHUB_", "ACTIONS_", "RUNNER_", "AWS_", "AZURE_", "GOOGLE_",
)  # fmt: skip
FORBIDDEN_FOLDERS: Final = ("/proc", "/sys", "/dev")


def refusal(ref: SecretRef, allow: Sequence[str] = ()) -> Remark | None:
    """Return why `ref` may not be used, None if it may. Looks at names only."""
    match ref.scheme:
        case Scheme.LITERAL:
            return None
        case Scheme.ENV:
            for prefix in FORBIDDEN_VARIABLES:
                if ref.name.upper().startswith(prefix):
                    return error(
                        "forbidden-secret",
                        f"{prefix}* variables are never sent to a webhook: {shown(ref)}",
                        "put the secret into a variable of another name",
                    )
        case Scheme.FILE:
            if is_forbidden(ref.name):
                return forbidden_file(ref)
        case _:
            assert_never(ref.scheme)
    name = posixpath.normpath(ref.name) if ref.scheme is Scheme.FILE else ref.name
    if allow and not any(fnmatchcase(f"{ref.scheme}:{name}", each) for each in allow):
        return not_allowed(ref)
    return None


def allow_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return `patterns` of `--allow-secret`. Raises UsageError for one that can match nothing."""
    found = tuple(patterns)
    for pattern in found:
        scheme, separator, name = pattern.partition(":")
        if not separator or not name or scheme not in (Scheme.ENV, Scheme.FILE):
            raise UsageError(
                f"--allow-secret takes env:NAME or file:PATH (globs work), not '{pattern}'",
                hint="for example --allow-secret 'env:SLACK_*'",
            )
    return found


def file_name(path: str, declaring: str) -> str:
    """Return the name of a referenced file, relative to the working directory if it can be.

    `path` is relative to the file that says it, whose own name is `declaring`.
    """
    folder = "" if declaring == STDIN_NAME else posixpath.dirname(declaring)
    return posixpath.normpath(posixpath.join(folder, path.replace(os.sep, "/")))


def leads_to(path: Path, pattern: str, directory: Path) -> bool:
    """Say whether `pattern` allows `path`, in which no links are left.

    The folders of `pattern` before its first glob may be links themselves: they were chosen by
    whoever runs the command.
    """
    scheme, _, name = pattern.partition(":")
    if scheme != Scheme.FILE:
        return False
    folder, slash, last = name.rpartition("/")
    fixed, rest = f"{folder}{slash}", ""
    glob = re.search(r"[*?\[]", fixed)
    if glob is not None:
        cut = fixed.rfind("/", 0, glob.start()) + 1
        fixed, rest = fixed[:cut], fixed[cut:]
    home = Path(os.path.realpath(directory / fixed)).as_posix()
    # Where the folder itself lies is no glob, whatever characters are in its name.
    home = re.sub(r"[*?\[]", r"[\g<0>]", home.rstrip("/"))
    return fnmatchcase(path.as_posix(), f"{home}/{rest}{last}")


def is_forbidden(name: str) -> bool:
    """Say whether a path lies where no secret of a webhook can be."""
    # Two slashes at the start are kept by normpath, and mean the same as one.
    path = posixpath.normpath(name)
    path = f"/{path.lstrip('/')}" if path.startswith("/") else path
    return any(path == each or path.startswith(f"{each}/") for each in FORBIDDEN_FOLDERS)


def forbidden_file(ref: SecretRef) -> Remark:
    """Say that the file of `ref` is never sent."""
    return error(
        "forbidden-secret",
        f"files of /proc, /sys and /dev are never sent to a webhook: {shown(ref)}",
        "keep the secret in a file of its own",
    )


def not_allowed(ref: SecretRef) -> Remark:
    """Say that no pattern allows `ref`."""
    return error(
        "secret-not-allowed",
        f"{ref.scheme} {shown(ref)} is not among the secrets that this run allows",
        f"add --allow-secret '{ref.scheme}:{shown(ref)}' if it may be sent",
    )


def shown(ref: SecretRef) -> str:
    """Return the name of a reference for a message; somebody may have put a token there."""
    return masked(ref.name)
