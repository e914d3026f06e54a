"""Wording shared by the formats: reasons, counts, exit codes, advice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from glob import escape
from typing import Final, TypeAlias

from reconciler.errors import ExitCode
from reconciler.findings import Finding, Severity, sort_key
from reconciler.model import DeliveryError, SecretRef
from reconciler.planning.guards import ALLOW_DELETES_DIFFERS, guard_all
from reconciler.planning.names import MAX_GLOB
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    FieldResent,
    FileState,
    Operation,
    OrganizationResult,
    Plan,
    Reason,
    SecretChange,
    Totals,
    Update,
)
from reconciler.render import View
from reconciler.render.quote import command_line, prose, quote
from reconciler.report import (
    Applied,
    Failed,
    Outcome,
    Report,
    RunReport,
    Skipped,
    State,
    Unconfirmed,
    state_of,
)

_AGAIN: Final = "run the same command again"
_PLAN_AGAIN: Final = "plan again, then apply with the new digest"
_NOTHING_EXPECTED: Final = "The expected plan is already applied, or these files lack the change."
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
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}s"


def shorten(items: Sequence[str], most: int) -> str:
    """Return the first `most` items as a list, and the number of the others."""
    text = ", ".join(items[:most])
    if len(items) > most:
        text += f" and {len(items) - most} more"
    return text


def counts(*plans: Plan) -> str:
    """Return the numbers of creates, updates and deletes in all plans."""
    creates = sum(len(plan.creates) for plan in plans)
    updates = sum(len(plan.updates) for plan in plans)
    deletes = sum(len(plan.deletes) for plan in plans)
    return f"{creates} to create, {updates} to update, {deletes} to delete"


def summary(plan: Plan) -> str:
    """Summarize a plan in one sentence."""
    # Only what is as declared: ignored and unmanaged webhooks are no success of the files.
    number = len(plan.matched)
    if plan.operations:
        text = f"Plan: {counts(plan)} of {plan.counts.in_scope} in scope"
        if number:
            text += f"; {number} unchanged"
        return f"{text}."
    text = "No changes. 1 webhook matches"
    if number != 1:
        text = f"No changes. {number} webhooks match"
    text += f"{in_compared_fields(plan)}."
    if plan.unreadable:
        text += f" {plural(len(plan.unreadable), 'hidden value')} cannot be compared."
    return text


def in_compared_fields(plan: Plan) -> str:
    """Return the limit of a statement about a plan that could not compare every value."""
    if plan.not_compared:
        return " in the compared fields"
    return ""


def in_organizations(names: Sequence[str]) -> str:
    """Return the beginning of a list of the organizations that rows concern."""
    if len(names) > 1:
        return f"In {plural(len(names), 'organization')}:"
    return "In"


def between(before: str, text: str, after: str = "") -> str:
    """Return `text` with `before` and `after`; empty if it is empty."""
    if not text:
        return ""
    return f"{before}{text}{after}"


def _numbers(counted: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{number} {what}" for number, what in counted if number)


def organization_counts(number: int, states: str, failed: int) -> str:
    """Return the number of organizations of a run, their states, and how many failed."""
    shown = [states, _numbers([(failed, "failed")])]
    return f"{plural(number, 'organization')}: {', '.join(filter(None, shown))}."


def run_summary(totals: Totals) -> str:
    """Return the numbers of organizations of a run, and of their operations."""
    states = [
        (totals.to_change, "to change"),
        (totals.unchanged, "unchanged"),
        (totals.blocked, "blocked"),
    ]
    summary = organization_counts(totals.organizations, _numbers(states), totals.failed)
    if totals.to_change:
        others = _numbers([(totals.create, "to create"), (totals.update, "to update")])
        return f"{summary} {between('', others, ', ')}{totals.delete} to delete."
    # Whether an organization has changes is unknown if it failed, and it has some if it is blocked.
    if totals.unchanged == totals.organizations:
        summary += " No changes."
    return summary


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
    if state in (State.BLOCKED, State.NOT_STARTED):
        return title
    if result.problem is not None:
        return f"{title} ({result.problem.code})"
    assert result.value is not None
    return f"{title} ({applied([result.value])})"


def scope(plan: Plan) -> str:
    """Summarize scope, ignore and prune in one line."""
    numbers = plan.counts
    share = f"{numbers.in_scope} of {plural(numbers.live, 'live webhook')} in scope"
    if numbers.ignored:
        share += f", {numbers.ignored} ignored"
    # A protected webhook is undeclared, too.
    kept = sum(webhook.reason is Reason.PRUNE_OFF for webhook in plan.unmanaged)
    kept += sum(webhook.reason is Reason.PROTECTED for webhook in plan.kept)
    # What `state: absent` and duplicates delete is declared.
    deleted = sum(delete.reason is Reason.NOT_DECLARED for delete in plan.deletes)
    undeclared = "none"
    if deleted or kept:
        undeclared = f"{deleted} to delete, {kept} kept"
    return f"{share}; undeclared in scope: {undeclared}"


_Quoting: TypeAlias = Callable[[str], str]
"""How a format quotes a name."""


def remaining_counts(plan: Plan, view: View, shown: _Quoting = quote) -> list[str]:
    """Return one line per group with counts: kept, unmanaged, and not compared webhooks.

    Declarations that are not applied are not counted, because each has a row. With `verbosity`,
    kept and unmanaged webhooks have rows, too, so only fields that are not compared are returned,
    with names. `shown` quotes names.
    """
    lines = []
    if view.verbosity <= 0:
        names: dict[Reason, list[str]] = {}
        for webhook in plan.kept:
            if not webhook.unapplied:
                names.setdefault(webhook.reason, []).append(shown(webhook.name))
        kept = (
            f"{len(listed)} ({REASONS[reason]}: {shorten(listed, 5)})"
            for reason, listed in names.items()
        )
        # They may be many, and are of no concern to the files.
        unmanaged = Counter(webhook.reason for webhook in plan.unmanaged).items()
        counted = (f"{number} ({REASONS[reason]})" for reason, number in unmanaged)
        for title, numbers in (("Kept", ", ".join(kept)), ("Unmanaged", ", ".join(counted))):
            if numbers:
                lines.append(f"{title}: {numbers}")
    return lines + not_compared(plan, names=view.verbosity > 0, shown=shown)


def not_compared(plan: Plan, *, names: bool, shown: _Quoting = quote) -> list[str]:
    """Return one line for each reason why a plan cannot compare fields, with their number by field.

    With `names`, the line lists the webhooks and references.
    """
    groups: dict[str, dict[tuple[str, str], list[str]]] = {}
    for webhook, field in plan.unreadable:
        fields = groups.setdefault("Cannot be read back", {})
        fields.setdefault((field, ""), []).append(webhook)
    for use in plan.not_compared:
        reference = f" ({shown(str(use.reference))})" if names else ""
        fields = groups.setdefault("Not compared, value not set here", {})
        fields.setdefault((use.field, reference), []).append(use.webhook)
    lines = []
    for title, fields in groups.items():
        listed = []
        for (field, reference), webhooks in fields.items():
            who = plural(len(webhooks), "webhook")
            if names:
                who = ", ".join(map(shown, webhooks))
            listed.append(f"{shown(field)} of {who}{reference}")
        lines.append(f"{title}: {('; ' if names else ', ').join(listed)}")
    return lines


_LABELS: Final = {
    Attribution.DRIFT: "Drift: {}; `webhooks drift` shows how to accept it",
    Attribution.PARTLY_DRIFT: "Partly drift: {}. Changed live and by the files; an apply does both",
    Attribution.WAITING: "Waiting to be applied, from merged pull requests: {}",
    Attribution.PERHAPS_WAITING: "Perhaps waiting: {}. Live differs from the base, too: a merged "
    "change may not be applied yet",
}


def reminders(plan: Plan, view: View, shown: _Quoting = quote) -> Iterator[str]:
    """Yield what a user may have to do about a plan, in one line each; `shown` quotes names."""
    missing = [shown(str(ref)) for ref in secret_destinations(plan) if ref in view.missing]
    if missing:
        most = len(missing) if view.verbosity > 0 else 5
        yield f"Not set here, required by apply: {shorten(missing, most)}"
    if plan.failing:
        names = shorten([shown(webhook.name) for webhook in plan.failing], 5)
        yield f"Failing deliveries: {names}; see {shown('webhooks status --failing')}"
    labels = [operation.attribution for operation in plan.operations]
    for label, form in _LABELS.items():
        if label in labels:
            yield form.format(labels.count(label))


def outside_digest(plans: Iterable[Plan], shown: _Quoting = quote) -> list[str]:
    """Return one line about operations that no digest covers: only a secret's value differs."""
    names: dict[str, None] = {}
    for plan in plans:
        # A plan that was not made for a review has no digests.
        for operation, digests in zip(plan.operations, plan.digests, strict=False):
            if not digests:
                names[shown(operation.name)] = None
    if not names:
        return []
    return [f"Not in the digest (only a secret's value differs): {', '.join(names)}"]


