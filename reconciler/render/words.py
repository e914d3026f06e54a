"""Wording shared by the formats: reasons, counts, exit codes, advice."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import escape
from typing import Final

from reconciler.errors import ExitCode
from reconciler.findings import Finding, Severity, sort_key
from reconciler.model import DeliveryError, SecretRef
from reconciler.planning.guards import guard
from reconciler.planning.names import MAX_GLOB
from reconciler.planning.plan import Attribution, Create, Delete, FileState, Plan, Reason, Update
from reconciler.planning.run import OrganizationResult, Totals
from reconciler.render import View
from reconciler.render.quote import prose, quote
from reconciler.report import (
    NOT_CONVERGED,
    Applied,
    Failed,
    Report,
    RunReport,
    Skipped,
    State,
    Unconfirmed,
    state_of,
)

_MAX_NAMES: Final = 25
"""Names in a suggested edit."""

REASONS: Final = {
    Reason.MISSING: "declared, not live",
    Reason.DIFFERS: "differs from the file",
    Reason.RENAMED: "live under another name",
    Reason.ADOPTED: "adopted from outside the scope",
    Reason.RESEND: "a secret is resent",
    Reason.ABSENT: "state: absent",
    Reason.NOT_DECLARED: "not declared",
    Reason.DUPLICATE: "duplicate",
    Reason.PROTECTED: "protected, not declared",
    Reason.UNKNOWN_TYPE: "unknown type",
    Reason.UNKNOWN_EVENT: "unknown event",
    Reason.AMBIGUOUS: "webhooks with this name differ",
    Reason.LATER: "one webhook per name is created in each run: apply again",
    Reason.PRUNE_OFF: "not declared, prune is off",
    Reason.OUT_OF_SCOPE: "outside all scopes",
}


def plural(number: int, noun: str) -> str:
    """Return `1 webhook`, `2 webhooks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shorten(items: Sequence[str], most: int) -> str:
    """Return the first `most` items as a list, and the number of the others."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{', '.join(items[:most])}{more}"


def counts(*plans: Plan) -> str:
    """Return the numbers of creates, updates and deletes in all plans."""
    creates, updates, deletes = (
        sum(map(len, numbers))
        for numbers in zip(
            *((plan.creates, plan.updates, plan.deletes) for plan in plans), strict=True
        )
    )
    return f"{creates} to create, {updates} to update, {deletes} to delete"


def summary(plan: Plan) -> str:
    """Summarize a plan in one sentence."""
    number = len(plan.matched)
    if plan.operations:
        rest = f"; {number} unchanged" if number else ""
        return f"Plan: {counts(plan)} of {plan.in_scope_count} in scope{rest}."
    match = "matches" if number == 1 else "match"
    limit = " in the compared fields" if plan.not_compared else ""
    hidden = ""
    if plan.unreadable:
        hidden = f" {plural(len(plan.unreadable), 'hidden value')} cannot be compared."
    return f"No changes. {plural(number, 'webhook')} {match}{limit}.{hidden}"


def run_summary(totals: Totals) -> str:
    """Return the numbers of organizations of a run, and of their operations."""
    counted = (
        (totals.to_change, "to change"),
        (totals.unchanged, "unchanged"),
        (totals.blocked, "blocked"),
        (totals.failed, "failed"),
    )
    parts = ", ".join(f"{number} {state}" for number, state in counted if number)
    operations = [
        f"{number} to {action}"
        for number, action in ((totals.create, "create"), (totals.update, "update"))
        if number
    ]
    summary = f"{plural(totals.organizations, 'organization')}: {parts}."
    if totals.to_change:
        return f"{summary} {', '.join([*operations, f'{totals.delete} to delete'])}."
    # Whether an organization has changes is unknown if it failed, and it has some if it is blocked.
    return f"{summary} No changes." if totals.unchanged == totals.organizations else summary


def not_as_declared(run: RunReport) -> dict[str, list[str]]:
    """Return the organizations that are not as declared, by the reason."""
    reasons: dict[str, list[str]] = {}
    order = [*State]
    for result in sorted(run.organizations, key=lambda each: order.index(state_of(each))):
        state = state_of(result)
        if state not in (State.APPLIED, State.UNCHANGED):
            reasons.setdefault(_reason(state, result), []).append(quote(result.name))
    return reasons


def run_result(run: RunReport) -> list[str]:
    """Return what was applied, the next step, and the totals."""
    states = [(state_of(result), result) for result in run.organizations]
    texts = []
    if any(report.plan.operations for report in run.reports):
        texts.append(f"{applied(*run.reports).capitalize()}.")
    numbers = Counter(state for state, _ in states)
    parts = ", ".join(f"{numbers[state]} {state}" for state in State if numbers[state])
    by_digest = any(report.plan_command is not None for report in run.reports)
    if by_digest and run.exit_code is ExitCode.OK and not run.digest:
        texts.append("The expected plan is already applied, or these files lack the change.")
    again = "run the same command again to finish"
    if by_digest:
        again = "plan again, then apply with the new digest"
    if run.stopped is not None:
        texts.append(f"Exit {int(run.exit_code)}: stopped by a signal: {again}.")
    elif run.exit_code is ExitCode.PARTIAL:
        texts.append(f"Exit {int(run.exit_code)}: incomplete: {again}.")
    return [*texts, f"{plural(len(states), 'organization')}: {parts}."]


def _reason(state: State, result: OrganizationResult[Report]) -> str:
    """Return why an organization is not as declared."""
    title = str(state).capitalize()
    if result.problem is not None:
        return f"{title} ({result.problem.code})"
    if result.value is None:
        return title
    return f"{title} ({applied(result.value)})"


def scope(plan: Plan) -> str:
    """Summarize scope, ignore and prune in one line."""
    share = f"{plan.in_scope_count} of {plural(plan.live_count, 'live webhook')} in scope"
    ignored = f", {plan.ignored_count} ignored" if plan.ignored_count else ""
    deleted = sum(each.reason is Reason.NOT_DECLARED for each in plan.deletes)
    kept = sum(each.reason is Reason.PRUNE_OFF for each in plan.unmanaged)
    kept += sum(each.reason is Reason.PROTECTED for each in plan.kept)
    undeclared = f"{deleted} to delete, {kept} kept" if deleted or kept else "none"
    return f"{share}{ignored}; undeclared in scope: {undeclared}"


def remaining_counts(plan: Plan, *, names: bool, shown: Callable[[str], str] = quote) -> list[str]:
    """Return one line per group with counts: kept, unmanaged, and not compared webhooks.

    Declarations that are not applied are not counted, because each has a row. With `names`, kept
    and unmanaged webhooks have rows, too, so only fields that are not compared are returned, with
    names. `shown` quotes names.
    """
    kept = Counter(each.reason for each in plan.kept if not each.unapplied)
    unmanaged = Counter(each.reason for each in plan.unmanaged)
    lines = [
        f"{title}: {', '.join(f'{number} ({REASONS[why]})' for why, number in counted.items())}"
        for title, counted in (("Kept", kept), ("Unmanaged", unmanaged))
        if counted and not names
    ]
    return lines + not_compared(plan, names=names, shown=shown)


def not_compared(plan: Plan, *, names: bool, shown: Callable[[str], str] = quote) -> list[str]:
    """Return one line for each reason why a plan cannot compare fields, with their number by field.

    With `names`, the line lists the webhooks and references.
    """
    unreadable = [(webhook, field, "") for webhook, field in plan.unreadable]
    not_set = [
        (use.webhook, use.field, f" ({shown(str(use.reference))})" if names else "")
        for use in plan.not_compared
    ]
    lines = []
    for title, uses in (
        ("Cannot be read back", unreadable),
        ("Not compared, value not set here", not_set),
    ):
        groups: dict[tuple[str, str], list[str]] = {}
        for webhook, field, reference in uses:
            groups.setdefault((field, reference), []).append(webhook)
        listed = []
        for (field, reference), webhooks in groups.items():
            who = ", ".join(map(shown, webhooks)) if names else plural(len(webhooks), "webhook")
            listed.append(f"{shown(field)} of {who}{reference}")
        if listed:
            lines.append(f"{title}: {'; '.join(listed) if names else ', '.join(listed)}")
    return lines


def not_set_here(plan: Plan, view: View, *, shown: Callable[[str], str] = quote) -> list[str]:
    """Return one line about the references that `apply` needs and that have no value here."""
    missing = [shown(str(ref)) for ref in secret_destinations(plan) if ref in view.missing]
    if not missing:
        return []
    listed = ", ".join(missing) if view.verbosity > 0 else shorten(missing, 5)
    return [f"Not set here, required by apply: {listed}."]


def failing(plan: Plan, *, shown: Callable[[str], str] = quote) -> list[str]:
    """Return one line about managed webhooks whose deliveries fail, if there are any."""
    if not plan.failing:
        return []
    names = shorten([shown(webhook.name) for webhook in plan.failing], 5)
    return [f"Failing deliveries: {names}; see {shown('webhooks status --failing')}."]


def drifted(plan: Plan) -> list[str]:
    """Return one line about operations that revert what changed live, if there are any."""
    number = sum(operation.attribution is Attribution.DRIFT for operation in plan.operations)
    return [f"Drift: {number}; `webhooks drift` shows how to accept it."] if number else []


def without_fraction(time: str) -> str:
    """Return a time without fractions of a second."""
    return re.sub(r"(:\d\d)\.\d+", r"\1", time)


def delivery_error(error: DeliveryError | None) -> str:
    """Return code and text of a delivery error, as the server wrote them."""
    parts = () if error is None else (error.code, error.text)
    return " ".join(filter(None, parts)) or "no reason given"


def secret_destinations(plan: Plan) -> dict[SecretRef, dict[str, None]]:
    """Return the references that `apply` resolves, each with its destinations for display."""
    uses: dict[SecretRef, dict[str, None]] = {}
    for use in plan.secrets:
        # Show the webhook's name if only the reference of its address is known.
        known = use.destination and str(use.reference) not in use.destination
        destination = quote(use.destination if known else use.webhook)
        uses.setdefault(use.reference, {})[destination] = None
    return uses


def tally(report: Report) -> dict[str, int]:
    """Count applied operations by action, and the others by outcome."""
    kinds = (Create, Update, Delete, Failed, Skipped, Unconfirmed)
    names = ("created", "updated", "deleted", "failed", "skipped", "unconfirmed")
    found = [type(it.operation if isinstance(it, Applied) else it) for it in report.outcomes]
    return {name: found.count(kind) for name, kind in zip(names, kinds, strict=True)}


def applied(*reports: Report) -> str:
    """Return the number of applied operations, and the outcomes."""
    total = plural(sum(len(report.plan.operations) for report in reports), "change")
    counted: Counter[str] = Counter()
    for report in reports:
        counted.update(tally(report))
    outcomes = ", ".join(f"{number} {name}" for name, number in counted.items() if number)
    done = sum(len(report.applied) for report in reports)
    return f"applied {done} of {total}: {outcomes or 'none'}"


def fallback_summary(reports: Sequence[Report], problem: Exception | None = None) -> str:
    """Return one line for reports that cannot be rendered or written."""
    why = f"shown: internal error ({type(problem).__name__})" if problem else "written"
    return f"{applied(*reports)}; the report cannot be {why}"


def conclusion(report: Report) -> list[str]:
    """Return whether the result was verified, the meaning of the exit code, and the next step.

    On success only the first.
    """
    first = "Not read back after the last write: run plan to see the live webhooks."
    if not report.plan.operations:
        first = summary(report.plan)
    elif not report.writes:
        done = ": each applied change had already been made" if report.applied else ""
        first = f"Nothing was written{done}."
    elif report.verified:
        first = "Read back and compared after the last write."
    code, again = report.exit_code, "run the same command again to finish"
    if report.plan_command is not None:
        again = "plan again, then apply with the new digest"
        if not report.plan.operations:
            first += " The expected plan is already applied, or these files lack the change."
    meaning = f"incomplete: {again}"
    if code is ExitCode.OK:
        return [first]
    if report.stopped is not None:
        meaning = f"stopped by a signal: {again}"
        if report.complete:
            meaning = "stopped by a signal, after every change was applied"
    elif report.outcomes and not report.problem and _contradicted(report):
        meaning = "CloudTruth does not show what was sent, see above"
    elif report.complete:
        meaning = f"{plural(len(report.plan.unapplied), 'declaration')} not applied, see above"
    elif report.needs_review and not report.problem:
        meaning = "skipped operations need a review: plan again and have the new plan reviewed"
    elif code is ExitCode.DENIED:
        meaning = "the API key lacks permission"
    elif code is ExitCode.FAILED and (report.problem or tally(report)["failed"]):
        meaning = "failed, see above"
    elif code is ExitCode.FAILED:
        meaning = f"the live webhooks changed since the plan: {again.removesuffix(' to finish')}"
    return [first, f"Exit {int(code)}: {meaning}."]


def next_command(report: Report) -> str:
    """Return the command that plans the rest of an apply by digest; empty if there is none."""
    is_incomplete = report.exit_code is not ExitCode.OK and not report.complete
    return prose(report.plan_command or "") if is_incomplete else ""


def _contradicted(report: Report) -> bool:
    """Return whether the stored values of all remaining operations are not those that were sent."""
    left = [outcome for outcome in report.outcomes if not isinstance(outcome, Applied)]
    return bool(left) and all(
        isinstance(outcome, Failed) and outcome.code == NOT_CONVERGED for outcome in left
    )


def limited(findings: Iterable[Finding], limit: int = 100) -> tuple[list[Finding], list[str]]:
    """Return the most severe findings by position, and a line with the number of others, if any."""
    severities = tuple(Severity)
    ranked = sorted(findings, key=lambda each: (severities.index(each.severity), *sort_key(each)))
    left = len(ranked) - limit
    more = [f"and {plural(left, 'more finding')}"] if left > 0 else []
    return sorted(ranked[:limit], key=sort_key), more


def finding_counts(findings: tuple[Finding, ...]) -> str:
    """Return the number of findings of each severity."""
    severities = [each.severity for each in findings]
    counted = ((severities.count(each), str(each)) for each in Severity)
    return ", ".join(plural(number, noun) for number, noun in counted if number)


def unblocking(plan: Plan, view: View, total: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield purpose and text of each edit that would unblock a plan; the text is one line.

    `total` is the number of deletes of all organizations of the run, if it has several.

    The guards check the plan that an edit leads to, so only edits that unblock it are shown.
    """
    if not plan.blocked:
        return
    number = plan.counted_deletes if total is None else total
    if all(each.rule != "allow-deletes-differs" for each in plan.blocked):
        for purpose, text, changed in _edits(plan, view):
            if prose(text) == text and not any(guard(changed)):
                yield purpose, text
    if view.apply_options is not None:
        purpose = f"allow {plural(number, 'delete')} once" if number else "override the guards once"
        yield purpose, apply_command(view, "--allow-deletes", str(number))


def apply_command(view: View, *option: str, command: str = "apply") -> str:
    """Return the command that applies the shown plan; `option` replaces the view's values of it.

    Another `command` has the same options.
    """
    words, name = view.apply_options or (), option[0] if option else None
    others = [
        word
        for index, word in enumerate(words)
        if word != name and (index == 0 or words[index - 1] != name)
    ]
    saved = [] if view.plan_file is None else [view.plan_file]
    return prose(shlex.join(["webhooks", command, *saved, *others, *option]))


def _edits(plan: Plan, view: View) -> Iterator[tuple[str, str, Plan]]:
    """Yield edits: purpose, text, and the plan after the edit, as far as guards check it."""
    undeclared = [each for each in plan.deletes if each.reason is Reason.NOT_DECLARED]
    others = tuple(each for each in plan.operations if each.reason is not Reason.NOT_DECLARED)
    without = plan._replace(operations=others)
    declared = {name for other in plan.elsewhere for name in other.names}
    remaining = tuple(
        each
        for each in plan.operations
        if each.reason is not Reason.NOT_DECLARED or each.name not in declared
    )
    if any(other.state is FileState.NOT_READ for other in plan.elsewhere):
        yield "read the other files, too", plan.read_both, plan._replace(operations=remaining)
    if gone := [other.file for other in plan.elsewhere if other.state is FileState.GONE]:
        restore = shlex.join(["git", "checkout", "HEAD", "--", *gone])
        yield "restore the files", restore, plan._replace(operations=remaining)
    yield (
        "keep undeclared webhooks (in each file that prunes, replacing its `prune` if it has one)",
        "prune: false",
        without,
    )
    globs = list(dict.fromkeys(escape(each.name) for each in undeclared))
    if 0 < len(globs) <= _MAX_NAMES and all(0 < len(each) <= MAX_GLOB for each in globs):
        names = {each.name for each in undeclared}
        ignored = len(undeclared) + sum(each.name in names for each in plan.kept)
        yield (
            "ignore undeclared webhooks (in the file; add them to its `ignore` if it has one)",
            f"ignore: {json.dumps(globs, ensure_ascii=False)}",
            without._replace(in_scope_count=plan.in_scope_count - ignored),
        )
        command = ["webhooks", "export", *view.connection]
        command += [word for each in globs for word in ("--only", each)]
        # An export names its organization; then files that name none need the option.
        name = quote(shlex.quote(plan.organization.name))
        yield (
            f"declare undeclared webhooks (in a new file; use it with --file and --organization "
            f"{name})",
            shlex.join([*command, "-o", "undeclared.yaml"]),
            without._replace(any_declared=True, any_declared_live=True),
        )
    number = plan.counted_deletes
    yield (
        "raise the limit (in the file, replacing its `limits`)",
        f"limits: {{max_deletes: {number}}}",
        plan._replace(max_deletes=number),
    )
