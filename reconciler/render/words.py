"""The words that several formats share: actions, outcomes, reasons, counts, exit codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.errors import ExitCode
from reconciler.findings import Finding, Severity
from reconciler.model import SecretRef
from reconciler.planning.plan import Create, Delete, Operation, Plan, Reason, Update
from reconciler.render.quote import quote
from reconciler.report import Applied, Failed, Report, Skipped, Unconfirmed

ACTIONS: Final = {
    "create": ("+", "created"),
    "update": ("~", "updated"),
    "rename": ("~", "renamed"),
    "adopt": ("~", "adopted"),
    "delete": ("-", "deleted"),
}
"""What an operation does: its sign, and the word for it when it is done."""

OUTCOMES: Final = {
    Applied: ("applied", "", "{done}"),
    Failed: ("failed", "x", "not {done}"),
    Skipped: ("skipped", ".", "skipped"),
    Unconfirmed: ("unconfirmed", "?", "unconfirmed"),
}
"""What became of an operation: the outcome, its sign unless it is the operation's, the words."""

REASONS: Final = {
    Reason.MISSING: "declared, not live",
    Reason.DIFFERS: "differs from the file",
    Reason.RENAMED: "live under another name",
    Reason.ADOPTED: "adopted from outside the scope",
    Reason.RESEND: "a secret is sent again",
    Reason.ABSENT: "state: absent",
    Reason.NOT_DECLARED: "not declared",
    Reason.DUPLICATE: "duplicate",
    Reason.PROTECTED: "protected",
    Reason.UNKNOWN_TYPE: "of a type this version does not know",
    Reason.UNKNOWN_EVENT: "with an event this version does not know",
    Reason.AMBIGUOUS: "live webhooks of this name differ",
    Reason.LATER: "one webhook of a name is created at a time: apply again",
    Reason.PRUNE_OFF: "not declared, nothing prunes it",
    Reason.OUT_OF_SCOPE: "in no file's scope",
}

_STOPPED: Final = "stopped by a signal: run the same command again to finish"
_PARTIAL: Final = "incomplete: run the same command again to finish"
_NEEDS_REVIEW: Final = "what was skipped needs a review: plan again and have the new plan reviewed"
_OVERTAKEN: Final = "live has changed since the plan: run the same command again"

_EXIT_MEANINGS: Final = {
    ExitCode.FAILED: "failed, see above",
    ExitCode.DENIED: "the API key may not do this",
    ExitCode.SIGHUP: _STOPPED,
    ExitCode.SIGINT: _STOPPED,
    ExitCode.SIGTERM: _STOPPED,
}


def plural(number: int, noun: str) -> str:
    """Return `1 webhook`, `2 webhooks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def counts(plan: Plan) -> str:
    """Return how many webhooks would be created, updated and deleted."""
    return (
        f"{len(plan.creates)} to create, {len(plan.updates)} to update, "
        f"{len(plan.deletes)} to delete"
    )


def summary(plan: Plan) -> str:
    """Return in one sentence what a plan comes to."""
    numbers = (
        (len(plan.matched) if plan.operations else 0, "unchanged"),
        (len(plan.kept), "kept"),
        (plan.ignored, "ignored"),
        (len(plan.unmanaged), "unmanaged"),
    )
    rest = ", ".join(f"{number} {what}" for number, what in numbers if number)
    if plan.operations:
        return f"Plan: {counts(plan)} of {plan.in_scope} in scope{rest and f'; {rest}'}."
    match = "matches" if len(plan.matched) == 1 else "match"
    said = f"No changes. {plural(len(plan.matched), 'webhook')} {match}."
    return f"{said} {rest}." if rest else said


def tally(report: Report) -> dict[str, int]:
    """Return how many operations were applied, by action, and how many were not, by outcome."""
    done = [each.operation for each in report.applied]
    return {
        "created": sum(isinstance(each, Create) for each in done),
        "updated": sum(isinstance(each, Update) for each in done),
        "deleted": sum(isinstance(each, Delete) for each in done),
        **{
            name: sum(type(each) is outcome for each in report.outcomes)
            for outcome, (name, *_) in OUTCOMES.items()
            if outcome is not Applied
        },
    }


def outcome_counts(report: Report) -> str:
    """Return the tally in words, outcomes without any left out."""
    counted = [(number, f"{number} {word}") for word, number in tally(report).items()]
    done, left = counted[:3], [each for each in counted[3:] if each[0]]
    return "; ".join(", ".join(text for _, text in part) for part in (done, left) if part)


def unshown(report: Report, problem: Exception | None = None) -> str:
    """Return one line for a report that a renderer failed to show or that cannot be written."""
    done = f"{len(report.applied)} of {plural(len(report.plan.operations), 'change')}"
    why = f"shown: internal error ({type(problem).__name__})" if problem else "written"
    return f"applied {done}: {outcome_counts(report)}; the report cannot be {why}"


def verification(report: Report) -> str:
    """Return in one sentence what is known about the result."""
    if not report.writes:
        return "Nothing was written."
    if report.verified:
        return "Read back and compared after the last write."
    return "Not read back after the last write: the next plan shows what is live."


def ending(report: Report) -> str | None:
    """Return what the exit code means and what to do next, None if all is done."""
    code = report.exit_code
    if code is ExitCode.OK:
        return None
    meaning = _EXIT_MEANINGS.get(code, _PARTIAL)
    number = len(report.plan.unapplied)
    if report.complete:
        is_ = "is" if number == 1 else "are"
        meaning = f"{plural(number, 'declaration')} {is_} not applied, see above"
    elif code is ExitCode.FAILED and not report.problem and not tally(report)["failed"]:
        meaning = _OVERTAKEN
    elif code in (ExitCode.STALE, ExitCode.PARTIAL) and report.needs_review and not report.problem:
        meaning = _NEEDS_REVIEW
    return f"Exit {int(code)}: {meaning}."


def action(operation: Operation) -> str:
    """Return what an operation does, a key of `ACTIONS`."""
    match operation:
        case Create():
            return "create"
        case Update(reason=Reason.RENAMED):
            return "rename"
        case Update(reason=Reason.ADOPTED):
            return "adopt"
        case Update():
            return "update"
        case Delete():
            return "delete"


def reference(ref: SecretRef) -> str:
    """Return a reference for display: where its value comes from."""
    shown = f"{ref.scheme} {quote(ref.name)}"
    return shown if ref.version is None else f"{shown} (version {ref.version})"


def age(moment: str, now: datetime | None) -> str:
    """Return how long ago `moment` (RFC 3339) was, its date if `now` is not known."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return quote(moment)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    if now is None or when > now:
        return when.date().isoformat()
    minutes = (now - when) // timedelta(minutes=1)
    units = ((minutes // 1440, "day"), (minutes // 60, "hour"), (minutes, "minute"))
    number, noun = next((each for each in units if each[0]), units[-1])
    return f"{plural(number, noun)} ago"


def more_findings(left: int) -> list[str]:
    """Return the line that counts the findings that are not shown, if there are any."""
    return [f"and {plural(left, 'more finding')}"] if left else []


def finding_counts(findings: tuple[Finding, ...]) -> str:
    """Return how many findings of each severity there are."""
    severities = [each.severity for each in findings]
    counted = ((severities.count(each), str(each)) for each in Severity)
    return ", ".join(plural(number, noun) for number, noun in counted if number)
