"""The inputs of a run of `webhooks ci`: its task, its event and its connections.

GitHub writes the event's payload, which contains names that any user can choose. A missing field in
it results in fewer permissions, never in more.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeVar

from reconciler.ci.github import GitHub, text_at
from reconciler.ci.marker import Marker, MarkerKind
from reconciler.errors import UsageError
from reconciler.planning.plan import Plan
from reconciler.planning.review import check_digest
from reconciler.source.files import DEFAULT_FILE
from reconciler.source.text import in_quotes
from reconciler.workflow import Connection, Inputs

_Choice = TypeVar("_Choice", bound=str)

_DEPENDABOT: Final = "dependabot[bot]"


class PullRequest(NamedTuple):
    """The pull request that was opened or changed.

    `branch` is the target branch. `no_secrets_reason` is the reason if GitHub gives this run no
    secrets and a read-only token, else None.
    """

    number: int
    head: str
    branch: str
    no_secrets_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The task of a run, its inputs and its connections.

    `missing_key` is the variable of the API key if it has no value, else None; `github` is None
    without a token. `pull` is None except on a pull request; `merge_queue` is the branch whose
    merge queue tests this commit, else None. `commenting` and `reviewing` are the inputs `comment`
    and `reviewed-plan`: when a plan is posted on its pull request, and how apply handles an
    operation that no merged pull request shows. `expect_digest` is the digest of a plan that was
    reviewed elsewhere. `label` identifies this setup in comments and issues if the repository has
    several, else it is empty; `earlier_label` is its label before the change if it was different.

    `repository` is owner/name. `branch` is the branch of the run, `applied_branch` the branch whose
    files are applied, `workflow` the name of the workflow file, `base_commit` the commit before the
    change; each is empty if GitHub does not provide it.
    """

    inputs: Inputs
    connect: Callable[[], AbstractContextManager[Connection]]
    github: GitHub | None
    missing_key: str | None = None
    pull: PullRequest | None = None
    merge_queue: str | None = None
    label: str = ""
    earlier_label: str = ""
    commenting: Literal["true", "changes-only", "false"] = "true"
    reviewing: Literal["require", "warn", "ignore"] = "require"
    expect_digest: str | None = None
    allow_deletes: int | None = None
    resend: tuple[str, ...] = ()
    repository: str = ""
    branch: str = ""
    applied_branch: str = ""
    id: str = ""
    url: str = ""
    workflow: str = ""
    base_commit: str = ""

    def digest_command(self, made: Plan, resend: tuple[str, ...] = ()) -> str | None:
        """Return the command that starts the apply workflow for exactly this plan.

        It includes the number of deletes, if a guard blocks the plan. None outside a workflow, and
        if no digest covers the operations.
        """
        if not self.workflow or not made.digest:
            return None
        allowed = made.counted_deletes if made.blocked else self.allow_deletes
        given = {
            "digest": made.digest,
            "organization": self.label,
            "resend-secret": "\n".join(resend),
            "allow-deletes": "" if allowed is None else str(allowed),
        }
        words = ["gh", "workflow", "run", self.workflow]
        words += ["--repo", self.repository, "--ref", self.branch]
        for name, value in given.items():
            words += ["-f", f"{name}={value}"] if value else []
        return " ".join(map(_on_one_line, words))

    @property
    def link(self) -> str:
        """Return a link to the run as Markdown."""
        return f"[this run]({self.url})" if self.url else "a run"

    def title(self, text: str) -> str:
        """Return the title of an issue."""
        return f"CloudTruth webhooks{f' ({self.label})' if self.label else ''}: {text}"

    @property
    def rerun_command(self) -> str | None:
        """Return the command that re-runs this workflow run, None outside GitHub."""
        return f"gh run rerun {self.id} --repo {self.repository}" if self.id else None

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the configuration."""
        return self.inputs.paths or (DEFAULT_FILE,)

    def relative(self, names: Iterable[str]) -> tuple[str, ...]:
        """Make paths under the repository root relative to the working directory."""
        prefix = (self.inputs.git(["rev-parse", "--show-prefix"]) or b"").decode().strip()
        return tuple(posixpath.relpath(each, prefix or ".") for each in names)

    def marker(self, kind: MarkerKind, label: str | None = None) -> Marker:
        """Return the marker for a label (by default the run's), without digest and operations."""
        label = self.label if label is None else label
        return Marker(kind=kind, label=label, file=", ".join(self.paths))


def _on_one_line(word: str) -> str:
    """Quote a word for bash and zsh without line breaks, which logs and annotations escape."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", r"\\").replace("'", r"\'").replace("\n", r"\n")
    return f"$'{escaped}'"


_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f`]{0,100}")


def read_run(
    values: Mapping[str, str],
    environ: Mapping[str, str],
    payload: Mapping[str, Any],
    *,
    inputs: Inputs,
    connect: Callable[[], AbstractContextManager[Connection]],
    github: GitHub | None,
    missing_key: str | None,
) -> Run:
    """Read the inputs of the action, GitHub's variables and its event's payload.

    `values` has the inputs under the names of action.yml; an empty one is treated as missing.
    Raises UsageError.
    """
    label = values.get("label", "").strip()
    if not _LABEL.fullmatch(label):
        raise UsageError("the label must be one line of at most 100 characters, without a backtick")
    digest = values.get("expect-digest", "").strip() or None
    if digest is not None:
        check_digest(digest)
    resend = map(str.strip, values.get("resend-secret", "").splitlines())
    repository = environ.get("GITHUB_REPOSITORY", "")
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    number = environ.get("GITHUB_RUN_ID", "")
    event = environ.get("GITHUB_EVENT_NAME", "")
    queue = text_at(payload, "merge_group", "base_ref").removeprefix("refs/heads/")
    # As in `owner/name/.github/workflows/apply.yml@refs/heads/main`.
    workflow = environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    return Run(
        inputs=inputs,
        connect=connect,
        github=github,
        missing_key=missing_key,
        pull=_pull_request(payload, repository) if event.startswith("pull_request") else None,
        merge_queue=queue if event == "merge_group" else None,
        label=label,
        earlier_label=environ.get("WEBHOOKS_EARLIER_LABEL", ""),
        commenting=_choice(values, "comment", "true", "changes-only", "false"),
        reviewing=_choice(values, "reviewed-plan", "require", "warn", "ignore"),
        expect_digest=digest,
        allow_deletes=_number("allow-deletes", values.get("allow-deletes", "")),
        resend=tuple(filter(None, resend)),
        repository=repository,
        branch=environ.get("GITHUB_REF_NAME", ""),
        applied_branch=values.get("branch", "").strip()
        or text_at(payload, "repository", "default_branch"),
        id=number,
        url=f"{server}/{repository}/actions/runs/{number}" if repository and number else "",
        workflow=posixpath.basename(workflow),
        base_commit=text_at(payload, "pull_request", "base", "sha")
        or text_at(payload, "merge_group", "base_sha")
        or text_at(payload, "before"),
    )


def _pull_request(payload: Mapping[str, Any], repository: str) -> PullRequest:
    """Return the pull request of an event in `repository` (owner/name) from its payload."""
    pull = payload.get("pull_request", {})
    head_repository = text_at(pull, "head", "repo", "full_name")
    no_secrets_reason = None
    if not repository or head_repository.lower() != repository.lower():
        no_secrets_reason = "this pull request comes from a fork"
    elif _DEPENDABOT in (text_at(payload, "sender", "login"), text_at(pull, "user", "login")):
        no_secrets_reason = "this pull request is from Dependabot"
    return PullRequest(
        number=pull.get("number", 0),
        head=text_at(pull, "head", "sha"),
        branch=text_at(pull, "base", "ref"),
        no_secrets_reason=no_secrets_reason,
    )


def _choice(values: Mapping[str, str], name: str, *choices: _Choice) -> _Choice:
    """Return the value of an input; the first choice is the default."""
    value = values.get(name) or choices[0]
    for each in choices:
        if each == value.strip().lower():
            return each
    message = f"invalid value {in_quotes(value)} for the input `{name}`"
    raise UsageError(message, hint=f"set it to one of: {', '.join(choices)}")


def _number(name: str, value: str) -> int | None:
    if not re.fullmatch(r"\s*[0-9]{0,6}\s*", value):
        message = f"invalid value {in_quotes(value)} for the input `{name}`"
        raise UsageError(message, hint="set it to a whole number, 0 or more")
    return int(value) if value.strip() else None
