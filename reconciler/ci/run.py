"""A run of `webhooks ci`: the inputs of the action, the event and the connections.

GitHub writes the event's payload, which contains names that any user can choose. A missing field in
it results in fewer permissions, never in more.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from reconciler.ci.github import GitHub, Pull, text_at
from reconciler.ci.marker import (
    MAX_COMMENT_LENGTH,
    NOT_RUN,
    RESOLVED,
    Marker,
    MarkerKind,
    Post,
    Subject,
)
from reconciler.ci.workflows import caller_beside
from reconciler.errors import UsageError
from reconciler.findings import in_quotes
from reconciler.model import frozen
from reconciler.planning.review import check_digest
from reconciler.planning.run import RunPlan
from reconciler.render.quote import prose, quote, repeated
from reconciler.source.files import DEFAULT_FILE, default_path
from reconciler.source.history import Git, folder_in, were_moved
from reconciler.source.schemes import github_repository
from reconciler.workflow import Inputs, Target

_Choice = TypeVar("_Choice", bound=str)
_MAX_COMMAND: Final = MAX_COMMENT_LENGTH // 2
"""The maximum length of a command in bytes, which leaves room in its comment for a report.

All inputs of a workflow together can have 65,535 characters.
"""


@frozen
class Run:
    """The task of a run, its inputs and its connections.

    `connect` connects the organizations of the run. `github` is None without a token. `pull` is
    None except on a pull request, for which `no_secrets_reason` is the reason if GitHub gives this
    run no secrets and a read-only token. `merge_queue` is the branch whose merge queue tests
    this commit, else None. `commenting` and `reviewing` are the inputs `comment` and
    `reviewed-plan`: when a plan is posted on its pull request, and how apply handles an operation
    that no merged pull request shows. `expect_digest` is the digest of a plan that was reviewed
    elsewhere. `label` identifies this setup in comments and issues if the repository has several,
    else it is empty.

    `environments` are the GitHub environments that files may name, the first one for files that
    name none; empty if the workflow does not pass them. An apply is limited to the organizations of
    `environment`, if there are several.

    `repository` is as `gh` expects it. `branch` is the branch of the run, or another ref in full,
    `applied_branch` the branch whose files are applied, `workflow` the name of the workflow file,
    `base_commit` the commit before the change; each is empty if GitHub does not provide it.
    `day_ago` is the time a day before the run, as GitHub writes it.
    """

    inputs: Inputs
    connect: Callable[[Sequence[Target]], AbstractContextManager[tuple[Target, ...]]]
    github: GitHub | None
    pull: Pull | None = None
    no_secrets_reason: str | None = None
    merge_queue: str | None = None
    label: str = ""
    environments: tuple[str, ...] = ()
    environment: str = ""
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
    day_ago: str = ""

    def digest_command(self, plans: RunPlan, resend: tuple[str, ...]) -> str | None:
        """Return the command that starts the apply workflow for exactly these plans.

        It includes the number of deletes, if a guard blocks one of them. None outside a workflow,
        if no digest covers the operations, and if the command contains a secret or is too long for
        GitHub.
        """
        if not self.workflow or not plans.digest:
            return None
        allowed = self._deletes_to_allow(plans)
        values = {
            "digest": plans.digest,
            "environment": self.environment,
            "resend-secret": "\n".join(resend),
            "allow-deletes": "" if allowed is None else str(allowed),
        }
        words = ["gh", "workflow", "run", self.workflow]
        words += ["--repo", self.repository, "--ref", self.branch]
        for name, value in values.items():
            if value:
                words += ["-f", f"{name}={value}"]
        command = " ".join(map(_on_one_line, words))
        if self.inputs.redacted(command) != command or len(command.encode()) > _MAX_COMMAND:
            return None
        return command

    def _deletes_to_allow(self, plans: RunPlan) -> int | None:
        # Only the exact number overrides a guard.
        if any(plan.blocked for plan in plans.plans):
            return sum(plan.counted_deletes for plan in plans.plans)
        return self.allow_deletes

    def require_github(self, message: str, otherwise: str) -> GitHub:
        """Return the client of GitHub. Without one, raises UsageError with the message."""
        if self.github is None:
            raise UsageError(message, hint=f"pass github-token, or {otherwise}")
        return self.github

    @property
    def other_branch(self) -> UsageError | None:
        """Return the error if the run is not on the branch that is applied."""
        # Expressions in workflows compare without case, and those of users may lack a condition.
        if self.applied_branch in ("", self.branch):
            return None
        where = quote(self.branch) if self.branch else "no branch"
        return UsageError(
            f"nothing was applied: this run is on {where}, which is not the branch that is applied",
            hint=f"run it on {quote(self.applied_branch)}, or correct the input `branch`",
        )

    @property
    def by_review(self) -> bool:
        """Return whether merged reviews decide what is applied."""
        return self.expect_digest is None and self.reviewing != "ignore"

    @property
    def requires_review(self) -> bool:
        """Return whether only what was reviewed is applied."""
        return self.expect_digest is None and self.reviewing == "require"

    @property
    def link(self) -> str:
        """Return a link to the run as Markdown."""
        return f"[this run]({self.url})" if self.url else "a run"

    def title(self, text: str) -> str:
        """Return the title of an issue."""
        about = self.environment or self.label
        title = f"CloudTruth webhooks{f' ({about})' if about else ''}: {text}"
        return title[:256]  # GitHub refuses a longer one

    def not_run(self, issues: Iterable[Post], command: str) -> list[Post]:
        """Return the issues that report that a job of this workflow reported no result."""
        # A shell script in webhooks.yml writes it, so only the title differs between setups, and
        # between the commands of one workflow.
        title = self.title(f"{command} in {self.workflow} reported no result (not-run)")
        return [issue for issue in issues if (issue.marker, issue.title) == (NOT_RUN, title)]

    def is_failure(self, post: Post, organizations: Iterable[Subject]) -> bool:
        """Return whether a comment or issue of this setup is about a failure that is not resolved.

        It may be of another environment, because an organization may have moved since. What no
        later plan shows is found for `organizations`, those of the run, however their files were
        rewritten; without a name, another setup may have another one.
        """
        marker = post.marker
        if marker.kind is not MarkerKind.FAILURE or marker.code == RESOLVED:
            return False
        named = [subject for subject in organizations if subject.declared]
        is_same = any(failed.is_same(subject) for failed in marker.subjects for subject in named)
        rewritten = is_same and bool(marker.head or marker.operations)
        is_moved = marker.label == self.label and self.has_moved(marker, rewritten=rewritten)
        return is_moved or marker.setup == self.marker(MarkerKind.FAILURE).setup

    def has_moved(self, marker: Marker, *, rewritten: bool = False) -> bool:
        """Return whether the files of a comment or issue are gone, moved to those of this setup.

        Another setup without a label may have removed or moved its own. Files that were `rewritten`
        count only for what is known to be about the same organization.
        """
        directory, git = self.inputs.directory, self.inputs.git
        return _were_moved(marker.file, self.paths, directory, git, rewritten=rewritten)

    @property
    def rerun_command(self) -> str | None:
        """Return the command that re-runs this workflow run, None outside GitHub."""
        if not self.id:
            return None
        return f"gh run rerun {self.id} --repo {self.repository}"

    @property
    def caller(self) -> str:
        """Return the path of the workflow that applies pushes."""
        return caller_beside(self.workflow, self.inputs.directory)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the configuration."""
        return self.inputs.paths or (default_path(self.inputs.directory),)

    @property
    def file_options(self) -> tuple[str, ...]:
        """Return the options that name the files in commands; the default needs none."""
        if self.inputs.paths == (DEFAULT_FILE,):
            return ()
        return tuple(repeated("-f", self.inputs.paths))

    def relative(self, names: Iterable[str]) -> tuple[str, ...]:
        """Make paths under the repository root relative to the working directory."""
        # In a subdirectory, too, git and GitHub give paths from the root of the repository.
        folder = folder_in(self.inputs.git) or "."
        return tuple(posixpath.relpath(name, folder) for name in names)

    def is_contained(self, commit: str, tip: str = "HEAD") -> bool:
        """Return whether a commit, here the checked-out one, is known to contain another one."""
        is_ancestor = ["merge-base", "--is-ancestor", commit, tip]
        return bool(commit) and self.inputs.git(is_ancestor) is not None

    def merge_base(self, *bases: str) -> str | None:
        """Return the commit before the changes since all `bases`, None if it is not known."""
        if not all(bases):
            return None
        commit = self.inputs.git(["merge-base", "--octopus", *bases, "HEAD"])
        if commit is None:
            return None
        return commit.decode("ascii").strip()

    def changed_since(self, base: str, until: str = "HEAD") -> frozenset[str] | None:
        """Return the files that changed since a commit, None if they are not known."""
        if not base:
            return None
        # With renames, git would list only the new name. Three dots compare with the merge base:
        # what the base branch gained since is no change of this one.
        listing = self.inputs.git(
            ["diff", "--no-renames", "--name-only", "-z", f"{base}...{until}"]
        )
        if listing is None:
            return None
        return frozenset(self.relative(filter(None, os.fsdecode(listing).split("\0"))))

    def changed_by(self, commit: str) -> frozenset[str] | None:
        """Return the files that a merge commit changed, None if they are not known."""
        return self.changed_since(f"{commit}^", commit)

    def marker(self, kind: MarkerKind) -> Marker:
        """Return the marker of this setup, without digest and operations.

        The plan of a pull request is about all environments.
        """
        marker = Marker(kind=kind, label=self.label, file=", ".join(self.paths))
        # Jobs of several environments run at once: they must not edit the same comment.
        if kind in (MarkerKind.OUTCOME, MarkerKind.FAILURE):
            return marker._replace(environment=self.environment)
        return marker


