"""Checks of the report of an apply, and of the state after a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, TypeGuard

from reconciler.errors import ConfigurationError, ExitCode
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Live, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.plan import (
    Create,
    Delete,
    FieldRemoved,
    FieldResent,
    Operation,
    Plan,
    SecretChange,
    Update,
)
from reconciler.planning.planner import plan as make_plan
from reconciler.render import PLAIN, RENDERERS
from reconciler.report import (
    NOT_CONVERGED,
    NOT_REVIEWED,
    Applied,
    Failed,
    Outcome,
    Report,
    RunReport,
    Skipped,
    Unconfirmed,
)
from tests.emulated.variant import ReadBack
from tests.simulation.case import (
    ApplyMode,
    Case,
    Contradiction,
    Team,
    hides,
    hides_destination,
    stored_name,
)
from tests.simulation.declarations import CANARY, PROTECTED, Row, secrets, value_of
from tests.simulation.faults import ConsoleUser, hidden_fields
from tests.simulation.invariants import Invariants, Process, Violation

_CLEAN = (1, 3, 4, 5, 6, 8)
_LATE = ("does-not-converge", "vanished", "conflict")


def _is_late(outcome: Outcome) -> bool:
    """Return whether only the final verification can have found that an operation is not done."""
    match outcome:
        case Failed(code=code, message=message):
            return code in _LATE or "sending its hidden configuration again" in message
        case Unconfirmed(message=message):
            return " listing shows " in message
    return False


def _unreviewed(outcome: Outcome) -> bool:
    return isinstance(outcome, Skipped) and outcome.code == NOT_REVIEWED


class ReportChecks:
    """Compares reports with what is stored."""

    def __init__(self, case: Case, invariants: Invariants, console_user: ConsoleUser) -> None:
        self._case = case
        self._invariants = invariants
        self._touched: Set[str] = console_user.touched.keys()
        self._edited: Set[str] = console_user.edited

    def check_exit_code(self, process: Process, code: ExitCode) -> None:
        """Compare an exit code with the state of the server."""
        if process.activity.committed and code in _CLEAN:
            raise Violation(f"exit {int(code)} means that nothing was written, and something was")

    def check_report(self, process: Process, report: Report) -> None:
        """Check that the report of an apply is correct and complete."""
        shown = repr(report)
        if self._case.seed % 8 == 0:
            shown += "".join(
                make().render_run_report(RunReport.of(report), PLAIN) for make in RENDERERS.values()
            )
        if CANARY in shown:
            raise Violation("a secret is in the report")
        if [each.operation for each in report.outcomes] != list(report.plan.operations):
            raise Violation("the report does not list every operation")
        if process.activity.committed and not report.writes:
            raise Violation("the report says that nothing was written")
        self.check_exit_code(process, report.exit_code)
        if report.exit_code is ExitCode.OK and report.plan.unapplied:
            raise Violation("success, although a declaration was not applied")
        for each in report.outcomes:
            name = each.operation.name
            if _unreviewed(each) and process.activity.was_sent(each.operation):
                raise Violation(f"{name} was not reviewed, and was sent")
            unsent = isinstance(each, Skipped) and each.code in ("interrupted", "run-ended")
            if unsent and process.activity.was_sent(each.operation):
                raise Violation(f"{name} was sent, and is reported as not started")
            unsent = isinstance(each, Failed) and _differs_only_in_unsent_secrets(each)
            if unsent and name not in self._touched:
                raise Violation(f"{name} failed because of a secret that it did not send")
            # A delete may be reported on a stale list until the final verification.
            sure = report.verified or not isinstance(each.operation, Delete)
            if isinstance(each, Applied) and sure and self._case.only_request_failures:
                self._check_applied(process.team, each)
            if isinstance(each, Applied) and not self._case.conflicting:
                self._check_hidden_values(process, each)
        if report.complete and report.writes:
            self._check_last_listing(process, report.plan)
        if report.verified and self._case.contradiction is Contradiction.STALE_ROW:
            self._check_stale_row(process, report)
        firm = [each for each in report.outcomes if not isinstance(each.operation, Delete)]
        undone = [each for each in firm if not isinstance(each, Applied) and not _unreviewed(each)]
        # Operations that only the final verification finds undone still counted as applied when
        # the deletes began.
        early = [outcome for outcome in undone if not _is_late(outcome)]
        if early and process.activity.deleting:
            raise Violation(f"deletes were sent although {early[0].operation.name} is not done")

    def _check_last_listing(self, process: Process, plan: Plan) -> None:
        """Check that the last listing shows what was applied, ignoring other users' changes."""
        now = self._invariants.names()
        shown = self._remaining(process, plan, process.seen)
        # A webhook that is gone or renamed since the listing may have been read in between.
        still = [each for each in process.seen if now.get(each.id) == each.name]
        there = self._remaining(process, plan, still)
        if left := sorted(shown & there):
            raise Violation(f"success, and the last listing shows {', '.join(left)} to be done")

    def _check_stale_row(self, process: Process, report: Report) -> None:
        """Check that no update failed because of stale responses: the listing shows it as sent."""
        if self._case.mode is ApplyMode.WITHOUT_SECRETS or self._touched:
            return
        remaining = self._remaining(process, report.plan, process.seen)
        for outcome in report.outcomes:
            operation = outcome.operation
            if not isinstance(operation, Update) or operation.before.id != self._case.odd_id:
                continue
            if is_unseen(operation) or f"create {operation.name}" in remaining:
                continue  # no listing shows whether it is done, or the other apply has deleted it
            failed = isinstance(outcome, Failed) and outcome.code == NOT_CONVERGED
            # A name that the server changes never converges, and is then planned in another way.
            is_renamed = stored_name(operation.name, self._case.variant) != operation.name
            if failed and not is_renamed and f"update {operation.name}" not in remaining:
                raise Violation(f"the last listing shows update {operation.name}, but it failed")

    def _remaining(self, process: Process, plan: Plan, seen: Sequence[LiveWebhook]) -> set[str]:
        """Return the operations of the plan that are not done according to a listing."""
        team = process.team
        live = Live(origin=plan.origin, organization=plan.organization, webhooks=tuple(seen))
        options = team.options._replace(previous=None, resend=())
        try:
            again = make_plan(team.desired, live, self._available_secrets(plan), options)
        except ConfigurationError:
            # A webhook that a user has renamed to a previous name is for the next plan.
            return set() if self._touched else {"what does not fit"}
        deleted = {each.before.id for each in plan.deletes}
        written = {each.before.id for each in plan.updates}
        matched = plan.matched.keys()
        made = {each.name for each in plan.creates}
        sent = made | {each.name for each in plan.updates if each.after.id is None}
        without_configuration = {
            each.name for each in plan.updates if "configuration" not in each.sent_fields
        }

        def in_scope(change: Operation) -> bool:
            """Return whether this plan is responsible for an operation.

            Changes by others to a webhook that was not written are for the next plan, and so are
            declarations of one name, of which each apply creates one.
            """
            if change.name in {each.name for each in plan.unapplied}:
                return False
            if isinstance(change, Update):
                new = change.name in made and change.before.id not in matched
                return new or change.before.id in written
            if isinstance(change, Create):
                return change.name in sent - team.shared
            return change.before.id in deleted

        def is_for_the_next_plan(change: Operation) -> bool:
            """Return whether a configuration that was not sent differs, secretly or by others."""
            if change.name not in without_configuration or not _only_configuration(change):
                return False
            # A user may know the webhook by its previous name.
            is_touched = self._touched & team.related_names(change.after)
            return bool(is_touched or self._case.conflicting or _only_secrets(change))

        left = {
            _names([each])
            for each in again.operations
            if in_scope(each) and not is_for_the_next_plan(each)
        }
        doing = set() if self._case.mode is ApplyMode.WITHOUT_SECRETS else left
        # Webhooks that were kept at the start are still kept.
        kept = sent - team.shared - {each.name for each in plan.kept}
        return doing | {f"duplicates of {each.name}" for each in again.kept if each.name in kept}

    def _available_secrets(self, plan: Plan) -> Mapping[SecretRef, Secret]:
        """Return the secrets that an apply has: for a saved plan only those it sends."""
        if self._case.mode in (ApplyMode.DIRECT, ApplyMode.DIGEST):
            return secrets()
        sent = {each.reference for each in plan.secrets}
        return {ref: secret for ref, secret in secrets().items() if ref in sent}

    def _check_applied(self, team: Team, outcome: Applied) -> None:
        """Check that what is reported as applied is stored, secrets included."""
        change = outcome.operation
        rows = {row["id"]: row for row in self._invariants.rows()}
        if isinstance(change, Delete):
            if change.before.id in rows:
                raise Violation(f"{change.name} is reported as deleted, and exists")
            return
        row = rows.get(outcome.id or "")
        if row is None or row["name"] != change.name:
            raise Violation(f"{change.name} is reported as applied, and does not exist")
        sent = isinstance(change, Create) or "configuration" in change.sent_fields
        self._check_row(team, change.after, row, sent=sent)

    def _check_hidden_values(self, process: Process, outcome: Applied) -> None:
        """Check that what is reported as applied has the hidden values that it sends.

        A value that was read before the first write needs no request, and may be edited since.
        """
        change = outcome.operation
        row = next((row for row in self._invariants.rows() if row["id"] == outcome.id), None)
        if isinstance(change, Delete) or "configuration" not in change.sent_fields or row is None:
            return
        # Any other edit may have come after the write.
        if row["name"] != change.name:
            return
        if change.name in self._edited | process.team.inapplicable:
            return
        webhook, read = change.after, (process.activity.compared or {}).get(row["id"])
        for name in hidden_fields(self._case, webhook):
            field = FIELDS[webhook.type][name]
            stored, wanted = row["configuration"].get(name), value_of(webhook.configuration[name])
            if read is not None and read.value(name) in (wanted, Secret(str(wanted))):
                continue
            if field.normalize(str(stored)) != field.normalize(str(wanted)):
                raise Violation(f"{change.name} is reported as applied, with another {name}")

    def check_converged(self, team: Team, plan: Plan, again: Plan) -> None:
        """Check after a success that the next plan is empty and the store agrees."""
        if left := [each for each in again.operations if not reveals_secret(plan, each)]:
            raise Violation(f"success, and the next plan has {_names(left)}")
        self._check_store(team, plan)

    def check_nearly_converged(self, team: Team, again: Plan) -> None:
        """Check after an unavoidable failure that everything else is as declared."""
        kept = team.inapplicable
        firm = [each for each in again.operations if not isinstance(each, Delete)]
        if left := [each for each in firm if each.name not in kept]:
            raise Violation(f"an apply without faults leaves {_names(left)}")

    def _check_store(self, team: Team, plan: Plan) -> None:
        """Check the store: one webhook per declaration, with the values that were sent."""
        created = {each.name for each in plan.creates}
        # Duplicates differ if teams conflict. If several webhooks may match a missing id, are
        # protected, or the server hides where they deliver to, they are kept and reported.
        differing = {
            each.name
            for each in plan.kept
            if self._case.conflicting
            or (each.unapplied and (each.name in team.shared or PROTECTED in each.name))
        } | {each.name for each in plan.unapplied if self._hides_destination(each.webhooks[0].type)}
        rows = self._invariants.rows()
        for webhook in team.desired.webhooks:
            name = webhook.name
            if name in team.not_applied or name in differing or not team.selects(name):
                continue
            if self._touched and self._touched & team.related_names(webhook):
                continue
            found = [row for row in rows if row["name"] == name]
            declared = [each for each in team.desired.webhooks if each.name == name]
            if len(found) != len(declared):
                raise Violation(f"{name}: {len(found)} live, {len(declared)} declared")
            if name in team.shared:
                continue
            (row,) = found
            self._check_row(team, webhook, row, sent=name in created)
            if not self._case.conflicting and row["id"] != team.expected_ids.get(name, row["id"]):
                raise Violation(f"{name} has another id than before")
        for entry in team.desired.absent:
            there = any(row["name"] == entry.name for row in rows)
            if there and team.selects(entry.name) and entry.name not in self._touched:
                raise Violation(f"{entry.name} is declared absent, and exists")

    def _check_row(
        self, team: Team, webhook: Webhook, row: Mapping[str, Any], *, sent: bool
    ) -> None:
        """Compare a stored webhook with its declaration, and secrets if they were `sent` or
        requested.

        Plain fields are compared where the server shows the configuration, and no other field may
        be set.
        """
        if set(row["event_types"]) != webhook.event_types or row["type"] != webhook.type:
            raise Violation(f"{webhook.name} is not as declared")
        for name, value in webhook.configuration.items():
            kind = FIELDS[webhook.type].get(name)
            found, wanted = row["configuration"].get(name), value_of(value)
            if isinstance(value, SecretRef):
                wishes = {"*", f"{value.scheme}:{value.name}"}.intersection(team.options.resend)
                other = (sent or wishes) and found != wanted
            else:
                hidden = hides(self._case.variant, name)
                shown = kind is not None and not (kind.secret or hidden) and self._shows(row)
                other = (
                    (sent or shown) and webhook.name not in team.inapplicable and kind is not None
                )
                other = other and kind.normalize(str(found)) != kind.normalize(str(wanted))
            if other:
                raise Violation(f"{webhook.name} has another {name} than the one sent")
        if webhook.name in team.inapplicable:
            return
        for field in KINDS[webhook.type].fields:
            shown = not field.secret and self._shows(row)
            found = row["configuration"].get(field.name)
            unset = found in (None, "", field.default) or field.name in webhook.configuration
            if (sent or shown) and not unset:
                raise Violation(f"{webhook.name} has a {field.name}, which is not declared")

    def _hides_destination(self, kind: str) -> bool:
        return kind in KINDS and hides_destination(self._case.variant, kind)

    def _shows(self, row: Mapping[str, Any]) -> bool:
        """Return whether the server shows any of a webhook's configuration."""
        variant = self._case.variant
        if variant.read_back is ReadBack.OMITTED and not variant.default_keys:
            return not row["configuration"].keys() <= set(variant.masked_fields)
        return not variant.read_back.startswith("configuration")

    def check_concurrent(self, processes: Sequence[Process], team: Team) -> None:
        """Check that two concurrent applies do not both succeed and leave duplicates."""
        names = [row["name"] for row in self._invariants.rows()]
        several = {each for each in names if names.count(each) > 1}
        doubled = several - team.not_applied - team.shared - self._touched
        declared = {each.name for each in team.desired.webhooks if each.name not in team.old_names}
        done = all(process.code is ExitCode.OK for process in processes)
        # What no listing shows, the other apply creates again.
        hidden = self._case.contradiction is Contradiction.NEVER_LISTED
        lags = self._case.variant.stale or self._case.late
        if done and not lags and not hidden and doubled & declared:
            raise Violation(f"both report success, and there are duplicates of {doubled}")

    def check_untouched(self, initial: Sequence[Row]) -> None:
        """Check at the end that untouchable webhooks have not changed."""
        now = {row["id"]: row for row in self._invariants.rows()}
        for row in initial:
            if row["name"] in self._touched:
                continue
            if self._case.is_untouchable(row["id"], row["name"], self._touched):
                there = now.get(row["id"])
                if there is None or any(there[key] != value for key, value in row.items()):
                    raise Violation(f"{row['name']} ({row['id']}) has changed")


