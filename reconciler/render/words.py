"""Wording shared by the formats: reasons, counts, and what a user may have to do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from enum import StrEnum
from typing import Final, TypeAlias

from reconciler.errors import BlockedError, ReconcilerError
from reconciler.findings import Finding, Severity, plural, shorten, sort_key
from reconciler.model import DeliveryError, SecretRef
from reconciler.planning.guards import edits
from reconciler.planning.plan import Attribution, Operation, Plan, Reason, SecretUse
from reconciler.planning.resend import resent_references
from reconciler.planning.review import moves, only_values_differ, sent_urls, split_values
from reconciler.planning.run import Totals
from reconciler.render import View
from reconciler.render.quote import command_line, prose, quote, with_options, without_option

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
    Reason.NAME_PINNED: "another live webhook has the name of one that is pinned by `id`",
    Reason.NAME_TAKEN: "another webhook has the declared name: free it, or declare the live one",
    Reason.LIVE_OUT_OF_SCOPE: "live name outside the scope: rename it back in CloudTruth",
    Reason.LATER: "one webhook per name is created in each run: apply again",
    Reason.PRUNE_OFF: "not declared, prune is off",
    Reason.OUT_OF_SCOPE: "outside all scopes",
}


def counts(*plans: Plan) -> str:
    """Return the numbers of creates, updates and deletes in all plans."""
    creates = sum(len(plan.creates) for plan in plans)
    updates = sum(len(plan.updates) for plan in plans)
    deletes = sum(len(plan.deletes) for plan in plans)
    return f"{creates} to create, {updates} to update, {deletes} to delete"


def summary(plan: Plan) -> str:
    """Summarize a plan in one sentence."""
    # Only what is as declared: ignored and unmanaged webhooks do not count.
    number = len(plan.matched)
    if plan.operations:
        text = f"Plan: {counts(plan)}"
        if plan.counts.in_scope:
            text += f" of {plan.counts.in_scope} in scope"
        others = numbers([(number, "unchanged"), (len(plan.left_out), "not applied")])
        return f"{text}{between('; ', others)}."
    verb = "matches" if number == 1 else "match"
    text = f"No changes. {plural(number, 'webhook')} {verb}"
    return f"{text}{in_compared_fields(plan)}.{hidden_values([plan])}"


def hidden_values(plans: Iterable[Plan]) -> str:
    """Return a sentence with the number of values that cannot be read back; empty without any."""
    number = sum(len(plan.unreadable) for plan in plans)
    return f" {plural(number, 'hidden value')} cannot be compared." if number else ""


def in_compared_fields(plan: Plan) -> str:
    """Return the limit of a statement about a plan that could not compare every value."""
    if plan.not_compared or plan.not_equal:
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


def numbers(counted: Iterable[tuple[int, str]]) -> str:
    """Return a list of numbers with what they count, without zeros."""
    return ", ".join(f"{number} {what}" for number, what in counted if number)


def organization_counts(number: int, states: str, failed: int) -> str:
    """Return the number of organizations of a run, their states, and how many failed."""
    shown = [states, numbers([(failed, "failed")])]
    return f"{plural(number, 'organization')}: {', '.join(filter(None, shown))}."


def problem_title(problem: ReconcilerError) -> str:
    """Return in short why an organization has no plan or was not applied."""
    if isinstance(problem, BlockedError):
        return "Blocked"
    return f"Failed ({problem.code})"


def run_states(totals: Totals) -> str:
    """Return the numbers of organizations in each state."""
    states = [
        (totals.to_change, "to change"),
        (totals.unchanged, "unchanged"),
        (totals.blocked, "blocked"),
        (totals.failed, "failed"),
    ]
    return numbers(states)


def run_summary(totals: Totals) -> str:
    """Return the numbers of organizations of a run, and of their operations."""
    summary = f"{plural(totals.organizations, 'organization')}: {run_states(totals)}."
    if totals.operations:
        others = numbers([(totals.create, "to create"), (totals.update, "to update")])
        return f"{summary} {between('', others, ', ')}{totals.delete} to delete."
    # Whether an organization has changes is unknown if it failed, and it has some if it is blocked.
    if totals.is_unchanged:
        summary += " No changes."
    return summary


def scope(plan: Plan) -> str:
    """Summarize scope, ignore and prune in one line."""
    live_counts = plan.counts
    share = f"{live_counts.in_scope} of {plural(live_counts.live, 'live webhook')} in scope"
    if live_counts.ignored:
        share += f", {live_counts.ignored} ignored"
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
    kept and unmanaged webhooks have rows, too, so only fields that are not compared are returned.
    `shown` quotes names.
    """
    limits = not_compared(plan, view, shown)
    if view.verbosity > 0:
        return limits
    return [*_without_rows(plan, shown), *limits]


