"""The part that everybody's pull request gets: the files are judged, nothing is asked."""

from __future__ import annotations

from dataclasses import replace

from reconciler.ci.event import PullRequest
from reconciler.ci.job import Access, Job, Run
from reconciler.ci.outcome import Outcome, ended, note
from reconciler.findings import Finding
from reconciler.workflow import Checked, Inputs, gather
from reconciler.workflow import accept as accept_files
from reconciler.workflow import validate as validate_files


def validate(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Judge the files."""
    checked = check(inputs)
    return ended("validated", checked.declared.findings, heading=_valid(checked))


def check(inputs: Inputs, *, writing: bool = False) -> Checked:
    """Judge the files, each warning an error. Raises ConfigurationError with all findings.

    `writing` also refuses secrets that no list allows.

    What is warned of later depends on what is live, not on the change under review, and stops
    nothing.
    """
    checked = accept_files(validate_files(replace(inputs, strict=True)), inputs)
    gather(checked, writing=writing)
    return checked


def only_checked(run: Run, access: Access, *, instead: str) -> Finding | None:
    """Return why nothing but the files can be looked at, None if more can be done."""
    if isinstance(run.event, PullRequest) and run.event.distrust is not None:
        return note(
            "only-validated",
            f"{run.event.distrust}, and GitHub gives its runs no secrets: the files were checked, "
            f"and {instead}",
            hint="a maintainer who wants a plan pushes the branch to this repository",
        )
    if access.connect is None:
        return note(
            "no-api-key",
            f"there is no CLOUDTRUTH_API_KEY here: the files were checked, and {instead}",
            hint="put the key into the job's environment and pass it in the step's env",
            warn=True,
        )
    return None


def files_only(checked: Checked, why: Finding, *, result: str = "validated") -> Outcome:
    """Make the outcome of a run that could only look at the files."""
    return ended(result, (*checked.declared.findings, why), heading=_valid(checked))


def _valid(checked: Checked) -> str:
    declared = checked.desired
    number = len(declared.webhooks) + len(declared.absent)
    return f"The files are valid: {number} {'webhook' if number == 1 else 'webhooks'} declared"
