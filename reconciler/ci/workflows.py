"""The workflows that a team copies into its repository, filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from posixpath import normpath
from typing import Final

from reconciler import __version__

NAMES: Final = ("plan-webhooks.yml", "apply-webhooks.yml", "drift-webhooks.yml")
FOLDER: Final = ".github/workflows"
PACKAGE: Final = f"cloudtruth-webhooks=={__version__}"

_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f\"\\$]+")


def templates(
    *,
    package: str = PACKAGE,
    file: str = "webhooks.yaml",
    branch: str = "main",
    allow: str = "env:SLACK_*",
) -> Mapping[str, str]:
    """Return the text of each workflow by its path in a repository, with forward slashes.

    `package` is what pip installs, `file` the file or directory to watch, `branch` the one from
    which changes are applied, `allow` the secrets that may be referred to, separated by spaces.
    Raises ValueError for a value that YAML would not take as it is.
    """
    # GitHub matches whole paths from the root of the repository: `./a` and `a//b` never match.
    paths = normpath(file)
    if not paths.endswith((".yaml", ".yml")):
        paths = "**" if paths == "." else f"{paths}/**"
    values = {"package": package, "file": file, "paths": paths, "branch": branch, "allow": allow}
    for name, value in values.items():
        if not _PLAIN.fullmatch(value):
            raise ValueError(f"{name} cannot be written into a workflow")
    source = files("reconciler.ci") / "templates"
    return {
        f"{FOLDER}/{name}": _filled((source / name).read_text(encoding="utf-8"), values)
        for name in NAMES
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"@([a-z]+)@", lambda found: values[found[1]], text)