def _without_rows(plan: Plan, shown: _Quoting) -> Iterator[str]:
    """Yield a line with the kept webhooks by reason, and one with the unmanaged ones."""
    names: dict[Reason, list[str]] = {}
    for webhook in plan.kept:
        if not webhook.unapplied:
            names.setdefault(webhook.reason, []).append(shown(webhook.name))
    if names:
        kept = numbers(
            (len(listed), f"({REASONS[reason]}: {shorten(listed, 5)})")
            for reason, listed in names.items()
        )
        yield f"Kept: {kept}"
    # They may be many, and are of no concern to the files.
    unmanaged = Counter(webhook.reason for webhook in plan.unmanaged)
    if unmanaged:
        counted = numbers((unmanaged[reason], f"({REASONS[reason]})") for reason in unmanaged)
        yield f"Unmanaged: {counted}"


_HIDDEN: Final = "Cannot be read back"
_NOT_SET: Final = "Not compared, value not set here"
_NOT_EQUAL: Final = "Not equal, but possibly encrypted"


def not_compared(plan: Plan, view: View, shown: _Quoting = quote) -> list[str]:
    """Return one line for each reason why a plan cannot compare fields.

    It has the number of webhooks by field, with `verbosity` their names and the references.
    """
    # Of each use the field, the reference to show, and the webhook.
    uses_by_title = {
        _HIDDEN: [(field, "", webhook) for webhook, field in plan.unreadable],
        _NOT_SET: _shown_uses(plan.not_compared, shown),
        _NOT_EQUAL: _shown_uses(plan.not_equal, shown),
    }
    lines = []
    for title, uses in uses_by_title.items():
        if not uses:
            continue
        if view.verbosity > 0:
            line = f"{title}: {_by_field(uses, shown)}"
            if title == _HIDDEN:
                line += "; after a rotation, increment `version`, or pass --resend-secret"
        else:
            webhooks = Counter(shown(field) for field, _, _ in uses)
            counted = [f"{field} of {plural(webhooks[field], 'webhook')}" for field in webhooks]
            line = f"{title}: {', '.join(counted)}"
        lines.append(line)
    return lines


def _shown_uses(uses: Iterable[SecretUse], shown: _Quoting) -> list[tuple[str, str, str]]:
    shown_uses = []
    for use in uses:
        live = "" if use.is_resolved else f", live {shown(use.destination)}"
        shown_uses.append((use.field, f" ({shown(str(use.reference))}{live})", use.webhook))
    return shown_uses


def _by_field(uses: Iterable[tuple[str, str, str]], shown: _Quoting) -> str:
    """Return fields with the names of their webhooks, and the references."""
    webhooks_by_field: dict[tuple[str, str], list[str]] = {}
    for field, reference, webhook in uses:
        webhooks_by_field.setdefault((field, reference), []).append(shown(webhook))
    return "; ".join(
        f"{shown(field)} of {', '.join(webhooks)}{reference}"
        for (field, reference), webhooks in webhooks_by_field.items()
    )


_DRIFT_OR_ROTATED: Final = "drift-or-rotated-here"
_LABELS: Final = {
    _DRIFT_OR_ROTATED: "Drift, or rotated here: {}. Only the value of a secret differs",
    Attribution.DRIFT: "Drift: {}; `webhooks drift` shows how to accept it",
    Attribution.PARTLY_DRIFT: "Partly drift: {}. Changed live and in the files; an apply "
    "overwrites the live change",
    Attribution.WAITING: "Waiting to be applied, from merged pull requests: {}",
    Attribution.POSSIBLY_WAITING: "Possibly waiting: {}. The base also differs from live: a merged "
    "change may not be applied yet",
}


def reminders(plan: Plan, view: View, shown: _Quoting = quote) -> Iterator[str]:
    """Yield what a user may have to do about a plan, in one line each; `shown` quotes names."""

    def unset(references: Iterable[SecretRef]) -> list[str]:
        distinct = dict.fromkeys(references)
        return [shown(str(reference)) for reference in distinct if reference in view.missing]

    missing = unset(use.reference for use in plan.secrets)
    if missing:
        most = len(missing) if view.verbosity > 0 else 5
        yield f"Not set here, required by apply: {shorten(missing, most)}"
    new = unset(resent_references(plan.operations))
    if new:
        yield f"Set the new value before apply: {shorten(new, 5)}"
    if plan.failing:
        names = shorten([shown(webhook.name) for webhook in plan.failing], 5)
        command = with_options("`webhooks status --failing`", view.connection)
        yield f"Failing deliveries: {names}; see {command}"
    labels = Counter(map(attribution, plan.operations))
    for label, form in _LABELS.items():
        if labels[label]:
            yield form.format(labels[label])


def attribution(operation: Operation) -> str:
    """Return the label of an operation; empty without one."""
    if operation.attribution is Attribution.DRIFT and only_values_differ(operation):
        return _DRIFT_OR_ROTATED
    return operation.attribution or ""