def delivery_error(error: DeliveryError | None) -> str:
    """Return code and text of a delivery error, as the server wrote them."""
    if error is None:
        error = DeliveryError()
    return " ".join(filter(None, (error.code, error.text))) or "no reason given"


def secret_destinations(plan: Plan) -> dict[SecretRef, dict[str, None]]:
    """Return the references that `apply` resolves, each with its destinations for display."""
    uses: dict[SecretRef, dict[str, None]] = {}
    for use in plan.secrets:
        destination = quote(use.destination if use.is_resolved else use.webhook)
        uses.setdefault(use.reference, {})[destination] = None
    return uses


_TALLY: Final[Mapping[type[Outcome | Operation], str]] = {
    Create: "created",
    Update: "updated",
    Delete: "deleted",
    Failed: "failed",
    Skipped: "skipped",
    Unconfirmed: "unconfirmed",
}


def tally(report: Report) -> dict[str, int]:
    """Count applied operations by action, and the others by outcome."""
    # All of them, so that a program finds each key.
    numbers = dict.fromkeys(_TALLY.values(), 0)
    for outcome in report.outcomes:
        counted = outcome.operation if isinstance(outcome, Applied) else outcome
        numbers[_TALLY[type(counted)]] += 1
    return numbers


def applied(reports: Sequence[Report]) -> str:
    """Return the number of applied operations, and the outcomes."""
    total = plural(sum(len(report.plan.operations) for report in reports), "change")
    counted: Counter[str] = Counter()
    for report in reports:
        counted.update(tally(report))
    outcomes = _numbers((number, name) for name, number in counted.items())
    done = sum(len(report.applied) for report in reports)
    return f"applied {done} of {total}: {outcomes or 'none'}"


