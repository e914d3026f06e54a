"""The plan of a pull request: what merging it would do, in comments that are kept up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.ci.comments import COMMENT_CHARACTERS, MOST_PARTS, find, inline, put
from reconciler.ci.github import GitHub, queued
from reconciler.ci.marker import Kind, Marker, encode, resends_of
from reconciler.ci.outcome import Outcome, ended, failed, note, planned
from reconciler.ci.reviews import combined, history, look, read_review
from reconciler.ci.run import Access, Commenting, Job, MergeGroup, PullRequest, Run
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, StalePlanError, UsageError
from reconciler.findings import Finding
from reconciler.model import Desired
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import judge
from reconciler.render import RENDERERS, View
from reconciler.render.markdown import paged_plan
from reconciler.render.quote import quote
from reconciler.source import files
from reconciler.source.files import DEFAULT_FILE
from reconciler.source.history import Base, NoBase, read_base
from reconciler.source.lint import Rules
from reconciler.source.load import load_files
from reconciler.workflow import Checked, Inputs, gather
from reconciler.workflow import accept as accept_files
from reconciler.workflow import plan as make_plan
from reconciler.workflow import validate as validate_files


def mark(kind: Kind, job: Job, run: Run, inputs: Inputs) -> Marker:
    """Return the marker of a run's subject; it approves nothing."""
    paths = ", ".join(inputs.paths or (DEFAULT_FILE,))
    return Marker(kind=kind, label=job.label, file=paths, run=run.url)


