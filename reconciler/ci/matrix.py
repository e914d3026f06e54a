"""`webhooks ci matrix`: a job for each organization whose files changed."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from reconciler.ci.marker import MarkerKind
from reconciler.ci.outcome import Outcome, reporting
from reconciler.ci.reviews import merged_reviews, read_reviews
from reconciler.ci.run import MergeGroup, PullRequest, Run
from reconciler.errors import ConfigurationError, UsageError
from reconciler.findings import Finding
from reconciler.model import Scheme
from reconciler.source.files import covered
from reconciler.source.load import Loaded
from reconciler.source.secrets import references
from reconciler.workflow.inputs import (
    Inputs,
    OrganizationFiles,
    organizations,
    parse,
    validate,
)

MOST: Final = 256
"""The maximum number of jobs in a matrix on GitHub."""


def matrix(run: Run) -> Outcome:
    """Return the organizations to run jobs for, as the output `matrix`.

    No webhook may refer to the API key of an organization: the job of another one does not know it.

    These are the organizations that read a changed file or have an open plan. Without a known
    change (a schedule, a manual start, a commit that git does not know) these are all
    organizations; with a label, only that organization.

    Raises ConfigurationError for files that cannot be read and for a reference that is never
    allowed, UsageError for an unknown label and for more organizations than GitHub can run.
    """
    labels = labeled(replace(run.inputs, policies=()), run.paths)
    loaded = {name: validate(each.inputs) for name, each in labels.items()}
    found = (finding for each in loaded.values() for finding in each.findings)
    refused = dict.fromkeys(each for each in found if each.rule == "forbidden-secret")
    if refused:
        raise ConfigurationError("the files refer to credentials", findings=tuple(refused))
    chosen = labels
    if run.label or run.expect_digest is not None:
        if run.label not in labels:
            raise UsageError(
                f"no organization has the label {run.label!r}, and a digest covers only one",
                hint=f"start the workflow with one of these as organization: {', '.join(labels)}",
            )
        chosen = {run.label: labels[run.label]}
    elif (changed := changed_files(run)) is not None and not _removed(run, changed):
        pending = _open(run, labels)
        chosen = {}
        for name, each in labels.items():
            named = {*each.paths, *run.inputs.policies, *_files(loaded[name])}
            if name in pending or changed & named:
                chosen[name] = each
    if len(chosen) > MOST:
        raise UsageError(
            f"{len(chosen)} organizations exceed the limit of {MOST} jobs in a matrix",
            hint="split the files across several workflows",
        )
    include = [
        {"organization": it.organization or "", "file": "\n".join(it.paths), "label": name}
        for name, it in chosen.items()
    ]
    findings = list[Finding]()
    if run.event is None and run.github is not None:
        # Issues about runs that failed before they found the organizations.
        failed = replace(run.marker(MarkerKind.FAILURE, ""), code="not-run")
        resolved = (failed, run.marker(MarkerKind.DRIFT, ""))
        with reporting(findings, "could not close an issue"):
            issues = [each for each in run.github.open_issues() if each.marker in resolved]
            run.github.close_issues(issues, f"Resolved: {run.link} found the organizations.")
    text = json.dumps({"include": include}, separators=(",", ":"))
    return Outcome(
        result="validated",
        findings=findings,
        heading=f"{len(chosen)} of {len(labels)} organizations: {', '.join(chosen) or 'none'}",
        more={"matrix": text, "organizations": str(len(chosen))},
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
    groups = organizations(replace(inputs, parsed=parsed))
    found = {_label(PurePosixPath(each.paths[0]), roots): each for each in groups}
    if len({each.casefold() for each in found}) < len(groups):
        raise UsageError(
            "files of two organizations have the same name, which would be the label of both",
            hint="rename one of the files",
        )
    return found


def _label(file: PurePosixPath, roots: Sequence[str]) -> str:
    below = [file.relative_to(each) for each in map(PurePosixPath, roots) if each in file.parents]
    name = (below or [PurePosixPath(file.name)])[0].with_suffix("")
    return re.sub(r"[^\w.]+", "-", str(name))


def _open(run: Run, labels: Iterable[str]) -> frozenset[str]:
    """Return the labels with a plan on the pull request, or with merged plans that are not applied.

    So a commit that reverts a change replaces its plan, and a change that was merged is applied
    even after a failed run.
    """
    if run.github is None or isinstance(run.event, MergeGroup):
        return frozenset()
    if isinstance(run.event, PullRequest):
        posts = () if run.event.distrust else run.github.comments(run.event.number)
        return frozenset(each.marker.label for each in posts if each.marker.kind is MarkerKind.PLAN)
    merges = merged_reviews(run, run.branch)
    return frozenset(
        label
        for label in labels
        if any(each.left for each in read_reviews(merges, run.marker(MarkerKind.PLAN, label)))
    )


def changed_files(run: Run) -> frozenset[str] | None:
    """Return the files that changed since the event's base commit, None if they are not known."""
    git = run.inputs.git
    if not run.since or git(["cat-file", "-e", run.since]) is None:
        return None
    found = git(["diff", "--no-renames", "--name-only", "-z", f"{run.since}...HEAD"])
    if found is None:
        return None
    return frozenset(run.relative(filter(None, found.decode().split("\0"))))


def _removed(run: Run, changed: Iterable[str]) -> bool:
    """Return whether a configuration file was removed: its organization may have others."""
    reads = [covered(each, run.inputs.directory) for each in run.paths]
    gone = (each for each in changed if not (run.inputs.directory / each).exists())
    return any(read(each) for each in gone for read in reads)


def reads(run: Run, loaded: Loaded) -> Callable[[str], bool]:
    """Return a predicate for the files that a run for one organization reads."""
    names = {*_files(loaded), *map(posixpath.normpath, run.inputs.policies)}
    folders = [covered(each, run.inputs.directory) for each in run.paths]
    return lambda name: name in names or any(each(name) for each in folders)


def _files(loaded: Loaded) -> frozenset[str]:
    """Return all files of a configuration: its files, their parents and secret files."""
    refs = references(loaded.desired.webhooks if loaded.desired is not None else ())
    secrets = (each.name for each in refs if each.scheme is Scheme.FILE)
    return frozenset(map(posixpath.normpath, (*loaded.documents, *loaded.parents, *secrets)))