@lru_cache(maxsize=1024)
def _were_moved(
    file: str, paths: tuple[str, ...], directory: Path, git: Git, *, rewritten: bool
) -> bool:
    # Each pull request and organization asks for the same files, and a run has one commit.
    names = file.split(", ")
    if names == [*paths]:
        return False
    return were_moved(names, paths, directory, git, rewritten=rewritten)


def _on_one_line(word: str) -> str:
    """Quote a word for bash and zsh without what logs and annotations escape.

    In these quotes the shell reads an escape, such as that of `##[`, as the character.
    """
    if prose(word) == word:
        return shlex.quote(word)
    escaped = word.replace("\\", r"\\").replace("'", r"\'")
    return f"$'{prose(escaped)}'"


def read_run(
    values: Mapping[str, str],
    environ: Mapping[str, str],
    payload: Mapping[str, Any],
    *,
    inputs: Inputs,
    connect: Callable[[Sequence[Target]], AbstractContextManager[tuple[Target, ...]]],
    github: GitHub | None,
    now: datetime,
) -> Run:
    """Read the inputs of the action, GitHub's variables and its event's payload.

    `values` has the inputs under the names of action.yml; an empty one is treated as missing.
    Raises UsageError.
    """
    label = values.get("label", "").strip()
    # Comments show it as code on one line, which a backtick or a line break would end.
    if not re.fullmatch(r"[^\x00-\x1f\x7f`]{0,100}", label):
        raise UsageError("the label must be one line of at most 100 characters, without a backtick")
    digest = values.get("expect-digest", "").strip() or None
    if digest is not None:
        check_digest(digest)
    environments = tuple(environ.get("WEBHOOKS_ENVIRONMENTS", "").split())
    repository = environ.get("GITHUB_REPOSITORY", "")
    event = environ.get("GITHUB_EVENT_NAME", "")
    is_pull = event.startswith("pull_request")
    requested = values.get("resend-secret", "").splitlines()
    queue = text_at(payload, "merge_group", "base_ref").removeprefix("refs/heads/")
    return Run(
        inputs=inputs,
        connect=connect,
        github=github,
        pull=Pull.read(payload.get("pull_request", {})) if is_pull else None,
        no_secrets_reason=_no_secrets_reason(payload, repository) if is_pull else None,
        merge_queue=queue if event == "merge_group" else None,
        label=label,
        environments=environments,
        environment=environ.get("WEBHOOKS_ENVIRONMENT", "") if len(environments) > 1 else "",
        commenting=_choice(values, "comment", "true", "changes-only", "false"),
        reviewing=_choice(values, "reviewed-plan", "require", "warn", "ignore"),
        expect_digest=digest,
        allow_deletes=_number("allow-deletes", values.get("allow-deletes", "")),
        resend=tuple(line.strip() for line in requested if line.strip()),
        repository=github_repository(environ),
        # Not GITHUB_REF_NAME, which may be that of a tag.
        branch=environ.get("GITHUB_REF", "").removeprefix("refs/heads/"),
        applied_branch=values.get("branch", "").strip()
        or text_at(payload, "repository", "default_branch"),
        id=environ.get("GITHUB_RUN_ID", ""),
        url=_run_url(environ),
        # From a text like `owner/name/.github/workflows/apply.yml@refs/heads/main`.
        workflow=posixpath.basename(environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]),
        base_commit=_base_commit(payload, inputs.git),
        day_ago=(now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _run_url(environ: Mapping[str, str]) -> str:
    repository = environ.get("GITHUB_REPOSITORY", "")
    number = environ.get("GITHUB_RUN_ID", "")
    if not (repository and number):
        return ""
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    return f"{server}/{repository}/actions/runs/{number}"


def _base_commit(payload: Mapping[str, Any], git: Git) -> str:
    """Return the commit before the change, which each event has in another place."""
    head = text_at(payload, "pull_request", "head", "sha")
    parents = (git(["rev-parse", "HEAD^@"]) or b"").decode().split()
    # GitHub checks out a merge into the newest base. The base in the event is older if the branch
    # has moved since the last push; its newer changes would seem to be those of the pull request.
    if parents[1:] == [head]:
        branch = "origin/" + text_at(payload, "pull_request", "base", "ref")
        # After another target was chosen, it is a merge into the former one until the next push.
        if git(["merge-base", "--is-ancestor", parents[0], branch]) is not None:
            return parents[0]
    return (
        text_at(payload, "pull_request", "base", "sha")
        or text_at(payload, "merge_group", "base_sha")
        or text_at(payload, "before")
    )


def _no_secrets_reason(payload: Mapping[str, Any], repository: str) -> str | None:
    """Return why GitHub gives a run for a pull request no secrets, None if it does."""
    # Empty if the fork was deleted since, which must not count as this repository.
    home = text_at(payload, "pull_request", "head", "repo", "full_name")
    if not repository or home.lower() != repository.lower():
        return "this pull request comes from a fork"
    # GitHub treats each run that Dependabot starts like that of a fork. Its own pull requests
    # count, too, whoever pushes to them.
    logins = text_at(payload, "sender", "login"), text_at(payload, "pull_request", "user", "login")
    if "dependabot[bot]" in logins:
        return "this pull request is from Dependabot"
    return None


def _choice(values: Mapping[str, str], name: str, *choices: _Choice) -> _Choice:
    """Return the value of an input; the first choice is the default."""
    value = values.get(name) or choices[0]
    for choice in choices:
        if choice == value.strip().lower():
            return choice
    message = f"invalid value {in_quotes(value)} for the input `{name}`"
    raise UsageError(message, hint=f"set it to one of: {', '.join(choices)}")


def _number(name: str, value: str) -> int | None:
    if not re.fullmatch(r"\s*[0-9]{0,6}\s*", value):
        message = f"invalid value {in_quotes(value)} for the input `{name}`"
        raise UsageError(message, hint="set it to a whole number, 0 or more")
    return int(value) if value.strip() else None