def fallback_summary(reports: Sequence[Report], problem: Exception | None = None) -> str:
    """Return one line for reports that cannot be rendered or written."""
    why = "written"
    # The message of an unexpected error may contain a secret, its type cannot.
    if problem is not None:
        why = f"shown: internal error ({type(problem).__name__})"
    return f"{applied(reports)}; the report cannot be {why}"


def report_problems(run: RunReport) -> list[str]:
    """Return the failures of an apply itself, with the organization if there are several."""
    problems = []
    for report in run.reports:
        if report.problem:
            name = "" if run.is_single else f"{quote(report.plan.organization.name)}: "
            problems.append(f"{name}{prose(report.problem)}")
    return problems


def conclusion(run: RunReport) -> list[str]:
    """Return whether the result was verified, the meaning of the exit code, and totals.

    On success of a single organization only the first.
    """
    code = run.exit_code
    if run.is_single:
        (report,) = run.reports
        # A run of several shows for each organization only what is not as declared.
        texts, meaning, totals = [_verification(report)], _meaning(report), []
    else:
        texts, meaning = [], ""
        finish = f"{_AGAIN} to finish"
        if any(report.plan_command is not None for report in run.reports):
            finish = _PLAN_AGAIN
            # Whoever applies by digest expects changes.
            if code is ExitCode.OK and not run.digest:
                texts.append(_NOTHING_EXPECTED)
        if run.stopped is not None:
            meaning = f"stopped by a signal: {finish}"
        elif code is ExitCode.PARTIAL:
            meaning = f"incomplete: {finish}"
            # The same command would have the same problems: a guard, a key, a file.
            failed = [quote(result.name) for result in run.organizations if result.problem]
            if failed:
                meaning = f"incomplete: resolve the problem of {shorten(failed, 3)}, then {finish}"
        states = [state_of(result) for result in run.organizations]
        numbers = _numbers((states.count(state), state) for state in State)
        totals = [f"{plural(len(states), 'organization')}: {numbers}."]
    if meaning and code is not ExitCode.OK:
        texts.append(f"Exit {int(code)}: {meaning}.")
    return texts + totals