def reveals_secret(plan: Plan, change: Operation) -> bool:
    """Return whether an operation changes only secrets that were unreadable before the plan.

    The configuration that is sent for them also removes fields that this version does not know.
    """
    if not isinstance(change, Update):
        return False
    fields = [
        field
        for field in change.fields
        if not isinstance(field, FieldRemoved) or field.path[-1] in FIELDS[change.after.type]
    ]
    return bool(fields) and all(
        isinstance(field, SecretChange)
        and (change.before.id, field.path[-1]) in plan.fields_not_shown
        for field in fields
    )


def is_unseen(change: Operation) -> bool:
    """Return whether an update has no visible effect, so that it may be done already."""
    return isinstance(change, Update) and all(
        field.not_shown or isinstance(field, FieldResent) for field in change.fields
    )


def _differs_only_in_unsent_secrets(outcome: Failed) -> bool:
    """Return whether only secrets differ, of an operation that sends none."""
    change = outcome.operation
    if outcome.code != "does-not-converge" or not isinstance(change, Update):
        return False
    if "configuration" in change.sent_fields:
        return False
    secret = KINDS[change.after.type].secret_fields
    return bool(outcome.fields) and all(each.path[-1] in secret for each in outcome.fields)


def _only_configuration(change: Operation) -> TypeGuard[Update]:
    """Return whether an operation changes only the configuration of a webhook."""
    return isinstance(change, Update) and all(
        each.path[0] == "configuration" for each in change.fields
    )


def _only_secrets(change: Operation) -> bool:
    """Return whether an operation changes only secrets."""
    return isinstance(change, Update) and all(
        isinstance(each, SecretChange) for each in change.fields
    )


def _names(changes: Sequence[Operation]) -> str:
    return ", ".join(f"{type(each).__name__.lower()} {each.name}" for each in changes)
