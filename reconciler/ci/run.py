"""What a run of `webhooks ci` is to do, why it runs, and what it can reach.

The event's payload is written by GitHub, with names in it that anybody can choose. It is read
tolerantly: a missing field makes the event one that allows less, never more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from reconciler.ci.github import GitHub
from reconciler.errors import UsageError
from reconciler.source.history import Git
from reconciler.workflow import Connection, check_digest

Choice = TypeVar("Choice", bound=StrEnum)

DEPENDABOT: Final = "dependabot[bot]"


class Command(StrEnum):
    """What to do."""

    VALIDATE = "validate"
    PLAN = "plan"
    APPLY = "apply"
    DRIFT = "drift"


class Commenting(StrEnum):
    """When a plan is written as a comment on its pull request.

    With `changes-only` also a plan that a guard blocks, and a change that only relaxes guards.
    """

    ALWAYS = "true"
    CHANGES_ONLY = "changes-only"
    NEVER = "false"


class Reviewing(StrEnum):
    """What apply does with an operation that no merged pull request showed."""

    REQUIRE = "require"
    WARN = "warn"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request was opened or changed.

    `branch` is the branch that it goes to, `base` the commit of that branch. `distrust` is why
    GitHub gives this run no secrets and a read-only token, None where it does give them.
    """

    number: int
    head: str
    branch: str
    base: str
    distrust: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeGroup:
    """A merge queue tests a group of pull requests. `reference` is the queue's own branch."""

    branch: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A push, a schedule, a manual start, or anything else."""

    name: str


Event: TypeAlias = PullRequest | MergeGroup | Other


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
    """Where the run is: its event, repository (owner/name), branch, id and address.

    `applies` is the branch whose files are applied, `workflow` the name of the workflow's file;
    each is empty where GitHub does not say.
    """

    event: Event
    repository: str
    branch: str
    applies: str = ""
    id: str = ""
    url: str = ""
    workflow: str = ""

    @property
    def link(self) -> str:
        """Return the run as Markdown."""
        return f"[this run]({self.url})" if self.url else "a run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the run can reach.

    `connect` is None without an API key, `github` None without a token. `clean` removes secrets
    from text that leaves for GitHub. `directory` is the working directory.
    """

    connect: Callable[[], AbstractContextManager[Connection]] | None
    github: GitHub | None
    git: Git
    directory: Path
    clean: Callable[[str], str]


_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f`]{0,100}")


def read_job(values: Mapping[str, str]) -> Job:
    """Read the inputs of the action, given under the names of action.yml.

    An empty input counts as not given. Raises UsageError.
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
    """Read where the run is from GitHub's variables and its event's payload."""
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
        branch=environ.get("GITHUB_REF_NAME", ""),
        applies=_text(_object(payload, "repository"), "default_branch"),
        id=number,
        url=url,
        workflow=_workflow(environ.get("GITHUB_WORKFLOW_REF", "")),
    )


def read_event(name: str, payload: Mapping[str, Any], *, repository: str) -> Event:
    """Reduce the payload of the event called `name` in `repository` (owner/name)."""
    match name:
        case "pull_request" | "pull_request_target":
            return _pull_request(name, payload, repository=repository)
        case "merge_group":
            group = _object(payload, "merge_group")
            return MergeGroup(
                branch=_text(group, "base_ref").removeprefix("refs/heads/"),
                reference=_text(group, "head_ref"),
            )
        case _:
            return Other(name=name)


def lines(text: str) -> tuple[str, ...]:
    """Split an input that may have several lines; empty ones are left out."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _pull_request(name: str, payload: Mapping[str, Any], *, repository: str) -> Event:
    pull = _object(payload, "pull_request")
    number = pull.get("number")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return Other(name=name)
    head, base = _object(pull, "head"), _object(pull, "base")
    return PullRequest(
        number=number,
        head=_text(head, "sha"),
        branch=_text(base, "ref"),
        base=_text(base, "sha"),
        distrust=_distrust(payload, pull, head, repository=repository),
    )


def _distrust(
    payload: Mapping[str, Any], pull: Mapping[str, Any], head: Mapping[str, Any], *, repository: str
) -> str | None:
    home = _text(_object(head, "repo"), "full_name")
    if not repository or home.lower() != repository.lower():
        return "this pull request comes from a fork"
    people = (_object(payload, "sender"), _object(pull, "user"))
    if any(_text(person, "login") == DEPENDABOT for person in people):
        return "this pull request is Dependabot's"
    return None


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


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