def _verification(report: Report) -> str:
    """Return whether something was written, and read back."""
    if not report.plan.operations:
        text = summary(report.plan)
        if report.plan_command is not None:
            text += f" {_NOTHING_EXPECTED}"
        return text
    if not report.writes and report.applied:
        return "Nothing was written: each applied change had already been made."
    if not report.writes:
        return "Nothing was written."
    if report.verified:
        text = "Read back and compared after the last write"
        hidden = _hidden_values_sent(report)
        if hidden:
            text += f", except {plural(hidden, 'hidden value')}"
        return f"{text}."
    return "Not read back after the last write: run plan to see the live webhooks."


def _hidden_values_sent(report: Report) -> int:
    """Return how many values were sent in place of live ones that the server does not show."""
    number = 0
    for outcome in report.applied:
        if isinstance(outcome.operation, Update):
            for change in outcome.operation.fields:
                sent = isinstance(change, FieldResent)
                number += sent or (isinstance(change, SecretChange) and change.hidden)
    return number


def _meaning(report: Report) -> str:
    """Return the meaning of an exit code other than 0, and the next step."""
    code, again = report.exit_code, _AGAIN
    # After an apply by digest the same command would be refused: the rest has another digest.
    finish = f"{_AGAIN} to finish"
    if report.plan_command is not None:
        again = finish = _PLAN_AGAIN
    # A signal explains whatever is left.
    if report.stopped is not None:
        if report.complete:
            return "stopped by a signal, after every change was applied"
        return f"stopped by a signal: {finish}"
    # A problem of the run explains the code better than the outcomes.
    meaning = "" if report.problem else _meaning_of_outcomes(report)
    if meaning:
        return meaning
    if code is ExitCode.DENIED:
        return "the API key lacks permission"
    if code is not ExitCode.FAILED:
        return f"incomplete: {finish}"
    if report.problem or tally(report)["failed"]:
        return "failed, see above"
    return f"the live webhooks changed since the plan: {again}"


def _meaning_of_outcomes(report: Report) -> str:
    """Return what the outcomes have in common, empty if there is nothing."""
    if report.is_contradicted:
        return "CloudTruth does not show what was sent, see above"
    if report.complete:
        return f"{plural(len(report.plan.unapplied), 'declaration')} not applied, see above"
    if report.needs_review:
        return "skipped operations need a review: plan again and have the new plan reviewed"
    return ""


def next_command(run: RunReport) -> str:
    """Return the command that plans the rest of an apply by digest; empty if there is none."""
    for report in run.reports:
        if run.is_single and report.exit_code is not ExitCode.OK and not report.complete:
            return prose(report.plan_command or "")
    return ""


def limited(findings: Iterable[Finding], limit: int = 100) -> tuple[list[Finding], list[str]]:
    """Return the most severe findings by position, and a line with the number of others, if any."""
    severities = tuple(Severity)
    # A limit cuts notes before errors.
    ranked = sorted(
        findings,
        key=lambda finding: (severities.index(finding.severity), *sort_key(finding)),
    )
    more = []
    if len(ranked) > limit:
        more.append(f"and {plural(len(ranked) - limit, 'more finding')}")
    return sorted(ranked[:limit], key=sort_key), more


def finding_counts(findings: tuple[Finding, ...]) -> str:
    """Return the number of findings of each severity."""
    numbers = Counter(finding.severity for finding in findings)
    return ", ".join(
        plural(numbers[severity], severity) for severity in Severity if numbers[severity]
    )


_Edit: TypeAlias = tuple[str, str, Plan]
"""An edit: its purpose, its text, and the plan that it leads to, as far as guards check it."""


