"""Remove variables of the machine that would influence tests.

A test must behave the same on a laptop, in continuous integration, behind a proxy, in a git hook
and in a narrow terminal. So such variables are removed before the first test; programs that fetch
packages get the proxy variables back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_PREFIXES: Final = (
    "ACTIONS_", "CLICOLOR", "CLOUDTRUTH_", "GITHUB_", "GITLAB_", "RUNNER_", "WEBHOOKS_",
    "_WEBHOOKS_",
)  # fmt: skip
_NAMES: Final = (
    "CI", "COLUMNS", "FORCE_COLOR", "FORCE_HYPERLINK", "LINES", "NO_COLOR", "PAGER_PASSWORD",
    "PYTHONDEVMODE", "PYTHONWARNINGS", "SLACK_BOT_TOKEN", "XDG_CONFIG_HOME",
    # Git sets these for its hooks; they would direct git commands of a test to this repository.
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE",
)  # fmt: skip

PROXIES: Final[Mapping[str, str]] = {
    name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")
}
"""The proxies of this machine when the tests were collected."""


def is_removed(name: str) -> bool:
    """Return whether a variable is removed."""
    return name.startswith(_PREFIXES) or name in _NAMES or name.lower().endswith("_proxy")


def download_environment(**environ: str) -> dict[str, str]:
    """Return the environment of a program that fetches packages, with `environ` added."""
    return {**os.environ, **PROXIES, **environ}
