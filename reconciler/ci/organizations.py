"""The organizations of a run: their files, their environments, and which of them are read.

A job reads only those that a change, a plan or a failure concerns, so that a change of one does not
wait for all others, or fail because of them. If the earlier files cannot be read, all are
concerned.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from reconciler.ci import JobResult
from reconciler.ci.github import GitHubError, Pull, reporting
from reconciler.ci.marker import Post, Subject
from reconciler.ci.reviews import contained_pulls, read_reviews, subject_of
from reconciler.ci.run import Run
from reconciler.ci.workflows import (
    CALLED,
    CALLER,
    is_started_by,
    listed_environments,
    not_triggering,
    unusable_environments,
    workflow_text,
)
from reconciler.errors import ConfigurationError, UsageError
from reconciler.findings import Finding, plural
from reconciler.model import Desired
from reconciler.planning.run import RunPlan
from reconciler.render.quote import quote, repeated
from reconciler.source.files import behind_links, file_matcher, is_glob, similar_path
from reconciler.source.history import (
    Commit,
    NoBaseError,
    commit_at,
    has_all_branches,
    has_branch,
    tracked,
)
from reconciler.source.lint import Rules
from reconciler.source.load import load_parsed
from reconciler.source.schemes import paths
from reconciler.source.secrets import references
from reconciler.workflow import Planned, Source, gather, load_all
from reconciler.workflow.inputs import OrganizationFiles, organizations
from reconciler.workflow.revisions import parsed_at
from reconciler.workflow.run import judged


def validate(run: Run) -> JobResult:
    """Validate the files and return the result."""
    return files_only(check(run))


def check(run: Run, *, writing: bool = False) -> tuple[Source, ...]:
    """Validate the files with warnings as errors. Raises ConfigurationError with all findings.

    With `writing`, a missing list of allowed secrets is an error, too. Warnings from planning
    depend on the live webhooks, not on the reviewed change, and do not fail the run.
    """
    _require_head(run)
    # A job that passes is not read, so warnings are errors here.
    inputs = run.inputs._replace(strict=True)
    if (run.pull is not None or run.merge_queue is not None) and inputs.policies:
        # From the base branch: a pull request cannot relax its own policies.
        inputs = inputs._replace(policy_base=run.base_commit)
        if inputs.git(["cat-file", "-e", run.base_commit]) is None:
            raise ConfigurationError(
                "policies cannot be read: the base commit is not in this clone",
                hint="check out with fetch-depth: 0",
            )
    # Comments show what was sent, and nothing is applied from a terminal: no command is suggested.
    inputs = inputs._replace(apply_options=None)
    try:
        loaded = load_all(inputs)
    except ConfigurationError as problem:
        problem.hint = _renamed(run) or problem.hint
        raise
    sources = tuple(_for_planning(source, inputs.policy_base) for source in loaded)
    _require_history(run, sources)
    _require_environments(run, sources)
    if len(sources) == 1:  # with several, a wrong secret is the problem of its organization
        gather(sources[0].checked, writing=writing)
    return sources


def _require_head(run: Run) -> None:
    """Raise UsageError if another commit than that of the pull request is checked out."""
    # Once it is merged, GitHub checks out its target, and its plan does not change any more.
    if run.pull is None or run.pull.merged_at or run.is_contained(run.pull.head):
        return
    commit = run.inputs.git(["cat-file", "commit", "HEAD"])
    if commit is None:
        return
    # A shallow clone of its merge has only the names of the parents.
    if run.pull.head not in commit.decode(errors="replace").partition("\n\n")[0]:
        raise UsageError(
            "this checkout does not contain the commits of the pull request; nothing was checked",
            hint="run on `pull_request`, not `pull_request_target`, and check out with "
            "fetch-depth: 0 and without `ref`",
        )


def _require_history(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a commit has files that cannot be read from it, such as links.

    No plan of a later change would resend the secrets that it rotates, and its apply would pass.
    """
    head = commit_at("HEAD", run.inputs.directory, run.inputs.git)
    if head is None:
        return
    message = "git cannot show which secrets a change rotates"
    for source in sources:
        # Git would only find that a path leads there, and in a folder or for a glob nothing at all.
        for folder in source.checked.further_repositories:
            message += f": files of the configuration are in the submodule or repository {folder}"
            raise ConfigurationError(message, hint="copy them into this repository")
    try:
        head.read(run.inputs.paths)
    except NoBaseError as problem:
        raise ConfigurationError(f"{message}: {problem}", hint=problem.hint) from None


def _for_planning(source: Source, policy_base: str | None) -> Source:
    """Return checked files, from here on without strict warnings."""
    inputs = source.files.inputs._replace(strict=False, policy_base=policy_base)
    return source._replace(checked=source.checked._replace(inputs=inputs))


