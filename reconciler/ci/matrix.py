"""`webhooks ci matrix`: a job for each organization whose files changed."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from reconciler.ci.marker import MarkerKind
from reconciler.ci.reviews import merged_pulls, read_reviews, with_comments
from reconciler.ci.run import JobResult, Run, reporting
from reconciler.errors import ConfigurationError, UsageError
from reconciler.findings import warning, warnings_as_errors
from reconciler.model import Scheme
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.source.files import file_matcher
from reconciler.source.history import NoBaseError, read_base
from reconciler.source.load import Loaded, parse_files
from reconciler.source.secrets import references
from reconciler.workflow.inputs import Inputs, OrganizationFiles, organizations, parse, validate

_MAX_JOBS: Final = 256
"""The maximum number of jobs in a matrix on GitHub."""


def matrix(run: Run) -> JobResult:
    """Return the organizations to run jobs for, as the output `matrix`.

    These are the organizations that use a changed file or have an open plan. If the changed files
    are unknown (a schedule, a manual start, a missing commit), all organizations are returned; with
    a label, only the organization with that label.

    Webhooks must not reference the API key of any organization, and each file must have an
    organization if one has. This is checked here, because each job knows only its own file and key.

    Raises ConfigurationError for files that cannot be read or fail these checks, UsageError for an
    unknown label and for more organizations than GitHub can run.
    """
    labels = labeled(run.inputs._replace(policies=()), run.paths)
    loaded = {name: validate(each.inputs) for name, each in labels.items()}
    found = (finding for each in loaded.values() for finding in each.findings)
    rules = ("forbidden-secret", "no-organization")
    refused = dict.fromkeys(each for each in found if each.rule in rules)
    if refused:
        raise ConfigurationError("the files are invalid", findings=warnings_as_errors(refused))
    chosen = labels
    if run.label or run.expect_digest is not None:
        if run.label not in labels:
            raise UsageError(
                f"the input `organization` is {run.label!r}, which is no organization's label",
                hint=f"set it to one of: {', '.join(labels)}",
            )
        chosen = {run.label: labels[run.label]}
    elif (changed := changed_files(run)) is not None and not _removed(run, changed):
        pending = _pending_labels(run, labels)
        chosen = {
            name: each
            for name, each in labels.items()
            if name in pending or changed & {*each.paths, *read_files(run, loaded[name])}
        }
    if len(chosen) > _MAX_JOBS:
        raise UsageError(
            f"{len(chosen)} organizations exceed the limit of {_MAX_JOBS} jobs in a matrix",
            hint="split the files across several workflows",
        )
    before = labels_before(run.inputs, run.paths, run.base_commit)
    declared = {each.organization for each in labels.values()}
    findings = [
        warning(
            "organization-removed",
            f"{quote(each)} is no longer declared: its webhooks stay live, and merged plans that "
            "are not applied yet are dropped",
            "if the webhooks must go, too, delete them first, as in docs/organizations.md",
        )
        for each in before
        if each is not None and each not in declared
    ]
    include = []
    for name, each in chosen.items():
        include.append({"organization": each.organization or "", "file": "\n".join(each.paths)})
        include[-1]["label"] = name
        if (earlier := before.get(each.organization, name)) != name:
            include[-1]["earlier-label"] = earlier
    if run.pull is None and run.merge_queue is None and run.github is not None:
        with reporting(findings, "could not close an issue"):
            issues = [
                issue
                for issue in run.github.open_issues()
                if run.is_not_run(issue, "apply") or run.is_not_run(issue, "drift")
            ]
            run.github.close_issues(issues, f"Resolved: {run.link} found the organizations.")
    counted = f"{len(chosen)} of {plural(len(labels), 'organization')}"
    text = json.dumps({"include": include}, separators=(",", ":"))
    return JobResult(
        status="validated",
        findings=findings,
        heading=f"{counted}: {', '.join(chosen) or 'none'}",
        extra_outputs={"matrix": text, "organizations": str(len(chosen))},
    )


def labeled(inputs: Inputs, roots: Sequence[str]) -> Mapping[str, OrganizationFiles]:
    """Return the organizations of a run by their label.

    A label is the name of the first file without its suffix, preceded by its folders below the
    directory in `roots` that contains it. Raises ConfigurationError for files that cannot be read,
    UsageError for labels that are not distinct.
    """
    parsed = parse(inputs)
    if parsed.findings:
        raise ConfigurationError("the files are invalid", findings=parsed.findings)
    found: dict[str, OrganizationFiles] = {}
    labels: dict[str, str] = {}
    for each in organizations(inputs._replace(parsed=parsed)):
        for path_text in each.paths:
            if re.search(r"[\r\n]", path_text) or path_text != path_text.strip():
                # The job gets the files as lines of WEBHOOKS_FILE.
                raise UsageError(
                    f"the file name {quote(path_text)} contains a line break, or begins "
                    "or ends with a space, so that it cannot be passed to a job",
                    hint="rename the file",
                )
        file = each.paths[0]
        path = PurePosixPath(file)
        below = [path.relative_to(it) for it in map(PurePosixPath, roots) if it in path.parents]
        name = (below or [PurePosixPath(path.name)])[0].with_suffix("")
        label = re.sub(r"[^\w.]+", "-", str(name))
        other = labels.setdefault(label.casefold(), file)
        if other != file:
            raise UsageError(
                f"{quote(other)} and {quote(file)} belong to different organizations but have the "
                f"same label {quote(label)}",
                hint="rename one of the files",
            )
        found[label] = each
    return found


def labels_before(inputs: Inputs, roots: Sequence[str], base: str) -> Mapping[str | None, str]:
    """Return the label of each organization at the commit `base`; empty if it is not known."""
    try:
        found = read_base(base, roots, directory=inputs.directory, git=inputs.git)
        labels = labeled(inputs._replace(parsed=parse_files(found)), roots) if found.files else {}
    except (NoBaseError, ConfigurationError, UsageError):
        return {}
    return {each.organization: label for label, each in labels.items()}


def _pending_labels(run: Run, labels: Iterable[str]) -> frozenset[str]:
    """Return the labels with a plan on the pull request, or with merged plans that are not applied.

    So a commit that reverts a change replaces its plan, and a change that was merged is applied
    even after a failed run.
    """
    if run.github is None or run.merge_queue is not None:
        return frozenset()
    if run.pull is not None:
        posts = () if run.no_secrets_reason else run.github.comments(run.pull.number)
        return frozenset(each.marker.label for each in posts if each.marker.kind is MarkerKind.PLAN)
    subjects = {label: run.marker(MarkerKind.PLAN, label) for label in labels}
    pulls = with_comments(run, merged_pulls(run, run.branch), subjects.values())
    return frozenset(
        label
        for label, subject in subjects.items()
        if any(review.pending for review in read_reviews(run, pulls, subject))
    )


def changed_files(run: Run) -> frozenset[str] | None:
    """Return the files that changed since the event's base commit, None if they are not known."""
    command = ["diff", "--no-renames", "--name-only", "-z", f"{run.base_commit}...HEAD"]
    found = run.inputs.git(command) if run.base_commit else None
    if found is None:
        return None
    return frozenset(run.relative(filter(None, os.fsdecode(found).split("\0"))))


def _removed(run: Run, changed: Iterable[str]) -> bool:
    """Return whether a configuration file was removed.

    Its organization then cannot be determined.
    """
    removed = (each for each in changed if not (run.inputs.directory / each).exists())
    return any(map(input_matcher(run), removed))


def input_matcher(run: Run, loaded: Loaded | None = None) -> Callable[[str], bool]:
    """Return a predicate for files in the paths of the configuration, and those that it reads."""
    names = frozenset[str]() if loaded is None else read_files(run, loaded)
    folders = [file_matcher(each, run.inputs.directory) for each in run.paths]
    return lambda name: name in names or any(each(name) for each in folders)


def read_files(run: Run, loaded: Loaded) -> frozenset[str]:
    """Return all files that a run reads: the configuration, its parents, secrets and policies."""
    refs = references(loaded.desired.webhooks if loaded.desired is not None else ())
    secrets = (each.name for each in refs if each.scheme is Scheme.FILE)
    named = (*loaded.documents, *loaded.parents, *secrets, *run.inputs.policies)
    return frozenset(map(posixpath.normpath, named))
