"""Whether live is still as declared, as one issue that is open while it is not."""

from __future__ import annotations

from typing import assert_never

from reconciler.ci.issue import Close, Edit, Leave, Open, decide
from reconciler.ci.job import Access, Job, Run
from reconciler.ci.marker import Marker, decode
from reconciler.ci.outcome import Outcome, note, planned
from reconciler.ci.sticky import compose, room
from reconciler.ci.subject import DRIFT, mark
from reconciler.ci.validate import check, files_only, only_checked
from reconciler.findings import Finding
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.render import RENDERERS
from reconciler.render.view import View
from reconciler.render.words import counts
from reconciler.workflow import Inputs
from reconciler.workflow import plan as make_plan


def drift(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Plan, and open, edit or close the issue. Drift is news, not a failure."""
    checked = check(inputs)
    why = only_checked(run, access, instead="nothing was compared")
    if why is not None:
        return files_only(checked, why, result="skipped")
    assert access.connect is not None
    with access.connect() as connection:
        made = make_plan(
            checked, connection.api, options=PlanOptions(), api_key=connection.key
        ).plan
    findings = _keep_issue(mark(DRIFT, job, run, inputs, made), made, job, run, access)
    return planned("drift" if made.changes else "no-drift", made, findings)


def _keep_issue(
    marker: Marker, made: Plan, job: Job, run: Run, access: Access
) -> tuple[Finding, ...]:
    github = access.github
    if github is None:
        return (note("no-token", "there is no GitHub token: no issue was looked at", warn=True),)
    mine = (
        each
        for each in github.open_issues()
        if (found := decode(each.body)) is not None and found.same_subject(marker)
    )
    step = decide(next(mine, None), found=marker, drift=bool(made.changes))
    link = f"[this run]({run.url})" if run.url else "a run"
    match step:
        case Open():
            github.open_issue(_title(made, job), access.clean(_body(made, marker, link)))
        case Edit(number=number):
            body = access.clean(_body(made, marker, link))
            github.edit_issue(number, _title(made, job), body)
        case Close(number=number):
            github.close_issue(number, f"The drift is gone, as {link} found.")
        case Leave():
            pass
        case _:
            assert_never(step)
    return ()


def _title(made: Plan, job: Job) -> str:
    """Return the issue's title: counts and our own words, as data in a title cannot be quoted."""
    about = f" ({job.label})" if job.label else ""
    return f"CloudTruth webhooks drifted{about}: {counts(made)}"


def _body(made: Plan, marker: Marker, link: str) -> str:
    foot = (
        f"What is live differs from what this repository declares, as {link} found. To put it "
        "right, apply the plan above; to keep it, declare it. This issue closes by itself."
    )
    view = View(limit=room(marker) - len(foot) - 10)
    return compose(marker, f"{RENDERERS['markdown']().render_plan(made, view)}\n{foot}\n")
