"""Wording about an apply, shared by the formats: outcomes, exit codes, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Final

from reconciler.errors import (
    RUN_AGAIN,
    AuthenticationError,
    DeadlineError,
    ExitCode,
    InvalidRequestError,
    PermissionDeniedError,
    StalePlanError,
)
from reconciler.findings import plural, shorten
from reconciler.planning.run import OrganizationResult
from reconciler.render import PLAIN, View
from reconciler.render.quote import prose, quote
from reconciler.render.words import numbers, problem_title, summary
from reconciler.report import (
    NOT_CONVERGED,
    OUTCOMES,
    STALE,
    Applied,
    Failed,
    Report,
    RunReport,
    Skipped,
    State,
    exit_code_of,
    state_of,
)

_FINISH: Final = "run this command to finish"
_PLAN_AGAIN: Final = "plan again and run the command that the plan prints"
_STOPPED: Final = "stopped by a signal, after every change was applied"
_SHOWN: Final = "run the command that this run shows"
_NEEDS_REVIEW: Final = (
    "skipped operations need a review: see the reasons, or have a new plan reviewed"
)
_NOTHING_EXPECTED: Final = (
    "The expected plan is already applied, or this command lacks its files, --base or "
    "--resend-secret."
)


# Another run alone meets these again: the values, the key or --deadline must change.
_FOR_A_USER: Final = frozenset(
    {
        NOT_CONVERGED,
        InvalidRequestError.code,
        AuthenticationError.code,
        PermissionDeniedError.code,
        DeadlineError.code,
    }
)
_TALLY: Final = (
    "created", "updated", "deleted", "failed", "skipped", "unconfirmed", "already_made"
)  # fmt: skip


def tally(report: Report) -> dict[str, int]:
    """Count applied operations by action, and the others by outcome."""
    # All of them, so that a program finds each key.
    counts = dict.fromkeys(_TALLY, 0)
    for outcome in report.outcomes:
        match outcome:
            case Applied(already_made=True):
                state = "already_made"
            case Applied(operation=operation):
                state = f"{operation.action}d"
            case _:
                state = OUTCOMES[type(outcome)]
        counts[state] += 1
    return counts


def applied(run: RunReport) -> str:
    """Return the number of applied operations of those that were confirmed, and the outcomes."""
    counted: Counter[str] = Counter()
    for report in run.reports:
        counted.update(tally(report))
    # Without a report, all that an organization was to change is left.
    for result, number in zip(run.organizations, run.confirmed, strict=False):
        if result.value is None:
            state = "not_started" if result.problem is None else OUTCOMES[Failed]
            counted[state] += number
    outcomes = numbers((number, name.replace("_", " ")) for name, number in counted.items())
    done = sum(len(report.applied) for report in run.reports)
    total = plural(counted.total(), "change")
    return f"applied {done} of {total}: {outcomes or 'none'}"


def has_changes(run: RunReport) -> bool:
    """Return whether the run changed something, or was to do so."""
    return any(run.confirmed) or run.has_operations


def fallback_summary(run: RunReport, problem: Exception | None = None) -> str:
    """Return one line for a report that cannot be rendered or written."""
    why = "written"
    # The message of an unexpected error may contain a secret, its type cannot.
    if problem is not None:
        why = f"shown: internal error ({type(problem).__name__})"
    return f"{applied(run)}; the report cannot be {why}"


def report_problems(run: RunReport) -> list[str]:
    """Return the failures of an apply itself, with the organization if there are several."""
    problems = []
    for report in run.reports:
        if report.problem:
            name = "" if run.is_single else f"{quote(report.plan.organization.name)}: "
            problems.append(f"{name}{prose(report.problem)}")
    return problems


def conclusion(run: RunReport, view: View = PLAIN) -> list[str]:
    """Return whether the result of a single organization was verified, and what the exit means."""
    finish = _finish(run, view)
    # A run of several shows for each organization only what is not as declared.
    if run.is_single:
        (report,) = run.reports
        return [_verification(report), *_exit(run.exit_code, _meaning(report, finish))]
    # Whoever applies by digest expects changes.
    if _needs_plan(run) and run.exit_code is ExitCode.OK and not run.digest:
        return [_NOTHING_EXPECTED]
    return [*_read_back_in_all(run), *_exit(run.exit_code, _meaning_of_run(run, finish))]


def _finish(run: RunReport, view: View) -> str:
    """Return how to apply what is left."""
    # No user typed the command of a job, and no other plan prints one that would be accepted.
    is_job = view.apply_options is None
    if _needs_plan(run):
        return _SHOWN if is_job else _PLAN_AGAIN
    if is_job:
        return "re-run the job to finish"
    return _FINISH if run.finish_command else f"{RUN_AGAIN} to finish"


def states(run: RunReport) -> str:
    """Return the number of organizations of each state."""
    by_state = Counter(map(state_of, run.organizations))
    return numbers((by_state[state], state) for state in State)


def totals(run: RunReport) -> list[str]:
    """Return the number of organizations of each state; empty in a run of one."""
    if run.is_single:
        return []
    total = f"{plural(len(run.organizations), 'organization')}: {states(run)}."
    if run.is_unchanged:
        total += " No changes."
    return [total]


def _needs_plan(run: RunReport) -> bool:
    """Return whether the same command would be refused, or overwrite an edit that no plan shows."""
    is_stale = any(isinstance(result.problem, StalePlanError) for result in run.organizations)
    outcomes = chain.from_iterable(report.outcomes for report in run.reports)
    is_changed = any(isinstance(skip, Skipped) and skip.code in STALE for skip in outcomes)
    return is_stale or is_changed or any(report.needs_plan for report in run.reports)


def _exit(code: ExitCode, meaning: str) -> list[str]:
    if code is ExitCode.OK or not meaning:
        return []
    return [f"Exit {int(code)}: {meaning}."]


def _meaning_of_run(run: RunReport, finish: str) -> str:
    """Return the meaning of the exit code of several organizations, empty if they show it."""
    if run.stopped is not None:
        return _STOPPED if run.is_complete else f"stopped by a signal; {finish}"
    if run.has_unstarted and not run.confirmed:
        return _nothing_written(run)
    if run.exit_code is ExitCode.PARTIAL or next_command(run):
        return _incomplete(run, finish)
    return ""


def _nothing_written(run: RunReport) -> str:
    """Return that the failure of one organization stopped the others, and how to apply these."""
    if not next_command(run):
        return "nothing was written"
    step = "plan them" if run.plan_command else "run this command"
    return f"nothing was written; to apply the other organizations now, {step}"


def _incomplete(run: RunReport, finish: str) -> str:
    """Return that something is left, and what is to do before another run can `finish` it."""
    left = [result for result in run.organizations if exit_code_of(result) is not ExitCode.OK]
    if all(result.value is not None and result.value.needs_review for result in left):
        return _NEEDS_REVIEW
    # The same command would have the same problems: a guard, a key, a file, an ambiguous name.
    failed = [quote(result.name) for result in filter(_needs_step, left)]
    if failed:
        finish = f"resolve the problem of {', '.join(failed)}, then {finish}"
    return f"incomplete; {finish}"


def _needs_step(result: OrganizationResult[Report]) -> bool:
    """Return whether another run alone does not finish an organization."""
    if result.problem is not None:
        return True
    report = result.value
    return report is not None and bool(
        _lacking(report) or report.needs_review or _for_a_user(report)
    )


def _for_a_user(report: Report) -> list[str]:
    """Return the webhooks that the same command cannot change."""
    names = []
    for outcome in report.outcomes:
        if not isinstance(outcome, Failed) or outcome.code not in _FOR_A_USER:
            continue
        # With this help, the same request may succeed.
        if outcome.hint and RUN_AGAIN not in outcome.hint:
            names.append(quote(outcome.operation.name))
    return names


def _lacking(report: Report) -> str:
    """Return what a complete apply leaves out, empty if nothing, or if it is not complete."""
    if report.complete and report.plan.unapplied:
        return f"{plural(len(report.plan.unapplied), 'declaration')} not applied"
    return ""


def _verification(report: Report) -> str:
    """Return whether something was written, and read back."""
    if not report.plan.operations:
        text = summary(report.plan)
        if report.needs_plan:
            text += f" {_NOTHING_EXPECTED}"
        return text
    if not report.writes and report.applied:
        return "Nothing was written: each applied change had already been made."
    if not report.writes:
        return "Nothing was written."
    if report.verified:
        return _read_back(report.hidden)
    return f"Not read back after the last write{_see_live([report])}."


def _see_live(reports: Iterable[Report]) -> str:
    """Return how to see what was not read back, empty if a plan shows no difference."""
    for report in reports:
        for update in report.plan.updates:
            if any(change.not_shown for change in update.fields):
                return ""
    return ": run plan to see the live webhooks"


def _read_back_in_all(run: RunReport) -> list[str]:
    """Return whether what was written in several organizations was read back."""
    written = [report for report in run.reports if report.writes]
    missing = [report for report in written if not report.verified]
    if missing:
        names = ", ".join(quote(report.plan.organization.name) for report in missing)
        return [f"Not read back after the last write in {names}{_see_live(missing)}."]
    if not written:
        return []
    return [_read_back(sum(report.hidden for report in written))]


def _read_back(hidden: int) -> str:
    text = "Read back and compared after the last write"
    if hidden:
        text += f", except {plural(hidden, 'value')} that cannot be compared"
    return f"{text}."


def _meaning(report: Report, finish: str) -> str:
    """Return the meaning of an exit code other than 0, and the next step: how to `finish`."""
    meaning, can_finish = _cause(report)
    if not can_finish:
        return meaning
    names = _for_a_user(report)
    if names:
        finish = f"follow the help of {shorten(names, 3)}, then {finish}"
    return f"{meaning}; {finish}"


def _cause(report: Report) -> tuple[str, bool]:
    """Return the meaning of an exit code, and whether another run can finish what is left."""
    # A signal explains whatever is left.
    if report.stopped is not None and report.complete:
        return _STOPPED, False
    if report.stopped is not None:
        return "stopped by a signal", True
    # A problem of the run explains the code better than the outcomes.
    meaning = "" if report.problem else _meaning_of_outcomes(report)
    if meaning:
        return meaning, False
    match report.exit_code:
        case ExitCode.DENIED:
            return "the API key lacks permission", False
        case ExitCode.FAILED if report.problem or tally(report)["failed"]:
            return "failed, see above", False
        case ExitCode.FAILED:
            return "the live webhooks changed since the plan", True
    return "incomplete", True


def _meaning_of_outcomes(report: Report) -> str:
    """Return what the outcomes have in common, empty if there is nothing."""
    if report.is_contradicted:
        return "CloudTruth does not show what was sent, see above"
    lacking = _lacking(report)
    if lacking:
        return f"{lacking}, see above"
    # A secret that was rotated without a review is no operation of the plan.
    if report.needs_review or report.complete:
        return _NEEDS_REVIEW
    return ""


def next_command(run: RunReport) -> str:
    """Return the command that plans or applies what is left; empty if the same one does, if any."""
    # What is left of a complete apply is for a person.
    is_complete = run.is_single and run.reports[0].complete
    if run.exit_code is ExitCode.OK or run.is_complete or is_complete:
        return ""
    needs_review = any(report.needs_review for report in run.reports)
    if not run.confirmed:
        return prose(run.plan_command or run.finish_command)
    if _needs_plan(run) or needs_review:
        return prose(run.plan_command)
    return prose(run.finish_command)


def not_as_declared(run: RunReport) -> dict[str, list[str]]:
    """Return the organizations that are not as declared, by the reason; none in a run of one."""
    reasons: dict[str, list[str]] = {}
    if run.is_single:
        return reasons
    # In the order of the states, so that equal reasons stand together in any run.
    for state in State:
        for result in run.organizations:
            if state_of(result) is state and state not in (State.APPLIED, State.UNCHANGED):
                reasons.setdefault(_reason(state, result), []).append(quote(result.name))
    return reasons


def _reason(state: State, result: OrganizationResult[Report]) -> str:
    """Return why an organization is not as declared."""
    title = str(state).capitalize()
    if result.problem is not None:
        return problem_title(result.problem)
    report = result.value
    if report is None:
        return title
    return f"{title} ({_lacking(report) or applied(RunReport.of(report))})"