def validate(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Judge the files."""
    checked = check(inputs)
    return ended("validated", checked.declared.findings, heading=_valid(checked))


def check(inputs: Inputs, *, writing: bool = False) -> Checked:
    """Judge the files, each warning an error. Raises ConfigurationError with all findings.

    `writing` also refuses secrets that no list allows. Later warnings depend on the live webhooks,
    not on the change under review, and stop nothing.
    """
    checked = accept_files(validate_files(replace(inputs, strict=True)), inputs)
    gather(checked, writing=writing)
    return checked


def only_checked(run: Run, access: Access, *, instead: str) -> Finding | None:
    """Return why only the files can be checked, None if more can be done."""
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
    """Return the outcome of a run that could only check the files."""
    return ended(result, (*checked.declared.findings, why), heading=_valid(checked))


def plan(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Plan, and comment on the pull request. A plan that a guard blocks fails the check."""
    pull = run.event if isinstance(run.event, PullRequest) else None
    subject = mark(Kind.PLAN, job, run, inputs)
    try:
        checked = check(inputs)
        why = only_checked(run, access, instead="no plan was made")
        if why is not None:
            return files_only(checked, why)
        if isinstance(run.event, MergeGroup):
            return _judge_group(job, run.event, subject, checked, run, access)
        findings, base, touched = _before(pull, checked, access)
        made = _plan(job, checked, access, base)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return failed(problem, _take_back(job, run, pull, access, subject, problem))
    if pull is not None:
        worth = bool(made.blocked) or (touched and bool(made.changes or made.relaxed))
        try:
            findings += _comment(
                job, pull, access, _parts(made, job, run, pull, subject, access), create=worth
            )
        except ReconcilerError as problem:
            return failed(problem, findings, plan=made)
    if made.blocked:
        return planned("blocked", made, findings, exit_code=ExitCode.BLOCKED, reason="blocked")
    return planned("planned" if made.changes else "no-changes", made, findings)


def _judge_group(
    job: Job, group: MergeGroup, subject: Marker, checked: Checked, run: Run, access: Access
) -> Outcome:
    """Hold the plan of a merge queue's commit against the reviews of its pull requests.

    Whatever else was merged and is not applied yet counts, too, as it does after the merge.
    """
    if not group.branch:
        raise UsageError("the event of this merge queue names no branch")
    seen = look(run, access, group.branch)
    assert access.github is not None
    assert access.connect is not None
    numbers = _queued(access.github, group, history(access))
    with access.connect() as connection:
        origin, organization = connection.api.origin, connection.api.organization().id
        subject = replace(subject, organization=organization, origin=origin)
        queue = [
            read_review(access.github.pull(each), access.github.comments(each), subject)
            for each in numbers
        ]
        review = combined(
            [*queue, *seen.reviews(subject)], origin=origin, organization=organization
        )
        made = make_plan(
            checked,
            connection.api,
            options=PlanOptions(allow_deletes=job.allow_deletes),
            api_key=connection.key,
            review=review,
        ).plan
    findings = tuple(
        note("no-review", f"pull request {each.number} approves nothing: {each.problem}", warn=True)
        for each in queue
        if each.problem is not None
    )
    judgement = judge(made, review, values=True)
    if judgement.stale:
        names = ", ".join(quote(each.name) for each in judgement.stale[:5])
        stale = StalePlanError(
            f"the plan of {len(judgement.stale)} webhooks is not the reviewed one: {names}",
            hint="have the pull request planned again: push to its branch or re-run its check",
        )
        return failed(stale, findings, plan=made)
    findings += tuple(
        note("not-reviewed", f"{quote(made.changes[each].name)}: {why}", warn=True)
        for each, why in judgement.unreviewed.items()
    )
    if made.blocked:
        return planned("blocked", made, findings, exit_code=ExitCode.BLOCKED, reason="blocked")
    return planned("planned" if made.changes else "no-changes", made, findings)


def _queued(github: GitHub, group: MergeGroup, contained: Mapping[str, int]) -> list[int]:
    """Return the group's pull requests, the newest first."""
    commits = github.queue(group.branch)
    inside = sorted(
        (contained[each], number) for each, number in commits.items() if each in contained
    )
    own = queued(group.reference)
    return list(dict.fromkeys([*([own] if own else []), *(number for _, number in inside)]))


def _before(
    pull: PullRequest | None, checked: Checked, access: Access
) -> tuple[tuple[Finding, ...], Desired | None, bool]:
    """Return what was declared before, and whether the pull request changes the files."""
    if pull is None:
        return (), None, True
    inputs = checked.inputs
    found = read_base(pull.base, inputs.paths, directory=access.directory, git=access.git)
    match found:
        case NoBase(reason=reason):
            return (_no_base(reason),), None, True
        case Base():
            declared = load_files(
                files.Sources(files=found.files), rules=Rules(allow_literal_secrets=True)
            )
            now = files.read(inputs.paths, directory=inputs.directory, stdin=inputs.stdin).files
            touched = _contents(found.files) != _contents(now) or found.renamed
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


def _plan(job: Job, checked: Checked, access: Access, base: Desired | None) -> Plan:
    options = PlanOptions(allow_deletes=job.allow_deletes, resend=job.resend, base=base)
    assert access.connect is not None
    with access.connect() as connection:
        return make_plan(checked, connection.api, options=options, api_key=connection.key).plan


def _parts(
    made: Plan, job: Job, run: Run, pull: PullRequest, subject: Marker, access: Access
) -> list[tuple[Marker, str]]:
    """Return the comments that show a plan, each with the operations that it shows."""
    marker = subject.of_plan(made)
    if run.applies and pull.branch and pull.branch != run.applies:
        text = (
            f"### CloudTruth webhooks: not applied from {inline(pull.branch)}\n\n"
            f"This pull request goes to {inline(pull.branch)}, and only {inline(run.applies)} is "
            f"applied. Merging it applies nothing. {_foot(job, run, pull)}\n"
        )
        return [(replace(marker, digest=None), text)]

    def shown(places: tuple[int, ...]) -> Marker:
        return replace(
            marker,
            total=MOST_PARTS,
            operations=tuple(each for place in places for each in made.operations[place]),
            resends=resends_of(made, places),
        )

    bare = len(encode(shown(())))
    foot = _foot(job, run, pull)
    if made.blocked:
        foot = f"As it is, merging applies nothing. {foot}"
    elif made.changes:
        foot = f"Merging applies exactly what is shown here, and refuses anything else. {foot}"
    pages = paged_plan(
        made,
        limit=COMMENT_CHARACTERS - bare,
        most=MOST_PARTS,
        extra=lambda place: len(encode(shown((place,)))) - bare,
        foot=foot,
    )
    return [
        (replace(shown(page.places), part=number, total=len(pages)), page.text)
        for number, page in enumerate(pages, start=1)
    ]


def _foot(job: Job, run: Run, pull: PullRequest) -> str:
    parts = [f"Commit {pull.head[:12]}"] if pull.head else []
    parts += [f"[run]({run.url})"] if run.url else []
    parts += [f"label `{job.label}`"] if job.label else []
    return " · ".join(parts)


def _take_back(
    job: Job,
    run: Run,
    pull: PullRequest | None,
    access: Access,
    subject: Marker,
    problem: ReconcilerError,
) -> tuple[Finding, ...]:
    """Take back what an earlier commit's plan approved: this commit has no plan.

    A failure of that does not hide the problem itself.
    """
    if pull is None or pull.distrust is not None or access.connect is None:
        return ()
    foot = f"Nothing is approved for merging. {_foot(job, run, pull)}"
    view = View(limit=COMMENT_CHARACTERS - len(encode(subject)) - len(foot) - 10)
    text = f"{RENDERERS['markdown']().render_error(problem, view)}\n{foot}\n"
    try:
        return _comment(job, pull, access, [(subject, text)], create=False)
    except ReconcilerError as second:
        why = f"the comment could not be edited: {second.message}"
        return (note("comment-not-edited", why, hint=second.hint, warn=True),)


def _comment(
    job: Job,
    pull: PullRequest,
    access: Access,
    parts: list[tuple[Marker, str]],
    *,
    create: bool,
) -> tuple[Finding, ...]:
    """Write the comments, or return why they stay as they are."""
    if job.commenting is Commenting.NEVER:
        return ()
    github = access.github
    if github is None:
        raise UsageError(
            "there is no GitHub token to comment with",
            hint="pass github-token, or set comment to false",
        )
    found = find(github.comments(pull.number), Kind.PLAN, parts[0][0])
    if not found and not create and job.commenting is not Commenting.ALWAYS:
        return ()
    now = github.pull(pull.number)
    if not now.is_open:
        why = "the pull request is closed: what was reviewed at the merge is not edited"
        return (note("review-frozen", why, warn=True),)
    if pull.head and now.head != pull.head:
        why = "the pull request has a newer commit, whose plan is the one to comment"
        return (note("older-commit", why),)
    put(github, pull.number, found, parts, access.clean)
    return ()


def _valid(checked: Checked) -> str:
    declared = checked.desired
    number = len(declared.webhooks) + len(declared.absent)
    return f"The files are valid: {number} {'webhook' if number == 1 else 'webhooks'} declared"
