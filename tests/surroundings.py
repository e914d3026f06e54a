"""What the machine around the tests says, and to whom it is passed on.

A test must end alike on a laptop, in a job of continuous integration, behind a proxy, in a git hook
and in a narrow terminal. So what such places put into the environment is taken out before the
first test; programs that fetch packages are given back the way to them.
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
    # What git tells its hooks: it would lead every git that a test starts into our own repository.
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE",
)  # fmt: skip

PROXIES: Final[Mapping[str, str]] = {
    name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")
}
"""The way to the network from here, as it was when the tests were collected."""


def foreign(name: str) -> bool:
    """Return whether a variable must not reach a test."""
    return name.startswith(_PREFIXES) or name in _NAMES or name.lower().endswith("_proxy")


def fetching(**environ: str) -> dict[str, str]:
    """Return the environment of a program that fetches packages, with `environ` in it."""
    return {**os.environ, **PROXIES, **environ}