def unblocking(plan: Plan, view: View, total: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield purpose and text of each edit that would unblock a plan; the text is one line.

    `total` is the number of deletes of all organizations of the run, if it has several.

    The guards check the plan that an edit leads to, so only edits that unblock it are shown.
    """
    if not plan.blocked:
        return
    number = plan.counted_deletes
    # --allow-deletes takes the number of all deletes of a run.
    if total is not None:
        number = total
    # A wrong number of --allow-deletes blocks whatever the files say: only the number helps.
    if all(finding.rule != ALLOW_DELETES_DIFFERS for finding in plan.blocked):
        for purpose, text, changed in _edits(plan, view):
            # Text with escaped characters cannot be copied, and a command is empty then.
            if text and prose(text) == text and not any(guard_all([changed])):
                yield purpose, text
    if view.apply_options is not None:
        purpose = "override the guards once"
        if number:
            purpose = f"allow {plural(number, 'delete')} once"
        command = apply_command(view, "--allow-deletes", str(number))
        if command:
            yield purpose, command


def apply_command(view: View, *option: str, command: str = "apply") -> str:
    """Return the command that applies the shown plan; `option` replaces the view's values of it.

    Empty if a command cannot show a name or path. Another `command` has the same options.
    """
    options = view.apply_options or ()
    # Without the option of this name, and the value after it.
    others = [
        word
        for index, word in enumerate(options)
        if word not in option[:1] and (index == 0 or options[index - 1] not in option[:1])
    ]
    words = ["webhooks", command]
    if view.plan_file is not None:
        words.append(view.plan_file)
    return command_line([*words, *others, *option])


def _edits(plan: Plan, view: View) -> Iterator[_Edit]:
    """Yield edits, the smallest first."""
    yield from _file_edits(plan)
    undeclared = [delete for delete in plan.deletes if delete.reason is Reason.NOT_DECLARED]
    without = _without(plan, plan.undeclared)
    yield (
        "keep undeclared webhooks (in each file that prunes, replacing its `prune` if it has one)",
        "prune: false",
        without,
    )
    # Names may contain the characters of globs.
    globs = list(dict.fromkeys(escape(delete.name) for delete in undeclared))
    if 0 < len(globs) <= _MAX_NAMES and all(0 < len(glob) <= MAX_GLOB for glob in globs):
        ignored = len(undeclared) + sum(kept.name in plan.undeclared for kept in plan.kept)
        numbers = plan.counts._replace(in_scope=plan.counts.in_scope - ignored)
        yield (
            "ignore undeclared webhooks (in the file; add them to its `ignore` if it has one)",
            f"ignore: {json.dumps(globs, ensure_ascii=False)}",
            without._replace(counts=numbers),
        )
        only = [word for glob in globs for word in ("--only", glob)]
        command = ["webhooks", "export", *view.connection, *only, "-o", "undeclared.yaml"]
        # An export names its organization; then files that name none need the option.
        name = command_line([plan.organization.name])
        numbers = plan.counts._replace(any_declared=True, any_declared_live=True)
        yield (
            "declare undeclared webhooks (then use -f FILE -f undeclared.yaml "
            f"--organization {name})",
            command_line(command if name else []),
            without._replace(counts=numbers),
        )
    deletes = plan.counted_deletes
    yield (
        "raise the limit (in the file, replacing its `limits`)",
        f"limits: {{max_deletes: {deletes}}}",
        plan._replace(counts=plan.counts._replace(max_deletes=deletes)),
    )


def _file_edits(plan: Plan) -> Iterator[_Edit]:
    """Yield how to read the files that declare webhooks to delete."""
    declared = {name for other in plan.elsewhere for name in other.names}
    without = _without(plan, declared)
    if any(other.state is FileState.NOT_READ for other in plan.elsewhere):
        yield "read the other files, too", plan.read_both, without
    # A file that a commit removed is no mistake of this working tree.
    gone = [other.file for other in plan.elsewhere if other.state is FileState.GONE]
    if gone:
        restore = command_line(["git", "checkout", "HEAD", "--", *gone])
        yield "restore the files", restore, without


def _without(plan: Plan, names: Collection[str]) -> Plan:
    """Return the plan without the deletes of undeclared webhooks with these names."""
    operations = [
        operation
        for operation in plan.operations
        if operation.reason is not Reason.NOT_DECLARED or operation.name not in names
    ]
    return plan._replace(operations=tuple(operations))
