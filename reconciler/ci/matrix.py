"""`webhooks ci matrix`: a job for each organization whose files changed."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from reconciler.ci.outcome import Outcome, ended
from reconciler.ci.run import Run
from reconciler.errors import ConfigurationError, UsageError
from reconciler.model import Scheme
from reconciler.source.secrets import references
from reconciler.workflow.inputs import OrganizationFiles, organizations, parse, validate

MOST: Final = 256
"""The maximum number of jobs in a matrix on GitHub."""


def matrix(run: Run) -> Outcome:
    """Return the organizations to run jobs for, as the output `matrix`.

    Without a known change (a schedule, a manual start, a commit that git does not know) these are
    all organizations. Raises UsageError if there are more than GitHub can run.
    """
    parsed = parse(run.inputs)
    if parsed.findings:
        raise ConfigurationError("the files cannot be used", findings=parsed.findings)
    groups = organizations(parsed)
    changed = _changed(run)
    chosen = groups
    if changed is not None:
        prefix = (run.inputs.git(["rev-parse", "--show-prefix"]) or b"").decode().strip()
        chosen = tuple(
            each for each in groups if not changed.isdisjoint(_read_by(each, run, prefix))
        )
    if len(chosen) > MOST:
        raise UsageError(
            f"{len(chosen)} organizations exceed the limit of {MOST} jobs in a matrix",
            hint="split the files over several workflows",
        )
    include = [
        {
            "organization": each.organization or "",
            "file": "\n".join(each.paths),
            "label": PurePosixPath(each.paths[0]).stem,
        }
        for each in chosen
    ]
    names = ", ".join(each["label"] for each in include) or "none"
    done = ended("validated", (), heading=f"{len(include)} of {len(groups)} organizations: {names}")
    text = json.dumps({"include": include}, separators=(",", ":"))
    return replace(
        done, outputs={**done.outputs, "matrix": text, "organizations": str(len(include))}
    )


def _changed(run: Run) -> frozenset[str] | None:
    """Return the changed files, relative to the repository's root.

    None if they are not known, so that no organization is missed.
    """
    git = run.inputs.git
    if not run.since or git(["cat-file", "-e", run.since]) is None:
        return None
    found = git(["diff", "--name-only", "-z", f"{run.since}...HEAD"])
    return None if found is None else frozenset(filter(None, found.decode().split("\0")))


def _read_by(group: OrganizationFiles, run: Run, prefix: str) -> Iterator[str]:
    """Yield the files that affect an organization, relative to the repository's root.

    `prefix` is the path of the working directory there.
    """
    loaded = validate(replace(run.inputs, parsed=group.parsed, policies=()))
    names = [*group.paths, *loaded.parents, *run.inputs.policies]
    if loaded.desired is not None:
        refs = references(loaded.desired.webhooks)
        names += [each.name for each in refs if each.scheme is Scheme.FILE]
    yield from (posixpath.normpath(posixpath.join(prefix, name)) for name in names)