def _renamed(run: Run) -> str | None:
    """Return how the workflows read the new name of a missing file, None if it is not known."""
    directory = run.inputs.directory
    names = list(run.paths)
    for index, path in enumerate(names):
        if not (is_glob(path, directory) or (directory / path).exists()):
            names[index] = similar_path(directory / path, directory) or path
    if names == [*run.paths]:
        return None
    command = shlex.join(["webhooks", "init", "--github", *repeated("-f", names)])
    return f"if it was renamed, run `{command}`, and merge the workflows"


def _require_environments(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a file names an environment that an apply must not use."""
    named = ((source.files.paths, source.checked.desired.environment) for source in sources)
    unusable = unusable_environments(
        named, run.inputs.directory, run.caller, _listed_environments(run)
    )
    if unusable:
        raise ConfigurationError("the files are invalid", findings=unusable)


def _listed_environments(run: Run) -> tuple[str, ...]:
    """Return the environments of apply, the default one first; () if they are not known."""
    return run.environments or listed_environments(_apply_workflow(run))


def _apply_workflow(run: Run) -> str:
    """Return the text of the workflow that applies pushes, empty without it."""
    return workflow_text(run.inputs.directory / run.caller)


def require_trigger(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a later change of one of the files would not start the apply."""
    # Checked on the pull request: after the merge, no run would start to report it.
    workflow, caller = _apply_workflow(run), run.caller
    _require_branch(run, workflow, caller)
    missing = not_triggering(workflow, _read_files(run, sources))
    if missing:
        hint = "add the file to `paths` in the workflow"
        if caller == CALLER:
            hint = f"run `webhooks init --github` again, or {hint}"
        raise ConfigurationError(
            f"{caller} does not run if {' or '.join(missing)} changes, so the change would not be "
            "applied",
            hint=hint,
        )


def _require_branch(run: Run, workflow: str, caller: str) -> None:
    """Raise ConfigurationError if the branch that is applied is gone, or starts no apply."""
    applied = run.applied_branch
    git = run.inputs.git
    if not applied:
        return
    if not is_started_by(workflow, applied):
        hint = "correct `branches` in the workflow, or the input `branch`"
        if caller == CALLER:
            hint = "run `webhooks init --github --branch NAME`, which sets it in all workflows"
        raise ConfigurationError(
            f"{caller} does not run on pushes to {quote(applied)}, the branch that is applied",
            hint=hint,
        )
    if run.pull is None or has_branch(git, applied):
        return
    # In a clone that lacks branches, one seems to be gone that may exist.
    if has_all_branches(git, run.pull.head):
        raise ConfigurationError(
            f"the branch that is applied, {quote(applied)}, does not exist",
            hint="if it was renamed, run `webhooks init --github --branch NAME` with its new name",
        )


def files_only(sources: Sequence[Source], *why: Finding) -> JobResult:
    """Return the result of a run that only checked the files, with the reason."""
    desired = [source.checked.desired for source in sources]
    count = sum(len(files.webhooks) + len(files.absent) for files in desired)
    findings: dict[Finding, None] = {}
    for source in sources:
        findings |= dict.fromkeys(source.checked.loaded.findings)
    heading = f"The files are valid: {plural(count, 'webhook')} declared"
    return JobResult(status="validated", findings=(*findings, *why), heading=heading)


def require_single(sources: Sequence[Source], planned: Sequence[Planned]) -> None:
    """Raise the problem of the only organization: it is that of the run."""
    for organization in planned:
        if len(sources) == 1 and organization.problem is not None:
            raise organization.problem


def _environment_of(source: Source, listed: Sequence[str]) -> str:
    """Return the GitHub environment of an organization, by default the first that is `listed`."""
    return source.checked.desired.environment or next(iter(listed), "")


def of_environment(run: Run, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the organizations of the run's environment, all without one."""
    # GitHub compares names of environments without case.
    mine = run.environment.casefold()
    return tuple(
        source
        for source in sources
        if not mine or _environment_of(source, run.environments).casefold() == mine
    )


def by_environment(run: Run, planned: Sequence[Planned]) -> dict[str, list[int]]:
    """Return the indexes of organizations by environment, whose names have no case on GitHub."""
    listed = _listed_environments(run)
    names: dict[str, str] = {}
    indexes: dict[str, list[int]] = {}
    for index, organization in enumerate(planned):
        environment = _environment_of(organization.target.source, listed)
        # As the first file writes it, because it is shown.
        name = names.setdefault(environment.casefold(), environment)
        indexes.setdefault(name, []).append(index)
    return indexes


def guarded(run: Run, planned: Sequence[Planned]) -> RunPlan:
    """Return the plans of a run. The deletes of each environment are counted together, as later."""
    results = [organization.result for organization in planned]
    # Apply has a job for each environment, whose guards see only its deletes.
    for indexes in by_environment(run, planned).values():
        parts = judged([planned[index] for index in indexes], run.allow_deletes)
        for index, part in zip(indexes, parts, strict=True):
            results[index] = part.result
    return RunPlan(tuple(results))


def matrix(run: Run) -> JobResult:
    """Return the environments with concerned organizations, as the output `matrix`.

    With an environment as input, only that one. Raises UsageError for an environment that is not
    listed.
    """
    if run.other_branch is not None:
        return JobResult(problem=run.other_branch)
    if run.environment or run.expect_digest is not None:
        names = [_required_environment(run)]
    else:
        names = _concerned_environments(run)
    findings: list[Finding] = []
    if run.github is not None:
        with reporting(findings, "could not close an issue"):
            # Such an issue reports that this job could not start, which it now did.
            job = replace(run, environment="")  # the issue names no environment
            not_run = job.not_run(run.github.open_issues(), "apply")
            run.github.close_issues(not_run, f"Resolved: {run.link} found the environments.")
    # GitHub rejects an empty matrix: without environments, the empty output skips the job.
    jobs = {"include": [{"environment": name} for name in names]}
    return JobResult(
        status="validated",
        findings=findings,
        heading=f"Environments with changes: {', '.join(names) or 'none'}",
        extra_outputs={"matrix": json.dumps(jobs, separators=(",", ":")) if names else ""},
    )


def _required_environment(run: Run) -> str:
    """Return the environment that the input names. Raises UsageError if it is not listed."""
    # GitHub compares names of environments without case.
    for name in run.environments:
        if name.casefold() == run.environment.casefold():
            return name
    raise UsageError(
        f"the input `environment` is {run.environment!r}, which the workflow does not list",
        hint=f"set it to one of: {', '.join(run.environments)}",
    )


def _concerned_environments(run: Run) -> list[str]:
    """Return the environments of concerned organizations.

    Invalid files and unknown environments are reported by the job of the first environment.
    """
    listed = {name.casefold(): name for name in run.environments}
    try:
        sources = load_all(run.inputs._replace(policies=()))
        subjects = [*map(subject_of, sources)]
        pulls = () if run.github is None else contained_pulls(run, run.branch, subjects)
        concerned = concerned_by_push(run, sources, pulls, unresolved(run, pulls, subjects))
        names = [
            listed[_environment_of(source, run.environments).casefold()] for source in concerned
        ]
    except (ConfigurationError, KeyError):
        return [*run.environments[:1]]
    return list(dict.fromkeys(names))


class Unresolved(NamedTuple):
    """The failures of earlier runs that are not resolved, in comments and issues.

    Not `complete` if the issues could not be read, also because they are disabled.
    """

    posts: Sequence[Post]
    complete: bool = True


def unresolved(run: Run, pulls: Iterable[Pull], subjects: Collection[Subject]) -> Unresolved:
    """Return the failures of earlier runs; `pulls` are merged, with their comments."""

    def is_failure(post: Post) -> bool:
        return run.is_failure(post, subjects)

    failures = [post for pull in pulls for post in filter(is_failure, pull.comments)]
    try:
        issues = run.github.open_issues() if run.github is not None else ()
    except GitHubError:
        return Unresolved(failures, complete=False)
    return Unresolved([*failures, *filter(is_failure, issues)])


def concerned_by_push(
    run: Run, sources: Sequence[Source], pulls: Sequence[Pull], failures: Unresolved
) -> tuple[Source, ...]:
    """Return the organizations that a push concerns; `pulls` are merged, with their comments.

    Also those with a review that is not settled, or a failure that is not resolved: a push without
    a review may have changed them.
    """
    # Of a branch that was rewritten, it is not known what was applied.
    is_known = failures.complete and run.is_contained(run.base_commit)
    if len(sources) == 1 or not is_known:
        return tuple(sources)
    failed = [subject for post in failures.posts for subject in post.marker.subjects]
    heads = filter(None, (post.marker.head for post in failures.posts))

    def is_waiting(source: Source) -> bool:
        subject = subject_of(source)
        reviews = read_reviews(run, pulls, subject, source.checked.desired)
        return any(review.pending for review in reviews) or any(map(subject.is_same, failed))

    # The oldest pull request is the last one that was settled: later pushes may have had no run.
    bases = [run.base_commit, *heads, *(pull.merge_commit for pull in pulls[-1:])]
    return _concerned(run, sources, bases, is_waiting)


def concerned_by_change(
    run: Run, sources: Sequence[Source], pull: Pull | None = None
) -> tuple[Source, ...]:
    """Return the organizations whose plan a change concerns, or that have a plan on it.

    So a commit that reverts a change replaces its plan.
    """

    @cache  # if the files concern all organizations, this is one request less
    def known() -> list[Subject]:
        if pull is None or run.github is None or run.commenting == "false":
            return []
        posts = run.github.comments(pull.number)
        return [subject for post in posts for subject in post.marker.subjects]

    def is_planned(source: Source) -> bool:
        return any(map(subject_of(source).is_same, known()))

    return _concerned(run, sources, [run.base_commit], is_planned)


def _concerned(
    run: Run,
    sources: Sequence[Source],
    bases: Iterable[str],
    is_waiting: Callable[[Source], bool],
) -> tuple[Source, ...]:
    if len(sources) == 1:
        return tuple(sources)
    changed: set[str | None] = set()
    # A workflow has the environments and the allowed secrets.
    shared = {CALLED, run.caller, *run.inputs.policies}
    for base in bases:
        files, before = run.changed_since(base), organizations_before(run, base)
        if files is None or before is None or not files.isdisjoint(shared):
            return tuple(sources)
        changed.update(
            source.files.organization
            for source in sources
            if _is_changed(source, before.get(source.files.organization), files)
        )
    return tuple(
        source for source in sources if source.files.organization in changed or is_waiting(source)
    )


def _is_changed(
    source: Source, before: tuple[OrganizationFiles, Desired] | None, files: Set[str]
) -> bool:
    """Return whether changed `files` change what an organization declares, or its secrets."""
    desired = source.checked.desired
    # The declaration of a secret stays the same if only the content of its file changes.
    if not files.isdisjoint(map(posixpath.normpath, paths(references(desired.webhooks)))):
        return True
    return before is None or _effective(*before) != _effective(source.files, desired)


def _effective(files: OrganizationFiles, desired: Desired) -> Any:
    """Return what determines a plan, without positions and comments."""
    policy = desired.policy
    # The order of files and declarations changes no plan.
    webhooks = sorted(desired.webhooks, key=lambda webhook: (webhook.name, webhook.id or ""))
    return (
        webhooks,
        sorted((webhook.name, webhook.id or "") for webhook in desired.absent),
        policy.scopes,
        {pattern.glob for pattern in policy.ignore},
        {pattern.glob for pattern in policy.protect},
        policy.max_deletes,
        desired.literals,
        desired.environment,
        files.api_key,
        files.profile,
    )


def organizations_before(
    run: Run, base: str
) -> Mapping[str | None, tuple[OrganizationFiles, Desired]] | None:
    """Return the files of each organization before the change; None if they cannot be read."""
    commit = run.merge_base(base)
    inputs = run.inputs
    if commit is None:
        return None
    earlier: dict[str | None, tuple[OrganizationFiles, Desired]] = {}
    with suppress(NoBaseError, ConfigurationError):
        at_base = Commit(commit, inputs.directory, inputs.git)
        parsed = parsed_at(at_base, run.paths, inputs.commit, None)
        for group in organizations(inputs._replace(parsed=parsed)):
            assert group.inputs.parsed is not None
            # This run's options do not apply to earlier files.
            rules = Rules(allow_literal_secrets=True)
            desired = load_parsed(group.inputs.parsed, rules).desired
            if desired is not None:
                earlier[group.organization] = (group, desired)
        return earlier
    return None


def input_matcher(run: Run, sources: Iterable[Source]) -> Callable[[str], bool]:
    """Return a predicate for files in the paths of the configuration, and those that it reads."""
    names = _read_files(run, sources)
    is_included = file_matcher(run.inputs.directory, *run.paths)
    return lambda name: name in names or is_included(name)


def merge_matcher(run: Run, source: Source) -> Callable[[str], bool]:
    """Return a predicate for merge commits that change such files, or of which git knows none."""
    is_input = input_matcher(run, [source])

    def changes_files(commit: str) -> bool:
        changed = run.changed_by(commit)
        return changed is None or any(map(is_input, changed))

    return changes_files


def _read_files(run: Run, sources: Iterable[Source]) -> frozenset[str]:
    """Return all files that a run reads: the configuration, its parents, secrets and policies."""
    names, directory = set(run.inputs.policies), run.inputs.directory
    for source in sources:
        loaded = source.checked.loaded
        refs = references(source.checked.desired.webhooks)
        targets = behind_links(loaded.documents, directory)
        names |= {*loaded.documents, *loaded.parents}
        names |= tracked(targets, directory=directory, git=run.inputs.git)
        names |= paths(refs)
    return frozenset(map(posixpath.normpath, names))
