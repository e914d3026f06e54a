"""The plan of a pull request: what merging it would do, in one comment that is kept up to date."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.ci import sticky
from reconciler.ci.event import PullRequest
from reconciler.ci.job import Access, Commenting, Job, Run
from reconciler.ci.marker import Marker
from reconciler.ci.outcome import Outcome, failed, note, planned
from reconciler.ci.subject import PLAN, mark
from reconciler.ci.validate import check, files_only, only_checked
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError
from reconciler.findings import Finding
from reconciler.model import Desired
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.render import RENDERERS
from reconciler.render.view import View
from reconciler.source import files
from reconciler.source.desired import Rules, declare
from reconciler.source.history import Base, NoBase, read_base
from reconciler.workflow import Checked, Inputs, Planned
from reconciler.workflow import plan as make_plan


def plan(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Plan, and say so where people look. A plan that a guard holds back fails the check."""
    pull = run.event if isinstance(run.event, PullRequest) else None
    try:
        checked = check(inputs)
        why = only_checked(run, access, instead="no plan was made")
        if why is not None:
            return files_only(checked, why)
        findings, base, touched = _before(pull, checked, access)
        made = _planned(job, checked, access, base).plan
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return failed(problem, _take_back(job, run, pull, inputs, access, problem))
    if pull is not None:
        create = (touched and bool(made.changes)) or job.commenting is Commenting.ALWAYS
        marker = mark(PLAN, job, run, inputs, made)
        try:
            _comment(job, pull, access, marker, _body(made, job, run, pull, marker), create=create)
        except ReconcilerError as problem:
            return failed(problem, findings, plan=made)
    if made.blocked:
        return planned("blocked", made, findings, exit_code=ExitCode.BLOCKED, reason="blocked")
    return planned("planned" if made.changes else "no-changes", made, findings)


def _before(
    pull: PullRequest | None, checked: Checked, access: Access
) -> tuple[tuple[Finding, ...], Desired | None, bool]:
    """Return what was declared before, and whether the pull request touches the files."""
    if pull is None:
        return (), None, True
    inputs = checked.inputs
    found = read_base(pull.base, inputs.paths, directory=access.directory, git=access.git)
    match found:
        case NoBase(reason=reason):
            return (_no_base(reason),), None, True
        case Base():
            declared = declare(
                files.Sources(files=found.files), rules=Rules(allow_literal_secrets=True)
            )
            touched = _contents(found.files) != _contents(
                files.read(inputs.paths, directory=inputs.directory, stdin=inputs.stdin).files
            )
            if declared.desired is None:
                return (_no_base("the files of the base commit are not valid"),), None, touched
            return (), declared.desired, touched


def _contents(sources: tuple[files.SourceFile, ...]) -> Mapping[str, bytes]:
    return {each.file: each.raw for each in sources}


def _no_base(reason: str) -> Finding:
    return note(
        "no-base",
        f"this pull request's changes are not told apart from drift: {reason}",
        warn=True,
    )


def _planned(job: Job, checked: Checked, access: Access, base: Desired | None) -> Planned:
    options = PlanOptions(allow_deletes=job.allow_deletes, resend=job.resend, base=base)
    assert access.connect is not None
    with access.connect() as connection:
        return make_plan(checked, connection.api, options=options, api_key=connection.key)


def _body(plan: Plan, job: Job, run: Run, pull: PullRequest, marker: Marker) -> str:
    foot = _foot(job, run, pull)
    if plan.blocked:
        foot = f"As it is, merging applies nothing. {foot}"
    elif plan.changes:
        foot = f"Merging applies exactly this, and refuses anything else. {foot}"
    view = View(limit=sticky.room(marker) - len(foot) - 10)
    return f"{RENDERERS['markdown']().render_plan(plan, view)}\n{foot}\n"


def _foot(job: Job, run: Run, pull: PullRequest) -> str:
    parts = [f"Commit {pull.head[:12]}"] if pull.head else []
    parts += [f"[run]({run.url})"] if run.url else []
    parts += [f"label `{job.label}`"] if job.label else []
    return " · ".join(parts)


def _take_back(
    job: Job,
    run: Run,
    pull: PullRequest | None,
    inputs: Inputs,
    access: Access,
    problem: ReconcilerError,
) -> tuple[Finding, ...]:
    """Take back what an earlier commit's plan approved: this commit has none.

    That it fails hides nothing of the problem itself.
    """
    if pull is None or pull.distrust is not None or access.connect is None:
        return ()
    marker = mark(PLAN, job, run, inputs, None)
    foot = f"Nothing is approved for merging. {_foot(job, run, pull)}"
    view = View(limit=sticky.room(marker) - len(foot) - 10)
    text = f"{RENDERERS['markdown']().render_error(problem, view)}\n{foot}\n"
    try:
        _comment(job, pull, access, marker, text, create=job.commenting is Commenting.ALWAYS)
    except ReconcilerError as second:
        why = f"the comment could not be edited: {second.message}"
        return (note("comment-not-edited", why, hint=second.hint, warn=True),)
    return ()


def _comment(
    job: Job, pull: PullRequest, access: Access, marker: Marker, text: str, *, create: bool
) -> None:
    if job.commenting is Commenting.NEVER:
        return
    if access.github is None:
        raise UsageError(
            "there is no GitHub token to comment with",
            hint="pass github-token, or set comment to false",
        )
    sticky.put(access.github, pull.number, marker, access.clean(text), create=create)