class Outside(StrEnum):
    """Why no digest covers an operation, or a part of it."""

    MOVED = "a secret would go to another scheme or host: increment `version`, plan with --base"
    HOST = "the host of a URL that no commit shows"
    VALUE = "only a secret's value differs"


def values_left_out(plans: Sequence[Plan]) -> str:
    """Return which secrets a review leaves out because only their value differs."""
    webhooks: dict[str, list[str]] = {}
    for plan in plans:
        for update in plan.values:
            fields = ", ".join(change.path[-1] for change in update.fields)
            name = f"{fields} of {quote(update.name)}"
            webhooks.setdefault(name, []).append(plan.organization.name)
    return _with_organizations(webhooks, len(plans), quote)


def outside_digest(plans: Sequence[Plan], shown: _Quoting = quote) -> Iterator[tuple[Outside, str]]:
    """Yield each reason why no digest covers operations, with a line that has it."""
    groups = {reason: defaultdict[str, list[str]](list) for reason in Outside}
    for plan in plans:
        uncommitted = {
            (use.live_id, use.field) for use in plan.secrets if "://" not in use.destination
        }
        # A plan that was not made for a review has no digests.
        for operation, digests in zip(plan.operations, plan.digests, strict=False):
            reason = _why_outside(operation, digests, uncommitted)
            if reason is not None:
                groups[reason][shown(operation.name)].append(plan.organization.name)
    for reason, webhooks in groups.items():
        if webhooks:
            names = _with_organizations(webhooks, len(plans), shown)
            yield reason, f"Not in the digest ({reason}): {names}"


def _why_outside(
    operation: Operation, digests: Sequence[object], uncommitted: Set[tuple[str | None, str]]
) -> Outside | None:
    if moves(operation):
        return Outside.MOVED
    if not digests or split_values(operation) is not None:
        return Outside.VALUE
    if any((id_, field) in uncommitted for id_, field, _ in sent_urls(operation)):
        return Outside.HOST
    return None


def _with_organizations(webhooks: Mapping[str, Sequence[str]], count: int, shown: _Quoting) -> str:
    """Return a list of webhooks, with the organizations of each unless the run has only one."""
    if count == 1:
        return ", ".join(webhooks)
    return ", ".join(
        f"{name} (in {shorten(list(map(shown, organizations)), 3)})"
        for name, organizations in webhooks.items()
    )


def delivery_error(error: DeliveryError | None) -> str:
    """Return code and text of a delivery error, as the server wrote them."""
    if error is None:
        error = DeliveryError()
    return " ".join(filter(None, (error.code, error.text))) or "no reason given"


def secret_destinations(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the references that `apply` resolves, each with its destinations, for display.

    Several that are sent to one destination have the field and the webhook, too.
    """
    references: dict[str, set[str]] = {}
    for use in plan.secrets:
        references.setdefault(_place(use), set()).add(str(use.reference))
    uses: dict[str, dict[str, None]] = {}
    for use in plan.secrets:
        place = _place(use)
        shown = quote(place)
        if len(references[place]) > 1:
            field = f"{quote(use.field)} of {quote(use.webhook)}"
            shown = f"{shown} ({field})" if use.is_resolved else field
        uses.setdefault(str(use.reference), {})[shown] = None
    return {reference: tuple(destinations) for reference, destinations in uses.items()}


def _place(use: SecretUse) -> str:
    """Return the destination of a secret, or the webhook if it is not known."""
    return use.destination if use.is_resolved else use.webhook


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
    by_severity = Counter(finding.severity for finding in findings)
    return ", ".join(
        plural(by_severity[severity], severity) for severity in Severity if by_severity[severity]
    )


def unblocking(plan: Plan, view: View, total: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield purpose and text of each edit that would unblock a plan; the text is one line.

    `total` is the number of deletes of all organizations of the run, if it has several.
    """
    if not plan.blocked:
        return
    for purpose, text in edits(plan, view.connection):
        shown = f"{purpose} {text}"
        # Text with escaped characters, or without a secret, cannot be copied.
        if view.redacted(prose(shown)) == shown:
            yield purpose, text
    # --allow-deletes takes the number of all deletes of a run.
    number = plan.counted_deletes if total is None else total
    purpose = "override the guards once"
    if number:
        purpose = f"allow {plural(number, 'delete')} once"
    command = apply_command(view, "--allow-deletes", str(number))
    if command:
        yield purpose, command


def apply_command(view: View, *option: str, command: str = "apply") -> str:
    """Return the command that applies the shown plan; `option` replaces the view's values of it.

    Empty if the view has no options for commands, or none can show a name or path. Another
    `command` has the same options.
    """
    if view.apply_options is None:
        return ""
    words = ["webhooks", command]
    if view.plan_file is not None:
        words.append(view.plan_file)
    options = list(view.apply_options)
    if option:
        options = without_option(option[0], options)
    return command_line([*words, *options, *option], view.redacted)
