"""A run of `webhooks ci`: its inputs (task, event, connections) and its result.

GitHub writes the event's payload, which contains names that any user can choose. A missing field in
it results in fewer permissions, never in more.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from reconciler.ci.github import GitHub, Pull, text_at
from reconciler.ci.marker import NOT_RUN, Marker, MarkerKind, Post
from reconciler.ci.workflows import label_change
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.findings import Finding, error, note, warning
from reconciler.planning.plan import Plan
from reconciler.planning.review import check_digest
from reconciler.render import FINDINGS_RENDERERS, RENDERERS, View
from reconciler.render.words import fallback_summary
from reconciler.report import Report
from reconciler.source.files import default_path
from reconciler.source.secrets import how_to_set
from reconciler.source.text import in_quotes
from reconciler.workflow import Connection, Inputs

_Choice = TypeVar("_Choice", bound=str)

_SUMMARY: Final = 900_000
"""The maximum size of a step summary in bytes. GitHub discards one over 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The task of a run, its inputs and its connections.

    `missing_key` is the variable of the API key if it has no value, else None; `github` is None
    without a token. `pull` is None except on a pull request, for which `no_secrets_reason` is the
    reason if GitHub gives this run no secrets and a read-only token. `merge_queue` is the branch
    whose merge queue tests this commit, else None. `commenting` and `reviewing` are the inputs
    `comment` and `reviewed-plan`: when a plan is posted on its pull request, and how apply handles
    an operation that no merged pull request shows. `expect_digest` is the digest of a plan that was
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
    pull: Pull | None = None
    no_secrets_reason: str | None = None
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
    def files_only_reason(self) -> Finding | None:
        """Return why only the files can be checked, None if a plan can be made."""
        if self.no_secrets_reason is not None:
            why = f"{self.no_secrets_reason}, so GitHub gives it no secrets"
            ask = "for a plan, ask a maintainer to push the branch to this repository"
            return note("only-validated", f"{why}: only the files are checked", ask)
        if self.missing_key is None:
            return None
        hint = how_to_set(self.missing_key, self.inputs.environ)
        if self.earlier_label:
            hint = f"{label_change(self.earlier_label, self.label)}; {hint}"
        message = f"{self.missing_key} is not set: only the files are checked"
        return warning("no-api-key", message, hint)

    def require_github(self, message: str, otherwise: str) -> GitHub:
        """Return the client of GitHub. Without one, raises UsageError with the message."""
        if self.github is None:
            raise UsageError(message, hint=f"pass github-token, or {otherwise}")
        return self.github

    @property
    def link(self) -> str:
        """Return a link to the run as Markdown."""
        return f"[this run]({self.url})" if self.url else "a run"

    def title(self, text: str) -> str:
        """Return the title of an issue."""
        return f"CloudTruth webhooks{f' ({self.label})' if self.label else ''}: {text}"

    def is_not_run(self, issue: Post, command: str) -> bool:
        """Return whether an issue reports that a job for `command` failed before it started."""
        title = self.title(f"{command} did not start (not-run)")
        return issue.marker == NOT_RUN and issue.title == title

    @property
    def rerun_command(self) -> str | None:
        """Return the command that re-runs this workflow run, None outside GitHub."""
        return f"gh run rerun {self.id} --repo {self.repository}" if self.id else None

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the configuration."""
        return self.inputs.paths or (default_path(self.inputs.directory),)

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
    if not re.fullmatch(r"[^\x00-\x1f\x7f`]{0,100}", label):
        raise UsageError("the label must be one line of at most 100 characters, without a backtick")
    digest = values.get("expect-digest", "").strip() or None
    if digest is not None:
        check_digest(digest)
    repository = environ.get("GITHUB_REPOSITORY", "")
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    number = environ.get("GITHUB_RUN_ID", "")
    event = environ.get("GITHUB_EVENT_NAME", "")
    is_pull = event.startswith("pull_request")
    queue = text_at(payload, "merge_group", "base_ref").removeprefix("refs/heads/")
    return Run(
        inputs=inputs,
        connect=connect,
        github=github,
        missing_key=missing_key,
        pull=Pull.read(payload.get("pull_request", {})) if is_pull else None,
        no_secrets_reason=_no_secrets_reason(payload, repository) if is_pull else None,
        merge_queue=queue if event == "merge_group" else None,
        label=label,
        earlier_label=environ.get("WEBHOOKS_EARLIER_LABEL", ""),
        commenting=_choice(values, "comment", "true", "changes-only", "false"),
        reviewing=_choice(values, "reviewed-plan", "require", "warn", "ignore"),
        expect_digest=digest,
        allow_deletes=_number("allow-deletes", values.get("allow-deletes", "")),
        resend=tuple(filter(None, map(str.strip, values.get("resend-secret", "").splitlines()))),
        repository=repository,
        branch=environ.get("GITHUB_REF_NAME", ""),
        applied_branch=values.get("branch", "").strip()
        or text_at(payload, "repository", "default_branch"),
        id=number,
        url=f"{server}/{repository}/actions/runs/{number}" if repository and number else "",
        # From a text like `owner/name/.github/workflows/apply.yml@refs/heads/main`.
        workflow=posixpath.basename(environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]),
        base_commit=text_at(payload, "pull_request", "base", "sha")
        or text_at(payload, "merge_group", "base_sha")
        or text_at(payload, "before"),
    )


def _no_secrets_reason(payload: Mapping[str, Any], repository: str) -> str | None:
    """Return why GitHub gives a run for a pull request no secrets, None if it does."""
    home = text_at(payload, "pull_request", "head", "repo", "full_name")
    if not repository or home.lower() != repository.lower():
        return "this pull request comes from a fork"
    logins = text_at(payload, "sender", "login"), text_at(payload, "pull_request", "user", "login")
    return "this pull request is from Dependabot" if "dependabot[bot]" in logins else None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a run.

    The texts show `findings` and what the run ended with: `problem`, the error because of which it
    failed; `report`, after an apply; `plan`; or only `heading`. If a report is incomplete,
    `remaining` is the plan that can be applied by its digest. `status` is the output `result` if
    these do not determine it; it is empty for a run that did not start. `extra_outputs` are
    additional outputs.
    """

    status: str | None = None
    findings: Sequence[Finding] = ()
    heading: str = ""
    plan: Plan | None = None
    report: Report | None = None
    remaining: Plan | None = None
    problem: ReconcilerError | None = None
    extra_outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the step."""
        ended = self.problem or self.report
        if ended is not None:
            return ended.exit_code
        is_blocked = self.plan is not None and self.plan.blocked and self.status is None
        return ExitCode.BLOCKED if is_blocked else ExitCode.OK

    @property
    def result(self) -> str:
        """Return the output `result`."""
        if self.status is not None:
            return self.status
        if self.exit_code is not ExitCode.OK:
            results = {ExitCode.BLOCKED: "blocked", ExitCode.STALE: "refused"}
            return results.get(self.exit_code, "failed")
        changes = self.plan is not None and self.plan.operations
        if self.report is None:
            return "planned" if changes else "no-changes"
        return "applied" if changes else "converged"

    @property
    def reason(self) -> str:
        """Return a stable identifier of why the run failed; empty if it did not."""
        if self.problem is not None:
            return self.problem.code
        if self.exit_code is ExitCode.OK:
            return ""
        return "blocked" if self.report is None else "apply-incomplete"

    @property
    def outputs(self) -> Mapping[str, str]:
        """Return the outputs of the step, under the names of action.yml."""
        made = self.plan
        return {
            "result": self.result,
            "has-changes": str(made is not None and bool(made.operations)).lower(),
            "creates": "" if made is None else str(len(made.creates)),
            "updates": "" if made is None else str(len(made.updates)),
            "deletes": "" if made is None else str(len(made.deletes)),
            "digest": "" if made is None else made.digest,
            "failure-reason": self.reason,
            "plan-json": "",
            "matrix": "",
            "organizations": "",
            **self.extra_outputs,
        }

    @property
    def annotations(self) -> str:
        """Return workflow commands for the ten most important findings, and count the rest."""
        found: tuple[Finding, ...] = ()
        if self.problem is not None:
            itself = error(self.problem.code, self.problem.message, self.problem.hint)
            found = self.problem.findings or (itself,)
        elif self.plan is not None:
            found = self.plan.notes
            if self.report is None:
                found = (*self.plan.blocked, *self.plan.relaxed, *found)
        return FINDINGS_RENDERERS["github"]().render_findings((*found, *self.findings))

    def render(self, format: str, limit: int = _SUMMARY) -> str:
        """Return the result as `text` for the log, or as `markdown` of at most `limit` bytes.

        A report that cannot be shown is one line: the writes are not affected.
        """
        renderer, parts, third = RENDERERS[format](), list[str](), View(limit=limit // 3)
        if self.problem is not None:
            parts.append(renderer.render_error(self.problem, third))
        if self.report is not None:
            try:
                parts.append(renderer.render_report(self.report, third))
            except Exception as problem:
                parts.append(f"{fallback_summary([self.report], problem)}\n")
        place = len(parts)
        if self.heading:
            parts.append(f"{'### ' if format == 'markdown' else ''}{self.heading}\n")
        if self.findings:
            parts.append(renderer.render_findings(tuple(self.findings), View(limit=limit // 9)))
        shown = self.plan if self.report is None else self.remaining
        if shown is not None:
            room = limit - sum(len(each.encode("utf-8", "replace")) + 1 for each in parts)
            view = View(limit=room, apply_options=None)
            parts.insert(place, renderer.render_plan(shown, view))
        # A log ends with the result, a summary starts with it.
        return "\n".join(parts if format == "markdown" else reversed(parts))


@contextmanager
def reporting(findings: list[Finding], what: str) -> Iterator[None]:
    """Turn an error while the block writes to GitHub into a warning: webhooks are not affected."""
    try:
        yield
    except ReconcilerError as problem:
        findings.append(warning("not-reported", f"{what}: {problem.message}", problem.hint))
    except (Exception, KeyboardInterrupt) as problem:
        name = type(problem).__name__
        findings.append(warning("not-reported", f"{what}: internal error ({name})"))
