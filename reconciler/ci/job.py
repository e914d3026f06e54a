"""What a run is to do, and where on GitHub it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from reconciler.ci.event import Event, read_event
from reconciler.ci.github import GitHub
from reconciler.errors import UsageError
from reconciler.model import Secret
from reconciler.ports import WebhookAPI
from reconciler.source.history import Git
from reconciler.values import dataclass
from reconciler.workflow import Engine, check_digest

Choice = TypeVar("Choice", bound=StrEnum)


class Command(StrEnum):
    """What to do."""

    VALIDATE = "validate"
    PLAN = "plan"
    APPLY = "apply"
    DRIFT = "drift"


class Commenting(StrEnum):
    """When a plan is written as a comment on its pull request."""

    ALWAYS = "true"
    CHANGES_ONLY = "changes-only"
    NEVER = "false"


class Reviewing(StrEnum):
    """What apply does with an operation that no merged pull request showed."""

    REQUIRE = "require"
    WARN = "warn"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do.

    `label` is empty where nobody chose one. `expect_digest` is a plan that was reviewed elsewhere.
    """

    command: Command
    label: str = ""
    commenting: Commenting = Commenting.ALWAYS
    reviewing: Reviewing = Reviewing.REQUIRE
    expect_digest: str | None = None
    allow_deletes: int | None = None
    resend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where the run is: its event, repository (owner/name), commit, branch and own address.

    `workflow` is the name of the workflow's file; each is empty where GitHub does not say.
    """

    event: Event
    repository: str
    commit: str
    branch: str
    url: str
    workflow: str = ""


class Connection(Protocol):
    """CloudTruth, and what writing to it needs."""

    @property
    def api(self) -> WebhookAPI:
        """The client."""
        ...

    @property
    def engine(self) -> Engine:
        """What carries a plan out."""
        ...

    @property
    def key(self) -> Secret | None:
        """The API key, which no file may refer to; None for an emulator."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the run can reach.

    `connect` is None without an API key, `github` None without a token. `clean` is the last net
    for text that leaves for GitHub. `directory` is the working directory.
    """

    connect: Callable[[], AbstractContextManager[Connection]] | None
    github: GitHub | None
    git: Git
    directory: Path
    clean: Callable[[str], str]


_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f`]{0,100}")


def read_job(values: Mapping[str, str]) -> Job:
    """Understand the inputs of the action, given under the names of action.yml.

    An empty input is one that is not given. Raises UsageError.
    """
    label = values.get("label", "").strip()
    if not _LABEL.fullmatch(label):
        raise UsageError("the label must be one line of at most 100 characters, without a backtick")
    digest = values.get("expect-digest", "").strip() or None
    if digest is not None:
        check_digest(digest)
    return Job(
        command=_choice(Command, "command", values.get("command", "")),
        label=label,
        commenting=_choice(Commenting, "comment", values.get("comment") or "true"),
        reviewing=_choice(Reviewing, "reviewed-plan", values.get("reviewed-plan") or "require"),
        expect_digest=digest,
        allow_deletes=_number("allow-deletes", values.get("allow-deletes", "")),
        resend=lines(values.get("resend-secret", "")),
    )


def read_run(environ: Mapping[str, str], payload: Mapping[str, Any]) -> Run:
    """Understand where the run is from GitHub's variables and its event's payload."""
    repository = environ.get("GITHUB_REPOSITORY", "")
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    number = environ.get("GITHUB_RUN_ID", "")
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
    url = f"{server}/{repository}/actions/runs/{number}" if repository and number else ""
    if url and attempt not in ("", "1"):
        url += f"/attempts/{attempt}"
    return Run(
        event=read_event(environ.get("GITHUB_EVENT_NAME", ""), payload, repository=repository),
        repository=repository,
        commit=environ.get("GITHUB_SHA", ""),
        branch=environ.get("GITHUB_REF_NAME", ""),
        url=url,
        workflow=_workflow(environ.get("GITHUB_WORKFLOW_REF", "")),
    )


def lines(text: str) -> tuple[str, ...]:
    """Split an input that may have several lines; empty ones are left out."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _workflow(reference: str) -> str:
    """Return `apply.yml` of `owner/name/.github/workflows/apply.yml@refs/heads/main`."""
    found = re.search(r"/\.github/workflows/([A-Za-z0-9._-]+)@", reference)
    return found[1] if found else ""


def _choice(kind: type[Choice], name: str, value: str) -> Choice:
    try:
        return kind(value.strip().lower())
    except ValueError:
        offered = ", ".join(kind)
        raise UsageError(f"{name} must be one of: {offered}") from None


def _number(name: str, value: str) -> int | None:
    text = value.strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise UsageError(f"{name} must be a whole number, 0 or more")
    return int(text)
